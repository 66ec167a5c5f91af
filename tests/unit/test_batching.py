"""The order of an epoch, and how a batch is cut into pieces."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.training.batching import cut_sorted, epoch_order, micro_batches

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32)
BUDGETS = st.integers(0, 2000)
COSTS = st.integers(0, 200)


def examples(most: int, longest: int) -> st.SearchStrategy[np.ndarray]:
    """(examples, sequences) The lengths of some examples of one, two or three sequences."""
    some = st.integers(1, 3).map(lambda sequences: st.tuples(*[st.integers(0, longest)] * sequences))
    return some.flatmap(lambda one: st.lists(one, min_size=1, max_size=most)).map(lambda rows: np.array(rows, np.int64))


LENGTHS = examples(60, 128)


def tokens(lengths: np.ndarray, packed: bool) -> int:
    """What a piece of these examples holds; without packing, with the padding."""
    return int(lengths.sum() if packed else lengths.size * lengths.max())


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


@given(LENGTHS, st.booleans(), BUDGETS, COSTS)
def test_pieces_cover_each_example_once(lengths: np.ndarray, packed: bool, budget: int, cost: int) -> None:
    pieces = list(micro_batches(lengths, packed, budget, cost))
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(lengths)))
    assert all(len(piece) for piece in pieces)


@given(LENGTHS, st.booleans(), BUDGETS, COSTS)
def test_a_piece_stays_under_the_budget_unless_it_is_one_example(
    lengths: np.ndarray, packed: bool, budget: int, cost: int
) -> None:
    for piece in micro_batches(lengths, packed, budget, cost):
        assert len(piece) == 1 or tokens(lengths[piece], packed) <= budget


@given(LENGTHS, BUDGETS, COSTS)
def test_a_packed_piece_is_filled_as_full_as_it_goes(lengths: np.ndarray, budget: int, cost: int) -> None:
    for piece, following in itertools.pairwise(micro_batches(lengths, True, budget, cost)):
        assert tokens(lengths[[*piece, following[0]]], True) > budget


@given(LENGTHS, st.booleans(), BUDGETS, COSTS)
def test_the_longest_examples_come_first(lengths: np.ndarray, packed: bool, budget: int, cost: int) -> None:
    order = np.concatenate(list(micro_batches(lengths, packed, budget, cost)))
    sizes = lengths[order].sum(1) if packed else lengths[order].max(1)
    assert (np.diff(sizes) <= 0).all()


def partitions(members: Sequence[int]) -> Iterator[list[list[int]]]:
    """All ways to sort members into groups."""
    if not members:
        yield []
        return
    for groups in partitions(members[1:]):
        yield [[members[0]], *groups]
        for at, group in enumerate(groups):
            yield [*groups[:at], [members[0], *group], *groups[at + 1 :]]


@given(examples(6, 20), st.integers(0, 150), st.integers(0, 40))
def test_padded_pieces_cost_the_least_of_all_partitions(lengths: np.ndarray, budget: int, cost: int) -> None:
    """However the examples are put together: padding and piece costs add up to no less."""

    def price(pieces: Sequence[Sequence[int]]) -> int:
        return sum(tokens(lengths[list(piece)], False) + cost for piece in pieces)

    allowed = [
        price(pieces)
        for pieces in partitions(range(len(lengths)))
        if all(len(piece) == 1 or tokens(lengths[piece], False) <= budget for piece in pieces)
    ]
    assert price(list(micro_batches(lengths, False, budget, cost))) == min(allowed)


@given(st.lists(st.integers(0, 40), max_size=10), st.integers(0, 250), st.integers(0, 60))
def test_falling_sizes_are_cut_at_the_least_cost_of_all_cuts(members: list[int], budget: int, cost: int) -> None:
    sizes = np.array(sorted(members, reverse=True), np.int64)

    def price(runs: Sequence[tuple[int, int]]) -> int:
        return sum(int(sizes[start]) * (end - start) + cost for start, end in runs)

    def allowed(runs: Sequence[tuple[int, int]]) -> bool:
        return all(end - start == 1 or sizes[start] * (end - start) <= budget for start, end in runs)

    inner = range(1, len(sizes))
    cuts = [some for count in range(len(sizes)) for some in itertools.combinations(inner, count)] or [()]
    ways = [list(itertools.pairwise([0, *some, len(sizes)])) if len(sizes) else [] for some in cuts]
    runs = cut_sorted(sizes, budget, cost)
    assert runs in ways
    assert allowed(runs)
    assert price(runs) == min(price(way) for way in ways if allowed(way))


def test_a_further_piece_must_be_worth_its_cost() -> None:
    """Two of 10 and two of 1 token: one piece pads 18 tokens more than two do."""
    sizes = np.array([10, 10, 1, 1])
    assert cut_sorted(sizes, 1000, 17) == [(0, 2), (2, 4)]
    assert cut_sorted(sizes, 1000, 19) == [(0, 4)]
    assert cut_sorted(sizes, 39, 19) == [(0, 2), (2, 4)]  # one piece would be 40 tokens
