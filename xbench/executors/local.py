"""Does the turns in this process, one after the other."""

from __future__ import annotations

from ..work import Work
from . import Executor
from .schedule import Schedule
from .turn import Job, do_turn


class LocalExecutor(Executor):
    """This process."""

    def run(self, schedule: Schedule, work: Work, job: Job) -> None:
        """Do all turns, in the plan's order."""
        while (turn := schedule.take()) is not None:
            schedule.finish(turn, do_turn(work, turn, schedule.stood(turn)))


def make_executor(workers: int = 0) -> Executor:
    """See `Executor`."""
    return LocalExecutor()
