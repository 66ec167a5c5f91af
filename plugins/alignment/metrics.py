"""What the alignment of sentence embeddings is measured by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from xbench.api import Metric, MetricContext

Sampler: TypeAlias = Callable[..., Mapping[str, Any]]


def mean_cosine(predictions: Sequence[Any], references: Sequence[Any], about: MetricContext) -> Mapping[str, float]:
    """The mean cosine of all pairs, plain.

    Args:
        predictions: A number a row, or a mapping with ``cosine``.
        references: Not needed.
        about: Not needed.
    """
    return {"mean_cosine": _mean(_cosines(predictions))}


def resample_cosine(predictions: Sequence[Any], references: Sequence[Any], about: MetricContext) -> Sampler:
    """The mean cosine of weighted pairs; see `mean_cosine`."""
    from xbench.api import resample_means  # needs numpy

    return resample_means({"mean_cosine": _cosines(predictions)})


def _cosines(predictions: Sequence[Any]) -> list[float]:
    return [one["cosine"] if isinstance(one, Mapping) else one for one in predictions]


def means(
    predictions: Sequence[Mapping[str, float]], references: Sequence[Any], about: MetricContext,
    names: Mapping[str, str], factor: float,
) -> Mapping[str, float]:  # fmt: skip
    """The means of some of what was said of each pair.

    Args:
        predictions: A mapping a row.
        references: Not needed.
        about: Not needed.
        names: A score's name, and that of what it is the mean of.
        factor: What the mean is multiplied by.
    """
    return {score: factor * _mean([one[name] for one in predictions]) for score, name in names.items()}


def resample_some(
    predictions: Sequence[Mapping[str, float]], references: Sequence[Any], about: MetricContext,
    names: Mapping[str, str], factor: float,
) -> Sampler:  # fmt: skip
    """The means of weighted pairs, each among the same others as before; see `means`."""
    from xbench.api import resample_means  # needs numpy

    return resample_means({score: [factor * one[name] for one in predictions] for score, name in names.items()})


def _one_in_all(references: Sequence[Any], about: MetricContext) -> Mapping[str, float]:
    return dict.fromkeys(RETRIEVAL, 100.0 / len(references))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


RETRIEVAL = {
    "p_at_1": "forward", "p_at_1_back": "backward", "csls_p_at_1": "csls_forward", "csls_p_at_1_back": "csls_backward",
}  # fmt: skip
TITLES = {"p_at_1": "P@1", "p_at_1_back": "P@1 back", "csls_p_at_1": "CSLS P@1", "csls_p_at_1_back": "CSLS P@1 back"}
METRICS = [
    Metric(
        "mean-cosine", 1, mean_cosine, "The mean cosine of the pairs.", {"mean_cosine": 1.0},
        schemas=("parallel", "pair-score"), decimals=3, comparable=False,
        resample=resample_cosine,
    ),
    Metric(
        "retrieval", 1, partial(means, names=RETRIEVAL, factor=100.0),
        "P@1 x100: the share of first sentences whose nearest second one is their translation, and back, by cosine and "
        "by CSLS (Conneau et al., 2018).",
        dict.fromkeys(RETRIEVAL, 100.0), dict.fromkeys(RETRIEVAL, 0.0), schemas=("parallel",), titles=TITLES,
        resample=partial(resample_some, names=RETRIEVAL, factor=100.0), chance=_one_in_all,
    ),
    Metric(
        "shuffled-cosine", 1, partial(means, names={"shuffled_cosine": "shuffled"}, factor=1.0),
        "The mean cosine with another pair's translation: the control.", {}, schemas=("parallel",),
        titles={"shuffled_cosine": "Shuffled cosine"}, decimals=3, comparable=False,
        resample=partial(resample_some, names={"shuffled_cosine": "shuffled"}, factor=1.0),
    ),
]  # fmt: skip
