"""From embeddings and a map to what is said of each pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from xbench.api import Decoding

from .maps import LinearMap
from .retrieval import find, unit

SHUFFLE = 0


def decode(decoding: Decoding, back: bool) -> list[Any]:
    """The cosine of each scored pair; of parallel pairs also whether each finds its translation.

    Args:
        decoding: ``outputs`` are (2, hidden) a pair, ``fitted`` a `LinearMap` or None.
        back: Whether the map takes the second language to the first.

    Returns:
        A number a row of ``pair-score``. A row of ``parallel`` gives a mapping: ``cosine``; ``shuffled``, that with
        another row's translation; and 0 or 1 for each way to look its translation up.
    """
    both = np.stack([np.asarray(output, np.float32) for output in decoding.outputs])  # (rows, 2, hidden)
    mapped: LinearMap | None = decoding.fitted
    source, target = both[:, int(back)], both[:, 1 - int(back)]  # (rows, hidden) each
    moved = source if mapped is None else mapped(source)
    decoding.keep("source", source)
    decoding.keep("mapped", np.asarray(moved, np.float32))
    decoding.keep("target", target)
    left, right = unit(moved), unit(target)
    cosines = np.einsum("nd,nd->n", left, right, dtype=np.float64)  # (rows,)
    if decoding.dataset.schema != "parallel":
        return [float(cosine) for cosine in cosines]
    strangers = np.einsum("nd,nd->n", left, right[derangement(len(right))], dtype=np.float64)  # (rows,)
    found = find(left, right)
    columns = {
        "cosine": cosines, "shuffled": strangers, "forward": found.forward, "backward": found.backward,
        "csls_forward": found.csls_forward, "csls_backward": found.csls_backward,
    }  # fmt: skip
    return [{name: float(values[row]) for name, values in columns.items()} for row in range(len(both))]


def derangement(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(count,) An order, always the same one, in which nothing stays at its place (but for one alone)."""
    order = np.random.default_rng(SHUFFLE).permutation(count)
    places = np.empty(count, np.int64)
    places[order] = np.roll(order, 1)  # one cycle through all
    return places
