"""What a result says about where it was made."""

from __future__ import annotations

import platform
import resource
import sys
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    import torch


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Versions, device, precision and threads of this process."""
    import torch
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "xbench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": f"{device.type} ({name})",
        "precision": precision,
        "threads": torch.get_num_threads(),
    }


def peak_memory(device: torch.device) -> dict[str, float | None]:
    """The most memory that this process has held so far, in MB: resident on the host, allocated on the GPU."""
    import torch

    # The kernel counts in KiB on Linux and in bytes on macOS.
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    gpu = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return {"peak_rss_mb": round(resident, 1), "peak_gpu_mb": None if gpu is None else round(gpu, 1)}
