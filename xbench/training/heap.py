"""The memory that a process holds without using it, on the host and on the device."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from ..provenance import forget_peak_memory

SLACK = 1.15
"""How many times what it needs the heap may grow to, while something runs."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_STATM = Path("/proc/self/statm")


def return_free_memory(device: torch.device) -> None:
    """On the CPU, give what malloc keeps free back to the system; does nothing where malloc cannot.

    What comes next then takes its memory from the system anew, page by page, which costs far more than this call.
    """
    libc = _glibc() if device.type == "cpu" else None
    if libc is not None:
        libc.malloc_trim(0)


class Heap:
    """Keeps freed memory for the next piece, and gives it back when the heap has grown too far.

    Pieces of a batch differ in shape, so that each leaves other holes: left alone, a process grows over an epoch to
    twice what it uses at once. Given back after every piece, or every few seconds, a tenth of the time goes into
    getting it again. malloc would do so by itself, at the heap's end, and is told not to.

    Args:
        device: That the work runs on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._needed, self._fresh = device, 0, True
        libc = _glibc() if device.type == "cpu" else None
        self._watched = libc is not None and _STATM.exists()
        if libc is not None and _may_keep():
            libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
            libc.mallopt(_MMAP_THRESHOLD, 2**25)  # the most that glibc takes

    def tidy(self) -> None:
        """To be called between steps or batches; does nothing most of the time."""
        if not self._watched:
            return
        resident = int(_STATM.read_text(encoding="ascii").split()[1])  # pages
        if self._fresh:  # what has been touched since is what a step needs
            self._needed, self._fresh = max(self._needed, resident), False
        elif resident > SLACK * self._needed:
            return_free_memory(self._device)
            self._fresh = True


def give_back(device: torch.device) -> None:
    """Give back what earlier work of this process has left.

    A trained module holds itself by cycles, and would otherwise still be there while the next one is loaded.

    Args:
        device: That the work runs on.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return_free_memory(device)


def start_afresh(device: torch.device) -> None:
    """Give back what earlier work has left, and count the peak of memory from here on."""
    give_back(device)
    forget_peak_memory()


def _may_keep() -> bool:
    """Whether free memory may stay in the heap: the user has not said when it goes, nor limited the address space.

    Such a limit counts what is free as well, wherever it lies.
    """
    told = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys()
    return not told and resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


@functools.cache
def _glibc() -> Any:
    """The C library; None where it is not glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None
