"""Correlations between predicted and gold scores, x100, as STS results are printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from xbench.api import Metric, MetricContext


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


PAIRS = ("pair-score",)
METRICS = [
    Metric(
        "spearman",
        1,
        spearman,
        "Spearman's rank correlation x100 (scipy.stats.spearmanr).",
        {"spearman": 100.0},
        schemas=PAIRS,
    ),
    Metric(
        "pearson", 1, pearson, "Pearson's correlation x100 (scipy.stats.pearsonr).", {"pearson": 100.0}, schemas=PAIRS
    ),
]
