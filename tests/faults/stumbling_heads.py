"""A plugin: heads whose training goes wrong in one of two processes, as its rank says, and one that is well."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch
from xbench_plugins.sts.heads import HEADS
from xbench_plugins.sts.modules import Siamese

from xbench.api import Batch, Head, hookimpl

HERE, THERE = "0", "1"
SIAMESE = next(head for head in HEADS if head.name == "siamese")
TASK = """
name = "HEAD"
groups = ["stumbling"]
title = "t"
version = 1
train = ["mini-sts-en"]
eval = ["mini-sts-en"]
heads = ["HEAD"]
metrics = ["pearson"]
curricula = ["mini-sts-en"]
recipe = { lr = 1e-3, epochs = 2, batch_size = 16, max_length = 96, precision = "fp32" }
"""


class _There(Siamese):
    """Stumbles in training, in the process that is not the first."""

    rank = THERE

    def encode(self, batch: Batch) -> torch.Tensor:
        """Stumble, then encode."""
        if self.training and os.environ.get("RANK") == self.rank:
            self.stumble(batch)
        return super().encode(batch)

    def stumble(self, batch: Batch) -> None:
        """What happens."""


class BugThere(_There):
    """Has a bug."""

    def stumble(self, batch: Batch) -> None:
        """In its first piece."""
        raise RuntimeError("stumbled")


class BugHere(BugThere):
    """Has it in the first process."""

    rank = HERE


class SmallThere(_There):
    """Has memory for 200 tokens."""

    holds = 200

    def stumble(self, batch: Batch) -> None:
        """Ask for more than any machine has."""
        if batch.input_ids.numel() > self.holds:
            torch.empty(2**60)


class TinyThere(SmallThere):
    """Has memory for nothing."""

    holds = 0


class NanThere(_There):
    """Computes a loss that is no number."""

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Of every example."""
        loss = super().loss(outputs, batch)
        return loss * float("nan") if os.environ.get("RANK") == self.rank else loss


class OtherThere(_There):
    """Begins with other weights."""

    def __init__(self, encoder: Any, context: Any) -> None:
        super().__init__(encoder, context)
        if os.environ.get("RANK") == self.rank:
            with torch.no_grad():
                next(self.encoder.parameters()).add_(1e-6)


KINDS = {
    "bug-there": BugThere, "bug-here": BugHere, "nan-there": NanThere, "other-there": OtherThere,
    "tiny-there": TinyThere, "small-there": SmallThere,
}  # fmt: skip


def _head(name: str, kind: type[Siamese]) -> Head:
    return replace(SIAMESE, name=name, module=lambda encoder, context, generator: kind(encoder, context))


@hookimpl
def xbench_heads() -> list[Head]:
    """All of them."""
    return [_head(name, kind) for name, kind in KINDS.items()]


@hookimpl
def xbench_tasks() -> list[str]:
    """One for each of them, and one for the head that is well."""
    return [TASK.replace("HEAD", name) for name in (*KINDS, SIAMESE.name)]
