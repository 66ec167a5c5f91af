"""From embeddings and a map to what is said of each pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xbench.api import Dataset, Decoding, UserError, language_name

from .maps import FittedMap
from .retrieval import find, unit

SHUFFLE = 0
DRAWN = 150
"""Pairs that a figure shows, at most; always the same ones of the same rows."""


def decode(decoding: Decoding) -> list[Any]:
    """The cosine of each scored pair; of parallel pairs also whether each finds its translation.

    Args:
        decoding: ``outputs`` are (2, hidden) a pair, ``fitted`` a `FittedMap` or None.

    Returns:
        A number a row of ``pair-score``. A row of ``parallel`` gives a mapping: ``cosine``; ``shuffled``, that with
        another row's translation; and 0 or 1 for each way to look its translation up: ``forward`` from a row's first
        sentence to its second, whichever of them the map has moved.

    Raises:
        UserError: The map is not one between the rows' languages.
    """
    both = np.stack([np.asarray(output, np.float32) for output in decoding.outputs])  # (rows, 2, hidden)
    fitted: FittedMap | None = decoding.fitted
    side = 0 if fitted is None else _side(fitted, decoding.dataset)
    source, target = both[:, side], both[:, 1 - side]  # (rows, hidden) each
    moved = source if fitted is None else fitted.map(source)
    _keep(decoding, source=source, mapped=np.asarray(moved, np.float32), target=target)
    moved_unit, target_unit = unit(moved), unit(target)
    cosines = np.einsum("nd,nd->n", moved_unit, target_unit, dtype=np.float64)  # (rows,)
    if decoding.dataset.schema != "parallel":
        return [float(cosine) for cosine in cosines]
    others = target_unit[derangement(len(both))]
    strangers = np.einsum("nd,nd->n", moved_unit, others, dtype=np.float64)  # (rows,)
    found = find(target_unit, moved_unit) if side else find(moved_unit, target_unit)
    columns = {
        "cosine": cosines, "shuffled": strangers, "forward": found.forward, "backward": found.backward,
        "csls_forward": found.csls_forward, "csls_backward": found.csls_backward,
    }  # fmt: skip
    return [{name: float(values[row]) for name, values in columns.items()} for row in range(len(both))]


def _side(fitted: FittedMap, dataset: Dataset) -> int:
    """Which of a row's two sentences the map moves: the one in the language that it comes from."""
    if dataset.languages == fitted.languages:
        return int(fitted.back)
    if dataset.languages == fitted.languages[::-1]:
        return 1 - int(fitted.back)
    source, target = map(language_name, fitted.languages[::-1] if fitted.back else fitted.languages)
    raise UserError(
        f"a map from {source} to {target} says nothing of {dataset.name}, which pairs "
        f"{' and '.join(map(language_name, dataset.languages))}: the task's [fit] has to name pairs in its languages"
    )


def _keep(decoding: Decoding, **arrays: npt.NDArray[np.float32]) -> None:
    """Keep a sample for a figure to draw."""
    count = len(decoding.outputs)
    chosen = np.sort(np.random.default_rng(SHUFFLE).choice(count, min(DRAWN, count), replace=False))
    for name, array in arrays.items():
        decoding.keep(name, array[chosen])


def derangement(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(count,) An order, always the same one, in which nothing stays at its place (but for one alone)."""
    order = np.random.default_rng(SHUFFLE).permutation(count)
    places = np.empty(count, np.int64)
    places[order] = np.roll(order, 1)  # one cycle through all
    return places
