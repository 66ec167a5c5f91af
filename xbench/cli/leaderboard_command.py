"""``xbench leaderboard``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from ..leaderboard.publish import Built, build, differing
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import make_settings, out_option, place_options, plugin_option
from .terminal import say

if TYPE_CHECKING:
    from ..merge import Merged


@click.group("leaderboard")
def command() -> None:
    """Build or check the published leaderboard, complete its records, or take those of others."""


@command.command("build")
@out_option
@plugin_option
@json_option
def build_command(out: Path, plugins: tuple[Path, ...], as_json: bool) -> int:
    """Render the records in DIR/results: README.md, index.html, leaderboard.csv, leaderboard.tex, and pictures."""
    _check_folder(out)
    built = build(out, open_registry(plugins), whole=True)
    _tell(built)
    for path in built.written:
        say(path, err=as_json)
    if as_json:
        _print_built(built, "written")
    return 1 if built.damaged else 0


@command.command("check")
@out_option
@plugin_option
@json_option
def check_command(out: Path, plugins: tuple[Path, ...], as_json: bool) -> int:
    """Tell whether what is published is what the records give; exit status 1 when it is not."""
    _check_folder(out)
    found = differing(out, open_registry(plugins))
    _tell(found)
    for path in found.written:
        say(f"{path} is not what the records give: run xbench leaderboard build --out {out}", err=True)
    if as_json:
        _print_built(found, "differing")
    return 1 if found.written or found.damaged else 0


@command.command("refresh")
@out_option
@place_options
@plugin_option
@json_option
def refresh_command(
    out: Path, data: Path | None, cache: Path | None, offline: bool, plugins: tuple[Path, ...], as_json: bool
) -> int:  # fmt: skip
    """Add what newer records hold (draws for intervals, chance) to older ones.

    Nothing is run: it needs the predictions, which the cache keeps, and the evaluation rows. Scores stay as they are.
    """
    from ..refresh import refresh

    _check_folder(out)
    files: list[dict[str, object]] = []
    for path, reason in refresh(open_registry(plugins), make_settings(data, cache, offline, out=out)):
        files.append({"path": str(path), "refreshed": not reason, "said": reason})
        say(f"{path}: {reason or 'refreshed'}", err=bool(reason) or as_json)
    done = sum(bool(one["refreshed"]) for one in files)
    left = len(files) - done
    if as_json:
        echo_json({"refreshed": done, "left": left, "files": files})
    click.echo(f"{done} records refreshed, {left} left as they are", err=True)
    return 1 if left else 0


@command.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@out_option
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and write nothing.")
@place_options
@plugin_option
@json_option
def merge_command(
    folders: tuple[Path, ...], out: Path, dry_run: bool, data: Path | None, cache: Path | None, offline: bool,
    plugins: tuple[Path, ...], as_json: bool,
) -> int:  # fmt: skip
    """Take the records of others, from DIR/results or DIR, into those of --out. Nothing is overwritten.

    A record is taken when it has the form of one, contradicts nothing that is declared here, and has the key that
    follows from what it holds. Nothing is fetched. Exit status 1 when one is refused or in conflict with one that is
    here.

    \b
    xbench leaderboard merge ../their-clone/leaderboard --dry-run
    xbench leaderboard merge ../their-clone/leaderboard
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..merge import find_files, merge

    found = [find_files(folder) for folder in folders]  # all are looked at before anything is written
    merged: list[Merged] = [one for _, skipped in found for one in skipped]
    settings = make_settings(data, cache, True, out=out)
    for one in merged:
        _tell_merged(one, dry_run, as_json)
    for one in merge([path for files, _ in found for path in files], open_registry(plugins), settings, dry_run):
        _tell_merged(one, dry_run, as_json)
        merged.append(one)
    counts = Counter(one.outcome for one in merged)
    if counts["skipped"] == len(merged):
        raise UserError(f"there are no records in {', '.join(map(str, folders))}")
    if as_json:
        echo_json(_merged_values(merged, counts, dry_run))
    click.echo(_merged_line(counts, dry_run), err=True)
    if counts["taken"] and not dry_run:
        click.echo(f"now run xbench leaderboard build --out {out}", err=True)
    return 1 if counts["refused"] or counts["conflict"] else 0


def _tell_merged(one: Merged, dry_run: bool, as_json: bool) -> None:
    from ..forms import ascii_safe

    if one.outcome == "taken":
        word = "would be taken" if dry_run else "taken"
        say(f"{one.place}: {word} ({one.said})", err=as_json)
    elif one.outcome != "here" or one.said:
        word = "already here" if one.outcome == "here" else one.outcome
        say(f"{ascii_safe(str(one.path))}: {word}: {one.said}", err=True)


def _merged_line(counts: Counter[str], dry_run: bool) -> str:
    taken, conflicts = counts["taken"], counts["conflict"]
    parts = [f"{taken} record{'' if taken == 1 else 's'} {'would be taken' if dry_run else 'taken'}"]
    parts.append(f"{counts['here']} already here")
    parts.append(f"{conflicts} conflict{'' if conflicts == 1 else 's'}")
    parts.append(f"{counts['refused']} refused")
    return ", ".join([*parts, *([f"{counts['skipped']} skipped"] if counts["skipped"] else [])])


def _merged_values(merged: Sequence[Merged], counts: Counter[str], dry_run: bool) -> dict[str, object]:
    from ..forms import ascii_safe

    files = [
        {"path": ascii_safe(str(one.path)), "outcome": one.outcome, "said": one.said,
         "place": None if one.place is None else ascii_safe(str(one.place))}
        for one in merged
    ]  # fmt: skip
    names = {"taken": "taken", "here": "here", "conflict": "conflicts", "refused": "refused", "skipped": "skipped"}
    return {"dry_run": dry_run, **{names[name]: counts[name] for name in names}, "files": files}


def _check_folder(out: Path) -> None:
    if not (out / "results").is_dir():
        raise UserError(f"there are no records: {out / 'results'} is not a folder (--out names the one that holds it)")


def _print_built(built: Built, word: str) -> None:
    values = {word: built.written, "damaged": built.damaged}
    shown = {name: [str(path) for path in paths] for name, paths in values.items()}
    echo_json({**shown, "left_out": list(built.left_out)})


def _tell(built: Built) -> None:
    for path in built.damaged:
        if path.is_file() and not os.access(path, os.R_OK):
            say(f"{path} cannot be read: see whom it belongs to", err=True)
        else:
            say(f"{path} is damaged or of an older xbench: delete it and run the evaluation again", err=True)
    for reason in built.left_out:
        say(f"note: {reason}", err=True)
