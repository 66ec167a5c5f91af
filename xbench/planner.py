"""Works out the plan of a request: which stages and cells it takes, from names alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .compatibility import check_compatible, check_names, check_takes, heads_of, readings_of, task_recipe
from .curriculum import FLOOR, FROZEN, Curriculum, curriculum_name, parse_curriculum, transfer
from .errors import UserError
from .keys import content_key
from .plan import Cell, Plan, Request, Stage
from .recipe import AVERAGE, LAST, ORACLE, SOURCE_DEV, Recipe
from .registry import Registry
from .selection import DEV, Dev, check_candidates, dev_of
from .tasks import OFFICIAL, Task, dataset_and_split
from .types import Dataset, Floor, Head, Reading


def make_plan(request: Request, registry: Registry) -> Plan:
    """Work out the stages and the cells of a request.

    Args:
        request: What the user asked for.
        registry: What the plugins declare.

    Returns:
        The plan: every stage once, every cell once.

    Raises:
        UserError: A name is unknown, or things do not fit together.
    """
    if not request.models or not request.tasks:
        raise UserError("nothing is asked for: name a model with --model and a task with --tasks")
    for name, limit in (("--limit-train", request.limit_train), ("--limit-eval", request.limit_eval)):
        if limit is not None and limit < 2:
            raise UserError(f"{name} {limit}: at least 2 rows are needed")
    tasks = registry.expand_tasks(request.tasks)
    floors = {model: floor for model in request.models if (floor := registry.floor(model)) is not None}
    encoders = tuple(model for model in request.models if model not in floors)
    planner = _Planner(replace(request, models=encoders), registry)
    for task, floor in itertools.product(tasks, floors.values()):
        planner.add_floor(task, floor)
    for task in _able(tasks, planner) if encoders else ():
        planner.add_task(task)
    if not planner.cells:
        raise UserError("; ".join(planner.left_out))
    return Plan(tuple(planner.stages.values()), tuple(dict.fromkeys(planner.cells)), tuple(planner.left_out))


def _able(tasks: list[Task], planner: _Planner) -> list[Task]:
    """The tasks that say something of frozen encoders, where only those are asked for; the planner notes the others."""
    if set(planner.request.curricula) != {FROZEN}:
        return tasks
    able = [task for task in tasks if any(not head.needs_training for head in heads_of(task, planner.registry))]
    if not able:
        return tasks  # the planner's refusal says why
    planner.left_out += [
        f"the task {task.name} is left out: --train {FROZEN}: every head of it needs training"
        for task in tasks
        if task not in able
    ]
    return able


class _Planner:
    """Collects the stages and cells of one request."""

    def __init__(self, request: Request, registry: Registry) -> None:
        self.request = request
        self.registry = registry
        self.stages: dict[str, Stage] = {}
        self.cells: list[Cell] = []
        self.left_out: list[str] = []

    def add_floor(self, task: Task, floor: Floor) -> None:
        """One cell for each evaluation dataset that the floor takes."""
        evals = self._evals(task)
        others = [f"{dataset.name} ({dataset.schema})" for dataset, _ in evals if dataset.schema not in floor.schemas]
        if others:
            takes = ", ".join(floor.schemas)
            self.left_out.append(f"{task.name}: the floor {floor.name} takes {takes}, and not {', '.join(others)}")
        for dataset, split in evals:
            if dataset.schema in floor.schemas:
                check_takes(floor, dataset, split)
                cell = Cell(
                    task=task.name, model=floor.name, head=floor.name, curriculum=FROZEN, reading=Reading().name,
                    fit=None, metrics=self._metrics(task, dataset), dataset=dataset.name, split=split, seed=0,
                    stage=None, transfer=FLOOR, recipe=Recipe(), limit_train=None, limit_eval=self.request.limit_eval,
                )  # fmt: skip
                self.cells.append(cell)

    def add_task(self, task: Task) -> None:
        """The stages and cells of encoders."""
        request = self.request
        texts = request.curricula or task.curricula
        curricula = list(dict.fromkeys(parse_curriculum(text, task.train) for text in texts))
        evals = self._evals(task)
        for curriculum in curricula:
            head = self._head(task, curriculum)
            recipe = task_recipe(task, head, self.registry, request.overrides)
            asked_by = "--train" if request.curricula else task.path
            trained = [self.registry.datasets.get(name, asked_by) for mixture in curriculum for name in mixture]
            check_compatible(head, [(dataset, task.train_split) for dataset in trained], evals)
            for model in request.models:
                for seed in dict.fromkeys(request.seeds or task.seeds):
                    stage = self._chain(task, model, head, curriculum, recipe, seed)
                    base = Cell(
                        task=task.name, model=model, head=head.name, curriculum=curriculum_name(curriculum),
                        reading="", fit=None, metrics=(), dataset="", split="", seed=seed, stage=stage, transfer="",
                        recipe=recipe, limit_train=None, limit_eval=request.limit_eval,
                    )  # fmt: skip
                    self.cells += self._cells(task, head, base, trained, evals)

    def _cells(
        self, task: Task, head: Head, base: Cell, trained: Sequence[Dataset], evals: Sequence[tuple[Dataset, str]]
    ) -> Iterator[Cell]:
        """One cell for each evaluation dataset and reading."""
        for dataset, split in evals:
            chosen_on = self._chosen_on(task, base, dataset)
            if chosen_on is None:
                continue
            kind = transfer((language for one in trained for language in one.languages), dataset.languages)
            for reading in readings_of(task, head):
                fit = None if reading.fit is None else self._fit(task, head, reading, dataset)
                learns = base.stage is not None or fit is not None
                yield replace(
                    base, reading=reading.name, fit=fit, metrics=self._metrics(task, dataset), dataset=dataset.name,
                    split=split, transfer=kind, limit_train=self.request.limit_train if learns else None,
                    # A frozen encoder whose reading is not fitted has nothing that a seed could change.
                    seed=base.seed if learns else 0, chosen_on=chosen_on,
                )  # fmt: skip

    def _chosen_on(self, task: Task, base: Cell, target: Dataset) -> tuple[Dev, ...] | None:
        """The rows that a cell's checkpoint is chosen on; None where there is no oracle for it, which a line says.

        Raises:
            UserError: There is too little to choose from, or to choose by.
        """
        if base.stage is None or base.selection == LAST:
            return ()
        check_candidates(base.recipe)
        if base.selection == ORACLE:
            try:
                return (self._dev(task, target),)
            except UserError as error:
                line = f"{task.name}: no oracle for {target.name}: {error}"
                self.left_out += [line] if line not in self.left_out else []
                return None
        if base.selection == AVERAGE:
            return ()
        mixture = [self.registry.datasets.get(name, task.path) for name in self.stages[base.stage].mixture]
        try:
            return tuple(self._dev(task, one) for one in mixture)
        except UserError as error:
            raise UserError(
                f"recipe.selection = {SOURCE_DEV}: {error}: take {LAST} or {AVERAGE}, which need no {DEV} rows, with "
                f"--set recipe.selection={LAST}"
            ) from None

    def _dev(self, task: Task, dataset: Dataset) -> Dev:
        metrics = [self.registry.metrics.get(name) for name in self._metrics(task, dataset)]
        return dev_of(dataset, metrics, task.train_split)

    def _evals(self, task: Task) -> list[tuple[Dataset, str]]:
        """The evaluation datasets with their splits; everything else that the task names is there as well."""
        check_names(task, self.registry)
        asked_by = "--eval" if self.request.datasets else task.path
        return [self._dataset(text, task.eval_split, asked_by) for text in self.request.datasets or task.eval]

    def _dataset(self, text: str, split: str, where: str) -> tuple[Dataset, str]:
        name, split = dataset_and_split(text, split)
        return self.registry.datasets.get(name, where), split

    def _fit(self, task: Task, head: Head, reading: Reading, dataset: Dataset) -> tuple[str, str]:
        """What a reading is fitted on, as the task names it."""
        text = task.fit.get(dataset.name) or task.fit.get("*")
        if text is None:
            raise UserError(
                f"{task.path}: the reading {reading.name} is fitted on data that the task does not name: "
                f'add [fit] with {dataset.name} = "DATASET"'
            )
        fitted, split = self._dataset(text, task.train_split, task.path)
        check_takes(head, fitted, split, f"{task.path}: [fit] {text}: ")
        return fitted.name, split

    def _metrics(self, task: Task, dataset: Dataset) -> tuple[str, ...]:
        """The task's metrics, with the dataset's own scorers in the place of ``official``."""
        if OFFICIAL in task.metrics and not dataset.official:
            raise UserError(
                f"{task.path}: the dataset {dataset.name} names no official scorer: list the task's metrics by name"
            )
        asked = (dataset.official if name == OFFICIAL else (name,) for name in task.metrics)
        names = tuple(dict.fromkeys(itertools.chain.from_iterable(asked)))
        for name in names:
            self.registry.metrics.get(name, task.path).check_takes(dataset, task.path)
        return names

    def _head(self, task: Task, curriculum: Curriculum) -> Head:
        heads = heads_of(task, self.registry)
        if self.request.head is not None:
            chosen = self.registry.heads.get(self.request.head, "--head")
            if not curriculum and chosen.needs_training:
                able = [head.name for head in heads if not head.needs_training]
                hint = f"use --head {able[0]}" if able else f"the task {task.name} has no head that can"
                raise UserError(f"the head {chosen.name} says nothing of a frozen encoder (--train {FROZEN}): {hint}")
            return chosen
        if curriculum:
            return heads[0]
        frozen = next((head for head in heads if not head.needs_training), None)
        if frozen is None:
            raise UserError(f"--train {FROZEN}: every head of the task {task.name} needs training: leave it out")
        return frozen

    def _chain(
        self, task: Task, model: str, head: Head, curriculum: Curriculum, recipe: Recipe, seed: int
    ) -> str | None:
        """Enter the stages of one curriculum, those that are there already included; gives the last one's id."""
        parent: str | None = None
        limit = self.request.limit_train
        for depth, mixture in enumerate(curriculum, 1):
            if limit is not None and limit < len(mixture):
                raise UserError(f"--limit-train {limit}: the mixture {'+'.join(mixture)} needs a row of each dataset")
            name = curriculum_name(curriculum[:depth])
            content = {
                "model": model, "head": head.name, "curriculum": name, "split": task.train_split,
                "recipe": recipe.values(), "seed": seed, "limit": self.request.limit_train,
            }  # fmt: skip
            stage = Stage(
                id=content_key("planned-stage", content)[:12], model=model, head=head.name, curriculum=name,
                mixture=mixture, split=task.train_split, parent=parent, recipe=recipe, seed=seed,
                limit=self.request.limit_train,
            )  # fmt: skip
            self.stages.setdefault(stage.id, stage)
            parent = stage.id
        return parent
