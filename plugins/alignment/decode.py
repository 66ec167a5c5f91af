"""From embeddings and a map to what is said of each pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xbench.api import Dataset, Decoding, UserError, language_name, parallel_predictions, unit

from .maps import FittedMap

SHUFFLE = 0
DRAWN = 150
"""Pairs that a figure shows, at most; always the same ones of the same rows."""


def decode(decoding: Decoding) -> list[Any]:
    """The cosine of each scored pair; of parallel pairs also whether each finds its translation.

    Args:
        decoding: ``outputs`` are (2, hidden) a pair, ``fitted`` a `FittedMap` or None.

    Returns:
        A number a row of ``pair-score``; a mapping a row of ``parallel``, as `parallel_predictions` gives it, in which
        ``forward`` is from a row's first sentence to its second, whichever of them the map has moved.

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
    if decoding.dataset.schema != "parallel":
        return [float(cosine) for cosine in np.einsum("nd,nd->n", moved_unit, target_unit, dtype=np.float64)]
    return parallel_predictions(moved_unit, target_unit, swapped=bool(side))


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
