"""Semantic textual similarity: STSb, KorSTS, the SemEval-2017 evaluation sets, and a small corpus of our own."""

from __future__ import annotations

from collections.abc import Iterable

from xbench.api import Dataset, Head, Metric, hookimpl

from .datasets import DATASETS
from .heads import HEADS
from .metrics import METRICS


@hookimpl
def xbench_datasets() -> Iterable[Dataset]:
    """All STS datasets."""
    return DATASETS


@hookimpl
def xbench_heads() -> Iterable[Head]:
    """``cross-encoder`` and ``siamese``."""
    return HEADS


@hookimpl
def xbench_metrics() -> Iterable[Metric]:
    """``spearman`` and ``pearson``."""
    return METRICS
