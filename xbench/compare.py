"""Two models, or two curricula of one model, side by side: differences in pairs, and the rows that they come from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .data.rows import prepare, select
from .errors import UserError, did_you_mean
from .leaderboard.cells import fitted_on, learned_from
from .leaderboard.entries import Entry
from .leaderboard.evidence import evidence
from .leaderboard.transfer import stages_of
from .measures import MetricContext
from .registry import Registry
from .sampling import NUMBERS_AT_ONCE, sampler_of
from .settings import Settings
from .stats import Difference, holm
from .store import Store
from .work import EVAL_DRAW_SEED


@dataclass(frozen=True)
class Sides:
    """What is compared.

    Attributes:
        first: A model's name, or a curriculum.
        second: Another.
        kind: ``model`` or ``curriculum``.
    """

    first: str
    second: str
    kind: str


@dataclass(frozen=True)
class Pair:
    """Two cells that differ in what is compared, and in nothing else.

    Attributes:
        first: The first one's.
        second: The second one's.
        score: The task's score to compare by.
        difference: The first minus the second; None without draws over the same rows, and of an oracle.
        p: Of it, corrected for all pairs that are shown; None without a difference.
    """

    first: Entry
    second: Entry
    score: str
    difference: Difference | None = None
    p: float | None = None


def choose_sides(first: str, second: str, entries: Sequence[Entry]) -> Sides:
    """Tell whether two names are of models or of curricula.

    Args:
        first: As the user wrote it.
        second: As the user wrote it.
        entries: Everything that there is.

    Raises:
        UserError: A name is of neither, they are of different kinds, or they are the same.
    """
    models = list(dict.fromkeys(entry.table.model for entry in entries))
    curricula = list(dict.fromkeys(entry.row.curriculum for entry in entries))
    first, second = (whole_name(name, [*models, *curricula]) for name in (first, second))
    if first == second:
        raise UserError(f"{first} is compared with itself: name two models, or two curricula")
    for kind, known in (("model", models), ("curriculum", curricula)):
        if first in known and second in known:
            return Sides(first, second, kind)
    for name in (first, second):
        if name not in (*models, *curricula):
            raise UserError(f"no record is of a model or a curriculum {name!r}{did_you_mean(name, models + curricula)}")
    raise UserError(f"{first} and {second} are a model and a curriculum: name two models, or two curricula")


def whole_name(name: str, known: Sequence[str]) -> str:
    """What a name stands for: itself; a mixture in another order; or the one name that goes on after it.

    A model's name goes on with its revision, for one. Where there is no such name, or several, it is the name itself.

    Args:
        name: As the user wrote it.
        known: Models and curricula.
    """
    if name in known:
        return name
    chain = stages_of(name)
    found = [other for other in known if chain and stages_of(other) == chain]
    found = found or [other for other in known if other.startswith((f"{name}@", f"{name} (weights "))]
    return found[0] if len(found) == 1 else name


def pairs(sides: Sides, entries: Sequence[Entry]) -> list[Pair]:
    """Pair the cells of both sides.

    Args:
        sides: What is compared.
        entries: Those that may take part.

    Returns:
        In the entries' order, each with its difference; none of cells whose every seed failed.
    """
    found: dict[tuple[Any, ...], tuple[list[Entry], list[Entry]]] = {}
    for entry in entries:
        side = entry.table.model if sides.kind == "model" else entry.row.curriculum
        if side in (sides.first, sides.second) and not entry.failed:
            found.setdefault(_alike(entry, sides.kind), ([], []))[side == sides.second].append(entry)
    made = [_pair(*both) for own in found.values() for both in _together(*own)]
    tested = [one for one in made if one.difference is not None]
    corrected = iter(holm([one.difference.p for one in tested if one.difference is not None]))
    return [replace(one, p=next(corrected)) if one.difference is not None else one for one in made]


def _together(firsts: Sequence[Entry], seconds: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Each with each; of several of a side, such as frozen in two precisions, those of equal settings if there are."""
    every = list(itertools.product(firsts, seconds))
    return [both for both in every if both[0].row.recipe == both[1].row.recipe] or every


def _alike(entry: Entry, kind: str) -> tuple[Any, ...]:
    """Everything that two cells to be compared have in common."""
    table, row = entry.table, entry.row
    same = row.curriculum if kind == "model" else table.model
    # What needs no training has another head than what does, and no recipe: only models can be compared by it.
    made = (row.head, row.recipe) if entry.cell.transfer not in ("frozen", "floor") or row.reading else ("", "")
    limits, rows = tuple(sorted(table.limits.items())), entry.cell.records[0]["eval"]["rows_sha256"]
    learned = learned_from(entry.cell) if kind == "model" else fitted_on(entry.cell)
    return (table.task, table.task_version, table.sample, limits, same, *made, row.reading, entry.column, rows, learned)


