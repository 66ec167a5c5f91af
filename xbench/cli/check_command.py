"""``xbench check``."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from .json_stream import echo_json, json_option
from .options import make_settings, place_options, split_names

if TYPE_CHECKING:
    from rich.console import Console

    from ..testing import Result

STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


@click.command("check")
@click.argument("plugin", required=False, metavar="PLUGIN|FILE")
@click.option("--only", default="", metavar="CHECK,...", help="These checks alone.")
@click.option("--list", "as_list", is_flag=True, help="List the checks and what they look at.")
@place_options
@json_option
def command(
    plugin: str | None, only: str, as_list: bool, data: Path | None, cache: Path | None, offline: bool, as_json: bool
) -> int:
    """Check a plugin: that it loads, says whose its data is, and that its parts do what xbench relies on.

    PLUGIN is an entry point's name (as `xbench plugins` lists them), a distribution's name, a Python file, or the
    folder of a project that is not installed. Rows that are not here are fetched, unless --offline is given; checks of
    rows that cannot be had are skipped. Exit status: 0 nothing failed, 1 a check failed, 2 there is no such plugin.

    \b
    xbench check my_plugin.py
    xbench check my-distribution --data path/to/data --json
    xbench check my_plugin.py --only loads,pinned
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..testing import find_plugin, plugin_checks

    if as_list:
        _print_checks(as_json)
        return 0
    if plugin is None:
        raise UserError("name a plugin, a Python file or a project's folder; `xbench plugins` lists what is installed")
    found = find_plugin(plugin, make_settings(data, cache, offline))
    checks = plugin_checks(found, split_names(only))
    if as_json:
        results = [check.run() for check in checks]
        told = {"plugin": found.name, **_counts(results), "results": [result.as_json() for result in results]}
        echo_json(told)
    else:
        results = _print_results(check.run() for check in checks)
    return int(any(result.outcome == "failed" for result in results))


def _counts(results: Sequence[Result]) -> dict[str, int]:
    counts = Counter(result.outcome for result in results)
    return {outcome: counts[outcome] for outcome in STYLES}


def _print_results(results: Iterable[Result]) -> list[Result]:
    """Print results as they come: those of one thing that ended alike in a line, failures in full."""
    from .tables import wide_console

    console, seen = wide_console(to_stderr=False), []
    for (outcome, thing, reason), group in itertools.groupby(
        results, key=lambda result: (result.outcome, result.thing, result.reason)
    ):
        alike = list(group)
        seen += alike
        names = ", ".join(result.check for result in alike)
        console.print(f"{outcome:<8}", style=STYLES[outcome], end="")
        console.print(f"{thing}: {names}", markup=False, soft_wrap=True)
        if reason:
            console.print(f"        {reason}", markup=False, style="dim", soft_wrap=True)
        for problem in (problem for result in alike for problem in result.problems):
            text = str(problem).replace("\n", "\n          ")
            console.print(f"        - {text}", markup=False, soft_wrap=True)
    _print_summary(seen, console)
    return seen


def _print_summary(results: Sequence[Result], console: Console) -> None:
    counts = _counts(results)
    text = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    style = STYLES["failed" if counts["failed"] else "passed"]
    console.print(text or "nothing to check", style=style)
    if counts["skipped"]:
        console.print("What was skipped was not checked: the reason says what it needs.", style="dim")


def _print_checks(as_json: bool) -> None:
    from ..testing import CHECKS
    from .listing import print_list

    rows = [{"check": check.name, "of_a": check.kind, "what": check.description} for check in CHECKS]
    print_list(rows, as_json, ("check", "of_a", "what"))
