"""Whether what a task names is there, and fits together: heads, readings, rows, and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import UserError, did_you_mean
from .recipe import Recipe, build_recipe, refuse_idle
from .registry import Registry
from .tasks import OFFICIAL, Task
from .types import Dataset, Floor, Head, Reading


def heads_of(task: Task, registry: Registry) -> list[Head]:
    """The heads that a task names, in its order; the first one is what curricula are trained with."""
    return [registry.heads.get(name, task.path) for name in task.heads]


def task_recipe(task: Task, head: Head, registry: Registry, overrides: Mapping[str, object] | None = None) -> Recipe:
    """The recipe of one of a task's heads.

    Args:
        task: Its settings stand over the head's defaults.
        head: Keys of the task's other heads are known, and left out.
        registry: For those heads.
        overrides: The user's, over the task's.

    Returns:
        The recipe.

    Raises:
        UserError: A key is unknown or without effect, or a value has the wrong type or lies out of range.
    """
    others = {key for one in heads_of(task, registry) for key in one.options}
    ignored = frozenset(others - set(head.options))
    where = f"{task.path} [recipe]"
    refuse_idle(task.recipe, build_recipe(task.recipe, where, head.options, ignored), where)
    overrides = overrides or {}
    build_recipe(overrides, "--set", head.options, ignored)
    recipe = build_recipe({**task.recipe, **overrides}, "recipe", head.options, ignored)
    refuse_idle(overrides, recipe, "--set")
    return recipe


def readings_of(task: Task, head: Head) -> list[Reading]:
    """The readings that a task takes of a head.

    Raises:
        UserError: It names one that the head does not have.
    """
    known = {reading.name: reading for reading in head.readings}
    for name in task.readings:
        if name not in known:
            raise UserError(f"{task.path}: the head {head.name} has no reading {name!r}{did_you_mean(name, known)}")
    return [known[name] for name in task.readings or known]


def check_names(task: Task, registry: Registry) -> None:
    """Everything that a task names is there.

    Raises:
        UserError: Something is not.
    """
    # Misspelled or missing training datasets only: a name that two plugins own matters when a curriculum uses it.
    absent = [name for name in task.train if name not in registry.datasets.owners]
    for catalogue, names in (
        (registry.metrics, [name for name in task.metrics if name != OFFICIAL]),
        (registry.diagnostics, task.diagnostics),
        (registry.figures, task.figures),
        (registry.datasets, absent),
        (registry.datasets, [name for name in task.baselines if name not in registry.datasets.owners]),
        # --eval may name other datasets than the task, and the task may say what is fitted for them.
        (registry.datasets, [name for name in task.fit if name not in ("*", *registry.datasets.owners)]),
    ):
        for name in names:
            catalogue.get(name, task.path)


def check_takes(head: Head | Floor, dataset: Dataset, split: str, where: str = "") -> None:
    """A split is there, and the head, or the floor, takes its rows.

    Raises:
        UserError: It is not, or does not.
    """
    if split not in dataset.splits:
        has = ", ".join(dataset.splits)
        raise UserError(f"{where}the dataset {dataset.name} has no split {split!r}, only {has}")
    if dataset.schema not in head.schemas:
        takes = ", ".join(head.schemas)
        raise UserError(
            f"{where}the head {head.name} takes {takes}, and the dataset {dataset.name} has rows of {dataset.schema}"
        )


def check_compatible(
    head: Head, trained_on: Sequence[tuple[Dataset, str]], evaluated_on: Sequence[tuple[Dataset, str]]
) -> None:
    """Splits are there, the head takes the schemas, and what is learned has the form of what is asked.

    Raises:
        UserError: Something does not fit.
    """
    for dataset, split in (*trained_on, *evaluated_on):
        check_takes(head, dataset, split)
    trained, everything = [one for one, _ in trained_on], [one for one, _ in (*trained_on, *evaluated_on)]
    for other in trained[1:]:
        if other.score_range != trained[0].score_range:
            raise UserError(f"{trained[0].name} and {other.name} have different score ranges: they do not mix")
    for other in everything[1:]:
        if other.labels != everything[0].labels:
            raise UserError(f"{everything[0].name} and {other.name} have different labels: they do not fit one head")