def _pair(first: Entry, second: Entry) -> Pair:
    score = first.table.ranked_by
    if first.cell.peeks or second.cell.peeks:
        return Pair(first, second, score)  # an oracle is shown, and held against nothing
    one, other = (evidence(entry.cell.records, score) for entry in (first, second))
    return Pair(first, second, score, one.minus(other) if one is not None and other is not None else None)


@dataclass(frozen=True)
class Disagreement:
    """A row on which two cells differ.

    Attributes:
        row: The evaluation row.
        reference: The gold answer.
        first: The first cell's prediction.
        second: The second's.
        points: What the row gives the first over the second: what the score would change by if all rows were like it,
            to first order.
    """

    row: Mapping[str, Any]
    reference: Any
    first: Any
    second: Any
    points: float


def disagreements(pair: Pair, most: int, registry: Registry, settings: Settings) -> list[Disagreement]:
    """The rows that speak most for one side, and those that speak most for the other.

    Of one seed each, the first. A row's part in a score is its empirical influence: the derivative of the score by the
    row's weight times the number of rows (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans"), which
    for a mean is the row's own number less the mean.

    Args:
        pair: Two cells over the same rows.
        most: How many of each side.
        registry: For the dataset and its metrics.
        settings: Data root and cache.

    Returns:
        Those for the first, the strongest first, then those for the second, the strongest last.

    Raises:
        UserError: The rows or the predictions are not here.
    """
    records, store = [entry.cell.records[0] for entry in (pair.first, pair.second)], Store(settings)
    said = [store.predictions(record) for record in records]
    for entry, own in zip((pair.first, pair.second), said, strict=True):
        if own is None:
            raise UserError(f"the predictions of {entry.table.model} ({entry.row.curriculum}) are not in the cache")
    evaluated = records[0]["eval"]
    dataset = registry.datasets.get(evaluated["dataset"])
    schema = registry.schemas.get(dataset.schema)
    prepared = prepare(dataset, evaluated["split"], schema, settings)
    rows = select(prepared.open(), records[0]["limits"]["eval"], EVAL_DRAW_SEED)
    ids = [row["id"] for row in rows]
    if any(own is not None and own.ids != ids for own in said):
        raise UserError(f"{dataset.name}/{evaluated['split']} has other rows now than the records were scored on")
    first, second = (own.predictions for own in said if own is not None)
    references, about = [schema.reference(row) for row in rows], MetricContext(dataset, rows)
    parts = [_influence(own, references, about, records[0], pair.score, registry) for own in (first, second)]
    points = parts[0] - parts[1]  # (rows,)
    order = np.argsort(-points, kind="stable")
    chosen = [place for place in order[:most] if points[place] > 0]
    chosen += [place for place in order[-most:] if points[place] < 0 and place not in chosen]
    return [
        Disagreement(rows[int(place)], references[place], first[place], second[place], float(points[place]))
        for place in chosen
    ]


def _influence(
    predictions: Sequence[Any], references: Sequence[Any], about: MetricContext, record: Mapping[str, Any], score: str,
    registry: Registry,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """(rows,) What each row gives to a score, by moving its weight a little."""
    count = len(predictions)
    for name in record["metric_version"]:
        if f"{name}:{score}" in record["scores"]:
            continue  # a second opinion: the score is another metric's
        metric = registry.metrics.get(name)
        sampler = sampler_of(metric, predictions, references, about)
        ones = np.ones((1, count))
        before = sampler(ones)
        if score in before:
            step = 1e-4 if metric.resample is not None else 1.0
            moved = [sampler(weights)[score] for weights in _moved(count, step)]
            influence: npt.NDArray[np.float64] = (np.concatenate(moved) - before[score][0]) / step * count
            return np.nan_to_num(influence, nan=0.0)
    raise UserError(f"no metric of the record gives {score}")


def _moved(count: int, step: float) -> Iterator[npt.NDArray[np.float64]]:
    """(some, rows) Weights of 1, but for one row each that has a little more."""
    at_once = max(1, NUMBERS_AT_ONCE // count)
    for start in range(0, count, at_once):
        some = min(at_once, count - start)
        weights = np.ones((some, count))
        weights[np.arange(some), np.arange(start, start + some)] += step
        yield weights
