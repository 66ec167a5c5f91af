"""A plan: the stages and cells of a request, pure data made from names alone, so that no file is needed to plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .curriculum import FLOOR
from .recipe import LAST, Recipe
from .selection import Dev
from .types import Reading


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
