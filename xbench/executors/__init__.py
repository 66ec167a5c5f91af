"""Where the turns of a plan are done: in this process, in children of it, or on a cluster.

An executor takes turns from a `Schedule` and gives their results back to it. It decides where and when a turn is done
and never what it does: keys, scores and the order of the outcome are the same with each of them.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping

from ..errors import UserError
from ..launch import launched
from ..work import Work
from .schedule import Schedule
from .turn import Job

EXECUTORS: Mapping[str, str] = {"local": "local", "ray": "ray"}
"""By name, the module beside this one that holds ``make_executor(workers, device)``; imported when it is asked for."""


class Executor(ABC):
    """Does the turns of a plan."""

    @abstractmethod
    def run(self, schedule: Schedule, work: Work, job: Job) -> None:
        """Do all turns; returns when the schedule has finished.

        Args:
            schedule: Gives turns that are ready and takes their results.
            work: Everything prepared, for turns that are done in this process; its reporter is to hear of all of them.
            job: What another process needs to prepare the same work.
        """


def make_executor(name: str, workers: int = 0, device: str = "auto") -> Executor:
    """An executor by its name.

    Args:
        name: One of `EXECUTORS`.
        workers: Turns that are done at the same time, at most; 0 takes what the machine or the cluster has.
        device: That turns are to be done on.

    Raises:
        UserError: It is not there, or has no such device, or a launcher has started this process.
    """
    if launched().size > 1 and (name != "local" or workers > 1):
        raise UserError(
            "processes of a launcher train one stage after the other, together: leave out --executor and --workers, or "
            "start xbench without the launcher"
        )
    address = f"{__name__}.{EXECUTORS[name]}"
    try:
        module = importlib.import_module(address)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise UserError(f"--executor {name} needs more than xbench itself: pip install 'xbench[{name}]'") from None
        if error.name != address:
            raise
        raise UserError(f"--executor {name} is not in this version of xbench: use --executor local") from None
    made: Executor = module.make_executor(workers, device)
    return made
