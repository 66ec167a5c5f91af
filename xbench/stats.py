"""Intervals, differences and ranks of scores, from bootstrap draws made elsewhere; knows nothing of records.

A score varies by the rows it was measured on and by the seed that the model was trained with. The draws tell the first:
each is the score over a resample of *units* (rows, or passages where rows are clustered). The scores of several seeds
tell the second. A score of one seed is a statement about that one trained model; its interval holds rows only.

Where there are several seeds, the two variances are summed, with what is in both of them counted once, and t takes the
degrees of freedom of `xbench.spread.Spread.variances`. Resampling seeds as well (Sellam et al. 2022, "The MultiBERTs")
is for their 25: of 3, it finds two thirds of the variance, and no t. What the tests measure of all this by simulation
stands in tests/unit/test_coverage.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from .spread import NOTHING, Floats, Function, Part, Spread, measure, total

__all__ = [
    "Difference",
    "Estimate",
    "Part",
    "combine",
    "difference",
    "estimate",
    "holm",
    "pair_p_values",
    "rank_ranges",
]

MOST_BIAS = 0.5  # standard errors between a score and its draws' median: beyond it, they are biased, not skewed
MOST_SKEW = 1.2  # of the draws: beyond it, a third moment of 1,000 numbers says little
ONE = np.ones(1)  # the weights of one function
FARTHEST = 1e6  # standard errors of a ratio: an end beyond it is none


@dataclass(frozen=True)
class Estimate:
    """A score, or a function of scores, with its interval.

    Attributes:
        value: The mean over seeds; of a function, its value at the parts' means.
        low: The lower end of the interval.
        high: The upper end.
        se: The standard error; 0 where nothing varies.
        seeds: How many seeds; the fewest of any part.
        method: How the interval was made, in a few words.
    """

    value: float
    low: float
    high: float
    se: float
    seeds: int
    method: str


@dataclass(frozen=True)
class Difference:
    """One score minus another, with its interval and the two-sided p value of no difference.

    Attributes:
        value: The first's mean over seeds minus the second's.
        low: The lower end of the interval; above 0 only where ``p`` is below 1 - level.
        high: The upper end.
        se: The standard error; 0 where nothing varies.
        p: Of a difference at least as large if there were none, not corrected for other comparisons.
        method: How it was tested, in a few words.
    """

    value: float
    low: float
    high: float
    se: float
    p: float
    method: str


def estimate(
    scores: ArrayLike, draws: ArrayLike, units: int, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate | None:
    """The mean of a score over seeds and its interval: `combine` of one part.

    Args:
        scores: (seeds,).
        draws: (seeds, draws): of each seed's score, over the same resamples; NaN where a resample has no score.
        units: How many units were resampled.
        level: Of the interval.
        bounds: The lowest and the highest score there can be: the interval is cut there, and a score that is at one of
            them in every resample gets Clopper and Pearson's (1934) exact interval of a proportion, which holds for the
            mean of anything so bounded; without them such a score has an interval of no length.

    Returns:
        None where a score or more than 1 - level of the draws are undefined, or there are fewer than two units.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    found = combine(lambda score: score, Part(scores, draws, units), level=level)
    if found is None or bounds is None:
        return found
    low, high = bounds
    if found.se == 0 and found.value in bounds:
        reach = (high - low) * -math.expm1(math.log((1 - level) / 2) / units)
        ends = (low, low + reach) if found.value == low else (high - reach, high)
        return Estimate(found.value, *ends, 0.0, found.seeds, "Clopper-Pearson: at a bound in every resample")
    return Estimate(found.value, max(found.low, low), min(found.high, high), found.se, found.seeds, found.method)


