"""What a result says about where it was made."""

from __future__ import annotations

import contextlib
import platform
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    import torch


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Versions, device, precision (empty where there is no encoder) and threads of this process."""
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


def forget_peak_memory() -> None:
    """Start counting the peak anew, so that one stage's peak is not the next one's; a no-op where the OS cannot."""
    import torch

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: torch.device) -> dict[str, float | None]:
    """The most memory held since `forget_peak_memory`, in MB: resident on the host, allocated on the GPU."""
    import torch

    gpu = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return {"peak_rss_mb": round(_peak_resident(), 1), "peak_gpu_mb": None if gpu is None else round(gpu, 1)}


def _peak_resident() -> float:
    # Linux says it of this program alone; getrusage would count the program that started this one as well.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024  # KiB on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
