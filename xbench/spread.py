"""How far a function of scores varies with its rows and with its seeds: the variances behind `xbench.stats`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[..., Any]
"""Of one array (or number) a part, elementwise, as numpy's arithmetic is: ``lambda b, a: b - a``."""
Variance: TypeAlias = tuple[Floats, float]
"""(functions, functions): the covariances of the functions; and their degrees of freedom."""

NOTHING = 1e-9  # of the largest score: what is left of equal numbers after averaging


@dataclass(frozen=True, eq=False)
class Part:
    """One score of a function of several.

    Attributes:
        scores: (seeds,).
        draws: (seeds, draws): of each seed's score, over the same resamples; NaN where a resample has no score.
        units: How many units were resampled.
        rows: Parts of the same label hold draws over the same resamples; None: shared with no other part.
        run: Parts of the same label hold the scores of the same trained models, seed by seed; None: of no other part's.
    """

    scores: ArrayLike
    draws: ArrayLike
    units: int
    rows: Hashable = None
    run: Hashable = None


@dataclass(frozen=True, eq=False)
class Spread:
    """The variances of one or two functions of scores, whatever the weights that then combine the functions.

    Of several seeds, each score is the sum of what the rows do to all seeds alike, what the seed does, and what the
    rows do to this seed alone (the interaction). The bootstrap variance of the mean over seeds holds the first and the
    third, the variance between seeds the second and the third. So the interaction, which is how far the seeds' draws
    differ from their mean in the same resamples, is taken from the bootstrap's.

    Attributes:
        values: (functions,): at the parts' means over seeds.
        draws: (functions, defined draws): at the draws' means over seeds.
        rows: One variance for each set of rows, the others held at their scores: the bootstrap's times
            units / (units - 1), for the bootstrap divides by units (Efron and Tibshirani 1993, section 5.3), with
            units - 1 degrees of freedom.
        interaction: (functions, functions): what `rows` and `runs` both hold.
        runs: One variance for each set of trained models, of its mean: the jackknife over seeds (Tukey 1958), which of
            a linear function is the usual variance / seeds, with seeds - 1 degrees of freedom.
        seeds: Of each part.
        undefined: How many draws were left out, and of how many.
        least: A standard error below this is none.
    """

    values: Floats
    draws: Floats
    rows: tuple[Variance, ...]
    interaction: Floats
    runs: tuple[Variance, ...]
    seeds: tuple[int, ...]
    undefined: tuple[int, int]
    least: float

    def variances(self, weights: Floats, stretch: float = 1.0) -> tuple[float, float, float]:
        """The variance of a weighted sum of the functions by rows, that by seeds, and the sum's degrees of freedom.

        Within each kind the degrees of freedom are Satterthwaite's (1946): V^2 / df = the sum of V_i^2 / df_i. Between
        the two kinds his formula will not do where seeds are 3, with two degrees of freedom: when their variance comes
        out small by chance, it also takes it for well known, and 95% intervals cover 92%; the quantile of Cochran
        (1964) covers 97.6% instead. So 1 / df is the sum of (V_i / V)^k / df_i here, and k, which is 2 in his formula,
        is smaller for few seeds: 1/2 + df / 4, df being the seeds'. Chosen so that the intervals of 3 to 5
        seeds cover 94 to 96.5% for normal scores whatever the shares; with 2 seeds they cover 92 to 97%.

        Args:
            weights: (functions,).
            stretch: A factor for the standard error by rows.
        """
        by_row, row_df = total(self.rows, weights)
        if by_row:
            by_row = max(0.0, by_row - float(weights @ self.interaction @ weights)) * stretch**2
        by_seed, seed_df = total(self.runs, weights)
        both = by_row + by_seed
        if both <= self.least**2:
            return 0.0, 0.0, np.inf
        share, power = by_seed / both, min(2.0, 0.5 + seed_df / 4)
        return by_row, by_seed, 1 / ((1 - share) ** power / row_df + share**power / seed_df)


