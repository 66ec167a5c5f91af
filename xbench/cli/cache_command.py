"""``xbench cache``."""

from __future__ import annotations

import dataclasses
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UserError, did_you_mean
from ..settings import Listener, Settings
from .json_stream import echo_json, json_option
from .listing import size_text
from .options import make_settings, split_names
from .project_options import active

if TYPE_CHECKING:
    from ..caching.check import Checked
    from ..caching.items import Item
    from ..caching.needs import Needs
    from ..caching.prune import Choice

F = TypeVar("F", bound=Callable[..., Any])
SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
BYTES = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
HUB = "hub (not in this folder)"


@click.group("cache")
def command() -> None:
    """List, verify or prune what the cache keeps: prepared rows, models, stages, predictions."""


def _cache_options(function: F) -> F:
    """``--cache`` and ``--out``, which may be given several times."""
    for option in (
        click.option(
            "--out", "outs", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
            help="A folder whose records need what is here; may be repeated.  [default: leaderboard]",
        ),
        click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Cache folder, or XBENCH_CACHE."),
    ):  # fmt: skip
        function = option(function)
    return function


def _look(cache: Path | None, outs: Sequence[Path]) -> tuple[Settings, list[Item], Needs]:
    """The cache, what lies in it, and what the records need of it.

    Raises:
        UserError: A folder that was named holds no records, or the cache is no folder.
    """
    from ..caching.items import scan
    from ..caching.needs import needs_of

    settings = dataclasses.replace(make_settings(None, cache, True), listener=Listener())
    if settings.cache.exists() and not settings.cache.is_dir():
        raise UserError(f"the cache {settings.cache} is not a folder (--cache or XBENCH_CACHE)")
    for out in outs:
        if not (out / "results").is_dir():
            raise UserError(f"there are no records: {out / 'results'} is not a folder (--out names the one above it)")
    project = active()
    needs = needs_of(outs or [Path((project.places if project else {}).get("out", "leaderboard"))])
    for path in needs.damaged:
        click.echo(f"warning: {path} is no whole record: all that it may name is taken to be needed", err=True)
    return settings, list(scan(settings.cache)), needs


# list


@command.command("list")
@_cache_options
@click.option("--long", "in_full", is_flag=True, help="One line a thing, and which record needs it.")
@json_option
def list_command(cache: Path | None, outs: tuple[Path, ...], in_full: bool, as_json: bool) -> int:
    """What is there, by kind: how many, how large, and when last used."""
    settings, items, needs = _look(cache, outs)
    if in_full:
        if as_json:
            echo_json([_as_json(item, needs) for item in items])
        else:
            for item in items:
                _tell_item(item, f"needed by {needs.by(item)}" if needs.by(item) else "")
        return 0
    from .listing import print_list

    rows = [*_by_kind(items, needs), *_hub()]
    total = sum(item.bytes for item in items)
    if as_json:
        whole = {"cache": str(settings.cache), "bytes": total, "kinds": rows}
        echo_json(whole)
        return 0
    shown = [{**row, "size": size_text(row["bytes"]), "last_used": _age(row["last_used"])} for row in rows]
    print_list(shown, False, ("kind", "things", "size", "last_used", "needed", "about"))
    click.echo(f"{settings.cache}: {size_text(total)} in all")
    return 0


def _by_kind(items: Iterable[Item], needs: Needs) -> list[dict[str, Any]]:
    from ..caching.kinds import KINDS, LEFTOVERS, STRANGE

    about = {kind.name: kind.about for kind in KINDS.values()}
    about |= {LEFTOVERS: "of runs that were killed, and what was put aside", STRANGE: "never touched"}
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[item.kind].append(item)
    return [
        {
            "kind": name, "things": len(found[name]), "bytes": sum(item.bytes for item in found[name]),
            "last_used": _iso(max(item.used for item in found[name])),
            "needed": sum(bool(needs.by(item)) for item in found[name]), "about": said,
        }
        for name, said in about.items() if found[name]
    ]  # fmt: skip


