"""What a stage's and a cell's content keys are made of; the same for work to do and for a record that tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .keys import content_key
from .recipe import LAST
from .training import TRAINING_VERSION
from .types import Dataset, Scalar

Versioned = tuple[str, int]
"""A head's, a floor's, a task's, a metric's or a diagnostic's name, and its version."""


class ChosenOn(NamedTuple):
    """Rows that a checkpoint is chosen on.

    Attributes:
        dataset: The dataset.
        split: Of it.
        rows: The sha256 of the split's rows.
        limit: Rows to score, at most; None where all of them are.
        metric: Whose first score counts.
    """

    dataset: str
    split: str
    rows: str
    limit: int | None
    metric: Versioned


class Selection(NamedTuple):
    """How a cell's checkpoint is chosen.

    Attributes:
        protocol: ``last``, ``source-dev``, ``average`` or ``oracle``.
        candidates: How many checkpoints it is chosen from.
        chosen_on: By what.
    """

    protocol: str = LAST
    candidates: int = 1
    chosen_on: Sequence[ChosenOn] = ()

    def content(self) -> Any:
        """As it enters a key. The last checkpoint is the same, however many others are kept."""
        if self.protocol == LAST:
            return LAST
        chosen_on = [[*one[:-1], list(one.metric)] for one in self.chosen_on]
        return {"protocol": self.protocol, "candidates": self.candidates, "chosen_on": chosen_on}


@dataclass(frozen=True)
class Scored:
    """What a cell is scored on, and by what.

    Attributes:
        task: The task.
        dataset: The evaluation dataset and its split.
        rows: The sha256 of the split's rows.
        limit: Rows to score, at most; None where all of them are.
        metrics: In the cell's order.
    """

    task: Versioned
    dataset: tuple[str, str]
    rows: str
    limit: int | None
    metrics: Sequence[Versioned]

    def content(self) -> dict[str, Any]:
        """As it enters a key."""
        return {
            "task": list(self.task), "dataset": list(self.dataset), "rows": self.rows, "limit": self.limit,
            "metrics": [list(metric) for metric in self.metrics],
        }  # fmt: skip


def stage_key(
    base: Mapping[str, str], rows: Sequence[str], head: Versioned, seed: int, limit: int | None, first: Dataset,
    recipe: Mapping[str, Scalar], training: int = TRAINING_VERSION,
) -> str:  # fmt: skip
    """The content key of a stage: the same work has the same key, whoever asks for it.

    Args:
        base: The base model's identity as ``model``, or the key of the stage before as ``parent``.
        rows: The sha256 of each dataset's rows, in the mixture's order.
        head: The head.
        seed: Of the training.
        limit: Rows to train on, at most; None where all of them are.
        first: The mixture's first dataset, for what the head learns to say.
        recipe: `Recipe.training_identity`.
        training: The version of the training code.

    Returns:
        64 hexadecimal digits.
    """
    content = {
        **base, "rows": list(rows), "head": list(head), "seed": seed, "limit": limit, "labels": first.labels,
        "score_range": first.score_range, "recipe": recipe, "training": training,
    }  # fmt: skip
    return content_key("stage", content)


def floor_key(floor: Versioned, scored: Scored) -> str:
    """The content key of a floor's cell."""
    return content_key("floor", {"floor": list(floor), **scored.content()})


def cell_key(
    scored: Scored, base: str, model: str, head: Versioned, curriculum: str, reading: str,
    fit: tuple[str, str, str, int | None] | None, seed: int, decoding: Mapping[str, Scalar],
    diagnostics: Sequence[Versioned], selection: Selection = Selection(),  # noqa: B008  # a tuple of constants
) -> str:  # fmt: skip
    """The content key of an encoder's cell.

    Args:
        scored: What it is scored on.
        base: The last stage's key; the model's identity where there is none.
        model: The model's name.
        head: The head.
        curriculum: Its text.
        reading: How the head's outputs are read.
        fit: What the reading is fitted on: dataset, split, the rows' sha256, and how many of them at most.
        seed: Of every stage.
        decoding: `Recipe.decoding_identity`.
        diagnostics: The task's, in its order.
        selection: How the checkpoint was chosen.

    Returns:
        64 hexadecimal digits.
    """
    content = {
        **scored.content(), "base": base, "model": model, "head": list(head), "curriculum": curriculum,
        "reading": reading, "fit": None if fit is None else list(fit), "selection": selection.content(), "seed": seed,
        "decoding": decoding, "diagnostics": [list(diagnostic) for diagnostic in diagnostics],
    }  # fmt: skip
    return content_key("cell", content)
