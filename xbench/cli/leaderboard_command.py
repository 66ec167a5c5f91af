"""``xbench leaderboard``."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UserError
from ..leaderboard.publish import Built, build, differing
from .listing import open_registry
from .options import make_settings, out_option, place_options, plugin_option


@click.group("leaderboard")
def command() -> None:
    """Build or check the published leaderboard."""


@command.command("build")
@out_option
@plugin_option
def build_command(out: Path, plugins: tuple[Path, ...]) -> int:
    """Render the records in DIR/results: README.md, index.html, leaderboard.csv, leaderboard.tex, and pictures."""
    _check_folder(out)
    built = build(out, open_registry(plugins), whole=True)
    _tell(built)
    for path in built.written:
        click.echo(path)
    return 1 if built.damaged else 0


@command.command("check")
@out_option
@plugin_option
def check_command(out: Path, plugins: tuple[Path, ...]) -> int:
    """Tell whether what is published is what the records give; exit status 1 when it is not."""
    _check_folder(out)
    found = differing(out, open_registry(plugins))
    _tell(found)
    for path in found.written:
        click.echo(f"{path} is not what the records give: run xbench leaderboard build --out {out}", err=True)
    return 1 if found.written or found.damaged else 0


@command.command("refresh")
@out_option
@place_options
@plugin_option
def refresh_command(
    out: Path, data: Path | None, cache: Path | None, offline: bool, plugins: tuple[Path, ...]
) -> int:  # fmt: skip
    """Add what newer records hold (draws for intervals, chance) to older ones.

    Nothing is run: it needs the predictions, which the cache keeps, and the evaluation rows. Scores stay as they are.
    """
    from ..refresh import refresh

    _check_folder(out)
    left, done = 0, 0
    for path, reason in refresh(open_registry(plugins), make_settings(data, cache, offline, out=out)):
        done += not reason
        left += bool(reason)
        click.echo(f"{path}: {reason or 'refreshed'}", err=bool(reason))
    click.echo(f"{done} records refreshed, {left} left as they are", err=True)
    return 1 if left else 0


def _check_folder(out: Path) -> None:
    if not (out / "results").is_dir():
        raise UserError(f"there are no records: {out / 'results'} is not a folder (--out names the one that holds it)")


def _tell(built: Built) -> None:
    for path in built.damaged:
        click.echo(f"{path} is damaged or of an older xbench: delete it and run the evaluation again", err=True)
    for reason in built.left_out:
        click.echo(f"note: {reason}", err=True)
