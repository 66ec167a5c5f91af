"""Lays a table out as texts, for every page and for the terminal alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..languages import language_names
from .ceilings import NONE, ceiling_text
from .cells import TableCell
from .table import ScoreStyle, Table, TableRow, decimals_of

WIDE = 3
"""Scores that fit into one cell; of more, each has a column, and each evaluation dataset a grid."""
ZERO_SHOT = "†"
FITTED_HERE = "‡"
FITTED_HERE_MEANS = "fitted on rows of the very split that it is scored on"
KIND_MARKS = {"zero-shot": ZERO_SHOT, "in-language": "•", "mixed": "◦"}
"""A frozen encoder and a floor, which were not trained at all, have none."""
PEEKS = "§"
PEEKS_MEANS = "its checkpoint was chosen with rows of what it is scored on, as an oracle would: held against nothing"
MARKED = "*"
FAILED = "failed"
"""Stands in the place of a score where the training of every seed has come to nothing."""


@dataclass(frozen=True)
class Grid:
    """Texts in rows and columns.

    Attributes:
        title: The evaluation dataset, where the whole grid is about one; else empty.
        columns: Their titles, without that of the rows.
        rows: A title and a text a column each.
        transfers: By row, a word a column: ``zero-shot`` and the like; empty where there is no score.
        intervals: By row, the 95% interval of a column's first score as a text; empty where there is none.
        made: By row, how the checkpoint was chosen, and the seeds.
        ceiling: A text a column, or none where nothing bounds the scores.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    transfers: tuple[tuple[str, ...], ...]
    intervals: tuple[tuple[str, ...], ...]
    made: tuple[tuple[str, str], ...]
    ceiling: tuple[str, ...] = ()


def grids(table: Table, with_intervals: bool = True) -> list[Grid]:
    """One grid with a column a dataset; or, where scores are many, one a dataset with a column a score.

    Args:
        table: What to lay out.
        with_intervals: Whether intervals are shown: they need scipy, which a terminal that shows none can do without.
    """
    titles = [row_title(row, table.several_heads) for row in table.rows]
    if len(table.metrics) > WIDE:
        return [_wide(table, titles, *column, with_intervals) for column in table.columns]
    lines = []
    for title, row in zip(titles, table.rows, strict=True):
        cells = [row.cells.get(dataset) for dataset, _ in table.columns]
        texts = [cell_text(cell, table.metrics, table.styles) for cell in cells]
        intervals = [interval_text(cell, table.metrics[0], table.styles) if with_intervals else "" for cell in cells]
        lines.append(_Line(title, texts, [cell.transfer if cell else "" for cell in cells], intervals, made(row)))
    ceiling = [ceiling_text(table.ceilings.get(dataset), table.metrics) for dataset, _ in table.columns]
    columns = tuple(column_title(*column) for column in table.columns)
    return [_grid("", columns, lines, tuple(ceiling) if table.ceilings else ())]


class _Line(NamedTuple):
    """One row of a grid."""

    title: str
    texts: Sequence[str]
    transfers: Sequence[str]
    intervals: Sequence[str]
    made: tuple[str, str]


def _grid(title: str, columns: tuple[str, ...], lines: Sequence[_Line], ceiling: tuple[str, ...]) -> Grid:
    return Grid(
        title, columns, tuple((line.title, tuple(line.texts)) for line in lines),
        tuple(tuple(line.transfers) for line in lines), tuple(tuple(line.intervals) for line in lines),
        tuple(line.made for line in lines), ceiling,
    )  # fmt: skip


def _wide(table: Table, titles: Sequence[str], dataset: str, language: str, with_intervals: bool) -> Grid:
    lines = []
    for title, row in zip(titles, table.rows, strict=True):
        cell = row.cells.get(dataset)
        if cell is not None:
            texts = [score_text(cell, name, table.styles) for name in table.metrics]
            intervals = [interval_text(cell, name, table.styles) if with_intervals else "" for name in table.metrics]
            line = _Line(
                title, [texts[0] + cell_marks(cell), *texts[1:]], [cell.transfer] * len(texts), intervals, made(row)
            )
            lines.append(line)
    own = table.ceilings.get(dataset)
    ceiling = tuple(ceiling_text(own, [name]) for name in table.metrics) if own else ()
    columns = tuple(score_title(name, table.styles) for name in table.metrics)
    return _grid(column_title(dataset, language), columns, lines, ceiling)


def made(row: TableRow) -> tuple[str, str]:
    """How a row's checkpoint was chosen, and its seeds."""
    seeds = sorted({seed for cell in row.cells.values() for seed in cell.seeds})
    return row.selection or NONE, ", ".join(map(str, seeds)) or NONE


def interval_text(cell: TableCell | None, name: str, styles: Mapping[str, ScoreStyle]) -> str:
    """``79.12 to 82.87``, the 95% interval of one score; empty where its records hold no draws.

    Args:
        cell: None where there is no record.
        name: The score's.
        styles: How it is written.
    """
    estimate = cell.estimates.get(name) if cell else None
    if estimate is None:
        return ""
    decimals = decimals_of(styles, name)
    return f"{estimate.low:.{decimals}f} to {estimate.high:.{decimals}f}"


