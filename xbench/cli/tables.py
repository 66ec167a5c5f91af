"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from ..execute import Failure
from ..leaderboard.ceilings import CEILING, ceiling_text
from ..leaderboard.publish import orders
from ..leaderboard.table import Table, build_tables, cell_text, column_title, limit_text, metric_title, row_title
from ..registry import Registry
from ..types import Reading

STYLES = {"zero-shot": "cyan", "in-language": "green", "mixed": "", "frozen": "dim"}


def rich_table(table: Table) -> RichTable:
    """One table of results; zero-shot cells are marked by a dagger and by colour."""
    title = f"{table.task} · {table.model} · {metric_title(table.metrics)}"
    notes = ["† zero-shot"]
    if table.sample:
        notes.insert(0, "sample corpora: a sample to run, not a benchmark")
    if limit_text(table.limits):
        notes.insert(0, limit_text(table.limits))
    drawn = RichTable(title=escape(title), caption=escape("; ".join(notes)), title_justify="left")
    drawn.add_column("fine-tuned on")
    for column in table.columns:
        drawn.add_column(escape(column_title(*column)), justify="right")
    heads = {row.head for row in table.rows}
    for row in table.rows:
        cells = []
        for dataset, _ in table.columns:
            cell = row.cells.get(dataset)
            text = escape(cell_text(cell, table.metrics))
            style = STYLES.get(cell.transfer, "") if cell else ""
            cells.append(f"[{style}]{text}[/]" if style else text)
        drawn.add_row(escape(row_title(row, len(heads) > 1)), *cells)
    if table.ceilings:
        drawn.add_section()
        texts = [ceiling_text(table.ceilings.get(dataset), table.metrics) for dataset, _ in table.columns]
        drawn.add_row(CEILING, *texts, style="dim")
    return drawn


def print_tables(records: Sequence[Mapping[str, Any]], registry: Registry, to_stderr: bool = False) -> None:
    """Print the tables of some records."""
    console = wide_console(to_stderr)
    for table in build_tables(records, orders(registry)):
        console.print(rich_table(table))


def wide_console(to_stderr: bool) -> Console:
    """A console that does not fold tables into a pipe's 80 columns."""
    console = Console(stderr=to_stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=to_stderr, highlight=False, width=160)


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
