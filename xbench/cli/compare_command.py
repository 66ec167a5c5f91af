"""``xbench compare``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..compare import Disagreement, Pair, Sides, choose_sides, disagreements, pairs, whole_name
from ..errors import UserError, did_you_mean
from ..leaderboard.ceilings import NONE
from ..leaderboard.entries import Entry, entries
from ..leaderboard.layout import column_title, limit_text, row_title, score_title
from ..leaderboard.material import gather
from ..leaderboard.standings import LEVEL
from ..leaderboard.table import decimals_of
from ..registry import Registry
from ..settings import Settings
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import make_settings, out_option, place_options, plugin_option, split_names
from .terminal import say

TEXT = 300
"""Letters of a text that are shown; ``--json`` has all."""


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--model", metavar="M", help="Of this model alone, to compare curricula.")
@click.option("--train", metavar="CURRICULUM", help="After this curriculum alone, to compare models.")
@click.option("--tasks", default="", metavar="T[,T2...]", help="These tasks alone.")
@click.option("--eval", "datasets", default="", metavar="DATASET[,...]", help="These evaluation datasets alone.")
@click.option(
    "--rows", default=0, type=click.IntRange(0), metavar="N", help="Show N rows that speak most for each side."
)
@out_option
@place_options
@plugin_option
@json_option
def command(
    first: str, second: str, model: str | None, train: str | None, tasks: str, datasets: str, rows: int, out: Path,
    data: Path | None, cache: Path | None, offline: bool, plugins: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """Compare two models, or two curricula of one model, on all rows that both were scored on.

    Differences are tested in pairs over the same rows. With --rows, the rows that speak most for each side are shown,
    with their texts: that needs the data and the predictions, which the cache keeps.

    \b
    xbench compare stsb korsts --model e5-small-q4
    xbench compare e5-small-q4 all-minilm-l6-v2 --train none --eval korsts --rows 5
    """  # noqa: D301  # click's mark for lines that stay as they are
    registry = open_registry(plugins)
    material = gather(out, registry)
    if not material.records:
        raise UserError(f"there are no records in {out / 'results'} (--out names the folder that holds it)")
    chosen = _chosen(entries(material.tables, material.orders), tasks, datasets)
    sides = choose_sides(first, second, chosen)
    narrowed = _narrowed(chosen, sides, model, train)
    found = pairs(sides, narrowed)
    if not found:
        failed = _failed(narrowed, sides)
        why = f"; every seed of {' and '.join(failed)} failed somewhere" if failed else ""
        raise UserError(f"{first} and {second} were not scored alike on any dataset{why}: there is nothing to compare")
    settings = make_settings(data, cache, offline, out=out)
    shown = [(pair, _rows_of(pair, rows, registry, settings)) for pair in found]
    if as_json:
        echo_json([_as_json(pair, own) for pair, own in shown])
    else:
        _print(sides, shown, registry)


def _failed(found: Sequence[Entry], sides: Sides) -> list[str]:
    """Which sides have cells whose every seed failed."""
    names = {entry.table.model if sides.kind == "model" else entry.row.curriculum for entry in found if entry.failed}
    return [name for name in (sides.first, sides.second) if name in names]


def _rows_of(pair: Pair, most: int, registry: Registry, settings: Settings) -> list[Disagreement]:
    """The rows to show; where they cannot be had, a line says why, and the comparison stands without them."""
    if not most:
        return []
    try:
        return disagreements(pair, most, registry, settings)
    except UserError as error:
        say(f"note: no rows of {pair.first.column}: {error}", err=True)
        return []


def _chosen(found: Sequence[Entry], tasks: str, datasets: str) -> list[Entry]:
    """Those of some tasks and datasets.

    Raises:
        UserError: No record is of one that is named.
    """
    for text, known, what in (
        (tasks, {entry.table.task for entry in found}, "task"),
        (datasets, {entry.column for entry in found}, "evaluation dataset"),
    ):
        for name in split_names(text):
            if name not in known:
                raise UserError(f"no record is of the {what} {name!r}{did_you_mean(name, sorted(known))}")
    wanted = split_names(tasks), split_names(datasets)
    return [
        entry
        for entry in found
        if (not wanted[0] or entry.table.task in wanted[0]) and (not wanted[1] or entry.column in wanted[1])
    ]


def _narrowed(found: Sequence[Entry], sides: Sides, model: str | None, train: str | None) -> list[Entry]:
    """Those of one model, or of one curriculum.

    Raises:
        UserError: The option does not fit what is compared, or names what is not there.
    """
    option, wrong = (("--train", train), ("--model", model))[:: 1 if sides.kind == "model" else -1]
    if wrong[1] is not None:
        raise UserError(f"{wrong[0]} does not fit: {sides.first} and {sides.second} are each a {sides.kind}")
    if option[1] is None:
        return list(found)
    owners = [entry.row.curriculum if sides.kind == "model" else entry.table.model for entry in found]
    known = sorted(set(owners))
    name = whole_name(option[1], known)
    if name not in known:
        raise UserError(f"{option[0]}: no record is of {name!r}{did_you_mean(name, known)}")
    return [entry for entry, own in zip(found, owners, strict=True) if own == name]


def _as_json(pair: Pair, rows: Sequence[Disagreement]) -> dict[str, Any]:
    first = pair.first
    return {
        "task": first.table.task, "model": [first.table.model, pair.second.table.model],
        "curriculum": [first.row.curriculum, pair.second.row.curriculum], "reading": first.row.reading,
        "head": [entry.row.head for entry in (first, pair.second)],
        "variant": [entry.row.variant for entry in (first, pair.second)],
        "selection": [entry.row.selection for entry in (first, pair.second)],
        "peeks": [entry.cell.peeks for entry in (first, pair.second)],
        "dataset": first.column, "language": first.language, "limits": dict(first.table.limits), "score": pair.score,
        "values": [entry.cell.scores.get(pair.score) for entry in (first, pair.second)],
        "records": [[record["key"] for record in entry.records] for entry in (first, pair.second)],
        "difference": None if pair.difference is None else vars(pair.difference), "p_corrected": pair.p,
        "rows": [vars(one) | {"row": dict(one.row)} for one in rows],
    }  # fmt: skip


def _print(sides: Sides, shown: Sequence[tuple[Pair, Sequence[Disagreement]]], registry: Registry) -> None:
    from rich.markup import escape
    from rich.table import Table as RichTable

    from .tables import wide_console

    console = wide_console(to_stderr=False)
    other = "fine-tuned on" if sides.kind == "model" else "model"
    drawn = RichTable(title=escape(f"{sides.first} against {sides.second}"), title_justify="left")
    for column in ("task", other, "scored on", "by"):
        drawn.add_column(column)
    for column in (escape(sides.first), escape(sides.second), "difference", "95% interval", "p"):
        drawn.add_column(column, justify="right")
    for pair, _ in shown:
        drawn.add_row(*(escape(text) for text in _line(pair, sides)))
    drawn.caption = (
        f"* told apart: p below {LEVEL:g} after Holm's correction for all lines of this table; "
        "each interval by itself; – not over the same rows, or without draws, or of an oracle"
    )
    console.print(drawn)
    for pair, rows in shown:
        if rows:
            console.print(_rows_table(pair, rows, sides))


def _line(pair: Pair, sides: Sides) -> list[str]:
    first, table = pair.first, pair.first.table
    decimals = decimals_of(table.styles, pair.score)
    values = [entry.cell.scores.get(pair.score) for entry in (first, pair.second)]
    limits = f" ({limit_text(table.limits)})" if limit_text(table.limits) else ""
    gap = pair.difference
    return [
        table.task + limits,
        _curriculum(first, pair.second) if sides.kind == "model" else _model(first, pair.second),
        column_title(first.column, first.language), score_title(pair.score, table.styles),
        *("undefined" if value is None else f"{value:.{decimals}f}" for value in values),
        *(
            (f"{gap.value:+.{decimals}f}{' *' if pair.p is not None and pair.p < LEVEL else ''}",
             f"{gap.low:+.{decimals}f} to {gap.high:+.{decimals}f}", f"{pair.p:.2g}" if pair.p else "<1e-300")
            if gap is not None else ("–", "", "")
        ),
    ]  # fmt: skip


def _curriculum(first: Entry, second: Entry) -> str:
    """What both were fine-tuned on; of a floor, which was on nothing, what stands beside it says so."""
    entry = min(first, second, key=lambda one: one.row.is_floor)
    return NONE if entry.row.is_floor else row_title(entry.row, entry.table.several_heads)


def _model(first: Entry, second: Entry) -> str:
    """The model, and what tells this line from others of it."""
    row = first.row
    heads = [row.head] if first.table.several_heads and row.head == second.row.head else []
    notes = [*heads, row.reading, *dict.fromkeys((row.variant, second.row.variant)), row.protocol]
    return ", ".join(filter(None, (first.table.model, *notes)))


def _rows_table(pair: Pair, rows: Sequence[Disagreement], sides: Sides) -> Any:
    from rich.markup import escape
    from rich.table import Table as RichTable

    entry = pair.first
    where = f"{column_title(entry.column, entry.language)}, {row_title(entry.row, False)}"
    title = f"Rows of {where}" if sides.kind == "model" else f"Rows of {column_title(entry.column, entry.language)}"
    drawn = RichTable(title=escape(title), title_justify="left", show_lines=True)
    for column in ("row", "reference", sides.first, sides.second):
        drawn.add_column(escape(column), overflow="fold")
    drawn.add_column("points", justify="right")
    for one in rows:
        texts = [_text(value) for value in (one.reference, one.first, one.second)]
        drawn.add_row(*(escape(text) for text in (_row(one.row), *texts, f"{one.points:+.0f}")))
    drawn.caption = f"points: what the row gives {escape(sides.first)} over {escape(sides.second)}"
    return drawn


def _row(row: Mapping[str, Any]) -> str:
    """Its texts, a line each, but for what the other columns show."""
    lines = [_cut(str(value)) for name, value in row.items() if isinstance(value, str) and name != "id"]
    return "\n".join([f"{row['id']}:", *lines])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[:TEXT]}…"
