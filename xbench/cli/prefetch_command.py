"""``xbench prefetch``: all that an evaluation needs, fetched and checked in one go."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ..measures import Access
from ..planner import make_plan
from ..prefetch import Finding, fetch, needs, survey
from .downloads import DownloadLines, bytes_text
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import make_settings, place_options, plugin_option
from .request import command_line, make_request, request_options
from .terminal import say


class Lines(DownloadLines):
    """A line for each thing as well."""

    def done(self, found: Finding) -> None:
        """A thing is here, or cannot be had."""
        with self.lock:
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
    hub = _hub_cache()
    lines.append(f"{here} of {len(findings)} are here; {_total(together)} to download{more}, into {cache} and {hub}")
    return [*lines, *_short_of_room(together, cache, hub)]


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _short_of_room(downloads: dict[str, int | None], cache: Path, hub: Path) -> Iterator[str]:
    """A line for each disk that has not the room; both caches are often on one."""
    wanted: dict[int, int] = {}
    places: dict[int, Path] = {}
    for address, count in downloads.items():
        place = hub if address.startswith("hf://") else cache
        there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
        disk = there.stat().st_dev
        wanted[disk], places[disk] = wanted.get(disk, 0) + (count or 0), there
    for disk, count in wanted.items():
        free = shutil.disk_usage(places[disk]).free
        if count > free:
            yield f"warning: {bytes_text(count)} are to go to the disk of {places[disk]}; {bytes_text(free)} are free"


def _total(downloads: dict[str, int | None]) -> str:
    """Their sizes together."""
    known = sum(value or 0 for value in downloads.values())
    unknown = sum(value is None for value in downloads.values())
    if not unknown:
        return bytes_text(known) if downloads else "nothing"
    files = "1 file whose size is unknown" if unknown == 1 else f"{unknown} files whose sizes are unknown"
    return f"{bytes_text(known)} and {files}" if known else files


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
