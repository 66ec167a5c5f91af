"""Which examples share a step, in what order, and how a step is cut into pieces that fit the memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

PACK_MULTIPLE = 32
"""A pack's tokens are rounded up to a multiple of this: matrix products are some 4% faster for it."""


def packed_size(tokens: int) -> int:
    """The rows of a pack: its tokens and one spare row at least, see `PACK_MULTIPLE`."""
    return (tokens // PACK_MULTIPLE + 1) * PACK_MULTIPLE


def epoch_order(sizes: Sequence[int], alpha: float, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order in which one epoch visits the examples of a mixture.

    It depends on the numbers of examples, the recipe and the seed, and on nothing else: not on lengths, memory or
    devices. With ``alpha`` 1 the order is a permutation of the union (uniform, as in the paper). Otherwise dataset i
    gets a share in proportion to ``sizes[i] ** alpha`` of the same total, drawn without replacement as long as it
    lasts and then anew.

    Args:
        sizes: Examples of each dataset of the mixture.
        alpha: See above.
        seed: Of the run.
        epoch: From 0.

    Returns:
        (sum of sizes,) Positions in the datasets laid end to end.
    """
    generator = np.random.default_rng([seed, epoch])
    total = int(sum(sizes))
    if alpha == 1 or len(sizes) == 1:
        return generator.permutation(total)
    weights = np.asarray(sizes, np.float64) ** alpha
    shares = np.floor(weights / weights.sum() * total).astype(np.int64)
    shares[: total - int(shares.sum())] += 1  # what rounding left over
    drawn = []
    for size, share, start in zip(sizes, shares, np.cumsum([0, *sizes[:-1]]), strict=True):
        rounds = [generator.permutation(size) for _ in range(-(-int(share) // size))]
        drawn.append(start + np.concatenate(rounds)[:share])
    return generator.permutation(np.concatenate(drawn))


def micro_batches(
    lengths: npt.NDArray[np.int64], packed: bool, budget: int, piece_cost: int = 0
) -> Iterator[npt.NDArray[np.int64]]:
    """Cut one batch into pieces, examples of like length together, with the least work that the budget allows.

    Args:
        lengths: (examples, sequences) The tokens of each sequence.
        packed: Whether a piece runs without padding; otherwise its sequences are all as long as its longest.
        budget: Tokens of a piece, padding included, at most; a piece has at least one example.
        piece_cost: What a further piece costs, in tokens.

    Yields:
        Positions in ``lengths``, longest examples first.
    """
    sizes = lengths.sum(1) if packed else lengths.max(1) * lengths.shape[1]  # (examples,)
    order = np.argsort(-sizes, kind="stable")
    cuts = _cut_full(sizes[order], budget) if packed else cut_sorted(sizes[order], budget, piece_cost)
    for start, end in cuts:
        yield order[start:end]


def share_out(costs: npt.NDArray[np.int64], loads: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Deal examples out to processes: the longest first, each to the one that has least so far.

    So all processes get the same mixture of lengths, and about as many tokens: pieces that are cut from it are cut as
    well as from the whole.

    Args:
        costs: (examples,) Their tokens.
        loads: (processes,) What each has so far; added to in place.

    Returns:
        (examples,) The process of each.
    """
    owners = np.empty(len(costs), np.int64)
    for example in np.argsort(-costs, kind="stable"):
        least = int(np.argmin(loads))
        owners[example] = least
        loads[least] += costs[example]
    return owners


def _cut_full(sizes: npt.NDArray[np.int64], budget: int) -> Iterator[tuple[int, int]]:
    """Fill one piece after the other."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + budget, side="right")))
        yield start, end
        start = end


def cut_sorted(sizes: npt.NDArray[np.int64], budget: int, piece_cost: int) -> list[tuple[int, int]]:
    """Cut falling sizes into runs, each of which is padded to its first and largest.

    Among all ways to do it this is the one whose padded sizes, and ``piece_cost`` for each run, add up to the least
    (by dynamic programming over where the last run begins).

    Args:
        sizes: (n,) Falling.
        budget: The padded size of a run, at most; a run has at least one member.
        piece_cost: What a further run costs.

    Returns:
        Where each run begins and ends, in order.
    """
    least = np.zeros(len(sizes) + 1, np.int64)  # the cost of the first members
    begins = np.zeros(len(sizes) + 1, np.int64)  # where their last run begins
    first = 0
    for end in range(1, len(sizes) + 1):
        # A run that begins earlier is larger in both ways, so the beginnings that fit are a run, and only move on.
        while first < end - 1 and sizes[first] * (end - first) > budget:
            first += 1
        costs = least[first:end] + sizes[first:end] * np.arange(end - first, 0, -1)
        best = int(np.argmin(costs))
        least[end], begins[end] = costs[best] + piece_cost, first + best
    cuts = [len(sizes)]
    while cuts[-1] > 0:
        cuts.append(int(begins[cuts[-1]]))
    return list(itertools.pairwise(reversed(cuts)))
