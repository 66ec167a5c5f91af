"""Turns a request into stages and cells: pure data made from names alone, so that no file is needed to plan."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .curriculum import FLOOR, FROZEN, Curriculum, curriculum_name, parse_curriculum, transfer
from .errors import UserError, did_you_mean
from .keys import content_key
from .recipe import AVERAGE, LAST, ORACLE, SOURCE_DEV, Recipe, build_recipe, refuse_idle
from .registry import Registry
from .selection import DEV, Dev, check_candidates, dev_of
from .tasks import OFFICIAL, Task, dataset_and_split
from .types import Dataset, Floor, Head, Reading


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        models: Names, hub ids or folders; floors among them.
        tasks: Task or group names.
        curricula: Texts; empty for each task's own.
        datasets: Evaluation datasets; empty for each task's own.
        seeds: Empty for each task's own.
        head: A head's name; None for each task's own.
        overrides: Recipe settings over the tasks'.
        limit_train: Rows a stage trains on, at most.
        limit_eval: Rows a cell is scored on, at most.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    curricula: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    head: str | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    limit_train: int | None = None
    limit_eval: int | None = None


@dataclass(frozen=True)
class Stage:
    """One fine-tuning run on one mixture.

    Attributes:
        id: A hash of the names below: the same stage asked for twice is one.
        model: The base model's name.
        head: The head's name.
        curriculum: The whole chain up to this stage, such as ``stsb:korsts``.
        mixture: The datasets that this stage trains on.
        split: Of those datasets.
        parent: The id of the stage that it starts from; None for the base model.
        recipe: Its hyper-parameters.
        seed: Of the data order, the dropout and the head's initial weights.
        limit: Rows to train on, at most.
    """

    id: str
    model: str
    head: str
    curriculum: str
    mixture: tuple[str, ...]
    split: str
    parent: str | None
    recipe: Recipe
    seed: int
    limit: int | None

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.model} {self.head} {self.curriculum} seed {self.seed}"


def chain_of(stage_id: str | None, stages: Mapping[str, Stage]) -> list[Stage]:
    """A stage and those before it, the first one first; none for the frozen encoder.

    Args:
        stage_id: Its id.
        stages: By id.
    """
    chain: list[Stage] = []
    while stage_id is not None:
        chain.append(stages[stage_id])
        stage_id = chain[-1].parent
    return chain[::-1]


@dataclass(frozen=True)
class Cell:
    """One score to get: model x task x head x curriculum x reading x evaluation dataset x seed.

    A floor stands for model and head alike, and has nothing to train: its curriculum is ``none``, its seed 0, and its
    recipe says nothing.

    Attributes:
        task: The task's name.
        model: The model's name, or the floor's.
        head: The head's name, or the floor's.
        curriculum: Its text; ``none`` for the frozen encoder.
        reading: How the head's outputs are read.
        fit: The dataset and split that the reading is fitted on; None where it needs none.
        metrics: Metrics by name, the dataset's official scorers among them where the task asks for them.
        dataset: The evaluation dataset.
        split: Of that dataset.
        seed: The seed of every stage of the curriculum.
        stage: The id of the last stage; None for the frozen encoder.
        transfer: ``zero-shot``, ``in-language``, ``mixed``, ``frozen`` or ``floor``.
        recipe: The hyper-parameters.
        limit_train: Rows that each stage trains on, at most.
        limit_eval: Rows to score, at most; of each split that the checkpoint is chosen on as well.
        chosen_on: The rows that the checkpoint is chosen on; none where it takes none.
    """

    task: str
    model: str
    head: str
    curriculum: str
    reading: str
    fit: tuple[str, str] | None
    metrics: tuple[str, ...]
    dataset: str
    split: str
    seed: int
    stage: str | None
    transfer: str
    recipe: Recipe
    limit_train: int | None
    limit_eval: int | None
    chosen_on: tuple[Dev, ...] = ()

    @property
    def is_floor(self) -> bool:
        """Whether no encoder is needed."""
        return self.transfer == FLOOR

    @property
    def selection(self) -> str:
        """How the checkpoint is chosen; where nothing is trained there is only one."""
        return LAST if self.stage is None else self.recipe.selection

    def splits(self, chain: Sequence[Stage]) -> list[tuple[str, str]]:
        """The datasets' splits that it reads: trained on, scored on, fitted on, and chosen by.

        Args:
            chain: Its stage and those before it.
        """
        trained = [(name, stage.split) for stage in chain for name in stage.mixture]
        fitted = [] if self.fit is None else [self.fit]
        return [*trained, (self.dataset, self.split), *fitted, *((one.dataset, one.split) for one in self.chosen_on)]

    def dev_cells(self) -> list[Cell]:
        """What a candidate is scored on to choose among them, as cells of their own; the same for all that share it."""
        return [
            replace(self, dataset=one.dataset, split=one.split, metrics=(one.metric,), transfer="", chosen_on=())
            for one in self.chosen_on
        ]

    @property
    def label(self) -> str:
        """For people."""
        reading = "" if self.reading == Reading().name else f" {self.reading}"
        where = f"{self.dataset}/{self.split}"
        if self.is_floor:
            return f"{self.task}: {self.model} -> {where}"
        return f"{self.task}: {self.model} {self.head} {self.curriculum}{reading} -> {where} seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """Stages, each after its parent, and the cells that read them.

    Attributes:
        stages: Each once.
        cells: Each once.
        left_out: A line for each task asked for that has nothing to do here, while others have, and for each task and
            floor that does not take some of its datasets.
    """

    stages: tuple[Stage, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """For ``--dry-run --json``."""
        return {
            "stages": [{**vars(stage), "recipe": stage.recipe.values()} for stage in self.stages],
            "cells": [{**vars(cell), "recipe": {} if cell.is_floor else cell.recipe.values()} for cell in self.cells],
        }


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
    able = [task for task in tasks if any(not head.needs_training for head in _heads(task, planner.registry))]
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
                _check_takes(floor, dataset, split)
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
            asked_by = "--train" if self.request.curricula else task.path
            trained = [self.registry.datasets.get(name, asked_by) for mixture in curriculum for name in mixture]
            _check_compatible(head, [(dataset, task.train_split) for dataset in trained], evals)
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
            for reading in _readings(task, head):
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
        _check_names(task, self.registry)
        return [self._dataset(text, task.eval_split, task) for text in self.request.datasets or task.eval]

    def _dataset(self, text: str, split: str, task: Task) -> tuple[Dataset, str]:
        name, split = dataset_and_split(text, split)
        return self.registry.datasets.get(name, "--eval" if self.request.datasets else task.path), split

    def _fit(self, task: Task, head: Head, reading: Reading, dataset: Dataset) -> tuple[str, str]:
        """What a reading is fitted on, as the task names it."""
        text = task.fit.get(dataset.name) or task.fit.get("*")
        if text is None:
            raise UserError(
                f"{task.path}: the reading {reading.name} is fitted on data that the task does not name: "
                f'add [fit] with {dataset.name} = "DATASET"'
            )
        fitted, split = self._dataset(text, task.train_split, task)
        _check_takes(head, fitted, split, f"{task.path}: [fit] {text}: ")
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
        heads = _heads(task, self.registry)
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


def _heads(task: Task, registry: Registry) -> list[Head]:
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
    others = {key for one in _heads(task, registry) for key in one.options}
    ignored = frozenset(others - set(head.options))
    where = f"{task.path} [recipe]"
    refuse_idle(task.recipe, build_recipe(task.recipe, where, head.options, ignored), where)
    overrides = overrides or {}
    build_recipe(overrides, "--set", head.options, ignored)
    recipe = build_recipe({**task.recipe, **overrides}, "recipe", head.options, ignored)
    refuse_idle(overrides, recipe, "--set")
    return recipe


def _readings(task: Task, head: Head) -> list[Reading]:
    """The readings that a task takes of a head.

    Raises:
        UserError: It names one that the head does not have.
    """
    known = {reading.name: reading for reading in head.readings}
    for name in task.readings:
        if name not in known:
            raise UserError(f"{task.path}: the head {head.name} has no reading {name!r}{did_you_mean(name, known)}")
    return [known[name] for name in task.readings or known]


def _check_names(task: Task, registry: Registry) -> None:
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


def _check_takes(head: Head | Floor, dataset: Dataset, split: str, where: str = "") -> None:
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


def _check_compatible(
    head: Head, trained_on: Sequence[tuple[Dataset, str]], evaluated_on: Sequence[tuple[Dataset, str]]
) -> None:
    """Splits are there, the head takes the schemas, and what is learned has the form of what is asked.

    Raises:
        UserError: Something does not fit.
    """
    for dataset, split in (*trained_on, *evaluated_on):
        _check_takes(head, dataset, split)
    trained, everything = [one for one, _ in trained_on], [one for one, _ in (*trained_on, *evaluated_on)]
    for other in trained[1:]:
        if other.score_range != trained[0].score_range:
            raise UserError(f"{trained[0].name} and {other.name} have different score ranges: they do not mix")
    for other in everything[1:]:
        if other.labels != everything[0].labels:
            raise UserError(f"{everything[0].name} and {other.name} have different labels: they do not fit one head")
