"""``entity-f1``: an entity counts when its words and its type are right, as CoNLL-2003 counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from xbench.api import Metric, MetricContext

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

Tags: TypeAlias = Sequence[str]
SCORES = ("entity_f1", "entity_precision", "entity_recall")


def entities(tags: Tags) -> set[tuple[str, int, int]]:
    """The entities of a sentence: type, first word, and the word behind the last.

    As the shared task's script conlleval reads them: an ``I-`` that goes on with nothing begins an entity too.

    Args:
        tags: ``O``, or ``B-`` or ``I-`` and a type, one a word.
    """
    found: set[tuple[str, int, int]] = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and (prefix != "I" or name != kind):
            found.add((kind, start, place))
            kind = ""
        if prefix != "O" and not kind:
            kind, start = name, place
    return found


def counts(predictions: Sequence[Tags], references: Sequence[Tags]) -> Floats:
    """Count each sentence's entities.

    Args:
        predictions: Tags, one list a row.
        references: The gold tags.

    Returns:
        (rows, 3): those that are right, those said, those there are.
    """
    import numpy as np

    pairs = [(entities(said), entities(gold)) for said, gold in zip(predictions, references, strict=True)]
    return np.asarray([(len(said & gold), len(said), len(gold)) for said, gold in pairs], np.float64)


def scores(totals: Floats) -> dict[str, Floats]:
    """F1, precision and recall over all entities, in percent; 0 where there is nothing to divide by.

    Tjong Kim Sang and De Meulder (2003). Introduction to the CoNLL-2003 Shared Task: Language-Independent Named Entity
    Recognition. doi:10.3115/1119176.1119195

    Args:
        totals: (sets, 3) Counts of several sets of sentences.

    Returns:
        (sets,) by name.
    """
    import numpy as np

    right, said, gold = totals.T
    values = (2 * right / np.maximum(1, said + gold), right / np.maximum(1, said), right / np.maximum(1, gold))
    return {name: 100 * value for name, value in zip(SCORES, values, strict=True)}


def entity_f1(predictions: Sequence[Tags], references: Sequence[Tags], about: MetricContext) -> Mapping[str, float]:
    """Score all sentences together.

    Args:
        predictions: Tags, one list a row.
        references: The gold tags.
        about: Not needed.
    """
    total = counts(predictions, references).sum(0, keepdims=True)  # (1, 3)
    return {name: float(value[0]) for name, value in scores(total).items()}


def resample(
    predictions: Sequence[Tags], references: Sequence[Tags], about: MetricContext
) -> Callable[[Floats], Mapping[str, Floats]]:
    """The same of sentences that are drawn more or less often: intervals are made from a thousand such draws."""
    table = counts(predictions, references)  # (rows, 3)
    return lambda weights: scores(weights @ table)  # (draws, rows) @ (rows, 3)


METRICS = [
    Metric(
        name="entity-f1",
        version=1,
        compute=entity_f1,
        description="F1 of whole entities, their words and their type, as CoNLL-2003 counts them, in percent.",
        best=dict.fromkeys(SCORES, 100.0),
        schemas=("word-tags",),
        titles={"entity_f1": "Entity F1", "entity_precision": "Precision", "entity_recall": "Recall"},
        resample=resample,
        chance=lambda references, about: {"entity_f1": 0.0},
    )
]
