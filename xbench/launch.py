"""Whether this process is one of several that a launcher has started for one and the same run.

The first of them is the program: it plans, executes and writes, and all that is said comes from it. The others follow:
they take part in the trainings that it leads, and write nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

LEADER = 0
"""The rank of the process that is the program."""


class Launch(NamedTuple):
    """This process's place among those that were launched together.

    Attributes:
        rank: From 0.
        size: How many there are.
        place: This one's place among those on its machine.
    """

    rank: int = LEADER
    size: int = 1
    place: int = 0

    @property
    def follows(self) -> bool:
        """Whether another process leads."""
        return self.rank != LEADER

    @property
    def silent(self) -> bool:
        """Whether another process says what is wrong before they have met: it is the same on one machine."""
        return self.place > 0


def launched() -> Launch:
    """What the launcher says, by the variables that ``accelerate launch`` and ``torchrun`` set."""
    needed = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    if any(name not in os.environ for name in needed):  # a cluster may set some of them for reasons of its own
        return Launch()
    try:
        return Launch(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except ValueError:
        return Launch()


@contextlib.contextmanager
def leading(device: str) -> Iterator[None]:
    """Lead the other processes of the launch while the block runs; without any, nothing happens.

    Args:
        device: As ``--device`` has it.

    Raises:
        UserError: The processes cannot work together here.
    """
    if launched().size == 1:
        yield
        return
    from .training.group import lead

    with lead(device):
        yield
