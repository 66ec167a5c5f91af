"""Ways to do the same work, which must not show in what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

from xbench.heads.blocks import HeadModule

KEYS = ("key.bias", "k_lin.bias")
"""How the names of weights end that softmax cancels, so that only rounding moves them: the keys' biases."""


@dataclass(frozen=True)
class Way:
    """How the work is done; the plainest is one example at a time, padded, on one thread, with the whole table.

    Attributes:
        budget: Tokens of a piece, at most; 0 is what suits the device.
        packed: Whether an encoder that can run without padding does.
        jagged: Whether it then runs as on a GPU.
        threads: torch's.
        part: Whether only the embedding rows in use are held.
        precision: ``fp32`` or ``bf16``.
    """

    budget: int = 1
    packed: bool = False
    jagged: bool = False
    threads: int = 1
    part: bool = False
    precision: str = "fp32"


@contextmanager
def done(way: Way) -> Iterator[None]:
    """Train and predict in a way; budget, precision and vocabulary are the caller's to pass on."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        if not way.packed:
            patch.setattr(HeadModule, "packs", lambda module: False)
        if way.jagged:
            patch.setattr("xbench.models.packing.by_hand", lambda device: False)
        torch.set_num_threads(way.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
