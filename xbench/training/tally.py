"""What a training has to show so far, step by step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

OnStep = Callable[[int, int, float, int], None]
"""Called after each step with: step from 1, steps in all, the batch's mean loss, examples passed so far."""


class TrainingFailedError(RuntimeError):
    """The training has come to nothing: a loss or a gradient that is no number, or the same output for every input."""


@dataclass(frozen=True)
class Position:
    """Where a training stands, between two steps.

    Attributes:
        losses: The mean loss of each step that is done.
        examples: Examples passed.
        seconds: Wall time so far.
        micro_batch_tokens: Tokens that go through the encoder at once, at most.
    """

    losses: list[float]
    examples: int
    seconds: float
    micro_batch_tokens: int

    @property
    def step(self) -> int:
        """How many steps are done."""
        return len(self.losses)


class Tally:
    """Losses and examples of the steps that are done.

    A GPU is asked for a loss only when it has long been there, so that the last steps' may be owed.

    Args:
        steps: In all.
        on_step: Told of each step whose loss is known.

    Attributes:
        losses: Of each step, as far as they are known.
        examples: Passed in these steps.
    """

    def __init__(self, steps: int, on_step: OnStep) -> None:
        self.losses: list[float] = []
        self.examples = 0
        self._steps, self._on_step = steps, on_step
        self._owed: deque[tuple[Callable[[], torch.Tensor], int]] = deque()

    @property
    def step(self) -> int:
        """How many steps the weights have taken."""
        return len(self.losses) + len(self._owed)

    def go_on(self, position: Position) -> None:
        """Begin where an earlier process stopped."""
        self.losses, self.examples = list(position.losses), position.examples

    def owe(self, coming: Callable[[], torch.Tensor], examples: int) -> None:
        """One more step: (2,) its loss and its gradient's norm, on their way to the host, and its examples."""
        self._owed.append((coming, examples))

    def settle(self, owed: int = 0) -> None:
        """Read losses until no more than so many are owed.

        Raises:
            TrainingFailedError: One is NaN or infinite, or a gradient's norm is.
        """
        while len(self._owed) > owed:
            coming, examples = self._owed.popleft()
            loss, norm = coming().tolist()
            self.losses.append(loss)
            self.examples += examples
            for what, value in (("loss", loss), ("gradient's norm", norm)):
                if not math.isfinite(value):
                    raise TrainingFailedError(f"the {what} is {value} at step {len(self.losses)} of {self._steps}")
            self._on_step(len(self.losses), self._steps, loss, self.examples)
