"""What tests of planning ask for, and made-up tasks and data sets to plan with."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from xbench.plan import Request
from xbench.registry import Plugin, Registry, load_registry
from xbench.tasks import load_task
from xbench.types import Dataset, Split

TABLE_I = Request(models=("m",), tasks=("sts",))
TASK = """
name = "{name}"
title = "T"
version = 1
train = ["stsb", "korsts"]
eval = ["stsb", "sts17-es-en"]
heads = ["cross-encoder", "siamese"]
metrics = ["spearman"]
curricula = ["stsb"]
"""


def own(*texts: str, **datasets: Dataset) -> Registry:
    """The installed plugins' declarations and some more."""
    registry, plugin = load_registry(), Plugin("own", "own 1")
    for text in texts:
        task = load_task(text)
        registry.tasks.add(task.name, task, plugin)
    for dataset in datasets.values():
        registry.datasets.add(dataset.name, dataset, plugin)
    return registry


def made_up(name: str, **changes: Any) -> Dataset:
    """A data set that has a name and no rows."""
    split = Split(())
    plain = Dataset(name, ("en",), "pair-score", {"train": split, "test": split}, "none", "none", "none", "none")
    return dataclasses.replace(plain, **changes)


def ask(**changes: Any) -> Request:
    """The paper's Table I, changed."""
    return dataclasses.replace(TABLE_I, **changes)


def forget_plugin_files() -> None:
    """Take the modules of ``--plugin`` files out of the interpreter again."""
    for name in [name for name in sys.modules if name.startswith("xbench_plugin_")]:
        del sys.modules[name]
