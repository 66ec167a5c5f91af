"""Draws of scores: the same resamples for the same rows, weighted scores equal to those of repeated rows, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from xbench.measures import Metric, MetricContext
from xbench.registry import load_registry
from xbench.sampling import DRAWS, Units, draws_of, resample_means, same_sample, sample_scores
from xbench.scoring import compute_scores
from xbench.types import Dataset, Schema

REGISTRY = load_registry()
RANDOM = np.random.default_rng(5)


def about(dataset: str, rows: Sequence[Mapping[str, Any]]) -> MetricContext:
    return MetricContext(REGISTRY.datasets.get(dataset), rows)


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"id": str(number)} for number in range(count)]


def sts_case(count: int = 90) -> tuple[list[Any], list[Any], MetricContext]:
    gold = RANDOM.integers(0, 26, count) / 5  # with many ties, as STS has them
    said = np.round(gold + RANDOM.normal(0, 1, count), 1)
    return said.tolist(), gold.tolist(), about("stsb", numbered(count))


def label_case(count: int = 80) -> tuple[list[Any], list[Any], MetricContext]:
    gold = RANDOM.integers(0, 2, count)
    said = np.where(RANDOM.random(count) < 0.8, gold, 1 - gold)
    return said.tolist(), gold.tolist(), about("lmrd", numbered(count))


def span_case(count: int = 60) -> tuple[list[Any], list[Any], MetricContext]:
    words = ["the red house", "a red house", "blue", "in 1999", "house of cards"]
    said = [None if RANDOM.random() < 0.1 else words[RANDOM.integers(5)] for _ in range(count)]
    gold = [[words[RANDOM.integers(5)], words[RANDOM.integers(5)]] for _ in range(count)]
    rows = [{"id": str(place), "context": f"passage {place // 7}"} for place in range(count)]
    return said, gold, about("squad", rows)


def parallel_case(count: int = 50) -> tuple[list[Any], list[Any], MetricContext]:
    names = ("cosine", "shuffled", "forward", "backward", "csls_forward", "csls_backward")
    said = [dict(zip(names, RANDOM.random(6).tolist(), strict=True)) for _ in range(count)]
    return said, [""] * count, about("stsb-korsts", numbered(count))


CASES = {
    "spearman": sts_case, "pearson": sts_case, "accuracy": label_case, "macro-f1": label_case, "matthews": label_case,
    "squad": span_case, "korquad": span_case, "mlqa": span_case, "mean-cosine": parallel_case,
    "shuffled-cosine": parallel_case, "retrieval": parallel_case,
}  # fmt: skip


def test_every_metric_is_tried() -> None:
    assert {metric.name for metric in REGISTRY.metrics} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_weighted_scores_are_those_of_repeated_rows(name: str) -> None:
    metric = REGISTRY.metrics.get(name)
    said, gold, context = CASES[name]()
    assert metric.resample is not None
    weights = np.concatenate(list(Units(context.rows, REGISTRY.schemas.get(context.dataset.schema)).weights(20)))
    weighted = metric.resample(said, gold, context)(weights)
    for draw, counts in enumerate(weights.astype(int)):
        places = np.repeat(np.arange(len(said)), counts).tolist()
        repeated = metric.compute([said[i] for i in places], [gold[i] for i in places], context)
        assert weighted.keys() == repeated.keys()
        for score, value in repeated.items():
            assert weighted[score][draw] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", ["spearman", "pearson"])
def test_of_draws_that_hold_one_row_alone_there_is_no_correlation(name: str) -> None:
    """Three times 0.1 is not 0.3, so that its mean is not 0.1: what is left by rounding is no variance."""
    metric, context = REGISTRY.metrics.get(name), about("stsb", numbered(3))
    assert metric.resample is not None
    said, gold = [0.1, 0.7, 0.4], [0.2, 1e6 + 0.1, 0.8]
    sampler = metric.resample(said, gold, context)
    weights = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3], [1, 1, 1], [0, 1, 2]], np.float64)
    found = sampler(weights)[name]
    assert np.isnan(found[:3]).all()
    assert found[3:] == pytest.approx([metric.compute(said, gold, context)[name], 100.0], abs=1e-6)


def test_a_metric_that_knows_no_weights_is_computed_for_every_draw() -> None:
    def largest(predictions: Sequence[float], references: Sequence[Any], about: MetricContext) -> Mapping[str, float]:
        assert len(about.rows) == len(predictions) == len(references)
        return {"largest": max(predictions), "mean": sum(predictions) / len(predictions)}

    said, gold, context = sts_case(30)
    schema = REGISTRY.schemas.get("pair-score")
    metrics = [Metric("largest", 1, largest, "")]
    record = as_record(metrics, said, gold, context, schema)
    mean = Metric("mean", 1, largest, "", resample=lambda said, gold, about: resample_means({"mean": said}))
    other = as_record([mean], said, gold, context, schema)
    np.testing.assert_allclose(draws_of(record, "mean"), draws_of(other, "mean"), atol=1e-3)
    found = draws_of(record, "largest")
    assert found is not None
    assert max(found) == pytest.approx(max(said), abs=1e-3)


def as_record(
    metrics: Sequence[Metric], said: Sequence[Any], gold: Sequence[Any], context: MetricContext, schema: Schema
) -> dict[str, Any]:
    scores = compute_scores(metrics, said, gold, context)
    sampling = sample_scores(metrics, said, gold, context, schema, scores)
    return {"scores": scores, "sampling": sampling, "eval": {"rows_sha256": "1"}}


def test_the_same_rows_are_always_drawn_alike() -> None:
    schema = REGISTRY.schemas.get("pair-score")
    first, second = (np.concatenate(list(Units(numbered(50), schema).weights(30))) for _ in range(2))
    assert (first == second).all()
    assert (first.sum(1) == 50).all()
    # These very draws stand in published records: other ones would be another scheme.
    assert first[0, :12].astype(int).tolist() == GOLDEN


GOLDEN = [0, 1, 1, 1, 1, 0, 0, 2, 2, 1, 0, 0]


def test_draws_are_those_of_a_bootstrap() -> None:
    """Each row's count is binomial: mean 1, variance 1 - 1/n; counts of two rows have the covariance -1/n."""
    weights = np.concatenate(list(Units(numbered(40), REGISTRY.schemas.get("pair-score")).weights(20_000)))
    assert weights.mean() == pytest.approx(1)
    assert weights.var(0).mean() == pytest.approx(1 - 1 / 40, rel=0.01)
    assert np.cov(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(-1 / 40, abs=0.025)
    observed = np.bincount(weights.astype(int).ravel(), minlength=10)[:6]
    expected = stats.binom(40, 1 / 40).pmf(range(6)) * weights.size
    assert np.abs(observed / expected - 1).max() < 0.03


def test_rows_of_one_passage_are_drawn_together() -> None:
    _, _, context = span_case()
    units = Units(context.rows, REGISTRY.schemas.get("span"))
    assert (units.count, units.of_row[:8].tolist()) == (9, [0] * 7 + [1])
    weights = np.concatenate(list(units.weights(50)))
    for passage in range(9):
        assert (np.ptp(weights[:, units.of_row == passage], axis=1) == 0).all()
    assert (weights[:, ::7].sum(1) == 9).all()


def test_who_the_rows_are_and_how_they_cluster_belong_to_the_sample() -> None:
    said, gold, context = sts_case(30)
    schema, metrics = REGISTRY.schemas.get("pair-score"), [REGISTRY.metrics.get("spearman")]
    first = as_record(metrics, said, gold, context, schema)
    assert same_sample(first, as_record(metrics, said[::-1], gold, context, schema))
    fewer = MetricContext(context.dataset, context.rows[:-1])
    assert not same_sample(first, as_record(metrics, said[:-1], gold[:-1], fewer, schema))
    clustered = Schema("x", {}, lambda row: 0, cluster=lambda row: row["id"][:1], unit="group")
    assert not same_sample(first, as_record(metrics, said, gold, context, clustered))
    assert not same_sample(first, {**first, "eval": {"rows_sha256": "2"}})
    assert not same_sample(first, {**first, "sampling": None})


def test_draws_come_back_from_a_record_to_sixteen_bits() -> None:
    said, gold, context = sts_case(200)
    metric, schema = REGISTRY.metrics.get("spearman"), REGISTRY.schemas.get("pair-score")
    record = as_record([metric], said, gold, context, schema)
    assert metric.resample is not None
    weights = np.concatenate(list(Units(context.rows, schema).weights(DRAWS)))
    exact = metric.resample(said, gold, context)(weights)["spearman"]
    found = draws_of(record, "spearman")
    assert found is not None
    assert len(found) == DRAWS
    assert np.abs(found - exact).max() <= record["sampling"]["scores"]["spearman"]["scale"] / 2 + 1e-12
    own = stats.bootstrap(
        (np.array(said), np.array(gold)), lambda x, y: 100 * stats.spearmanr(x, y).statistic, paired=True,
        vectorized=False, n_resamples=1000, random_state=1,
    )  # fmt: skip
    assert found.std(ddof=1) == pytest.approx(own.standard_error, rel=0.12)


def test_a_score_that_is_mostly_undefined_has_no_draws_and_a_second_opinion_neither() -> None:
    rows = numbered(12)
    context = about("stsb", rows)
    metrics = [REGISTRY.metrics.get(name) for name in ("spearman", "pearson")]
    constant = as_record(metrics, [1.0] * 12, list(range(12)), context, REGISTRY.schemas.get("pair-score"))
    assert constant["sampling"]["scores"] == {}
    assert draws_of(constant, "spearman") is None
    nearly = as_record(metrics, [1.0] * 11 + [2.0], list(range(12)), context, REGISTRY.schemas.get("pair-score"))
    found = draws_of(nearly, "pearson")
    assert found is not None
    assert 0.2 < np.isnan(found).mean() < 0.5  # the one row that differs is left out of 1 in e draws
    said, gold, spans = span_case()
    twice = as_record(
        [REGISTRY.metrics.get(name) for name in ("squad", "mlqa")], said, gold, spans, REGISTRY.schemas.get("span")
    )
    assert twice["scores"].keys() == {"f1", "exact_match", "mlqa:f1", "mlqa:exact_match"}
    assert twice["sampling"]["scores"].keys() == {"f1", "exact_match"}


def test_a_constant_score_has_constant_draws() -> None:
    context = about("lmrd", numbered(20))
    record = as_record(
        [REGISTRY.metrics.get("accuracy")], [1] * 20, [1] * 20, context, REGISTRY.schemas.get("text-label")
    )
    assert draws_of(record, "accuracy") == pytest.approx(np.full(DRAWS, 100.0))


def test_a_record_of_before_has_no_draws() -> None:
    assert draws_of({"scores": {"f1": 1.0}}, "f1") is None


def test_chance_is_what_knowing_nothing_reaches() -> None:
    gold = [0, 0, 0, 1]
    context = about("lmrd", numbered(4))

    def chance(name: str, references: Sequence[Any], about: MetricContext) -> Mapping[str, float]:
        metric = REGISTRY.metrics.get(name)
        assert metric.chance is not None
        return metric.chance(references, about)

    assert chance("accuracy", gold, context) == {"accuracy": 75.0}
    assert chance("macro-f1", gold, context)["macro_f1"] == pytest.approx(100 * (6 / 7) / 2)
    assert chance("matthews", gold, context) == {"matthews": 0.0}
    assert chance("spearman", gold, context) == {"spearman": 0.0}
    assert chance("squad", [["x"]] * 4, context) == {"f1": 0.0, "exact_match": 0.0}
    assert set(chance("retrieval", gold, context).values()) == {25.0}
    assert REGISTRY.metrics.get("mean-cosine").chance is None


def test_datasets_say_what_clusters_their_rows() -> None:
    spans = [one for one in REGISTRY.datasets if one.schema == "span"]
    assert spans
    assert isinstance(spans[0], Dataset)
    assert REGISTRY.schemas.get("span").unit == "passage"
    assert REGISTRY.schemas.get("pair-score").unit == "row"
