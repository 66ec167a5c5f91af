"""Holds results against published numbers of the same model, metric and protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, did_you_mean
from ..leaderboard.layout import limit_text
from ..recipe import FULL, KNOWN, SELECTION_ONLY
from ..registry import Registry
from .anchors import Anchor, StandIn
from .results import Result

AGREES = "agrees"
DIFFERS = "differs"
OPEN = "open"
"""None of the results agrees, but the source can be read in ways of which there is no result."""


@dataclass(frozen=True)
class Comparison:
    """A published number beside a result.

    Attributes:
        anchor: The number.
        result: The nearest of the results that can be held against it.
        score: Which score.
        published: The number.
        measured: The mean over the seeds.
        tolerance: How far apart they may lie.
        stand_in: Where the result is of a model that stands in.
        verdict: ``agrees``, ``differs`` or ``open``.
        ways: How many of the number's readings have a result.
    """

    anchor: Anchor
    result: Result
    score: str
    published: float
    measured: float
    tolerance: float
    stand_in: StandIn | None
    verdict: str
    ways: int = 1

    @property
    def difference(self) -> float:
        """Measured less published."""
        return self.measured - self.published


@dataclass(frozen=True)
class Unmatched:
    """A published number that no result can be held against.

    Attributes:
        anchor: The number.
        near: Why results of the same model and cell are not held against it, such as ``limited: 2000 training rows``.
    """

    anchor: Anchor
    near: tuple[str, ...] = ()


def compare(anchors: Iterable[Anchor], results: Sequence[Result]) -> tuple[list[Comparison], list[Unmatched]]:
    """Hold every number against every result of the same model and protocol.

    Args:
        anchors: The numbers.
        results: Of records.

    Returns:
        The comparisons, several for a number that several results can be held against (another revision, other
        rows); and the numbers without any.
    """
    compared: list[Comparison] = []
    unmatched: list[Unmatched] = []
    for anchor in anchors:
        tried: dict[str, list[Comparison]] = {}
        near: dict[str, None] = {}
        for result in results:
            if not _same_cell(anchor, result):
                continue
            obstacles = _obstacles(anchor, result)
            near.update(dict.fromkeys(obstacles))
            if not obstacles:
                for comparison in _trials(anchor, result):
                    tried.setdefault(_apart(anchor, comparison), []).append(comparison)
        compared += [_nearest(anchor, trials) for trials in tried.values()]
        if not tried:
            unmatched.append(Unmatched(anchor, tuple(near)))
    return compared, unmatched


def _same_cell(anchor: Anchor, result: Result) -> bool:
    table = anchor.table
    names = {table.model, *table.same, *(stand_in.model for stand_in in table.stand_ins)}
    return (
        result.model_name in names
        and result.task == table.task
        and (not table.head or result.head == table.head)
        and result.chain in anchor.chains
        and result.dataset == anchor.dataset
        and result.split in table.splits
        and result.reading in table.readings
    )


def _obstacles(anchor: Anchor, result: Result) -> list[str]:
    """Why a result of the same model and cell is not of the same protocol."""
    found = ["sample corpora"] if result.sample else []
    limits = limit_text(result.limits)
    found += [limits] if limits else []
    found += [result.peeks] if result.peeks else []
    chosen = anchor.table.selection
    if result.chain and result.selection not in ("", *chosen):
        found.append(f"checkpoints by {result.selection} instead of {' or '.join(chosen)}")
    # Of published numbers as of records: where nothing is said of tuning, it was full.
    missing = object()
    for name, value in {"tuning": FULL, **anchor.table.recipe}.items():
        own = result.recipe.get(name, FULL if name == "tuning" else missing)
        if own is not missing and own != value:
            found.append(f"{name}={own} instead of {value}")
    if not any(result.mean(score) is not None for score in anchor.scores):
        found.append(f"no {' or '.join(anchor.scores)}")
    return found


def _trials(anchor: Anchor, result: Result) -> list[Comparison]:
    """The result beside the number, in each way in which the number can be read."""
    table = anchor.table
    own = result.model_name in (table.model, *table.same)
    stand_in = None if own else next(one for one in table.stand_ins if one.model == result.model_name)
    tolerances = table.tolerance if stand_in is None else stand_in.tolerance
    trials = []
    for score, published in anchor.scores.items():
        measured, tolerance = result.mean(score), tolerances[score]
        if measured is not None:
            within = abs(round(measured - published, 9)) <= tolerance  # 85.44 - 83.44 is more than 2 by rounding alone
            verdict = AGREES if within else DIFFERS
            trials.append(Comparison(anchor, result, score, published, measured, tolerance, stand_in, verdict))
    return trials


def _apart(anchor: Anchor, comparison: Comparison) -> str:
    """What keeps results of one number apart: of an open number the nearest counts, of one model."""
    result = comparison.result
    if anchor.ways > 1:
        return f"{result.model} {result.selection}"
    return f"{result.setup} {result.curriculum} {result.scored_on}"


def _nearest(anchor: Anchor, trials: Sequence[Comparison]) -> Comparison:
    nearest = min(trials, key=lambda one: abs(one.difference) / one.tolerance if one.tolerance else abs(one.difference))
    ways = len({(one.result.chain, one.result.split, one.result.reading, one.score) for one in trials})
    verdict = nearest.verdict if nearest.verdict == AGREES or ways >= anchor.ways else OPEN
    return Comparison(**{**vars(nearest), "verdict": verdict, "ways": ways})


def unknown_names(anchors: Iterable[Anchor], registry: Registry) -> list[str]:
    """What anchors name and no plugin declares: a misspelt name would never meet a record.

    Args:
        anchors: The numbers.
        registry: What is installed.

    Returns:
        One line each.
    """
    found: dict[str, None] = {}
    for anchor in anchors:
        table = anchor.table
        datasets = {anchor.dataset, *(name for chain in anchor.chains for mixture in chain for name in mixture)}
        asked: list[tuple[Any, str]] = [(registry.tasks, table.task)]
        asked += [(registry.heads, table.head)] if table.head else []
        asked += [(registry.datasets, name) for name in sorted(datasets)]
        for names, name in asked:
            try:
                names.get(name)
            except UserError as error:
                found[f"{table.path}: {table.name}: {error}"] = None
        found.update(dict.fromkeys(_unknown_parts(anchor, registry)))
    return list(found)


def _unknown_parts(anchor: Anchor, registry: Registry) -> list[str]:
    table, found = anchor.table, []
    known: list[tuple[str, Sequence[str], Mapping[str, Any]]] = []
    if anchor.dataset in registry.datasets.items:
        known.append(("split", table.splits, registry.datasets.items[anchor.dataset].splits))
    if table.head in registry.heads.items:
        head = registry.heads.items[table.head]
        known.append(("reading", table.readings, {one.name: one for one in head.readings}))
        stated = {name: value for name, value in KNOWN.items() if name not in SELECTION_ONLY}
        known.append(("recipe key", tuple(table.recipe), {**stated, **head.options}))
    for word, asked, there in known:
        for name in asked:
            if name not in there:
                found.append(f"{table.path}: {table.name}: unknown {word} {name!r}{did_you_mean(name, there)}")
    return found
