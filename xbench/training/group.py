"""The processes that train one stage together: most often this one alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ..launch import LEADER
from .memory import TooLarge


class Alone:
    """The group of a process that nobody trains with."""

    rank, size = LEADER, 1

    @contextlib.contextmanager
    def together(self, command: Mapping[str, Any]) -> Iterator[None]:
        """Train with the others while the block runs.

        Args:
            command: What the leader wants of the others.
        """
        yield

    def begin(self, *of: int) -> Sequence[int]:
        """Wait until all are ready; gives what the leader has said."""
        return of

    def agree(self, too_large: TooLarge | None, weights: Sequence[torch.nn.Parameter]) -> TooLarge | None:
        """Whether a step's gradients are all there.

        Args:
            too_large: What this process's memory did not hold.
            weights: Those that are trained.

        Returns:
            What some process's memory did not hold, the same for all; else None.
        """
        return too_large

    def add_up(self, loss: torch.Tensor, weights: Sequence[torch.nn.Parameter]) -> None:
        """Add up a step's loss and gradients over all processes, in place."""

    def look(self, step: int, weights: Sequence[torch.nn.Parameter], surely: bool = False) -> None:
        """See now and then that all processes have the same weights.

        Args:
            step: That they have taken.
            weights: All of them.
            surely: Look now.

        Raises:
            RuntimeError: They have not.
        """

    def seed(self, seed: int, step: int = 0) -> int:
        """The seed of the random numbers that this process draws from a step on where they belong to no sequence."""
        return seed


ALONE = Alone()
_current: Alone = ALONE


def current() -> Alone:
    """The group that this process trains in: that of the launch while the launch is led, else nobody."""
    return _current


@contextlib.contextmanager
def lead(device: str) -> Iterator[None]:
    """Lead the launch's other processes while the block runs.

    Args:
        device: As ``--device`` has it.

    Raises:
        UserError: See `join`.
    """
    global _current
    from .processes import join

    group = join(device)
    _current = group
    try:
        yield
    finally:
        _current = ALONE
        group.dismiss()
    group.part()
