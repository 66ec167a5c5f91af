"""Named entities: rows of words with tags, a head that tags words, and the F1 of whole entities."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xbench.api import Dataset, Head, Metric, Schema, hookimpl

from .heads import HEADS
from .metrics import METRICS
from .rows import DATASETS, SCHEMAS


@hookimpl
def xbench_schemas() -> Iterable[Schema]:
    """``word-tags``."""
    return SCHEMAS


@hookimpl
def xbench_datasets() -> Iterable[Dataset]:
    """Our own sentences in English, Korean and Spanish."""
    return DATASETS


@hookimpl
def xbench_heads() -> Iterable[Head]:
    """``word-tagger``."""
    return HEADS


@hookimpl
def xbench_metrics() -> Iterable[Metric]:
    """``entity-f1``."""
    return METRICS


@hookimpl
def xbench_tasks() -> Iterable[Path]:
    """``named-entities``."""
    return [Path(__file__).parent / "named-entities.toml"]
