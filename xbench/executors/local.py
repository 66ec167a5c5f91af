"""Does the turns on this machine: one after the other in this process, or side by side in children of it."""

from __future__ import annotations

import os

from ..launch import launched
from ..work import Work
from . import Executor
from .effort import effort
from .patience import Patience
from .schedule import Schedule
from .turn import Job, do_turn


class LocalExecutor(Executor):
    """This machine.

    Args:
        workers: Turns that are done at the same time, at most; 0 is one a CUDA device, where that is what a run uses.
    """

    def __init__(self, workers: int = 0) -> None:
        self._workers = workers

    def run(self, schedule: Schedule, work: Work, job: Job) -> None:
        """Do all turns: in the plan's order, or side by side and the longest path first.

        What another process does is waited for when nothing else is left.
        """
        devices = cuda_devices() if work.settings.device in ("auto", "cuda") else []
        # Processes that were launched together share the devices of one stage after the other.
        workers = 1 if launched().size > 1 else min(self._workers or max(len(devices), 1), schedule.left)
        if workers > 1:
            from .child import Share
            from .pool import Pool

            threads = max(1, usable_threads() // workers)
            shares = [Share(threads, devices[n % len(devices)] if devices else None) for n in range(workers)]
            schedule.start_longest_first(lambda turn: effort(turn, work))
            Pool(schedule, work, job, shares).run()
            return
        patience = Patience(work.reporter.note)
        while not schedule.finished:
            turn = schedule.take()
            if turn is None:
                patience.wait(schedule)
                continue
            result = do_turn(work, turn, schedule.stood(turn))
            schedule.finish(turn, result)
            patience.heard(result)


def cuda_devices() -> list[str]:
    """The CUDA devices that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [str(n) for n in range(count)] if named is None else [one.strip() for one in named.split(",")][:count]


def usable_threads() -> int:
    """How many threads this process would use by itself."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_executor(workers: int, device: str) -> Executor:
    """See `Executor`.

    Raises:
        UserError: This machine has no such device; ``auto`` and ``cpu`` need no look, and so no torch.
    """
    if device not in ("auto", "cpu"):
        from ..training.device import choose_device

        choose_device(device)
    return LocalExecutor(workers)
