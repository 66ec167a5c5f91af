"""Metrics of classification: accuracy and macro F1 in percent, Matthews' correlation x100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xbench.api import Metric, MetricContext

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def confusion(predictions: Sequence[int], references: Sequence[int], about: MetricContext) -> npt.NDArray[np.int64]:
    """How often each label (row) was said to be each label (column).

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.

    Returns:
        (labels, labels)
    """
    import numpy as np

    count = max([len(about.dataset.labels), *(label + 1 for label in (*predictions, *references))])
    places = np.asarray(references, np.int64) * count + np.asarray(predictions, np.int64)
    return np.bincount(places, minlength=count * count).reshape(count, count)  # (labels, labels)


def accuracy(predictions: Sequence[int], references: Sequence[int], about: MetricContext) -> Mapping[str, float]:
    """The share of right labels x100.

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.
    """
    table = confusion(predictions, references, about)
    return {"accuracy": 100.0 * float(table.trace()) / max(1, int(table.sum()))}


def macro_f1(predictions: Sequence[int], references: Sequence[int], about: MetricContext) -> Mapping[str, float]:
    """The mean over labels of F1 x100; a label that is neither given nor predicted is left out, as scikit-learn does.

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.
    """
    table = confusion(predictions, references, about)
    given, predicted = table.sum(1), table.sum(0)  # (labels,) each
    there = (given + predicted) > 0
    scores = 2.0 * table.diagonal()[there] / (given + predicted)[there]
    return {"macro_f1": 100.0 * float(scores.mean()) if len(scores) else 0.0}


def matthews(predictions: Sequence[int], references: Sequence[int], about: MetricContext) -> Mapping[str, float]:
    """Matthews' correlation coefficient x100 in its form for any number of labels (Gorodkin, 2004).

    0 where one side is constant, as scikit-learn has it.

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.
    """
    table = confusion(predictions, references, about).astype(float)
    given, predicted, total = table.sum(1), table.sum(0), table.sum()
    covariance = table.trace() * total - given @ predicted
    scale = (total**2 - predicted @ predicted) * (total**2 - given @ given)
    return {"matthews": 100.0 * float(covariance / scale**0.5) if scale > 0 else 0.0}


_SCHEMAS = ("text-label", "pair-label")
METRICS = [
    Metric("accuracy", 1, accuracy, "The share of right labels, in percent.", {"accuracy": 100.0}, schemas=_SCHEMAS),
    Metric(
        "macro-f1", 1, macro_f1, "The mean over labels of F1, in percent.", {"macro_f1": 100.0}, schemas=_SCHEMAS,
        titles={"macro_f1": "Macro F1"},
    ),
    Metric("matthews", 1, matthews, "Matthews' correlation coefficient x100.", {"matthews": 100.0}, schemas=_SCHEMAS),
]  # fmt: skip
