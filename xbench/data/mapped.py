"""Arrays that lie in files: read through memory a piece at a time, however large they are."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy.typing as npt

PAGE = 2 << 20
"""Bytes that may come into memory with the first one that is looked at: Linux maps what lies around it as well."""
HELD = 8 << 20
"""Bytes of a file that stay in memory, about, while it is read here and there."""
AT_ONCE = 512
"""Arrays that are looked at together when all of them are."""


def forget_pages(array: npt.NDArray[Any]) -> None:
    """Let go of the pages of a memory-mapped array; they come back from the file when they are next looked at.

    Without it, a process that has gone through a mapped file once holds all of it, as long as there is memory to hold.

    Args:
        array: As `numpy.memmap` made it. To any other array, a slice of a mapped one included, nothing happens; nor to
            one that is mapped copy-on-write, whose changes no file holds.
    """
    copied = getattr(array, "mode", None) == "c"
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and not copied:
        array.base.madvise(mmap.MADV_DONTNEED)


class Looks:
    """Counts what is looked at in mapped arrays, and lets go of their pages before they become many.

    Args:
        arrays: As `numpy.memmap` made them.
    """

    def __init__(self, *arrays: npt.NDArray[Any]) -> None:
        self._arrays = arrays if sum(array.nbytes for array in arrays) > HELD else ()
        self._held = 0

    def add(self, places: int, size: int = 0) -> None:
        """Note a look.

        Args:
            places: Places in the file that it goes to.
            size: Bytes that it takes at all of them together.
        """
        self._held += places * PAGE + size
        if self._held > HELD:
            self._held = 0
            for array in self._arrays:
                forget_pages(array)


class MappedArrays(Sequence["npt.NDArray[Any]"]):
    """Arrays that lie one behind the other in a file, as a list would hold them: in a few MB, however many they are.

    Args:
        mapped: As `numpy.memmap` made it: (arrays, ...), or (numbers,) where ``ends`` tells them apart.
        ends: (arrays,) Where each array's numbers end in ``mapped``; None where the first dimension counts arrays.
        lead: All dimensions but the last of each array that ``ends`` tells apart.
    """

    def __init__(
        self, mapped: npt.NDArray[Any], ends: npt.NDArray[Any] | None = None, lead: tuple[int, ...] = ()
    ) -> None:
        import numpy as np

        self._flat, self._ends, self._lead = mapped.view(np.ndarray), ends, lead  # numpy.memmap's own looks are slow
        self._looks, self._next = Looks(mapped), 0

    def __len__(self) -> int:
        return len(self._flat) if self._ends is None else len(self._ends)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for first in range(0, len(self), AT_ONCE):
            yield from self[first : first + AT_ONCE]

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[npt.NDArray[Any]]: ...

    def __getitem__(self, index: int | slice) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        if not isinstance(index, slice):
            index = range(len(self))[index]
            return self._run(index, index + 1)[0]
        start, stop, step = index.indices(len(self))
        return self._run(start, max(start, stop)) if step == 1 else [self[one] for one in range(start, stop, step)]

    def _run(self, start: int, stop: int) -> list[npt.NDArray[Any]]:
        """Some neighbours."""
        if self._ends is None:
            found = list(self._flat[start:stop])
        else:
            bounds = [int(self._ends[start - 1]) if start else 0, *self._ends[start:stop].tolist()]
            found = [self._flat[first:last] for first, last in itertools.pairwise(bounds)]
            if self._lead:
                found = [array.reshape(*self._lead, -1) for array in found]
        self._looks.add(int(start != self._next), sum(array.nbytes for array in found))
        self._next = stop
        return found
