"""Metrics of classification: accuracy and macro F1 in percent, Matthews' correlation x100."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from xbench.api import Metric, MetricContext

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Measure: TypeAlias = Callable[[Floats], Mapping[str, Floats]]


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
    return _of_one(_accuracy, confusion(predictions, references, about))


def macro_f1(predictions: Sequence[int], references: Sequence[int], about: MetricContext) -> Mapping[str, float]:
    """The mean over labels of F1 x100; a label that is neither given nor predicted is left out, as scikit-learn does.

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.
    """
    return _of_one(_macro_f1, confusion(predictions, references, about))


def matthews(predictions: Sequence[int], references: Sequence[int], about: MetricContext) -> Mapping[str, float]:
    """Matthews' correlation coefficient x100 in its form for any number of labels (Gorodkin, 2004).

    0 where one side is constant, as scikit-learn has it.

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.
    """
    return _of_one(_matthews, confusion(predictions, references, about))


def _of_one(measure: Measure, table: npt.NDArray[np.int64]) -> Mapping[str, float]:
    return {name: float(values[0]) for name, values in measure(table[None].astype(float)).items()}


def _accuracy(tables: Floats) -> Mapping[str, Floats]:
    """(tables, labels, labels) confusions to a score each, as all three."""
    import numpy as np

    return {"accuracy": 100.0 * np.trace(tables, axis1=1, axis2=2) / np.maximum(1, tables.sum((1, 2)))}


def _macro_f1(tables: Floats) -> Mapping[str, Floats]:
    import numpy as np

    both = tables.sum(2) + tables.sum(1)  # (tables, labels) given and predicted
    hits = np.diagonal(tables, axis1=1, axis2=2)  # (tables, labels)
    scores = 2.0 * hits / np.where(both > 0, both, 1)
    return {"macro_f1": 100.0 * scores.sum(1) / np.maximum(1, (both > 0).sum(1))}


def _matthews(tables: Floats) -> Mapping[str, Floats]:
    import numpy as np

    given, predicted, total = tables.sum(2), tables.sum(1), tables.sum((1, 2))  # (tables, labels) twice, (tables,)
    covariance = np.trace(tables, axis1=1, axis2=2) * total - (given * predicted).sum(1)
    scale = (total**2 - (predicted**2).sum(1)) * (total**2 - (given**2).sum(1))
    return {"matthews": 100.0 * np.where(scale > 0, covariance / np.sqrt(np.where(scale > 0, scale, 1)), 0.0)}


def resample(
    predictions: Sequence[int], references: Sequence[int], about: MetricContext, measure: Measure
) -> Callable[[Floats], Mapping[str, Floats]]:
    """A measure of weighted rows, from their weighted confusions.

    Args:
        predictions: One label a row.
        references: The gold labels.
        about: For the dataset's labels.
        measure: From confusions, (tables, labels, labels), to scores.
    """
    import numpy as np

    count = len(confusion(predictions, references, about))
    places = np.asarray(references, np.int64) * count + np.asarray(predictions, np.int64)  # (rows,)
    cells = np.eye(count * count)[places]  # (rows, labels * labels)
    return lambda weights: measure((weights @ cells).reshape(-1, count, count))  # (draws, labels, labels)


def always_the_same(references: Sequence[int], about: MetricContext, measure: Measure) -> Mapping[str, float]:
    """What the commonest label reaches, given to every row."""
    import numpy as np

    commonest = int(np.bincount(references).argmax())
    return _of_one(measure, confusion([commonest] * len(references), references, about))


def _metric(name: str, compute: Callable[..., Mapping[str, float]], measure: Measure, score: str, text: str) -> Metric:
    return Metric(
        name, 1, compute, text, {score: 100.0}, {score: 0.0} if score == "accuracy" else {},
        schemas=("text-label", "pair-label"),
        titles={"macro_f1": "Macro F1"} if score == "macro_f1" else {},
        resample=partial(resample, measure=measure), chance=partial(always_the_same, measure=measure),
    )  # fmt: skip


METRICS = [
    _metric("accuracy", accuracy, _accuracy, "accuracy", "The share of right labels, in percent."),
    _metric("macro-f1", macro_f1, _macro_f1, "macro_f1", "The mean over labels of F1, in percent."),
    _metric("matthews", matthews, _matthews, "matthews", "Matthews' correlation coefficient x100."),
]
