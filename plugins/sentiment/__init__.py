"""Sentiment: LMRD (IMDb), NSMC, and a small corpus of our own; a head for any classification of single texts."""

from __future__ import annotations

from collections.abc import Iterable

from xbench.api import Dataset, Head, Metric, hookimpl

from .datasets import DATASETS
from .heads import HEADS
from .metrics import METRICS


@hookimpl
def xbench_datasets() -> Iterable[Dataset]:
    """All sentiment datasets."""
    return DATASETS


@hookimpl
def xbench_heads() -> Iterable[Head]:
    """``classification``."""
    return HEADS


@hookimpl
def xbench_metrics() -> Iterable[Metric]:
    """``accuracy``, ``macro-f1`` and ``matthews``."""
    return METRICS
