"""Reading comprehension (MRC): SQuAD, KorQuAD, SQuAD-es, XQuAD, MLQA, TyDiQA-GoldP, and a small corpus of our own."""

from __future__ import annotations

from collections.abc import Iterable

from xbench.api import Dataset, Diagnostic, Head, Metric, hookimpl

from .ceiling import DIAGNOSTICS
from .datasets import DATASETS
from .heads import HEADS
from .metrics import METRICS


@hookimpl
def xbench_datasets() -> Iterable[Dataset]:
    """All reading comprehension datasets."""
    return DATASETS


@hookimpl
def xbench_heads() -> Iterable[Head]:
    """``span``."""
    return HEADS


@hookimpl
def xbench_metrics() -> Iterable[Metric]:
    """``squad``, ``korquad`` and ``mlqa``."""
    return METRICS


@hookimpl
def xbench_diagnostics() -> Iterable[Diagnostic]:
    """``tokenizer-ceiling``."""
    return DIAGNOSTICS
