"""The order of an epoch, and how a batch is cut into pieces."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.training.batching import epoch_order, micro_batches

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32)
LENGTHS = st.lists(st.integers(0, 128), min_size=1, max_size=60).map(lambda values: np.asarray(values, np.int64))
BUDGETS = st.integers(0, 2000)


def counts(order: np.ndarray, sizes: list[int]) -> list[Counter[int]]:
    """How often each example of each dataset is visited."""
    ends = np.cumsum([0, *sizes])
    return [Counter(order[(order >= start) & (order < end)].tolist()) for start, end in itertools.pairwise(ends)]


@given(SIZES, SEEDS, st.integers(0, 9))
def test_alpha_one_visits_each_example_of_the_union_once(sizes: list[int], seed: int, epoch: int) -> None:
    order = epoch_order(sizes, 1.0, seed, epoch)
    assert sorted(order.tolist()) == list(range(sum(sizes)))


@given(st.integers(1, 50), st.floats(0, 1), SEEDS)
def test_a_single_dataset_is_permuted_whatever_alpha_is(size: int, alpha: float, seed: int) -> None:
    assert sorted(epoch_order([size], alpha, seed, 0).tolist()) == list(range(size))


@given(SIZES, st.sampled_from([0.0, 0.3, 0.5, 0.9]), SEEDS)
def test_a_dataset_gets_a_share_in_proportion_to_its_size_to_the_alpha(
    sizes: list[int], alpha: float, seed: int
) -> None:
    order = epoch_order(sizes, alpha, seed, 0)
    assert len(order) == sum(sizes)
    weights = [size**alpha for size in sizes]
    for visited, weight in zip(counts(order, sizes), weights, strict=True):
        assert abs(visited.total() - sum(sizes) * weight / sum(weights)) < 1 + 1e-9


@given(SIZES, st.sampled_from([0.0, 0.5]), SEEDS)
def test_no_example_comes_again_before_all_of_its_dataset_came(sizes: list[int], alpha: float, seed: int) -> None:
    for size, visited in zip(sizes, counts(epoch_order(sizes, alpha, seed, 0), sizes), strict=True):
        rounds, rest = divmod(visited.total(), size)
        assert (
            Counter(visited.values()) == Counter({rounds + 1: rest, rounds: size - rest if rounds else 0}) - Counter()
        )


def test_alpha_zero_and_one_half_give_known_shares() -> None:
    assert [visited.total() for visited in counts(epoch_order([300, 100], 0.0, 5, 0), [300, 100])] == [200, 200]
    # sqrt(400) : sqrt(100) is 2 : 1, and 500 do not divide by 3: what is left over goes to the first.
    assert [visited.total() for visited in counts(epoch_order([400, 100], 0.5, 5, 0), [400, 100])] == [334, 166]


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_order_depends_on_seed_and_epoch(alpha: float) -> None:
    orders = {(seed, epoch): epoch_order([60, 40], alpha, seed, epoch) for seed in (0, 1, 2) for epoch in (0, 1)}
    assert len({order.tobytes() for order in orders.values()}) == 6
    np.random.seed(3)  # numpy's global generator is none of its business
    for (seed, epoch), order in orders.items():
        np.testing.assert_array_equal(epoch_order([60, 40], alpha, seed, epoch), order)


def test_a_mixture_is_mixed_from_the_start() -> None:
    """Not one dataset after the other: the first half of an epoch holds about half of each."""
    for alpha in (0.0, 1.0):
        first_half = epoch_order([500, 500], alpha, 0, 0)[:500]
        assert 200 < (first_half < 500).sum() < 300


@given(LENGTHS, st.integers(1, 3), BUDGETS)
def test_pieces_cover_each_example_once(lengths: np.ndarray, sequences: int, budget: int) -> None:
    pieces = list(micro_batches(lengths, sequences, budget))
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(lengths)))
    assert all(len(piece) for piece in pieces)


@given(LENGTHS, st.integers(1, 3), BUDGETS)
def test_a_piece_stays_under_the_budget_unless_it_is_one_example(
    lengths: np.ndarray, sequences: int, budget: int
) -> None:
    for piece in micro_batches(lengths, sequences, budget):
        assert len(piece) == 1 or len(piece) * sequences * lengths[piece].max() <= budget


@given(LENGTHS, st.integers(1, 3), BUDGETS)
def test_a_piece_takes_as_many_examples_as_fit(lengths: np.ndarray, sequences: int, budget: int) -> None:
    pieces = list(micro_batches(lengths, sequences, budget))
    for piece, following in itertools.pairwise(pieces):
        assert (len(piece) + 1) * sequences * max(1, lengths[piece].max()) > budget
        assert lengths[piece].min() >= lengths[following].max()
