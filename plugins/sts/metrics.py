"""Correlations between predicted and gold scores, x100, as STS results are printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from xbench.api import Metric, MetricContext

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Sampler: TypeAlias = Callable[[Floats], Mapping[str, Floats]]


def spearman(predictions: Sequence[float], references: Sequence[Any], about: MetricContext) -> Mapping[str, float]:
    """Spearman's rank correlation x100; NaN where one side is constant.

    Args:
        predictions: One number a row.
        references: The gold scores.
        about: Not needed.
    """
    from scipy.stats import spearmanr

    return {"spearman": _times_100(spearmanr, predictions, references)}


def pearson(predictions: Sequence[float], references: Sequence[Any], about: MetricContext) -> Mapping[str, float]:
    """Pearson's correlation x100; NaN where one side is constant.

    Args:
        predictions: One number a row.
        references: The gold scores.
        about: Not needed.
    """
    from scipy.stats import pearsonr

    return {"pearson": _times_100(pearsonr, predictions, references)}


def _times_100(correlation: Any, predictions: Sequence[float], references: Sequence[Any]) -> float:
    if len(predictions) < 2 or len(set(predictions)) < 2 or len(set(references)) < 2:
        return math.nan
    return 100 * float(correlation(predictions, references).statistic)


def resample_spearman(predictions: Sequence[float], references: Sequence[Any], about: MetricContext) -> Sampler:
    """Spearman's correlation x100 of weighted rows: Pearson's of their ranks, ties sharing the mean of theirs.

    Args:
        predictions: One number a row.
        references: The gold scores.
        about: Not needed.
    """
    said, gold = _ranker(predictions), _ranker(references)

    def sampler(weights: Floats) -> Mapping[str, Floats]:
        return {"spearman": _weighted_correlation(said(weights), gold(weights), weights)}

    return sampler


def resample_pearson(predictions: Sequence[float], references: Sequence[Any], about: MetricContext) -> Sampler:
    """Pearson's correlation x100 of weighted rows.

    Args:
        predictions: One number a row.
        references: The gold scores.
        about: Not needed.
    """
    import numpy as np

    x, y = (np.asarray(side, np.float64)[None, :] for side in (predictions, references))  # (1, rows) each
    return lambda weights: {"pearson": _weighted_correlation(x, y, weights)}


def _ranker(values: Sequence[float]) -> Callable[[Floats], Floats]:
    """Ranks of weighted values: (draws, rows) weights to (draws, rows) ranks. The order is the same for all draws."""
    import numpy as np

    _, group = np.unique(np.asarray(values, np.float64), return_inverse=True)  # (rows,) equal values, one group
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))  # (groups,)

    def rank(weights: Floats) -> Floats:
        sizes = np.add.reduceat(weights[:, order], starts, axis=1)  # (draws, groups)
        ranks: Floats = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]  # (draws, rows)
        return ranks

    return rank


def _weighted_correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    """(draws,) Pearson's correlation x100; NaN where one side is constant in a draw.

    Args:
        x: (draws or 1, rows)
        y: (draws or 1, rows)
        weights: (draws, rows)
    """
    import numpy as np

    total = weights.sum(1, keepdims=True)
    moments = [(weights * side * side).sum(1) for side in (x, y)]
    x, y = (side - (weights * side).sum(1, keepdims=True) / total for side in (x, y))
    covariance, *squares = ((weights * product).sum(1) for product in (x * y, x * x, y * y))
    # What rounding leaves of equal numbers, less their mean, is no variance.
    x_squares, y_squares = (
        np.where(own > ROUNDING * moment, own, np.nan) for own, moment in zip(squares, moments, strict=True)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: Floats = 100 * covariance / np.sqrt(x_squares * y_squares)
    return correlation


def _no_correlation(references: Sequence[Any], about: MetricContext, name: str) -> Mapping[str, float]:
    return {name: 0.0}


ROUNDING = 1e-28  # of the mean square: ten thousand times what double precision leaves
PAIRS = ("pair-score",)
METRICS = [
    Metric(
        "spearman", 1, spearman, "Spearman's rank correlation x100 (scipy.stats.spearmanr).", {"spearman": 100.0},
        schemas=PAIRS, resample=resample_spearman, chance=partial(_no_correlation, name="spearman"),
    ),
    Metric(
        "pearson", 1, pearson, "Pearson's correlation x100 (scipy.stats.pearsonr).", {"pearson": 100.0}, schemas=PAIRS,
        resample=resample_pearson, chance=partial(_no_correlation, name="pearson"),
    ),
]  # fmt: skip
