"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from ..execute import Failure
from ..leaderboard.ceilings import CEILING
from ..leaderboard.layout import (
    FITTED_HERE,
    KIND_MARKS,
    MARKED,
    PEEKS,
    PEEKS_MEANS,
    Grid,
    any_peeks,
    grids,
    limit_text,
    mark_notes,
    table_title,
)
from ..leaderboard.orders import orders
from ..leaderboard.table import Table, build_tables
from ..registry import Registry
from ..types import Reading
from .terminal import safe_console

MOST_TABLES = 100
"""On a terminal, one a model and task: nobody reads more, and to draw them takes longer than to find the records."""
STYLES = {"zero-shot": "cyan", "in-language": "green", "mixed": "", "frozen": "dim", "floor": "dim"}


def rich_tables(table: Table) -> list[RichTable]:
    """One table of results, or one a dataset; what kind of transfer a cell is, a mark and a colour say."""
    shown = {cell.transfer for row in table.rows for cell in row.cells.values()} | {"zero-shot"}
    notes = [f"{mark} {kind}" for kind, mark in KIND_MARKS.items() if kind in shown]
    if any(cell.fitted_here for row in table.rows for cell in row.cells.values()):
        notes.append(f"{FITTED_HERE} fitted on rows of this split")
    notes += [f"{PEEKS} {PEEKS_MEANS}"] if any_peeks([table]) else []
    notes += [f"{MARKED} {note}" for note in mark_notes(table)]
    if table.sample:
        notes.insert(0, "sample corpora: a sample to run, not a benchmark")
    if limit_text(table.limits):
        notes.insert(0, limit_text(table.limits))
    drawn = []
    for grid in grids(table, with_intervals=False):
        parts = (table.task, table.model, table_title(table), grid.title)
        drawn.append(_drawn(grid, " · ".join(part for part in parts if part)))
    drawn[-1].caption = escape("; ".join(notes))
    return drawn


def _drawn(grid: Grid, title: str) -> RichTable:
    drawn = RichTable(title=escape(title), title_justify="left")
    drawn.add_column("fine-tuned on")
    for column in grid.columns:
        drawn.add_column(escape(column), justify="right")
    for (name, texts), transfers in zip(grid.rows, grid.transfers, strict=True):
        styles = [STYLES.get(transfer, "") for transfer in transfers]
        cells = [
            f"[{style}]{escape(text)}[/]" if style else escape(text) for style, text in zip(styles, texts, strict=True)
        ]
        drawn.add_row(escape(name), *cells)
    if grid.ceiling:
        drawn.add_section()
        drawn.add_row(CEILING, *grid.ceiling, style="dim")
    return drawn


def print_tables(records: Sequence[Mapping[str, Any]], registry: Registry, to_stderr: bool = False) -> None:
    """Print the tables of some records; of very many, how many there are."""
    console = wide_console(to_stderr)
    least = len({(record["task"], record["model"]["name"]) for record in records})
    if least > MOST_TABLES:
        console.print(
            f"{len(records)} records of {least} models and tasks, too many to print: the leaderboard has them"
        )
        return
    for table in build_tables(records, orders(registry)):
        console.print(*rich_tables(table), sep="\n")


def wide_console(to_stderr: bool) -> Console:
    """A console that does not fold tables into a pipe's 80 columns."""
    console: Console = safe_console(stderr=to_stderr, highlight=False)
    if not console.is_terminal:
        console = safe_console(stderr=to_stderr, highlight=False, width=160)
    return console


def failure_table(failures: Sequence[Failure]) -> None:
    """Print what failed and why, on stderr."""
    drawn = RichTable(title=f"{len(failures)} cells failed", title_justify="left")
    for column in ("task", "model", "fine-tuned on", "read by", "scored on", "seed", "why"):
        drawn.add_column(column, overflow="fold")
    for failure in failures:
        cell = failure.cell
        head = cell.head if cell.reading == Reading().name else f"{cell.head} {cell.reading}"
        where = f"{cell.dataset}/{cell.split}"
        names = (cell.task, cell.model, cell.curriculum, head, where, str(cell.seed), failure.reason)
        drawn.add_row(*(escape(name) for name in names))
    wide_console(to_stderr=True).print(drawn)
