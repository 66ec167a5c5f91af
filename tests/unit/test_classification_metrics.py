"""Accuracy, macro F1 and Matthews' correlation are what their definitions say, written out a second time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.sentiment.metrics import METRICS, accuracy, macro_f1, matthews

from xbench.measures import MetricContext
from xbench.types import Dataset


def about(labels: int) -> MetricContext:
    names = tuple(f"label {index}" for index in range(labels))
    return MetricContext(Dataset("made-up", ("en",), "text-label", {}, "CC0", "me", "", "", labels=names), [])


@st.composite
def drawn(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    labels = draw(st.integers(2, 5))
    label = st.integers(0, labels - 1)
    pairs = draw(st.lists(st.tuples(label, label), min_size=1, max_size=40))
    return [said for said, _ in pairs], [gold for _, gold in pairs], labels


@given(case=drawn())
def test_accuracy_is_the_share_of_right_labels(case: tuple[list[int], list[int], int]) -> None:
    said, gold, labels = case
    right = sum(one == other for one, other in zip(said, gold, strict=True))
    assert accuracy(said, gold, about(labels))["accuracy"] == pytest.approx(100 * right / len(gold))


@given(case=drawn())
def test_macro_f1_is_the_mean_over_the_labels_that_occur(case: tuple[list[int], list[int], int]) -> None:
    said, gold, labels = case
    scores = []
    for label in sorted({*said, *gold}):
        true = sum(one == other == label for one, other in zip(said, gold, strict=True))
        precision = true / max(1, said.count(label))
        recall = true / max(1, gold.count(label))
        scores.append(2 * precision * recall / (precision + recall) if true else 0.0)
    assert macro_f1(said, gold, about(labels))["macro_f1"] == pytest.approx(100 * sum(scores) / len(scores))


@given(case=drawn())
def test_matthews_is_the_correlation_of_the_labels_indicators(case: tuple[list[int], list[int], int]) -> None:
    said, gold, labels = case
    one, other = (np.eye(labels)[np.array(values)] for values in (said, gold))  # (rows, labels)
    one, other = one - one.mean(0), other - other.mean(0)
    scale = (one * one).sum() * (other * other).sum()
    expected = (one * other).sum() / np.sqrt(scale) if scale > 1e-12 else 0.0
    assert matthews(said, gold, about(labels))["matthews"] == pytest.approx(100 * expected, abs=1e-9)


def test_matthews_of_two_labels_is_pearsons_correlation() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 2, 200)
    said = np.where(generator.random(200) < 0.8, gold, 1 - gold)
    expected = 100 * np.corrcoef(said, gold)[0, 1]
    assert matthews(said.tolist(), gold.tolist(), about(2))["matthews"] == pytest.approx(expected)


def test_what_can_be_counted_by_hand() -> None:
    """Of four reviews three are right: of the two negative ones one was said to be positive."""
    said, gold = [0, 1, 1, 1], [0, 0, 1, 1]
    assert accuracy(said, gold, about(2)) == {"accuracy": 75.0}
    assert macro_f1(said, gold, about(2))["macro_f1"] == pytest.approx(100 * (2 / 3 + 4 / 5) / 2)
    assert matthews(said, gold, about(2))["matthews"] == pytest.approx(100 / 3**0.5)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_perfect_predictions_reach_what_is_said_to_be_the_best(metric: object) -> None:
    gold = [0, 1, 2, 1, 0]
    assert metric.compute(gold, gold, about(3)) == pytest.approx(metric.best)  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [0, 1])
def test_one_label_for_all_is_right_by_its_share_alone(value: int) -> None:
    said, gold = [value] * 4, [0, 1, 1, 1]
    assert accuracy(said, gold, about(2))["accuracy"] == (75.0 if value else 25.0)
    assert matthews(said, gold, about(2))["matthews"] == 0.0


def test_no_rows_are_no_error() -> None:
    assert accuracy([], [], about(2)) == {"accuracy": 0.0}
    assert macro_f1([], [], about(2)) == {"macro_f1": 0.0}
    assert matthews([], [], about(2)) == {"matthews": 0.0}
