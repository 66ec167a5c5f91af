"""A piece of work begins without what the one before it has left in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xbench.provenance import peak_memory
from xbench.training.heap import start_afresh

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


@pytest.mark.skipif(not STATUS.exists(), reason="what a process holds is told by Linux alone")
def test_what_earlier_work_has_left_is_given_back_and_no_longer_counted() -> None:
    start_afresh(CPU)
    before = resident()
    Leftover()
    assert resident() - before > 0.9 * MEGABYTES
    assert (peak_memory(CPU)["peak_rss_mb"] or 0) - before > 0.9 * MEGABYTES
    start_afresh(CPU)
    assert resident() - before < 0.2 * MEGABYTES
    assert (peak_memory(CPU)["peak_rss_mb"] or 0) - before < 0.2 * MEGABYTES


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
def test_a_heap_that_has_grown_too_far_is_given_back_and_one_in_use_is_kept() -> None:
    """In a process of its own, whose heap has no holes yet."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", HEAP], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
