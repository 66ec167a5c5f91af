"""Exact vocabulary restriction: hold only the embedding rows that the data at hand looks up.

A row that is never looked up gets a zero gradient, and an Adam-family optimizer without weight decay then leaves it
exactly as it was (both moments stay zero). So training with only the used rows, under remapped token ids, gives the
same weights as training with all of them. The padding id keeps its place, since XLM-R derives positions from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Vocabulary:
    """Which rows of the base embedding table are held, and where.

    Attributes:
        ids: (rows,) The base token id of each held row.
        place: (base size,) The row of each base token id; -1 for ids that are not held.
    """

    ids: npt.NDArray[np.int64]
    place: npt.NDArray[np.int32]

    @property
    def full(self) -> bool:
        """Whether the whole table is held."""
        return len(self.ids) == len(self.place)


def full_vocabulary(size: int) -> Vocabulary:
    """The whole table.

    Args:
        size: Rows of the base table.
    """
    return Vocabulary(np.arange(size), np.arange(size, dtype=np.int32))


def restricted_vocabulary(used: npt.NDArray[np.bool_], keep: int | None) -> Vocabulary:
    """Hold the used rows only.

    Args:
        used: (base size,) True for ids that the data looks up.
        keep: The padding id, whose place must not change; None when there is none.

    Returns:
        The used ids in ascending order, with the padding id at its own place. The whole table when that place lies
        beyond the number of used ids.
    """
    size = len(used)
    if keep is None:
        ids = np.flatnonzero(used)
    else:
        others = np.flatnonzero(used)
        others = others[others != keep]
        if keep > len(others):
            return full_vocabulary(size)
        ids = np.insert(others, keep, keep)
    place = np.full(size, -1, np.int32)
    place[ids] = np.arange(len(ids), dtype=np.int32)
    return Vocabulary(ids, place)
