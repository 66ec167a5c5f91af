"""How the checkpoint that is scored is chosen, as names and numbers alone.

How much hangs on it is told by Keung et al. (2020), "Don't Use English Dev: On the Zero-Shot Cross-Lingual Evaluation
of Contextual Embeddings", and by Chen and Ritter (2021), "Model Selection for Cross-Lingual Transfer".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .errors import UserError
from .measures import Metric
from .recipe import LAST, Recipe
from .types import Dataset

DEV = "dev"
"""The split that checkpoints are chosen on."""


class Dev(NamedTuple):
    """Rows that checkpoints are chosen on.

    Attributes:
        dataset: The dataset.
        split: Of it.
        metric: Whose first score counts.
    """

    dataset: str
    split: str
    metric: str


def candidate_steps(steps: int, count: int) -> tuple[int, ...]:
    """After which steps a stage keeps its weights: evenly spaced, the last one among them.

    Args:
        steps: Of the whole training.
        count: How many to keep; no more than there are steps.
    """
    count = min(count, steps)
    return tuple(-(-place * steps // count) for place in range(1, count + 1))


def best_candidate(scores: Sequence[Sequence[float | None]]) -> int | None:
    """Which candidate has the highest mean over the datasets that it was scored on; of equal ones the earliest.

    Args:
        scores: By candidate, one a dataset; None where it is not defined.

    Returns:
        Its place; None where no candidate has a score on every dataset.
    """
    means = [_mean(own) for own in scores]
    best = max((mean for mean in means if mean is not None), default=None)
    return None if best is None else means.index(best)


def _mean(scores: Sequence[float | None]) -> float | None:
    defined = [one for one in scores if one is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(scores) else None


def check_candidates(recipe: Recipe) -> None:
    """There is something to choose from.

    Raises:
        UserError: There is not.
    """
    if recipe.selection != LAST and recipe.kept < 2:
        why = "recipe.candidates = 1" if recipe.candidates else f"one an epoch, and recipe.epochs = {recipe.epochs}"
        raise UserError(
            f"recipe.selection = {recipe.selection} has a single checkpoint to choose from ({why}): "
            "keep more, such as with --set recipe.candidates=4"
        )


def dev_of(dataset: Dataset, metrics: Sequence[Metric], train_split: str) -> Dev:
    """The rows of a dataset that checkpoints are chosen on.

    Args:
        dataset: A training dataset, or what is scored.
        metrics: The task's for it, in order: the first of which more is better counts.
        train_split: What the task trains on.

    Raises:
        UserError: It has no such rows, or no score of which more is better.
    """
    if DEV not in dataset.splits:
        raise UserError(f"{dataset.name} has no {DEV} split, only {', '.join(dataset.splits)}")
    if train_split == DEV:
        raise UserError(f"the task trains on the {DEV} split of {dataset.name}")
    metric = next((metric for metric in metrics if metric.comparable), None)
    if metric is None:
        names = ", ".join(metric.name for metric in metrics)
        raise UserError(f"of {names}, a higher score does not mean a better checkpoint")
    return Dev(dataset.name, DEV, metric.name)
