"""The correlations of the STS plugin against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xbench.measures import MetricContext
from xbench.registry import Registry
from xbench.types import Dataset

Pairs = list[tuple[float, float]]
# Multiples of 1/8 are exact, and few enough to tie often.
PAIRS = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 40)), min_size=2, max_size=60).map(
    lambda pairs: [(first / 8, second / 8) for first, second in pairs]
)
NAMES = pytest.mark.parametrize("name", ["spearman", "pearson"])


ABOUT = MetricContext(Dataset("made-up", ("en",), "pair-score", {}, "CC0", "nobody", "", ""), ())


def score(registry: Registry, name: str, pairs: Pairs) -> float:
    predictions, references = zip(*pairs, strict=True)
    return registry.metrics.get(name).compute(list(predictions), list(references), ABOUT)[name]


def average_ranks(values: np.ndarray) -> np.ndarray:
    """The number of smaller values, plus half of the equal ones."""
    return (values[:, None] > values[None, :]).sum(1) + ((values[:, None] == values[None, :]).sum(1) + 1) / 2


def by_definition(name: str, pairs: Pairs) -> float:
    """Covariance over the standard deviations, of the values or of their ranks; x100."""
    columns = [np.asarray(column, np.float64) for column in zip(*pairs, strict=True)]
    if name == "spearman":
        columns = [average_ranks(column) for column in columns]
    first, second = (column - column.mean() for column in columns)
    spread = math.sqrt((first**2).sum() * (second**2).sum())
    return 100 * float((first * second).sum()) / spread if spread else math.nan


@NAMES
@given(pairs=PAIRS)
def test_the_score_is_the_correlation_by_its_definition(registry: Registry, name: str, pairs: Pairs) -> None:
    expected = by_definition(name, pairs)
    assert score(registry, name, pairs) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@NAMES
@given(pairs=PAIRS, value=st.floats(-5, 5))
def test_a_constant_side_has_no_score(registry: Registry, name: str, pairs: Pairs, value: float) -> None:
    assert math.isnan(score(registry, name, [(value, second) for _, second in pairs]))
    assert math.isnan(score(registry, name, [(first, value) for first, _ in pairs]))


@NAMES
@given(pairs=PAIRS, data=st.data())
def test_the_order_of_the_rows_is_no_matter(registry: Registry, name: str, pairs: Pairs, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(pairs))
    assert score(registry, name, shuffled) == pytest.approx(score(registry, name, pairs), abs=1e-9, nan_ok=True)


@NAMES
@given(pairs=PAIRS)
def test_a_perfect_prediction_scores_what_the_metric_says_is_best(registry: Registry, name: str, pairs: Pairs) -> None:
    assume(len({second for _, second in pairs}) > 1)
    best = registry.metrics.get(name).best[name]
    assert score(registry, name, [(second, second) for _, second in pairs]) == pytest.approx(best)
    assert score(registry, name, [(-second, second) for _, second in pairs]) == pytest.approx(-best)


@given(pairs=PAIRS)
def test_spearman_sees_ranks_only(registry: Registry, pairs: Pairs) -> None:
    bent = [(math.exp(first), second) for first, second in pairs]
    expected = score(registry, "spearman", pairs)
    assert score(registry, "spearman", bent) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@NAMES
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_have_no_score(registry: Registry, name: str, count: int) -> None:
    assert math.isnan(registry.metrics.get(name).compute([1.0] * count, [2.0] * count, ABOUT)[name])


@NAMES
def test_a_prediction_that_is_no_number_has_no_score(registry: Registry, name: str) -> None:
    assert math.isnan(score(registry, name, [(math.nan, 1.0), (1.0, 2.0), (2.0, 0.0)]))
