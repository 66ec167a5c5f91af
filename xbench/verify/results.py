"""What is held against claims and numbers: the results of one cell, from records or as published."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..curriculum import Curriculum, parse_curriculum, transfer
from ..errors import UserError
from ..keys import canonical
from ..leaderboard.cells import by_seed, peeks, trained_on
from ..leaderboard.table import selection_of
from ..recipe import EXECUTION_ONLY, SELECTION_ONLY
from ..registry import Registry
from .anchors import Anchor

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """One cell's results, one a seed; or a published cell's.

    Attributes:
        model: The model's name, with its revision behind ``@`` where it has one.
        model_name: The name alone.
        task: The task.
        head: The head.
        curriculum: Its text.
        chain: The same, parsed, so that ``a+b`` and ``b+a`` are one.
        reading: The head's reading.
        dataset: The evaluation dataset.
        split: Its split.
        transfer: ``zero-shot``, ``in-language``, ``mixed``, ``frozen`` or another word.
        languages: Of the training datasets, in order, each once; then of the evaluation dataset.
        scores: By name, one a seed.
        setup: What two cells must share to be compared: the model, limits, head, recipe and the like.
        scored_on: The rows, and the metrics' versions.
        seeds: Which ones.
        limits: Rows at most for ``train`` and ``eval``; None where all were used.
        sample: Whether its datasets are sample corpora.
        recipe: Hyper-parameters.
        selection: How the checkpoint was chosen; empty for a published cell.
        peeks: Why that took more knowledge than others have, as in `xbench.leaderboard.cells.TableCell`.
        records: One a seed; none for a published cell.
    """

    model: str
    model_name: str
    task: str
    head: str
    curriculum: str
    chain: Curriculum
    reading: str
    dataset: str
    split: str
    transfer: str
    languages: tuple[tuple[str, ...], str]
    scores: Mapping[str, tuple[float, ...]]
    setup: str
    scored_on: str
    seeds: tuple[int, ...] = ()
    limits: Mapping[str, int | None] = field(default_factory=lambda: {"train": None, "eval": None})
    sample: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    selection: str = ""
    peeks: str = ""
    records: tuple[Record, ...] = ()

    def mean(self, score: str) -> float | None:
        """The mean over the seeds, None where the score is not there or, for some seed, not defined."""
        values = self.scores.get(score)
        return math.fsum(values) / len(values) if values else None


def from_records(records: Iterable[Record]) -> list[Result]:
    """Put the seeds of each cell together; whatever else differs makes another result.

    Args:
        records: Finished ones, in any order; of several of one seed the leaderboard's stands.

    Returns:
        In the order of tasks, models, curricula and datasets.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        own = canonical([record["curriculum"], trained_on(record["train"]), record["fit"]])
        groups.setdefault((_setup(record), own, _scored_on(record)), []).append(record)
    results = [
        _result(setup, scored_on, tuple(found[-1] for found in by_seed(group).values()))
        for (setup, _, scored_on), group in groups.items()
    ]
    return sorted(results, key=lambda one: (one.task, one.model, one.curriculum, one.dataset, one.reading, one.setup))


def _setup(record: Record) -> str:
    names = ("task", "task_version", "model", "head", "head_version", "reading", "limits", "sample", "selection")
    left_out = EXECUTION_ONLY | SELECTION_ONLY
    recipe = {name: value for name, value in record["recipe"].items() if name not in left_out}
    chosen = [selection_of(record)] if "selected" in record else []
    return canonical([*(record[name] for name in names), recipe, *chosen])


def _scored_on(record: Record) -> str:
    return canonical([record["eval"], record["metric_version"]])


def _result(setup: str, scored_on: str, ordered: tuple[Record, ...]) -> Result:
    first = ordered[0]
    name, revision = first["model"]["name"], first["model"]["revision"]
    scores = {}
    for score in first["scores"]:
        values = [record["scores"].get(score) for record in ordered]
        if all(value is not None for value in values):
            scores[score] = tuple(float(value) for value in values)
    return Result(
        model=f"{name}@{revision[:12]}" if revision and "@" not in name else name, model_name=name,
        task=first["task"], head=first["head"], curriculum=first["curriculum"],
        chain=parse_curriculum(first["curriculum"]), reading=first["reading"],
        dataset=first["eval"]["dataset"], split=first["eval"]["split"], transfer=first["transfer"],
        languages=(tuple(dict.fromkeys(part["language"] for part in first["train"])), first["eval"]["language"]),
        scores=scores, setup=setup, scored_on=scored_on, seeds=tuple(record["seed"] for record in ordered),
        limits=first["limits"], sample=first["sample"], recipe=first["recipe"],
        selection=first["selection"], peeks=peeks(first), records=ordered,
    )  # fmt: skip


def from_anchors(anchors: Iterable[Anchor], registry: Registry) -> list[Result]:
    """Published cells as results, so that claims can be asked of them too.

    A number of which the source leaves something open, and one of a dataset that is not installed, is left out.

    Args:
        anchors: The numbers.
        registry: Knows the datasets' languages.
    """
    cells: dict[tuple[str, str, str, str], list[Anchor]] = {}
    for anchor in anchors:
        if anchor.ways == 1:
            table = anchor.table
            cells.setdefault((table.publication, table.task, anchor.curricula[0], anchor.dataset), []).append(anchor)
    results = []
    for numbers in cells.values():
        languages = _languages(numbers[0], registry)
        if languages is not None:
            results.append(_published(numbers, languages))
    return results


def _languages(anchor: Anchor, registry: Registry) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Of what was trained on and of what was scored."""
    try:
        trained = [name for mixture in anchor.chains[0] for name in mixture]
        languages = tuple(dict.fromkeys(code for name in trained for code in registry.datasets.get(name).languages))
        return languages, registry.datasets.get(anchor.dataset).languages
    except UserError:
        return None


def _published(numbers: Sequence[Anchor], languages: tuple[tuple[str, ...], tuple[str, ...]]) -> Result:
    first, table = numbers[0], numbers[0].table
    return Result(
        model=table.model, model_name=table.model, task=table.task, head=table.head, curriculum=first.curricula[0],
        chain=first.chains[0], reading=table.readings[0], dataset=first.dataset, split=table.splits[0],
        transfer=transfer(*languages), languages=(languages[0], "-".join(languages[1])),
        scores={score: (float(value),) for number in numbers for score, value in number.scores.items()},
        setup=canonical([table.publication, table.model, table.task, table.head]),
        scored_on=canonical([first.dataset, table.splits[0]]),
    )  # fmt: skip
