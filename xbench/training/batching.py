"""Which examples share a step, in what order, and how a step is cut into pieces that fit the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


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


def micro_batches(lengths: npt.NDArray[np.int64], sequences: int, budget: int) -> Iterator[npt.NDArray[np.int64]]:
    """Cut one batch into pieces of like length.

    Args:
        lengths: (examples,) The longest sequence of each example.
        sequences: Sequences an example.
        budget: Padded tokens of a piece, at most; a piece has at least one example.

    Yields:
        Positions in ``lengths``, longest examples first.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]]) * sequences
        size = max(1, budget // max(1, longest))
        yield order[start : start + size]
        start += size
