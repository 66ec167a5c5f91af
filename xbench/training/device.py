"""The device to run on, and the precision that it has."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager

import torch

from ..errors import UserError

# oneDNN keeps the code that it generates for each matrix shape, and torch keeps what uses it once more: 1,024 shapes
# each by default. Batches come in many lengths, and on SQuAD a process grew by 18 MB at each step for it. With 128 in
# both no step was slower; with 16 in the first STSb's were, by 15%.
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "128")

MICRO_BATCH_TOKENS = {"cpu": 1536, "mps": 4096, "cuda": 16384}
"""Tokens at once, padding included: on the CPU little memory is enough, on a GPU large pieces keep it busy."""
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