def _hub() -> list[dict[str, Any]]:
    """What the hub's client keeps in its own folder, which other programs share."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = scan_cache_dir()
    except (CacheNotFound, ValueError, OSError):
        return []
    last = max((one.last_accessed for one in found.repos), default=0.0)
    about = f"{constants.HF_HUB_CACHE}; hf cache lists and prunes it"
    size = found.size_on_disk
    return [{"kind": HUB, "things": len(found.repos), "bytes": size, "last_used": _iso(last), "needed": 0,
             "about": about}] if found.repos else []  # fmt: skip


# verify


@command.command("verify")
@_cache_options
@click.option("--remove", is_flag=True, help="Take away what is damaged, and nothing else.")
@json_option
def verify_command(cache: Path | None, outs: tuple[Path, ...], remove: bool, as_json: bool) -> int:
    """Read everything, and hold it against its checksums; exit status 1 when something is damaged.

    Other commands remember a checksum as long as a file's size and time of change stay. This one remembers nothing.
    """
    from ..caching.check import check, published_files
    from ..caching.kinds import KINDS

    settings, items, needs = _look(cache, outs)
    published = dict(published_files(settings)) if any(item.kind == "downloads" for item in items) else {}
    damaged: list[Checked] = []
    whole = unheld = 0
    for item in items:
        if item.kind not in KINDS or item.kind == "locks":
            continue
        checked = check(item, needs, settings, published)
        if checked.wrong:
            damaged.append(checked)
            click.echo(f"{item.path} is damaged: {checked.wrong}; {checked.then}", err=True)
        elif checked.held:
            whole += 1
        else:
            unheld += 1
    removed = _take([one.item for one in damaged], settings) if remove else []
    if as_json:
        files = [{**_as_json(one.item, needs), "wrong": one.wrong, "then": one.then} for one in damaged]
        values = {"whole": whole, "unchecked": unheld, "damaged": files, "removed": [str(one.path) for one in removed]}
        echo_json(values)
    said = f"{whole} whole, {len(damaged)} damaged, {unheld} with nothing to hold them against"
    click.echo(f"{said}, {len(removed)} taken away" if remove else said, err=True)
    if damaged and not remove:
        click.echo("--remove takes away what is damaged", err=True)
    return 1 if damaged else 0


# prune


@command.command("prune")
@_cache_options
@click.option("--older-than", metavar="30d", help="What was not used for so long: h, d or w.")
@click.option("--max-size", metavar="20GB", help="Until the cache is no larger; what was not used for longest first.")
@click.option("--unreachable", is_flag=True, help="What no record in --out needs.")
@click.option("--kind", "kinds", default="", metavar="K[,K2...]", help="Only of these kinds; see xbench cache list.")
@click.option("--even-needed", is_flag=True, help="What records need as well; each is named.")
@click.option("--yes", is_flag=True, help="Do it. Without it, what would go is listed.")
@json_option
def prune_command(
    cache: Path | None, outs: tuple[Path, ...], older_than: str | None, max_size: str | None, unreachable: bool,
    kinds: str, even_needed: bool, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Make the cache smaller. Without --yes nothing is taken away, and what would go is listed.

    Several conditions narrow each other down. Leftovers of killed runs always go. What a record needs stays, unless
    --even-needed, and so does what a run that is at work now has made or looked at.

    \b
    xbench cache prune --older-than 30d
    xbench cache prune --unreachable --out leaderboard --out ../paper --yes
    xbench cache prune --max-size 20GB --kind examples,datasets
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..caching.prune import Wish, choose

    wish = Wish(
        _kinds(kinds), None if older_than is None else _seconds(older_than),
        None if max_size is None else _bytes(max_size), unreachable, even_needed,
    )  # fmt: skip
    settings, items, needs = _look(cache, outs)
    if unreachable and not needs.any:
        raise UserError("--unreachable: there are no records here to tell what is needed: name their folder with --out")
    choice = choose(items, wish, needs, settings.cache)
    for item in choice.items:
        by = choice.needed.get(item.path)
        _tell_item(item, f"needed by {by}" if by else "", as_json)
    gone = _take(choice.items, settings) if yes else []
    if as_json:
        echo_json(_pruned(choice, gone, needs, yes))
    _tell_choice(choice, gone, yes)
    return 1 if yes and len(gone) < len(choice.items) else 0


def _take(items: Sequence[Item], settings: Settings) -> list[Item]:
    """Take things away, and name what stays; gives what has gone."""
    from ..caching.prune import take_away

    gone = []
    for item, why in take_away(items, settings):
        if why:
            click.echo(f"{item.path} stays: {why}", err=True)
        else:
            gone.append(item)
    return gone


def _tell_choice(choice: Choice, gone: Sequence[Item], yes: bool) -> None:
    if choice.kept:
        size = size_text(sum(one.item.bytes for one in choice.kept))
        who = next(iter({one.by for one in choice.kept})) if len({one.by for one in choice.kept}) == 1 else "records"
        click.echo(
            f"{len(choice.kept)} things ({size}) are kept back, as they are needed ({who}); --even-needed takes them",
            err=True,
        )
    if choice.busy:
        click.echo(f"{len(choice.busy)} things are in use by a run that is at work now, and stay", err=True)
    count, size = len(choice.items), size_text(choice.bytes)
    if yes:
        click.echo(f"{len(gone)} things taken away, {size_text(sum(item.bytes for item in gone))}", err=True)
    else:
        click.echo(f"{count} things would go, {size}" + ("; --yes does it" if count else ""), err=True)


def _pruned(choice: Choice, gone: Sequence[Item], needs: Needs, yes: bool) -> dict[str, Any]:
    return {
        "done": yes, "bytes": sum(item.bytes for item in (gone if yes else choice.items)),
        "items": [{**_as_json(item, needs), "gone": item in gone} for item in choice.items],
        "needed": [{**_as_json(one.item, needs), "needed_by": one.by} for one in choice.kept],
        "busy": [_as_json(item, needs) for item in choice.busy],
    }  # fmt: skip


# Words


def _kinds(text: str) -> tuple[str, ...]:
    from ..caching.kinds import KINDS

    kinds = split_names(text)
    for kind in kinds:
        if kind not in KINDS or not KINDS[kind].prunes:
            known = [name for name, one in KINDS.items() if one.prunes]
            raise UserError(f"--kind {kind}: there is no such kind{did_you_mean(kind, known)}")
    return kinds


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([hdw])", text.strip().lower())
    if match is None:
        raise UserError(f"--older-than {text}: write a number with h, d or w, such as 30d")
    return float(int(match[1]) * SECONDS[match[2]])


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?)\s*([kmgt]?b?)", text.strip().lower())
    if match is None:
        raise UserError(f"--max-size {text}: write a number with KB, MB, GB or TB, such as 20GB")
    unit = match[2].upper()
    return int(float(match[1]) * BYTES[unit if unit in BYTES else f"{unit}B"])


def _iso(used: float) -> str:
    return datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds")


def _age(iso: str) -> str:
    """How long ago, in the largest unit that is not 0."""
    seconds = max(0.0, time.time() - datetime.fromisoformat(iso).timestamp())
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def _tell_item(item: Item, about: str, to_stderr: bool = False) -> None:
    from ..forms import ascii_safe

    label = f"  {ascii_safe(item.label)}" if item.label else ""
    name = f"{item.kind}/{ascii_safe(item.path.name)}"
    end = f"  ({ascii_safe(about)})" if about else ""
    click.echo(f"{size_text(item.bytes):>9}  {_age(_iso(item.used)):>14}  {name}{label}{end}", err=to_stderr)


def _as_json(item: Item, needs: Needs) -> Mapping[str, Any]:
    return {
        "kind": item.kind, "key": item.key, "path": str(item.path), "label": item.label, "bytes": item.bytes,
        "last_used": _iso(item.used), "needed_by": needs.by(item) or None, "stale": item.stale,
    }  # fmt: skip
