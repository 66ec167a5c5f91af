"""The transfer report: what a score in another language is worth beside one learned in that language.

The transfer gap is the score of the task's named in-language curriculum minus the zero-shot score on the same rows;
degradation is the gap in percent of the in-language score, as the paper gives it; retention is what is left of the
in-language score, in percent, both counted from chance. All are undefined where the task names no curriculum, or where
it was not run alike. Forgetting is what a sequence's last stage takes from the languages of the stages before it, and
the gain of mixing what a mixture gives over its single datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..curriculum import Curriculum, parse_curriculum
from ..errors import UserError
from ..sampling import same_sample
from ..stats import Estimate, combine
from .cells import TableCell, fitted_on, rows_apart, trained_on
from .evidence import evidence
from .table import Table, TableRow


@dataclass(frozen=True)
class Compared:
    """One cell held against another on the same rows.

    Attributes:
        row: Whose cell it is.
        column: The evaluation dataset, as the table has it.
        cell: It.
        against: The curriculum that it is held against.
        other: That one's cell.
        change: In points; what it is the change of, and its sign, the maker says.
        interval: The change with its interval; None where the records hold no draws, or not over the same rows.
        unlike: In what else the two differ, in a few words; mostly empty.
    """

    row: TableRow
    column: str
    cell: TableCell
    against: str
    other: TableCell
    change: float
    interval: Estimate | None
    unlike: str = ""


@dataclass(frozen=True)
class Gap(Compared):
    """A zero-shot cell against the in-language one; ``change`` is the transfer gap, positive where something is lost.

    Attributes:
        degradation: The gap in percent of the in-language score; None where that is not positive.
        degradation_interval: With its interval, as far as there are draws.
        retention: Percent of the in-language score that is left, both counted from chance; None without a chance level.
        retention_interval: With its interval, as far as there are draws.
    """

    degradation: float | None = None
    degradation_interval: Estimate | None = None
    retention: float | None = None
    retention_interval: Estimate | None = None


def gaps(table: Table, baselines: Mapping[str, str], score: str) -> list[Gap]:
    """Every zero-shot cell that has an in-language one to be held against.

    Args:
        table: Of one model on one task.
        baselines: Evaluation dataset to its in-language curriculum, as the task names them.
        score: Which one.
    """
    asked = ("gaps", score, *sorted(baselines.items()))
    if asked not in table.found:
        table.found[asked] = _gaps(table, baselines, score)
    found: list[Gap] = table.found[asked]
    return found


def _gaps(table: Table, baselines: Mapping[str, str], score: str) -> list[Gap]:
    found = []
    for row, column, cell in _cells(table, score):
        if cell.transfer != "zero-shot":
            continue
        against = baselines.get(_dataset(cell))
        other = _alike(table, row, against, column, score) if against else None
        if against and other is not None and other.transfer == "in-language":
            found.append(_gap(row, column, cell, against, other, score))
    return found


def _gap(row: TableRow, column: str, cell: TableCell, against: str, other: TableCell, score: str) -> Gap:
    (zero, own), chance = (_value(one, score) for one in (cell, other)), _chance(cell, score)
    retention = None if chance is None or own <= chance else 100 * (zero - chance) / (own - chance)
    level = chance or 0.0
    return Gap(
        row, column, cell, against, other, own - zero, _interval(lambda b, a: b - a, (other, cell), score),
        degradation=100 * (own - zero) / own if own > 0 else None,
        degradation_interval=_interval(lambda b, a: 100 * (b - a), (other, cell), score, over=lambda b, a: b)
        if own > 0 else None,
        retention=retention,
        retention_interval=_interval(lambda b, a: 100 * (a - level), (other, cell), score, over=lambda b, a: b - level)
        if retention is not None else None,
    )  # fmt: skip


def forgotten(table: Table, score: str) -> list[Compared]:
    """What the last stage of every sequence took from the languages of the stages before; positive: forgotten.

    Args:
        table: Of one model on one task.
        score: Which one.
    """
    found = []
    for row, column, cell in _cells(table, score):
        stages = stages_of(row.curriculum)
        if len(stages) < 2:
            continue
        before = row.curriculum.rpartition(":")[0]  # as records spell it: their mixtures are in the task's order
        other = _alike(table, row, before, column, score)
        parts = cell.records[0]["train"]
        earlier = [part for part in parts if part["stage"] < len(stages) - 1]
        learned = {part["language"] for part in earlier}
        last = {part["language"] for part in parts if part["stage"] == len(stages) - 1}
        asked = set(_language(cell).split("-"))
        # Of other rows it would be another model than the one that the last stage went on from.
        same = other is not None and trained_on(other.records[0]["train"]) == trained_on(earlier)
        if other is not None and same and asked <= learned and not asked <= last:
            change = _value(other, score) - _value(cell, score)
            interval = _interval(lambda b, a: b - a, (other, cell), score)
            found.append(Compared(row, column, cell, before, other, change, interval))
    return found


def mixing_gains(table: Table, score: str) -> list[Compared]:
    """What mixtures give over fine-tuning on one of their datasets alone; positive: gained.

    The dataset is the one in the language that is asked for; of other languages, none: the best of several would be
    chosen by the very score that it is judged by.

    Args:
        table: Of one model on one task.
        score: Which one.
    """
    found = []
    for row, column, cell in _cells(table, score):
        stages = stages_of(row.curriculum)
        if len(stages) != 1 or len(stages[0]) < 2:
            continue
        for part in cell.records[0]["train"]:
            other = _alike(table, row, part["dataset"], column, score) if part["language"] == _language(cell) else None
            if other is not None:
                change = _value(cell, score) - _value(other, score)
                interval = _interval(lambda a, b: a - b, (cell, other), score)
                unlike = rows_apart(cell.records[0], other.records[0])
                found.append(Compared(row, column, cell, part["dataset"], other, change, interval, unlike))
    return found


def _cells(table: Table, score: str) -> Iterator[tuple[TableRow, str, TableCell]]:
    """Every cell that has the score and may be held against others, with its row and column."""
    for row in table.rows:
        for column, _ in table.columns:
            cell = row.cells.get(column)
            if cell is not None and cell.records and not cell.peeks and cell.scores.get(score) is not None:
                yield row, column, cell


def _alike(table: Table, row: TableRow, curriculum: str, column: str, score: str) -> TableCell | None:
    """The same column's cell of another curriculum, run with the same head, reading, settings and fit as a row.

    None where there are several, which were trained on other rows of their datasets: none of them is *the* one.
    """
    found, own = [], row.cells[column]
    for other in table.rows:
        same = (other.curriculum, other.head, other.reading) == (curriculum, row.head, row.reading)
        cell = other.cells.get(column)
        alike = same and other.recipe == row.recipe
        if alike and cell is not None and not cell.peeks and cell.scores.get(score) is not None:
            found += [cell] if fitted_on(cell) == fitted_on(own) else []
    return found[0] if len(found) == 1 else None


def stages_of(curriculum: str) -> Curriculum:
    """Its stages; of a text that is no curriculum, none."""
    try:
        return parse_curriculum(curriculum)
    except UserError:
        return ()


def _interval(
    function: Callable[..., Any], cells: Sequence[TableCell], score: str, over: Callable[..., Any] | None = None
) -> Estimate | None:
    found = [evidence(cell.records, score) for cell in cells]
    parts = [one.part() for one in found if one is not None]
    first = cells[0].records[0]
    if len(parts) < len(found) or not all(same_sample(first, cell.records[0]) for cell in cells):
        return None
    return combine(function, *parts, over=over)


def _value(cell: TableCell, score: str) -> float:
    value = cell.scores[score]
    assert value is not None  # `_cells` and `_alike` see to it
    return value


def _chance(cell: TableCell, score: str) -> float | None:
    """What knowing nothing reaches; it belongs to the rows, so that all seeds have the same."""
    found = [record.get("chance", {}).get(score) for record in cell.records]
    return None if None in found else float(np.mean(found))


def _dataset(cell: TableCell) -> str:
    return str(cell.records[0]["eval"]["dataset"])


def _language(cell: TableCell) -> str:
    return str(cell.records[0]["eval"]["language"])
