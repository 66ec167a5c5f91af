"""The hooks. A plugin implements those it needs and returns values; it registers nothing by side effect.

Each is called once, without arguments, when a command loads the plugins. Listing tasks calls them all, so they are to
be quick: they declare things, and neither read rows nor import torch. Where one raises, nothing of its plugin counts;
the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from .measures import Diagnostic, Figure, Metric, MetricSource
from .types import Dataset, Floor, Head, Model, Schema

PROJECT = "xbench"
"""The pluggy project and the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as its implementation of the hook of that name."""


@hookspec
def xbench_schemas() -> Iterable[Schema]:
    """Give the schemas that this plugin's datasets need and nobody else declares.

    Every row is checked against its schema when a dataset is first read; metrics get the gold answer from it.
    """
    return ()


@hookspec
def xbench_datasets() -> Iterable[Dataset]:
    """Give datasets with their sources, licence and citation.

    Rows are looked for, and read, when a plan trains or scores on them.
    """
    return ()


@hookspec
def xbench_heads() -> Iterable[Head]:
    """Give heads: what is put on an encoder, and how it is trained and read.

    A head's functions are called when a plan tokenises rows, trains a stage or scores a cell.
    """
    return ()


@hookspec
def xbench_metrics() -> Iterable[Metric]:
    """Give metrics: predictions and gold answers to scores.

    A metric is called for each cell of a task that names it, and by ``xbench score``.
    """
    return ()


@hookspec
def xbench_metric_sources() -> Iterable[MetricSource]:
    """Give makers of metrics that a task names by their address, such as ``evaluate:./my_metric.py``.

    A metric is made when a plan, or a table, first asks for it.
    """
    return ()


@hookspec
def xbench_diagnostics() -> Iterable[Diagnostic]:
    """Give measures that stand beside the scores.

    A diagnostic is called for each cell of a task that names it, behind its metrics.
    """
    return ()


@hookspec
def xbench_figures() -> Iterable[Figure]:
    """Give pictures that are drawn from a task's records.

    A figure is drawn when a run of a task that names it has ended.
    """
    return ()


@hookspec
def xbench_tasks() -> Iterable[Path | str]:
    """Give task files: their paths, or the TOML itself.

    A file is read at once; what it names is looked up when it is planned.
    """
    return ()


@hookspec
def xbench_models() -> Iterable[Model]:
    """Give named sources of encoders.

    A model is found, assembled or fetched when a plan that names it runs.
    """
    return ()


@hookspec
def xbench_floors() -> Iterable[Floor]:
    """Give predictions that need no encoder, which a model has to be better than.

    A floor is called for each evaluation dataset of a task, where ``--model`` names it.
    """
    return ()
