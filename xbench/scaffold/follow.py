"""Which heads, metrics and recipe fit rows: those of a task that is here, with rows of the same schema and as many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..registry import Catalogue, Registry
from ..tasks import OFFICIAL, Task, dataset_and_split


@dataclass(frozen=True)
class Followed:
    """What a new task takes over.

    Attributes:
        task: The task that it is taken from.
        heads: The heads that take the schema.
        readings: Of the head.
        metrics: Those that score the schema.
        scorers: By language, where each dataset has a scorer of its own; ``""`` is for all other languages.
        train: Training datasets, where the head does not learn from rows of the schema itself.
        fitted: Whether readings are fitted on the rows of ``train``.
        diagnostics: Measures beside the scores.
        recipe: Settings over the recipe's defaults.
    """

    task: str
    heads: tuple[str, ...]
    readings: tuple[str, ...]
    metrics: tuple[str, ...]
    scorers: Mapping[str, str]
    train: tuple[str, ...]
    fitted: bool
    diagnostics: tuple[str, ...]
    recipe: Mapping[str, Any]


def comes_with_xbench(catalogue: Catalogue[Any], name: str) -> bool:
    """Whether a thing is xbench's own: what strangers declare is theirs to change."""
    return catalogue.owners[name][0].distribution.partition(" ")[0] == "xbench"


def follow(registry: Registry, schema: str, rows: int) -> Followed:
    """Find the task to follow.

    Args:
        registry: Of the installed plugins.
        schema: Of the new task's rows.
        rows: How many there are to train on: a recipe that suits a hundred rows does not suit a hundred thousand.

    Raises:
        UserError: No task here has a head and a metric for such rows.
    """
    fits = [
        task
        for task in registry.tasks
        if comes_with_xbench(registry.tasks, task.name)
        and _heads(task, registry, schema)
        and _scores(task, registry, schema)
    ]
    if not fits:
        raise UserError(f"no task that comes with xbench has a head and a metric for rows of {schema}")
    task = min(fits, key=lambda one: _distance(one, registry, schema, rows))
    official = OFFICIAL in task.metrics
    return Followed(
        task.name, _heads(task, registry, schema), task.readings, _scores(task, registry, schema),
        _scorers(task, registry) if official else {},
        () if any(_schema(name, registry) == schema for name in task.train) or not task.fit else task.train,
        bool(task.fit), task.diagnostics, task.recipe,
    )  # fmt: skip


def _schema(name: str, registry: Registry) -> str:
    found = registry.datasets.items.get(dataset_and_split(name, "")[0])
    return found.schema if found else ""


def _distance(task: Task, registry: Registry, schema: str, rows: int) -> tuple[int, bool, float]:
    """How far a task is from the new one: sides of other schemas, whether it needs rows to fit on, how many rows."""
    alike = [all(_schema(name, registry) == schema for name in side) for side in (task.eval, task.train)]
    first = registry.datasets.items.get(task.train[0])
    split = first.splits.get(task.train_split) if first else None
    known = (split.rows if split else None) or 1
    return alike.count(False), bool(task.fit), abs(math.log(rows / known))


def _heads(task: Task, registry: Registry, schema: str) -> tuple[str, ...]:
    heads = ((name, registry.heads.items.get(name)) for name in task.heads)
    return tuple(name for name, head in heads if head and schema in head.schemas)


def _scores(task: Task, registry: Registry, schema: str) -> tuple[str, ...]:
    """The metrics that score the schema; official scorers do where a dataset that has one is of it."""
    if OFFICIAL in task.metrics:
        return (OFFICIAL,) if any(_schema(name, registry) == schema for name in task.eval) else ()
    metrics = ((name, registry.metrics.items.get(name)) for name in task.metrics)
    return tuple(name for name, metric in metrics if metric and schema in metric.schemas)


def _scorers(task: Task, registry: Registry) -> dict[str, str]:
    """The official scorer of each evaluation dataset's language; that of the first one is for all others."""
    datasets = [registry.datasets.get(dataset_and_split(name, "")[0]) for name in task.eval]
    return {"": datasets[0].official[0], **{one.language: one.official[0] for one in reversed(datasets)}}
