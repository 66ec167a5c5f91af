"""Who is ahead of whom: paired tests over the same rows, corrected for their number, and ranks as ranges.

'Not told apart' is not transitive: A may be told from C where B is told from neither. So nobody has a rank; each has a
range: from one more than how many are better to as many as are not worse.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from ..curriculum import FLOOR, FROZEN
from ..keys import canonical
from ..stats import holm, pair_p_values, rank_ranges
from .cells import TableCell, learned_from
from .evidence import Evidence, evidence
from .table import Table, TableRow

LEVEL = 0.05
"""Of all tests of one family together, after Holm's correction."""
Places: TypeAlias = Mapping[int, tuple[float, int, int]]
"""By place in the group: the rank by value alone (the mean of tied ones), and the range of ranks."""


def places(groups: Sequence[Sequence[TableCell | None]], score: str) -> list[Places]:
    """Rank the cells of some groups.

    Args:
        groups: Cells on the same rows; every pair of every group is tested, and all are one family. None, and a cell
            without the score or without draws, has no place.
        score: Which one.

    Returns:
        One a group.
    """
    found = [
        {place: one for place, cell in enumerate(group) if cell and (one := evidence(cell.records, score)) is not None}
        for group in groups
    ]
    tested = [(group, *one) for group, own in enumerate(found) for one in _tested(own)]
    ahead: set[tuple[int, int, int]] = set()
    for (group, first, second, gap, _), p in zip(tested, holm([one[-1] for one in tested]), strict=True):
        if p < LEVEL and gap:
            ahead.add((group, first, second) if gap > 0 else (group, second, first))
    return [_places(number, groups[number], own, score, ahead) for number, own in enumerate(found)]


def _tested(own: Mapping[int, Evidence]) -> Iterator[tuple[int, int, float, float]]:
    """Each pair's places, its difference and p; those that can be all at once, since pairs grow as the square."""
    plain = _plain(own)
    if len(plain) > 1:
        values = [own[place].value for place in plain]
        scores = np.array([own[place].scores for place in plain])  # (places, seeds)
        draws = np.stack([own[place].draws for place in plain])  # (places, seeds, draws)
        p_values = pair_p_values(scores, draws, own[plain[0]].units)
        for (i, first), (j, second) in itertools.combinations(enumerate(plain), 2):
            yield first, second, values[i] - values[j], float(p_values[i, j])
    together = set(plain)
    for first, second in itertools.combinations(own, 2):
        if first not in together or second not in together:
            gap = own[first].minus(own[second])
            if gap is not None:
                yield first, second, gap.value, gap.p


