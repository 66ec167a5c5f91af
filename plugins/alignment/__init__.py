"""Alignment of sentence embeddings: maps between languages, fitted on parallel sentences (section II.C)."""

from __future__ import annotations

from collections.abc import Iterable

from xbench.api import Dataset, Figure, Head, Metric, hookimpl

from .datasets import DATASETS
from .figures import FIGURES
from .heads import HEADS
from .metrics import METRICS


@hookimpl
def xbench_datasets() -> Iterable[Dataset]:
    """``tatoeba-ko-en``, ``tatoeba-es-en`` and ``tatoeba-ar-en``."""
    return DATASETS


@hookimpl
def xbench_heads() -> Iterable[Head]:
    """``alignment``."""
    return HEADS


@hookimpl
def xbench_metrics() -> Iterable[Metric]:
    """``mean-cosine``, ``retrieval`` and ``shuffled-cosine``."""
    return METRICS


@hookimpl
def xbench_figures() -> Iterable[Figure]:
    """``tsne``."""
    return FIGURES
