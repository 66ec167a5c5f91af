"""Metrics of reading comprehension: F1 and exact match x100, as the publishers' scripts print them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from xbench.api import Metric, MetricContext, UserError

from .scorers import KORQUAD, MLQA_LANGUAGES, SQUAD, Scorer, mlqa

BEST = {"f1": 100.0, "exact_match": 100.0}


def scorer_of(metric: str, about: MetricContext) -> Scorer:
    """The scorer behind a metric's name, for the language of a dataset's contexts.

    Raises:
        UserError: MLQA's scorer does not know the language.
    """
    if metric != "mlqa":
        return {"squad": SQUAD, "korquad": KORQUAD}[metric]
    language = about.dataset.languages[0]
    if language not in MLQA_LANGUAGES:
        raise UserError(
            f"the metric mlqa does not know the language {language} of {about.dataset.name}, "
            f"only {', '.join(MLQA_LANGUAGES)}"
        )
    return mlqa(language)


def score(
    predictions: Sequence[str | None], references: Sequence[Sequence[str]], about: MetricContext, metric: str
) -> Mapping[str, float]:
    """Mean F1 and exact match x100, each the best over a question's references.

    Args:
        predictions: One text a question; None where it was not answered, which scores 0.
        references: The gold answers of each question.
        about: For the language of the dataset's contexts.
        metric: ``squad``, ``korquad`` or ``mlqa``.
    """
    scorer = scorer_of(metric, about)
    f1 = exact = 0.0
    # Added one by one, as the published scripts do: numpy's pairwise sum differs in the last digit.
    for prediction, texts in zip(predictions, references, strict=True):
        if prediction is not None:
            best = scorer.best(prediction, texts)
            f1, exact = f1 + best[0], exact + best[1]
    count = max(1, len(references))
    return {"f1": 100.0 * f1 / count, "exact_match": 100.0 * exact / count}


def resample(
    predictions: Sequence[str | None], references: Sequence[Sequence[str]], about: MetricContext, metric: str
) -> Callable[..., Mapping[str, Any]]:
    """The means of weighted questions.

    Args:
        predictions: One text a question; None where it was not answered, which scores 0.
        references: The gold answers of each question.
        about: For the language of the dataset's contexts.
        metric: ``squad``, ``korquad`` or ``mlqa``.
    """
    from xbench.api import resample_means  # needs numpy

    scorer = scorer_of(metric, about)
    pairs = [
        (0.0, 0.0) if prediction is None else scorer.best(prediction, texts)
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    return resample_means({name: [100.0 * pair[place] for pair in pairs] for place, name in enumerate(BEST)})


def _metric(name: str, description: str) -> Metric:
    compute: Callable[..., Mapping[str, float]] = partial(score, metric=name)
    return Metric(
        name, 1, compute, description, BEST, dict.fromkeys(BEST, 0.0), unanswered=True, schemas=("span",),
        resample=partial(resample, metric=name), chance=lambda references, about: dict.fromkeys(BEST, 0.0),
    )  # fmt: skip


METRICS = [
    _metric("squad", "F1 over words and exact match, as SQuAD v1.1's evaluate-v1.1.py (Rajpurkar et al., 2016)."),
    _metric("korquad", "F1 over characters and exact match, as KorQuAD v1.0's evaluate-v1.0.py (Lim et al., 2019)."),
    _metric(
        "mlqa",
        "F1 over words (Chinese: characters) and exact match with each language's articles and all punctuation left "
        "out, as mlqa_evaluation_v1.py (Lewis et al., 2020).",
    ),
]
