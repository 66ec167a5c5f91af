"""Does the turns in this process, one after the other."""

from __future__ import annotations

from ..work import Work
from . import Executor
from .patience import Patience
from .schedule import Schedule
from .turn import Job, do_turn


class LocalExecutor(Executor):
    """This process."""

    def run(self, schedule: Schedule, work: Work, job: Job) -> None:
        """Do all turns, in the plan's order; what another process does is waited for when nothing else is left."""
        patience = Patience(work.reporter.note)
        while not schedule.finished:
            turn = schedule.take()
            if turn is None:
                patience.wait(schedule)
                continue
            result = do_turn(work, turn, schedule.stood(turn))
            schedule.finish(turn, result)
            patience.heard(result)


def make_executor(workers: int = 0) -> Executor:
    """See `Executor`."""
    return LocalExecutor()
