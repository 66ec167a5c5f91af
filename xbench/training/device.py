"""The device to run on, and the precision that it has."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from ..errors import UserError
from ..provenance import forget_peak_memory

# oneDNN keeps the code that it generates for each matrix shape, and batches come in many lengths. Against its default
# of 1024 shapes, 128 were no slower over 30 steps on STSb, and held a quarter of a GB less (1.82 against 2.08 GB).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")

MICRO_BATCH_TOKENS = {"cpu": 1536, "mps": 4096, "cuda": 16384}
"""Tokens at once, padding included: on the CPU little memory is enough, on a GPU large pieces keep it busy."""
SECONDS_BETWEEN = 5.0
"""After which free memory goes back to the system, while something runs."""
PIECE_TOKENS = {"cpu": 32, "mps": 256, "cuda": 2048}
"""What one more piece costs, as the number of tokens that would take as long: a further pass over all weights."""


def choose_device(name: str) -> torch.device:
    """The device for a run.

    Args:
        name: ``auto`` takes CUDA, else MPS, else the CPU.

    Raises:
        UserError: The device asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        raise UserError(f"--device {name}: this machine has none; use --device cpu")
    return torch.device(name)


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 matrices itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


def choose_precision(setting: str, device: torch.device) -> str:
    """``bf16`` or ``fp32``.

    Args:
        setting: ``auto`` is bf16 where the hardware has it.
        device: The device.
    """
    if setting == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    return setting


def token_budget(setting: int, device: torch.device) -> int:
    """Tokens at once, at most; a setting of 0 takes what suits the device."""
    return setting or MICRO_BATCH_TOKENS.get(device.type, 4096)


def piece_tokens(device: torch.device) -> int:
    """What one more piece costs on a device, in tokens."""
    return PIECE_TOKENS.get(device.type, 256)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context that a forward pass runs in."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def return_free_memory(device: torch.device) -> None:
    """On the CPU, give what malloc keeps free back to the system; does nothing where malloc cannot.

    Pieces of a batch differ in shape, so that each leaves other holes in the heap: without this a process grows over
    an epoch to twice what it uses at once. What comes next then takes its memory from the system anew, which costs more
    than the call itself: a tenth of a step of a second.
    """
    trim = _malloc_trim() if device.type == "cpu" else None
    if trim is not None:
        trim(0)


class NowAndThen:
    """Returns free memory from time to time: seldom enough to cost little, and the heap stays small.

    Args:
        device: That the work runs on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._last = device, time.perf_counter()

    def return_free_memory(self) -> None:
        """To be called between steps or batches; does nothing most of the time."""
        if time.perf_counter() > self._last + SECONDS_BETWEEN:
            return_free_memory(self._device)
            self._last = time.perf_counter()


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


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Glibc's ``malloc_trim``; None with another C library."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
