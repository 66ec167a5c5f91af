"""``xbench cache``."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UserError
from ..settings import Listener, Settings
from .cache_words import age, bytes_of, iso, item_json, kinds_of, seconds_of, tell_item
from .json_stream import echo_json, json_option
from .listing import size_text
from .options import make_settings
from .project_options import active

if TYPE_CHECKING:
    from ..caching.check import Checked
    from ..caching.items import Item
    from ..caching.needs import Needs
    from ..caching.prune import Choice

F = TypeVar("F", bound=Callable[..., Any])
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
            echo_json([item_json(item, needs) for item in items])
        else:
            for item in items:
                tell_item(item, f"needed by {needs.by(item)}" if needs.by(item) else "")
        return 0
    from .listing import print_list

    rows = [*_by_kind(items, needs), *_hub()]
    total = sum(item.bytes for item in items)
    if as_json:
        whole = {"cache": str(settings.cache), "bytes": total, "kinds": rows}
        echo_json(whole)
        return 0
    shown = [{**row, "size": size_text(row["bytes"]), "last_used": age(row["last_used"])} for row in rows]
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
            "last_used": iso(max(item.used for item in found[name])),
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
    return [{"kind": HUB, "things": len(found.repos), "bytes": size, "last_used": iso(last), "needed": 0,
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
        files = [{**item_json(one.item, needs), "wrong": one.wrong, "then": one.then} for one in damaged]
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
        kinds_of(kinds), None if older_than is None else seconds_of(older_than),
        None if max_size is None else bytes_of(max_size), unreachable, even_needed,
    )  # fmt: skip
    settings, items, needs = _look(cache, outs)
    if unreachable and not needs.any:
        raise UserError("--unreachable: there are no records here to tell what is needed: name their folder with --out")
    choice = choose(items, wish, needs, settings.cache)
    for item in choice.items:
        by = choice.needed.get(item.path)
        tell_item(item, f"needed by {by}" if by else "", as_json)
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
        "items": [{**item_json(item, needs), "gone": item in gone} for item in choice.items],
        "needed": [{**item_json(one.item, needs), "needed_by": one.by} for one in choice.kept],
        "busy": [item_json(item, needs) for item in choice.busy],
    }  # fmt: skip
