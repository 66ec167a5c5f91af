"""Arrays that lie in files: read through memory a piece at a time, however large they are."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


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
