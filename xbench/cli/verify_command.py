"""``xbench verify``."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UserError
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import out_option, plugin_option
from .terminal import say


@click.command("verify")
@out_option
@click.option(
    "--anchors", "folder", type=click.Path(path_type=Path), metavar="DIR",
    help="Published numbers and findings, as TOML; DIR/anchors of --out without it.",
)  # fmt: skip
@click.option("--all", "whole", is_flag=True, help="Also list numbers without a record, and every place of a finding.")
@click.option("--paper", "printed", is_flag=True, help="Ask the findings of the published numbers alone: no records.")
@plugin_option
@json_option
def command(
    out: Path, folder: Path | None, whole: bool, printed: bool, plugins: tuple[Path, ...], as_json: bool
) -> int:
    """Hold records against published numbers, and ask of them what was found.

    A record is held only against a number of the same model, metric and protocol. Exit status 1 when one differs by
    more than its tolerance, or a record is damaged; a finding that is refuted is none, and neither is a training that
    failed: it is named, and held against nothing.

    \b
    xbench verify
    xbench verify --all
    xbench verify --paper
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..leaderboard.publish import load_records
    from ..verify.report import verify
    from .verify_tables import print_report

    if not printed and not (out / "results").is_dir():
        raise UserError(
            f"there are no records: {out / 'results'} is not a folder (--out names the one that holds it; "
            "--paper needs none)"
        )
    registry = open_registry(plugins)
    records, damaged = ([], []) if printed else load_records(out)
    report = verify(records, folder or out / "anchors", registry)
    for warning in report.warnings:
        say(f"warning: {warning}", err=True)
    for path in damaged:
        say(f"{path} is damaged or of an older xbench: delete it and run the evaluation again", err=True)
    if as_json:
        values = {**report.values(), "damaged": [str(path) for path in damaged]}
        echo_json({"findings": values["findings"]} if printed else values)
    else:
        print_report(report, whole or printed, printed)
    return 1 if report.misses or damaged else 0