def measure(functions: Sequence[Function], parts: Sequence[Part], most_undefined: float) -> Spread | None:
    """The variances of functions of scores.

    Args:
        functions: Of one array a part, each.
        parts: The scores, with their draws.
        most_undefined: The largest share of the draws in which a function may be undefined.

    Returns:
        None where a function is undefined for the scores or in more draws than that, or there are fewer than two units.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    scores, draws = _arrays(parts)
    sets, runs = _sets([part.rows for part in parts]), _sets([part.run for part in parts])
    if min(part.units for part in parts) < 2:
        return None
    # Whatever made the draws of two sets of rows, draw i of one has nothing to do with draw i of another.
    for turn, members in enumerate(sets):
        for i in members if turn else ():
            draws[i] = np.roll(draws[i], turn * draws[i].shape[1] // len(sets), axis=1)
    points, means = [score.mean(keepdims=True) for score in scores], [draw.mean(axis=0) for draw in draws]
    with np.errstate(all="ignore"):
        values = _apply(functions, points)[:, 0]
        joint = _apply(functions, means)
        alone = [joint] if len(sets) == 1 else [_apply(functions, _only(members, means, points)) for members in sets]
        several = [members for members in runs if len(scores[members[0]]) > 1]
        left_out = [_without_one(functions, members, points, scores) for members in several]
        left_out_draws = [_without_one(functions, members, means, draws) for members in several]
    every = [joint, *alone[1:], *(each.reshape(-1, each.shape[-1]) for each in left_out_draws)]
    defined = np.logical_and.reduce([np.isfinite(each).all(axis=0) for each in every])
    undefined = len(defined) - int(np.count_nonzero(defined))
    if not np.isfinite(values).all() or undefined > min(most_undefined * len(defined), len(defined) - 2):
        return None
    kept = defined if undefined else slice(None)
    units = [parts[members[0]].units for members in sets]
    corrections = [count / (count - 1) for count in units]
    return Spread(
        values,
        joint[:, kept],
        tuple((_covariance(each[:, kept]) * by, count - 1.0)
              for each, by, count in zip(alone, corrections, units, strict=True)),
        sum((_interaction(each[..., kept]) for each in left_out_draws), np.zeros((len(functions),) * 2))
        * max(corrections),
        tuple((_jackknife(each[..., 0]), each.shape[1] - 1.0) for each in left_out),
        tuple(len(score) for score in scores),
        (undefined, len(defined)),
        NOTHING * max(1.0, *(float(np.abs(score).max()) for score in scores)),
    )  # fmt: skip


def _arrays(parts: Sequence[Part]) -> tuple[list[Floats], list[Floats]]:
    scores = [np.asarray(part.scores, dtype=np.float64) for part in parts]
    draws = [np.asarray(part.draws, dtype=np.float64) for part in parts]
    for score, draw in zip(scores, draws, strict=True):
        if score.ndim != 1 or not len(score) or draw.ndim != 2 or len(draw) != len(score):
            raise ValueError(f"scores of shape (seeds,) and draws (seeds, draws) expected: {score.shape}, {draw.shape}")
    for members in _sets([part.rows for part in parts]):
        if len({(draws[i].shape[1], parts[i].units) for i in members}) > 1:
            raise ValueError("parts of the same rows have as many units and draws: they hold the same resamples")
    for members in _sets([part.run for part in parts]):
        if len({len(scores[i]) for i in members}) > 1:
            raise ValueError("parts of the same run have as many seeds: seed i of one is seed i of the others")
    fewest = min(draw.shape[1] for draw in draws)
    return scores, [draw[:, :fewest] for draw in draws]


def _sets(labels: Sequence[Hashable]) -> list[list[int]]:
    """The parts of each label; those of None by themselves."""
    sets: dict[Hashable, list[int]] = {}
    for part, label in enumerate(labels):
        sets.setdefault((part,) if label is None else ("label", label), []).append(part)
    return list(sets.values())


def _apply(functions: Sequence[Function], arguments: Sequence[Floats]) -> Floats:
    """(functions, ...): at the arguments, broadcast."""
    found = [np.asarray(function(*arguments), dtype=np.float64) for function in functions]
    shape = np.broadcast_shapes(*(argument.shape for argument in arguments))
    return np.array([each if each.shape == shape else np.broadcast_to(each, shape) for each in found])


def _only(members: list[int], means: list[Floats], points: list[Floats]) -> list[Floats]:
    return [mean if part in members else point for part, (mean, point) in enumerate(zip(means, points, strict=True))]


def _without_one(functions: Sequence[Function], members: list[int], means: list[Floats], own: list[Floats]) -> Floats:
    """(functions, seeds, draws): with the means of these parts over all seeds but one."""
    arguments = list(means)
    for part in members:
        each = own[part].reshape(len(own[part]), -1)
        arguments[part] = (each.sum(axis=0) - each) / (len(each) - 1)
    return _apply(functions, arguments)


def _covariance(draws: Floats) -> Floats:
    centred = draws - draws.mean(axis=-1, keepdims=True)
    return np.asarray(centred @ centred.T / (draws.shape[-1] - 1))


def _jackknife(left_out: Floats) -> Floats:
    """The covariances of functions (functions, seeds) of all seeds, from those of all but one."""
    centred = left_out - left_out.mean(axis=1, keepdims=True)
    return np.asarray(centred @ centred.T * ((left_out.shape[1] - 1) / left_out.shape[1]))


def _interaction(left_out: Floats) -> Floats:
    """The same of each draw (functions, seeds, draws), less what the seeds differ by in all draws: on average."""
    own = left_out - left_out.mean(axis=1, keepdims=True)
    own -= own.mean(axis=2, keepdims=True)
    seeds, draws = own.shape[1:]
    flat = own.reshape(len(own), -1)
    return np.asarray(flat @ flat.T * ((seeds - 1) / seeds / (draws - 1)))


def total(variances: Sequence[Variance], weights: Floats) -> tuple[float, float]:
    """The variance of a weighted sum of functions, and Satterthwaite's (1946) degrees of freedom.

    Args:
        variances: Of independent causes.
        weights: (functions,).
    """
    each = [(max(0.0, float(weights @ variance @ weights)), df) for variance, df in variances]
    total = sum(variance for variance, _ in each)
    return total, total**2 / sum(variance**2 / df for variance, df in each) if total else np.inf