def cell_text(cell: TableCell | None, metrics: Sequence[str], styles: Mapping[str, ScoreStyle] | None = None) -> str:
    """``87.44 (87.43)``, the primary score first, others in brackets; a mark says what kind it is.

    Args:
        cell: What to show; None where there is no record.
        metrics: The names of the scores.
        styles: How they are written.

    Returns:
        The text; a score that is not defined is ``undefined``, one that the cell does not have a dash; ``failed`` where
        every seed failed.
    """
    if cell is None:
        return NONE
    last = max((place for place, name in enumerate(metrics, 1) if name in cell.scores), default=1)
    texts = [score_text(cell, name, styles or {}) for name in metrics[:last]]
    rest = f" ({', '.join(texts[1:])})" if texts[1:] else ""
    return texts[0] + rest + cell_marks(cell)


def cell_marks(cell: TableCell) -> str:
    """All that stands behind a score, with a space before each mark."""
    kind = KIND_MARKS.get(cell.transfer, "")
    marks = (FITTED_HERE * cell.fitted_here, PEEKS * bool(cell.peeks), MARKED * bool(cell.marks))
    return "".join(f" {mark}" for mark in (kind, *marks) if mark)


def kind_mark(cell: TableCell) -> str:
    """What kind of transfer a cell is, and whether its checkpoint was chosen with rows of what it is scored on."""
    return " ".join(filter(None, (KIND_MARKS.get(cell.transfer, ""), PEEKS * bool(cell.peeks))))


def any_peeks(tables: Sequence[Table]) -> bool:
    """Whether a mark has to be explained that most leaderboards do not have."""
    return any(cell.peeks for table in tables for row in table.rows for cell in row.cells.values())


def score_text(cell: TableCell, name: str, styles: Mapping[str, ScoreStyle]) -> str:
    """One score of a cell, ``87.44 ± 0.30`` over seeds; in words where it has no value."""
    if cell.failed and not cell.records:
        return FAILED
    if name not in cell.scores:
        return NONE
    score, deviation = cell.scores[name], cell.deviations.get(name)
    if score is None:
        return "undefined"
    decimals = decimals_of(styles, name)
    return f"{score:.{decimals}f}" + (f" ± {deviation:.{decimals}f}" if deviation is not None else "")


def row_title(row: TableRow, several_heads: bool) -> str:
    """The curriculum as the paper writes it, or a floor's name; the reading; what tells a row from its neighbours."""
    if row.is_floor:
        return row.head + (f" [{row.variant}]" if row.variant else "")
    frozen = row.curriculum == "none"
    title = "none (frozen)" if frozen else row.curriculum.replace(":", " → ").replace("+", " + ")
    title += f", {row.reading}" if row.reading else ""
    notes = [row.head] if several_heads else []
    notes += [note for note in (row.variant, row.protocol) if note]
    return title + (f" [{'; '.join(notes)}]" if notes else "")


def mark_notes(table: Table) -> list[str]:
    """What the star behind a score stands for, a line each."""
    several = table.several_heads
    return [
        f"{row_title(row, several)}, {column}: {mark}"
        for row in table.rows
        for column, _ in table.columns
        for mark in (row.cells[column].marks if column in row.cells else ())
    ]


def column_title(dataset: str, language: str) -> str:
    """``Korean (korsts)``."""
    return f"{language_names(language)} ({dataset})"


def score_title(name: str, styles: Mapping[str, ScoreStyle]) -> str:
    """``P@1``, as its metric says, or ``Exact match`` from the name."""
    return styles[name].title if name in styles else name.replace("_", " ").capitalize()


def metric_title(metrics: Sequence[str], styles: Mapping[str, ScoreStyle] | None = None) -> str:
    """``Spearman (Pearson)``."""
    titles = [score_title(name, styles or {}) for name in metrics]
    return titles[0] + (f" ({', '.join(titles[1:])})" if titles[1:] else "")


def table_title(table: Table) -> str:
    """The scores of a table as a cell has them; empty where each has a column of its own."""
    return "" if len(table.metrics) > WIDE else metric_title(table.metrics, table.styles)


def apart_text(table: Table) -> str:
    """What tells a table from others of its task and model: its version, where there are several, and its limits."""
    version = f"task version {table.task_version}" if table.several_versions else ""
    return "; ".join(filter(None, (version, limit_text(table.limits))))


def limit_text(limits: Mapping[str, int | None]) -> str:
    """``limited: 200 training rows, 100 evaluation rows``, or an empty text.

    Args:
        limits: A record's: rows trained and evaluated on, at most, by ``train`` and ``eval``; None where all were.
    """
    parts = [
        f"{limits[part]} {word} rows" for part, word in (("train", "training"), ("eval", "evaluation")) if limits[part]
    ]
    return f"limited: {', '.join(parts)}" if parts else ""
