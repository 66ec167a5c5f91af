"""The kinds of claim that a finding can make, as margins over cells: above zero for the claim, below against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..curriculum import Curriculum, curriculum_name, parse_curriculum
from ..leaderboard.cells import rows_apart
from .results import Result

Floats: TypeAlias = npt.NDArray[np.float64]
Input: TypeAlias = tuple[Result, str]
"""A cell and the name of one of its scores."""
Baselines: TypeAlias = Mapping[str, Mapping[str, str]]
"""By task and evaluation dataset, the in-language curriculum that a degradation is measured from."""


@dataclass(frozen=True)
class Measure:
    """A score of a task, of which a finding speaks.

    Attributes:
        task: The task.
        score: The score.
        other: The score that it is compared with, for the kinds that compare two.
        head: The head; any where it is empty.
    """

    task: str
    score: str
    other: str = ""
    head: str = ""


@dataclass(frozen=True)
class Place:
    """Where a claim can be tested: some cells, and how far what they show speaks for it.

    Attributes:
        name: Where, for people.
        inputs: The cells' scores.
        margin: From their values, shape (inputs, ...), to the margin, shape (...).
        shown: The numbers themselves, for people.
    """

    name: str
    inputs: tuple[Input, ...]
    margin: Callable[[Floats], Floats]
    shown: str = ""

    @property
    def value(self) -> float:
        """The margin of the means over the seeds."""
        return float(self.margin(np.array([_score(*one) for one in self.inputs])))


def mean_of(name: str, places: Sequence[Place]) -> Place:
    """The mean margin of some places, as a place."""
    sizes = np.cumsum([len(place.inputs) for place in places])[:-1]

    def margin(values: Floats) -> Floats:
        parts = np.split(values, sizes)  # by place: (its inputs, ...)
        margins = [place.margin(part) for place, part in zip(places, parts, strict=True)]
        return np.asarray(np.mean(margins, axis=0), np.float64)

    return Place(name, tuple(one for place in places for one in place.inputs), margin)


def excess(name: str, more: Place, less: Place) -> Place:
    """By how much the margin of one place exceeds that of another."""
    size = len(more.inputs)
    shown = f"{more.value:.2f}% against {less.value:.2f}%"
    return Place(
        name, more.inputs + less.inputs, lambda values: more.margin(values[:size]) - less.margin(values[size:]), shown
    )


def degradations(measure: Measure, results: Sequence[Result], baselines: Baselines) -> list[Place]:
    """By how many percent of its in-language score each zero-shot cell of a single dataset's curriculum lies below it.

    Args:
        measure: The task and the score.
        results: Of one setup.
        baselines: What a degradation is measured from.
    """
    named = baselines.get(measure.task, {})
    found = []
    for result in results:
        if result.transfer == "zero-shot" and _single(result.chain) and result.dataset in named:
            base = _find(results, parse_curriculum(named[result.dataset]), result)
            if base is not None and _defined(measure.score, result, base) and _score(base, measure.score) > 0:
                found.append(_degradation(measure.score, base, result))
    return found


def _degradation(score: str, base: Result, result: Result) -> Place:
    return Place(
        f"{result.curriculum} on {result.dataset}", ((base, score), (result, score)),
        lambda values: 100 * (values[0] - values[1]) / values[0],
        f"{_score(result, score):.2f} instead of {_score(base, score):.2f}",
    )  # fmt: skip


def rises(before: Sequence[Place], after: Sequence[Place], names: tuple[str, str]) -> tuple[Place, list[Place]]:
    """``order``: the degradations of one measure exceed those of the one before.

    Args:
        before: The degradations of the one, at least one.
        after: Those of the other, at least one.
        names: What the two are called.

    Returns:
        The step from mean to mean; and the same for each pair of languages that both have.
    """
    words = f"{names[1]} loses more than {names[0]}"
    step = excess(words, mean_of(names[1], after), mean_of(names[0], before))
    earlier, later = _by_languages(before), _by_languages(after)
    places = [
        excess(f"{languages}: {words}", mean_of("", later[languages]), mean_of("", own))
        for languages, own in earlier.items()
        if languages in later
    ]
    return step, places


def _by_languages(places: Iterable[Place]) -> dict[str, list[Place]]:
    pairs: dict[str, list[Place]] = {}
    for place in places:
        trained, scored = place.inputs[1][0].languages
        pairs.setdefault(f"{'+'.join(trained)} → {scored}", []).append(place)
    return pairs


def falls_more(measure: Measure, results: Sequence[Result], baselines: Baselines) -> list[Place]:
    """``falls-more``: at each zero-shot cell, how much more of the one score is lost than of the other."""
    own = {place.name: place for place in degradations(measure, results, baselines)}
    others = degradations(Measure(measure.task, measure.other), results, baselines)
    return [excess(other.name, own[other.name], other) for other in others if other.name in own]


def last_gains(measure: Measure, results: Sequence[Result], baselines: Baselines) -> list[Place]:
    """``last-gains``: a dataset scored after the sequence that ends with it, and after the reverse one."""
    found = []
    for result in results:
        chain = result.chain
        if len(chain) > 1 and chain[-1] == (result.dataset,) and chain[0] != chain[-1]:
            found += _better(measure.score, result, _find(results, chain[::-1], result), "after")
    return found


def mixing_gains(measure: Measure, results: Sequence[Result], baselines: Baselines) -> list[Place]:
    """``mixing-gains``: a dataset scored after a mixture that holds it, and after itself alone."""
    found = []
    for result in results:
        if len(result.chain) == 1 and len(result.chain[0]) > 1 and result.dataset in result.chain[0]:
            alone = _find(results, ((result.dataset,),), result)
            unlike = rows_apart(result.records[0], alone.records[0]) if alone and alone.records else ""
            found += _better(measure.score, result, alone, "trained on", unlike)
    return found


def _better(score: str, result: Result, other: Result | None, word: str, unlike: str = "") -> list[Place]:
    if other is None or not _defined(score, result, other):
        return []
    shown = " against ".join(f"{_score(one, score):.2f} {word} {one.curriculum}" for one in (result, other))
    shown += f"; {unlike}" if unlike else ""
    inputs = ((result, score), (other, score))
    return [Place(f"{result.curriculum} on {result.dataset}", inputs, lambda values: values[0] - values[1], shown)]


def close(measure: Measure, results: Sequence[Result], within: float) -> list[Place]:
    """``agree`` by distance: at each fine-tuned cell, by how much less than ``within`` two scores lie apart."""
    return [
        Place(
            f"{one.curriculum} on {one.dataset}", ((one, measure.score), (one, measure.other)),
            lambda values: within - np.abs(values[0] - values[1]),
            f"{_score(one, measure.score):.2f} and {_score(one, measure.other):.2f}",
        )
        for one in _fine_tuned(measure, results)
    ]  # fmt: skip


def alike(measure: Measure, results: Sequence[Result], correlation: float) -> list[Place]:
    """``agree`` by rank: by how much Spearman's correlation of two scores over the fine-tuned cells exceeds a limit."""
    cells = _fine_tuned(measure, results)
    if len(cells) < 3:
        return []
    inputs = tuple((one, score) for score in (measure.score, measure.other) for one in cells)

    def margin(values: Floats) -> Floats:
        from scipy.stats import rankdata

        ranks = rankdata(values.reshape(2, len(cells), -1), axis=1)  # (scores, cells, draws)
        ranks -= ranks.mean(axis=1, keepdims=True)
        products, squares = (ranks[0] * ranks[1]).sum(axis=0), (ranks**2).sum(axis=1)  # (draws,), (scores, draws)
        return np.asarray((products / np.sqrt(squares.prod(axis=0)) - correlation).reshape(values.shape[1:]))

    whole = Place(f"{len(cells)} cells of {measure.task}", inputs, margin)
    return [Place(whole.name, inputs, margin, f"rank correlation {whole.value + correlation:.3f}")]


def _fine_tuned(measure: Measure, results: Sequence[Result]) -> list[Result]:
    return [
        one
        for one in results
        if one.transfer in ("zero-shot", "in-language", "mixed") and _defined(measure.score, one)
        and _defined(measure.other, one)
    ]  # fmt: skip


def _single(chain: Curriculum) -> bool:
    return len(chain) == 1 and len(chain[0]) == 1


def _find(results: Sequence[Result], chain: Curriculum, like: Result) -> Result | None:
    """The cell of another curriculum on the same rows.

    None where there are several, which were trained on other rows of their datasets: none of them is *the* one.
    """
    wanted = parse_curriculum(curriculum_name(chain))
    found = [one for one in results if one.chain == wanted and one.scored_on == like.scored_on]
    return found[0] if len(found) == 1 else None


def _defined(score: str, *results: Result) -> bool:
    return all(one.mean(score) is not None for one in results)


def _score(result: Result, score: str) -> float:
    value = result.mean(score)
    assert value is not None
    return value
