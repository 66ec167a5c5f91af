"""What it runs on: torch, its device and its threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError, named_line
from ..settings import Settings
from .finding import BROKEN, NOTE, OK, Finding

NVIDIA = Path("/proc/driver/nvidia/version")


def torch(settings: Settings) -> Iterator[Finding]:
    """The device that a run would take, its precision, and the CPU's threads."""
    try:
        import torch

        from ..training.device import choose_device, has_bf16
    except Exception as error:  # noqa: BLE001  # a broken build of torch fails in ways of its own
        yield Finding("torch", BROKEN, f"cannot be imported: {named_line(error, 200)}", "pip install torch")
        return
    try:
        device = choose_device(settings.device)
    except UserError as error:
        yield Finding("torch", BROKEN, str(error), "--device auto takes what is there")
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    precision = "bf16" if has_bf16(device) else "fp32 (no bf16 in hardware)"
    said = f"{torch.__version__} on {device.type} ({name}), training in {precision}"
    if device.type == "cpu" and settings.device == "auto" and NVIDIA.exists():
        mend = "install a build of torch for this driver: https://pytorch.org/get-started/locally"
        yield Finding("torch", NOTE, f"{said}; an NVIDIA driver is here, and torch does not use it", mend)
    else:
        yield Finding("torch", OK, said)
    yield _threads(torch.get_num_threads())


def _threads(threads: int) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{threads} of torch on {cores} cores"
    if threads > cores:
        return Finding("threads", NOTE, said, f"export OMP_NUM_THREADS={cores}: more threads than cores slow it down")
    return Finding("threads", OK, said)
