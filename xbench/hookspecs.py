"""The hooks. A plugin implements those it needs and returns values; it registers nothing by side effect."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from .measures import Diagnostic, Figure, Metric
from .types import Dataset, Floor, Head, Model, Schema

PROJECT = "xbench"
"""The pluggy project and the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def xbench_schemas() -> Iterable[Schema]:
    """The schemas that this plugin's datasets need and nobody else declares."""
    return ()


@hookspec
def xbench_datasets() -> Iterable[Dataset]:
    """Datasets with their sources, licence and citation."""
    return ()


@hookspec
def xbench_heads() -> Iterable[Head]:
    """Heads with their readings."""
    return ()


@hookspec
def xbench_metrics() -> Iterable[Metric]:
    """Metrics."""
    return ()


@hookspec
def xbench_diagnostics() -> Iterable[Diagnostic]:
    """Measures beside the scores."""
    return ()


@hookspec
def xbench_figures() -> Iterable[Figure]:
    """Pictures drawn from a task's records."""
    return ()


@hookspec
def xbench_tasks() -> Iterable[Path | str]:
    """Task files: paths, or the TOML itself."""
    return ()


@hookspec
def xbench_models() -> Iterable[Model]:
    """Named sources of encoders."""
    return ()


@hookspec
def xbench_floors() -> Iterable[Floor]:
    """Predictions that need no encoder."""
    return ()