def _plain(own: Mapping[int, Evidence]) -> list[int]:
    """The places of those on the same rows, with as many seeds, every draw defined, and no trained model in common.

    Which seeds a number of one seed each are of does not matter: of one alone, nothing is said of others.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, one in own.items():
        if np.isfinite(one.draws).all() and one.units > 1:
            groups.setdefault((len(one.scores), one.part().rows, one.draws.shape[1]), []).append(place)
    plain = max(groups.values(), key=len, default=[])
    if plain and len(own[plain[0]].scores) > 1 and len({own[place].runs for place in plain}) < len(plain):
        return []
    return plain


def _places(
    group: int, cells: Sequence[TableCell | None], own: Iterable[int], score: str, ahead: set[tuple[int, int, int]]
) -> Places:
    order = list(own)
    if not order:
        return {}
    values = [float(cell.scores[score] or 0.0) for place in order if (cell := cells[place]) is not None]
    better = [[(group, first, second) in ahead for second in order] for first in order]
    ranges = rank_ranges(values, better)
    ranks = [1 + sum(other > value for other in values) + (values.count(value) - 1) / 2 for value in values]
    return {place: (rank, *span) for place, rank, span in zip(order, ranks, ranges, strict=True)}


@dataclass(frozen=True)
class Contest:
    """Models with the same curriculum on the same rows.

    Attributes:
        table: One that they stand in.
        row: The first encoder's; a floor's where there is none.
        column: The evaluation dataset.
        language: Its language.
        cells: By model; None where one was not run.
        places: By model, of those that could be ranked.
    """

    table: Table
    row: TableRow
    column: str
    language: str
    cells: Mapping[str, TableCell | None]
    places: Mapping[str, tuple[float, int, int]]


def contests(tables: Sequence[Table]) -> list[Contest]:
    """Put the models of one task side by side.

    Args:
        tables: Of one task, version and limits, one a model.

    Returns:
        One for each curriculum, head, reading, recipe, set of training rows and column that two or more models have. A
        floor has none of these but the column: it stands beside frozen encoders, however they were run.
    """
    grouped: dict[tuple[str, ...], dict[str, _Entrant]] = {}  # the last two parts say where
    floors: dict[tuple[str, str], dict[str, _Entrant]] = {}
    languages: dict[str, str] = {}
    for table in tables:
        for row, (column, language) in itertools.product(table.rows, table.columns):
            cell = row.cells.get(column)
            if cell is not None and cell.records and not cell.peeks:
                where = (column, str(cell.records[0]["eval"]["rows_sha256"]))
                languages[column] = language
                if cell.transfer == FLOOR:
                    floors.setdefault(where, {}).setdefault(table.model, _Entrant(table, row, cell))
                else:
                    learned = learned_from(cell)
                    key: tuple[str, ...] = (row.curriculum, row.reading, row.head, row.recipe, learned, *where)
                    grouped.setdefault(key, {}).setdefault(table.model, _Entrant(table, row, cell))
    for key, found in grouped.items():
        found |= floors.get((key[-2], key[-1]), {}) if key[0] == FROZEN and not key[1] else {}
    frozen = {key[-2:] for key in grouped if key[0] == FROZEN and not key[1]}
    grouped |= {("", *where): found for where, found in floors.items() if where not in frozen}
    shared = [(key[-2], found) for key, found in grouped.items() if len(found) > 1]
    return _contests([found for _, found in shared], [(column, languages[column]) for column, _ in shared], tables)


def _contests(
    shared: Sequence[Mapping[str, _Entrant]], columns: Sequence[tuple[str, str]], tables: Sequence[Table]
) -> list[Contest]:
    models = list(dict.fromkeys(table.model for table in tables if any(table.model in found for found in shared)))
    groups = [[found[model].cell if model in found else None for model in models] for found in shared]
    ranked = places(groups, tables[0].ranked_by)
    firsts = [min(found.values(), key=lambda one: one.row.is_floor) for found in shared]
    return [
        Contest(
            first.table, first.row, *column, dict(zip(models, group, strict=True)),
            {models[place]: one for place, one in own.items()},
        )
        for first, column, group, own in zip(firsts, columns, groups, ranked, strict=True)
    ]  # fmt: skip


class _Entrant(NamedTuple):
    """A model's cell where it stands."""

    table: Table
    row: TableRow
    cell: TableCell


def side_by_side(tables: Sequence[Table]) -> list[list[Contest]]:
    """The contests of one task: models whose tables have the same version, limits and score to rank by.

    Args:
        tables: Of one task, of real or of sample corpora.
    """
    groups: dict[str, list[Table]] = {}
    for table in tables:
        groups.setdefault(canonical([table.task_version, dict(table.limits), table.ranked_by]), []).append(table)
    return [found for group in groups.values() if (found := contests(group))]


@dataclass(frozen=True)
class Standing:
    """One model's average rank over the very same contests as others'.

    Attributes:
        model: Its name.
        rank: The mean of its ranks by value: over contests first, then over tasks, so that tasks weigh alike.
        low: The mean of its best possible ranks.
        high: That of its worst.
    """

    model: str
    rank: float
    low: float
    high: float


@dataclass(frozen=True)
class Circle:
    """Some models that were all in some contests.

    Attributes:
        standings: The best first.
        contests: How many contests they share.
        tasks: Of which tasks.
    """

    standings: tuple[Standing, ...]
    contests: int
    tasks: tuple[str, ...]


def circles(by_task: Mapping[str, Sequence[Contest]], most: int = 3) -> list[Circle]:
    """Average ranks, of models that took part in the same contests: ranks among others are other ranks.

    Contests of floors among themselves are left out.

    Args:
        by_task: The contests of each task.
        most: How many circles to give.

    Returns:
        Those with the most models first.
    """
    found: dict[frozenset[str], dict[str, list[Contest]]] = {}
    for task, own in by_task.items():
        for contest in own:
            if len(contest.places) > 1 and not contest.row.is_floor:
                found.setdefault(frozenset(contest.places), {}).setdefault(task, []).append(contest)
    ranked = sorted(found.items(), key=lambda item: (-len(item[0]), -sum(map(len, item[1].values())), sorted(item[0])))
    return [_circle(models, own) for models, own in ranked[:most]]


def _circle(models: frozenset[str], by_task: Mapping[str, Sequence[Contest]]) -> Circle:
    def mean(model: str, part: int) -> float:
        tasks = [[contest.places[model][part] for contest in own] for own in by_task.values()]
        return sum(sum(ranks) / len(ranks) for ranks in tasks) / len(tasks)

    standings = [Standing(model, mean(model, 0), mean(model, 1), mean(model, 2)) for model in models]
    ordered = sorted(standings, key=lambda one: (one.rank, one.model))
    return Circle(tuple(ordered), sum(map(len, by_task.values())), tuple(sorted(by_task)))