def difference(
    a_scores: ArrayLike,
    a_draws: ArrayLike,
    b_scores: ArrayLike,
    b_draws: ArrayLike,
    units: int,
    level: float = 0.95,
    same_runs: bool = False,
) -> Difference | None:
    """A score minus another over the same rows: a paired bootstrap.

    The standard error is that of the differences of the draws, and of the seeds' scores; p and the interval are t's. A
    percentile's p cannot go below one in the number of draws and would never survive a correction for many comparisons.

    Args:
        a_scores: (seeds of a,).
        a_draws: (seeds of a, draws): over the same resamples as b's.
        b_scores: (seeds of b,).
        b_draws: (seeds of b, draws).
        units: How many units were resampled.
        level: Of the interval.
        same_runs: Whether seed i of a and seed i of b are of one trained model, or of one that the other goes on from:
            then what the two share cancels. Else the seeds' variances are summed, as Welch (1947) does.

    Returns:
        None where a score or more than 1 - level of the draws are undefined, there are fewer than two units, or they
        are so few that their all saying the same might be chance.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    runs = ("same", "same") if same_runs else ("a", "b")
    parts = [Part(a_scores, a_draws, units, "rows", runs[0]), Part(b_scores, b_draws, units, "rows", runs[1])]
    spread = measure([lambda a, b: a - b], parts, 1 - level)
    if spread is None:
        return None
    value = float(spread.values[0])
    by_row, by_seed, df = spread.variances(ONE)
    se = math.sqrt(by_row + by_seed)
    if se == 0:  # every unit says the same: p is the sign test's
        p = 1.0 if abs(value) <= spread.least else 2.0 ** (1 - units)
        if 1 > p > 1 - level:
            return None
        return Difference(value, value, value, 0.0, p, _method(spread, "no variation, sign test"))
    p = 2 * float(special.stdtr(df, -abs(value) / se))
    reach = se * float(special.stdtrit(df, (1 + level) / 2))
    return Difference(value, value - reach, value + reach, se, p, _method(spread, "paired bootstrap, t"))


def pair_p_values(scores: ArrayLike, draws: ArrayLike, units: int) -> Floats:
    """The p value of `difference` for every pair of some scores, all at once; no two share a trained model.

    Args:
        scores: (scores,) of one seed each, or (scores, seeds).
        draws: (scores, draws), or (scores, seeds, draws): over the same resamples, all defined.
        units: How many units were resampled, two at least.

    Returns:
        (scores, scores)
    """
    values, drawn = np.asarray(scores, np.float64), np.asarray(draws, np.float64)
    means, mean_draws = (values, drawn) if values.ndim == 1 else (values.mean(axis=1), drawn.mean(axis=1))
    apart = np.abs(means[:, None] - means[None, :])  # (scores, scores)
    centred = mean_draws - mean_draws.mean(axis=1, keepdims=True)
    correction = units / (units - 1)
    shared = centred @ centred.T / (drawn.shape[-1] - 1) * correction  # (scores, scores) covariances
    own = np.diagonal(shared)
    by_row = np.maximum(0.0, own[:, None] + own[None, :] - 2 * shared)
    least = NOTHING * max(1.0, float(np.abs(values).max(initial=0.0)))
    by_seed, df = np.zeros_like(by_row), np.full_like(by_row, units - 1.0)
    if values.ndim > 1 and values.shape[1] > 1:
        apiece, both = _of_seeds(values, drawn, correction)  # (scores,) each
        by_row = np.where(by_row > 0, np.maximum(0.0, by_row - both[:, None] - both[None, :]), 0.0)
        by_seed = apiece[:, None] + apiece[None, :]
        # As `Spread.variances` has it: Satterthwaite's within the seeds, and between the two kinds a power of his.
        squares = (apiece[:, None] ** 2 + apiece[None, :] ** 2) / (values.shape[1] - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            seed_df = np.where(squares > 0, by_seed**2 / squares, np.inf)
            share, power = by_seed / (by_row + by_seed), np.minimum(2.0, 0.5 + seed_df / 4)
            df = 1 / ((1 - share) ** power / (units - 1.0) + share**power / seed_df)
    se = np.sqrt(by_row + by_seed)
    alike = np.where(apart <= least, 1.0, 2.0 ** (1 - units))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(se <= least, alike, 2 * special.stdtr(df, -apart / se))


def _of_seeds(values: Floats, drawn: Floats, correction: float) -> tuple[Floats, Floats]:
    """(scores,) The variance of each mean over seeds, and what of it the bootstrap's variance holds as well.

    Args:
        values: (scores, seeds).
        drawn: (scores, seeds, draws).
        correction: Of the bootstrap's variances.
    """
    seeds, draws = drawn.shape[1:]
    own = drawn - drawn.mean(axis=1, keepdims=True)
    own -= own.mean(axis=2, keepdims=True)
    # Left out one by one, means move by 1 / (seeds - 1) of how far a seed is from the mean.
    both = np.square(own).sum(axis=(1, 2)) / (seeds * (seeds - 1) * (draws - 1))
    return values.var(axis=1, ddof=1) / seeds, both * correction


def combine(function: Function, *parts: Part, over: Function | None = None, level: float = 0.95) -> Estimate | None:
    """A function of several scores and its interval: a gap, an average, a percentage.

    Without ``over``, the function is applied draw by draw. The ends are those of the bias-corrected and accelerated
    bootstrap; where there are several seeds, the ends' distances from the value, divided by t, are taken for standard
    errors (Zou and Donner 2008, who recover variances from limits so), and the variance of the seeds is added to each.

    With ``over``, a ratio: Fieller's (1954) interval, all r for which ``function - r * over`` does not differ from 0.
    It is honest where the denominator is small: its ends grow without bound, and it has none as soon as the denominator
    itself cannot be told from 0.

    Args:
        function: Smooth, of one array a part; the numerator where there is ``over``.
        parts: The scores. Those on other rows are taken as independent of each other, and so are other models' seeds.
        over: The denominator, of the same arguments.
        level: Of the interval.

    Returns:
        None where the value or more than 1 - level of the draws are undefined, a part has fewer than two units, or the
        denominator cannot be told from 0.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    spread = measure([function] if over is None else [function, over], parts, 1 - level)
    if spread is None:
        return None
    return _smooth(spread, level) if over is None else _ratio(spread, level)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction of p values: the chance of any false alarm stays at the level.

    Args:
        p: Not corrected, in any order.

    Returns:
        In the same order, at most 1: to be compared with the level itself.
    """
    ranked = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[ranked] = np.minimum(1, np.maximum.accumulate(np.asarray(p)[ranked] * np.arange(len(p), 0, -1)))
    return [float(each) for each in corrected]


def rank_ranges(values: Sequence[float], better: Sequence[Sequence[bool]]) -> list[tuple[int, int]]:
    """The ranks that each score may have, bounded by the scores that are told apart from it and by no others.

    Args:
        values: The scores, of which only the number matters here.
        better: ``better[i][j]``: whether i is told to be better than j, after correction.

    Returns:
        For each score, one more than the number of better ones, and the number of scores less that of worse ones.

    Raises:
        ValueError: ``better`` is not of the scores' number squared, or says of two that each is better.
    """
    count = len(values)
    told = np.array(better, dtype=bool) if count else np.zeros((0, 0), dtype=bool)
    if told.shape != (count, count) or (told & told.T).any():
        raise ValueError(f"{count} scores, but who is better than whom has shape {told.shape}, or it goes both ways")
    return [(1 + int(told[:, i].sum()), count - int(told[i].sum())) for i in range(count)]


def _smooth(spread: Spread, level: float) -> Estimate:
    value = float(spread.values[0])
    by_row, by_seed, _ = spread.variances(ONE)
    se = math.sqrt(by_row + by_seed)
    if se == 0:
        return Estimate(value, value, value, 0.0, min(spread.seeds), _method(spread, "no variation"))
    stretches, method = _bca(spread, level)
    ends = []
    for sign, stretch in zip((-1, 1), stretches, strict=True):
        by_row, by_seed, df = spread.variances(ONE, stretch)
        ends.append(value + sign * math.sqrt(by_row + by_seed) * float(special.stdtrit(df, (1 + level) / 2)))
    return Estimate(value, ends[0], ends[1], se, min(spread.seeds), _method(spread, method))


def _bca(spread: Spread, level: float) -> tuple[tuple[float, float], str]:
    """How far the ends of a bootstrap interval lie from the value, each in times t standard errors.

    The bias-corrected and accelerated interval (Efron 1987). The acceleration, a sixth of the influences' skewness, is
    a sixth of the draws' own, which is the same for a mean. The quantiles are widened for few units as Hesterberg
    (2015, "What Teachers Should Know about the Bootstrap") does: t times the root of units / (units - 1) stands for the
    normal quantile.
    """
    value, draws = float(spread.values[0]), spread.draws[0]
    centred = draws - draws.mean()
    sd = math.sqrt(float(centred @ centred) / (len(draws) - 1))
    variance, df = total(spread.rows, ONE)
    reach = float(special.stdtrit(df, (1 + level) / 2)) * math.sqrt(variance)
    if sd <= spread.least:
        return (1.0, 1.0), "t"
    ranked = np.sort(draws)
    below = float(np.searchsorted(ranked, value - spread.least) + np.searchsorted(ranked, value + spread.least)) / 2
    bias = float(special.ndtri(below / len(draws)))
    if abs(bias) > MOST_BIAS:
        return (1.0, 1.0), "t, bootstrap's standard error"
    skew = max(-MOST_SKEW, min(MOST_SKEW, float(centred**2 @ centred) / len(draws) / sd**3))
    shifted = bias + np.array([-reach / sd, reach / sd])
    places = special.ndtr(bias + shifted / (1 - skew / 6 * shifted)) * (len(draws) - 1)
    low, high = np.interp(places, np.arange(len(draws)), ranked)  # np.quantile's, of numbers in order
    return (max(0.0, (value - low) / reach), max(0.0, (high - value) / reach)), "BCa bootstrap"


def _ratio(spread: Spread, level: float) -> Estimate | None:
    above, below = (float(value) for value in spread.values)

    def excess(ratio: float, weights: Floats | None = None) -> float:
        """Above 0 where the ratio is refuted."""
        weights = np.array([1.0, -ratio]) if weights is None else weights
        by_row, by_seed, df = spread.variances(weights)
        reach = math.sqrt(by_row + by_seed) * float(special.stdtrit(df, (1 + level) / 2)) if by_row + by_seed else 0.0
        return abs(float(weights @ spread.values)) - reach

    if abs(below) <= spread.least or excess(0.0, np.array([0.0, 1.0])) <= 0:
        return None
    value = above / below
    by_row, by_seed, _ = spread.variances(np.array([1.0, -value]))
    se = math.sqrt(by_row + by_seed) / abs(below)
    ends = [value, value]
    for side, sign in enumerate((-1, 1)) if se else ():
        step = se
        while excess(value + sign * step) <= 0:
            step *= 2
            if step > FARTHEST * se:
                return None
        ends[side] = float(optimize.brentq(excess, value, value + sign * step, xtol=1e-6 * se))
    method = _method(spread, "Fieller, bootstrap variances" if se else "no variation")
    return Estimate(value, ends[0], ends[1], se, min(spread.seeds), method)


def _method(spread: Spread, method: str) -> str:
    if spread.runs:
        method += ", sum of row and seed variances" + (" where there are seeds" if min(spread.seeds) == 1 else "")
    undefined, draws = spread.undefined
    return method + (f" ({undefined:,} of {draws:,} resamples undefined)" if undefined else "")
