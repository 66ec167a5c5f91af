"""A piece of work begins without what the one before it has left in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

STATUS = Path("/proc/self/status")
CPU = torch.device("cpu")
MEGABYTES = 200


class Leftover:
    """Holds small tensors, as a module does, and itself, so that only the collector of cycles frees it."""

    def __init__(self) -> None:
        self.itself = self
        self.tensors = [torch.ones(2**12) for _ in range(MEGABYTES * 2**6)]  # 16 KB each: from the heap, not by mmap


def resident() -> float:
    """MB that are in memory now."""
    return int(STATUS.read_text(encoding="ascii").split("VmRSS:")[1].split()[0]) / 1024


LEFT = """
from tests.unit.test_memory import CPU, MEGABYTES, Leftover, resident
from xbench.provenance import peak_memory
from xbench.training.heap import start_afresh

def peak():
    return peak_memory(CPU)["peak_rss_mb"] or 0

start_afresh(CPU)
before = resident()
Leftover()
assert resident() - before > 0.9 * MEGABYTES, (before, resident())
assert peak() - before > 0.9 * MEGABYTES, (before, peak())
start_afresh(CPU)
assert resident() - before < 0.2 * MEGABYTES, (before, resident())
assert peak() - before < 0.2 * MEGABYTES, (before, peak())
"""
HEAP = """
import torch
from tests.unit.test_memory import CPU, resident
from xbench.training.heap import Heap, start_afresh

def step(megabytes):
    tensors = [torch.ones(2**12) for _ in range(megabytes * 2**6)]

start_afresh(CPU)
heap = Heap(CPU)
heap.tidy()
before = resident()
step(300)
heap.tidy()  # far above what was there before the first step
assert resident() - before < 30, (before, resident())
step(300)
heap.tidy()
needed = resident()
assert needed - before > 280, (before, needed)  # kept: the next step finds it
step(300)
heap.tidy()
assert abs(resident() - needed) < 30, (needed, resident())
step(1000)
heap.tidy()
assert resident() - before < 30, (before, resident())
"""


@pytest.mark.skipif(not STATUS.exists(), reason="what a process holds is told by Linux alone")
@pytest.mark.parametrize("script", [LEFT, HEAP], ids=["what earlier work has left", "a heap that has grown too far"])
def test_memory_is_given_back(script: str) -> None:
    """In a process of its own, whose heap has no holes yet."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
