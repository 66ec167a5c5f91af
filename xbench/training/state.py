"""All that a training changes while it goes on, as tensors by name: what it needs to go on from a step to the bit.

The order of the examples, the schedule and the CPU's dropout are functions of seed and step, so that a step's number
says them. The rest is here: weights, an optimizer's moments, and torch's random numbers, which a GPU's dropout draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..heads.blocks import HeadModule
from .optimizer import Optimizer

WEIGHT, BUFFER, OPTIMIZER, RANDOM = "weight.", "buffer.", "optimizer.", "random."


@dataclass(frozen=True)
class TrainingState:
    """A running training's.

    Attributes:
        module: What is trained.
        optimizer: What trains it.
        device: That it is on.
    """

    module: HeadModule
    optimizer: Optimizer
    device: torch.device

    def tensors(self) -> dict[str, torch.Tensor]:
        """What it is now, to be written before the next step. What is on the CPU is not copied."""
        own = self._own() | {f"{OPTIMIZER}{name}": value for name, value in self.optimizer.state().items()}
        random = {f"{RANDOM}cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random[f"{RANDOM}cuda"] = torch.cuda.get_rng_state(self.device)
        return {name: value.detach().cpu() for name, value in (own | random).items()}

    def load(self, stored: Mapping[str, torch.Tensor]) -> None:
        """Go back to what `tensors` gave.

        Args:
            stored: By name; each is asked for once.
        """
        with torch.no_grad():
            for name, value in self._own().items():
                kept = stored[name].to(value.device)
                if not torch.equal(value, kept):  # a buffer that never changes may share its numbers, and so be fixed
                    value.copy_(kept)  # in place: the optimizer holds views
        names = [name.removeprefix(OPTIMIZER) for name in stored if name.startswith(OPTIMIZER)]
        self.optimizer.load(names, lambda name: stored[f"{OPTIMIZER}{name}"])
        torch.set_rng_state(stored[f"{RANDOM}cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(stored[f"{RANDOM}cuda"], self.device)

    def _own(self) -> dict[str, torch.Tensor]:
        """The module's: weights that are trained, each once, and all buffers, which a forward pass may change."""
        weights = ((name, weight) for name, weight in self.module.named_parameters() if weight.requires_grad)
        buffers = {f"{BUFFER}{name}": buffer for name, buffer in self.module.named_buffers()}
        return {f"{WEIGHT}{name}": weight for name, weight in weights} | buffers
