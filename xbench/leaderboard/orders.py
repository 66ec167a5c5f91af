"""What the installed tasks say of their tables: the order of rows and columns, recipes, and how scores are written."""

from __future__ import annotations

import contextlib

from ..compatibility import task_recipe
from ..curriculum import curriculum_name, parse_curriculum
from ..errors import UserError
from ..registry import Registry
from ..tasks import OFFICIAL, Task, dataset_and_split
from ..types import Scalar
from .layout import score_title
from .table import Order, ScoreStyle


def orders(registry: Registry) -> dict[str, Order]:
    """The order of rows and columns, and the recipes, as the installed tasks name them."""
    return {
        task.name: Order(
            _as_planned(task), task.eval, task.eval_split, task.version, _recipes(task, registry),
            _readings(task, registry), _scores(task, registry), _baselines(task), place,
        )
        for place, task in enumerate(registry.tasks)
    }  # fmt: skip


def _readings(task: Task, registry: Registry) -> tuple[str, ...]:
    """The task's, or else its heads', in order."""
    with contextlib.suppress(UserError):
        every = [reading.name for name in task.heads for reading in registry.heads.get(name).readings]
        return task.readings or tuple(every)
    return task.readings


def _scores(task: Task, registry: Registry) -> dict[str, ScoreStyle]:
    """How the task's scores are written; those of a metric that is not installed as their names say."""
    names: list[str] = []
    for name in task.metrics:
        if name != OFFICIAL:
            names.append(name)
            continue
        for text in task.eval:
            with contextlib.suppress(UserError):
                names += registry.datasets.get(dataset_and_split(text, "")[0]).official
    styles: dict[str, ScoreStyle] = {}
    for name in dict.fromkeys(names):
        with contextlib.suppress(UserError):
            metric = registry.metrics.get(name)
            for score in dict.fromkeys([*metric.titles, *metric.best]):
                title = metric.titles.get(score, score_title(score, {}))
                styles.setdefault(score, ScoreStyle(title, metric.decimals, metric.comparable))
    return styles


def _recipes(task: Task, registry: Registry) -> dict[str, dict[str, Scalar]]:
    """The task's own recipe by head; a task that cannot be planned here has none to tell."""
    with contextlib.suppress(UserError):
        heads = [registry.heads.get(name) for name in task.heads]
        return {head.name: task_recipe(task, head, registry).values() for head in heads}
    return {}


def _as_planned(task: Task) -> tuple[str, ...]:
    """The task's curricula as a plan, and so a record, spells them."""
    return tuple(curriculum_name(parse_curriculum(text, task.train)) for text in task.curricula)


def _baselines(task: Task) -> dict[str, str]:
    """The task's in-language curricula, spelled as records spell them."""
    return {name: curriculum_name(parse_curriculum(text, task.train)) for name, text in task.baselines.items()}
