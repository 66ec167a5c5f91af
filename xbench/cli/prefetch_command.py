"""``xbench prefetch``: all that an evaluation needs, fetched and checked in one go."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..measures import Access
from ..plan import make_plan
from ..prefetch import Finding, fetch, needs, survey
from ..settings import Listener
from .dry_run import size
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import make_settings, place_options, plugin_option
from .request import command_line, make_request, request_options
from .terminal import say

LINE_EVERY_S = 5.0
MB = 1 << 20
LITTLE = MB
"""A download smaller than this is over before anybody wonders."""


class Lines(Listener):
    """A line now and then for each download that takes its time; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}

    def note(self, text: str) -> None:
        """A line of its own."""
        with self._lock:
            say(f"note: {text}", err=True)

    def fetched(self, label: str, done: int, total: int | None) -> None:
        """A line every few seconds."""
        now = time.monotonic()
        with self._lock:
            last = self._said.setdefault(label, now)
            if now - last >= LINE_EVERY_S and done >= LITTLE:
                self._said[label] = now
                say(f"  {label}: {_bytes(done)} of {_bytes(total)}", err=True)

    def done(self, found: Finding) -> None:
        """A thing is here, or cannot be had."""
        with self._lock:
            line = f"here: {found.need.label}" if found.here else f"NOT HERE: {found.need.label}: {found.why_not}"
            say(line, err=True)


@click.command("prefetch")
@request_options
@click.option("--trust-remote-code", is_flag=True, help="Fetch a model's own code as well.")
@place_options
@plugin_option
@click.option("--dry-run", is_flag=True, help="Say what is missing and how large it is, and stop.")
@json_option
def command(
    trust_remote_code: bool, data: Path | None, cache: Path | None, offline: bool, plugins: tuple[Path, ...],
    dry_run: bool, as_json: bool, **asked: Any,
) -> int:  # fmt: skip
    """Fetch and check all that an evaluation needs, so that it runs with --offline on a machine without a network.

    It takes the options of xbench eval. Sizes are said first; then models and datasets are fetched, weights hashed,
    rows prepared and held against what is pinned. Status 1 says that something could not be had. With --offline nothing
    is fetched: it says what is here.

    \b
    xbench prefetch --model xlm-roberta-large --tasks sts,mrc --dry-run
    xbench prefetch --model xlm-roberta-large --tasks sts,mrc
    """  # noqa: D301  # click's mark for lines that stay as they are
    registry = open_registry(plugins)
    lines = Lines()
    settings = make_settings(data, cache, offline, trust_remote_code=trust_remote_code, listener=lines)
    registry.access = Access(settings.offline or dry_run, trust_remote_code)
    plan = make_plan(make_request(asked), registry)
    _quiet_bars()
    wanted = needs(plan, registry)
    first = survey(wanted, registry, settings)
    for line in _sizes(first, settings.cache):
        say(line, err=True)
    last = first
    if not (dry_run or settings.offline):
        last = fetch(wanted, registry, settings, lines.done)
    places = {"data": data, "cache": cache, "plugins": plugins, "trust_remote_code": trust_remote_code}
    run = command_line("eval", {**asked, **places}, "--offline")
    missing = [found for found in last if not found.here]
    if as_json:
        echo_json(_as_json(first, last, run))
    else:
        _summary(last, missing, run, dry_run or settings.offline)
    return 1 if missing and not dry_run else 0


def _quiet_bars() -> None:
    """Keep the hub's client from drawing bars into a file."""
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()


def _sizes(findings: Sequence[Finding], cache: Path) -> list[str]:
    """What is to be fetched: a line for each thing that is not here, and one for all."""
    lines = []
    for found in findings:
        if not found.here:
            what = found.why_not or f"{_total(found.downloads)} to download"
            lines.append(f"missing: {found.need.label}: {what}")
    together: dict[str, int | None] = {}
    for found in findings:
        together |= found.downloads
    here = sum(found.here for found in findings)
    unknown = sum(not found.here and not found.downloads for found in findings)
    more = f" (and {unknown} more without a size, see above)" if unknown else ""
    lines.append(
        f"{here} of {len(findings)} are here; {_total(together)} to download{more}, into {cache} and the hub's cache"
    )
    known = sum(value or 0 for value in together.values())
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists())).free
    if known > free:
        lines.append(f"warning: only {_bytes(free)} are free there")
    return lines


def _total(downloads: dict[str, int | None]) -> str:
    """Their sizes together."""
    known = sum(value or 0 for value in downloads.values())
    unknown = sum(value is None for value in downloads.values())
    if not unknown:
        return _bytes(known) if downloads else "nothing"
    files = "1 file whose size is unknown" if unknown == 1 else f"{unknown} files whose sizes are unknown"
    return f"{_bytes(known)} and {files}" if known else files


def _bytes(count: int | None) -> str:
    return "an unknown size" if count is None else size(count / MB)


def _summary(findings: Sequence[Finding], missing: Sequence[Finding], run: str, nothing_fetched: bool) -> None:
    """What is here and what is not, and the command line that needs no network."""
    if missing:
        rest = "" if nothing_fetched else "; run the same command again to go on from what is here"
        labels = ", ".join(found.need.label for found in missing)
        click.echo(f"{len(missing)} of {len(findings)} missing: {labels}{rest}")
    else:
        click.echo(f"all {len(findings)} are here and checked; without a network:\n{run}")


def _as_json(first: Sequence[Finding], last: Sequence[Finding], run: str) -> dict[str, Any]:
    return {
        "needs": [
            {
                "name": now.need.name, "split": now.need.split or None, "here": now.here,
                "why_not": now.why_not or None, "downloads": before.downloads,
            }
            for before, now in zip(first, last, strict=True)
        ],
        "complete": all(found.here for found in last), "then": run,
    }  # fmt: skip
