"""What torch says of this machine, remembered, so that a dry run need not load torch to know it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..files import write_json
from ..keys import content_key
from ..settings import Settings
from ..store import read_signed, sign

GPUS = Path("/proc/driver/nvidia/gpus")
VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY")


@dataclass(frozen=True)
class Machine:
    """Where work runs.

    Attributes:
        device: As in a stage's environment: ``cpu (x86_64)``.
        threads: Of torch.
        torch: Its version.
        bf16: Whether the hardware multiplies bf16 matrices itself.
        budget: Tokens at once that suit the device.
        piece_tokens: What one more piece costs, in tokens.
    """

    device: str
    threads: int
    torch: str
    bf16: bool
    budget: int
    piece_tokens: int

    def precision(self, setting: str) -> str:
        """``bf16`` or ``fp32``: what a recipe's setting becomes here."""
        return ("bf16" if self.bf16 else "fp32") if setting == "auto" else setting


def this_machine(settings: Settings) -> Machine:
    """The machine, from the cache unless torch is loaded anyway.

    Args:
        settings: The device asked for; the cache.

    Raises:
        UserError: The device asked for is not there.
    """
    path = settings.cache / "machines" / f"{_outside(settings)}.json"
    known = None if "torch" in sys.modules else read_signed(path)
    if known is not None:
        with contextlib.suppress(KeyError):
            return Machine(**{item.name: known[item.name] for item in dataclasses.fields(Machine)})
    from ..training.calibrate import look

    machine = look(settings)
    write_json(path, sign(dataclasses.asdict(machine)))
    return machine


def _outside(settings: Settings) -> str:
    """A key of all that can be seen without torch and that decides what torch will say."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = ""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = sorted(path.name for path in GPUS.iterdir()) if GPUS.is_dir() else []
    content = {
        "asked": settings.device, "node": platform.node(), "machine": platform.machine(), "cores": cores, "gpus": gpus,
        "torch": torch, "variables": {name: os.environ.get(name) for name in VARIABLES},
    }  # fmt: skip
    return content_key("machine", content)[:32]
