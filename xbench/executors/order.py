"""In which order jobs that wait for one another go on some devices, and how long that takes: pure, of numbers alone."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What keeps one device busy.

    Attributes:
        name: Only it has it.
        seconds: How long.
        after: The job that it waits for; None for none.
        opens: Seconds from its start until those that wait for it may begin: a stage's own time, where its cells come
            after; None for all of it.
    """

    name: str
    seconds: float
    after: str | None = None
    opens: float | None = None

    @property
    def until_open(self) -> float:
        """Seconds from its start until those that wait for it may begin."""
        return self.seconds if self.opens is None else self.opens


@dataclass(frozen=True)
class Run:
    """How jobs went.

    Attributes:
        seconds: Until the last one ended.
        busy: Device seconds that were work.
        ends: When each job ended, by name, in the order of their starts.
    """

    seconds: float
    busy: float
    ends: Mapping[str, float]


def remaining(jobs: Sequence[Load]) -> dict[str, float]:
    """How long each job keeps the whole waiting, if devices are many: its longest path to the end.

    No order that leaves no device idle takes more than twice the best one's time (Graham 1966); that by the longest
    path is mostly near the best.

    Args:
        jobs: Each after the one that it waits for.

    Returns:
        Seconds by name.
    """
    longest: dict[str, float] = {}
    behind: dict[str, float] = {}
    for job in reversed(jobs):
        longest[job.name] = own = max(job.seconds, job.until_open + behind.get(job.name, 0.0))
        if job.after is not None:
            behind[job.after] = max(behind.get(job.after, 0.0), own)
    return {job.name: longest[job.name] for job in jobs}


def longest_first(jobs: Sequence[Load]) -> list[Load]:
    """The jobs in the order in which they should be started as soon as they can be.

    Args:
        jobs: Each after the one that it waits for, as it is in what comes back.
    """
    longest = remaining(jobs)
    return sorted(jobs, key=lambda job: -longest[job.name])


def least_seconds(jobs: Sequence[Load], devices: int) -> float:
    """What no order can go below: the longest path, and the work shared evenly.

    Args:
        jobs: Each after the one that it waits for.
        devices: How many.
    """
    return max(max(remaining(jobs).values(), default=0.0), sum(job.seconds for job in jobs) / devices)


def simulate(jobs: Sequence[Load], devices: int) -> Run:
    """Let every free device take the first job of the list that can begin.

    Args:
        jobs: In the order in which they are to be taken; those that they wait for may stand anywhere.
        devices: How many, all alike.

    Raises:
        ValueError: A job waits for one that is not there, or for itself.
    """
    waiting: dict[str, list[int]] = {}
    ready: list[int] = []
    for place, job in enumerate(jobs):
        if job.after is None:
            ready.append(place)
        else:
            waiting.setdefault(job.after, []).append(place)
    events: list[tuple[float, int, int]] = []  # when; whether a device becomes free; whose
    ends: dict[str, float] = {}
    now, free = 0.0, devices
    while True:
        while ready and free:
            place = heapq.heappop(ready)
            job, free = jobs[place], free - 1
            ends[job.name] = now + job.seconds
            heapq.heappush(events, (now + job.seconds, 1, place))
            if job.name in waiting:
                heapq.heappush(events, (now + min(job.until_open, job.seconds), 0, place))
        if not events:
            break
        now = events[0][0]
        while events and events[0][0] == now:
            _, frees, place = heapq.heappop(events)
            free += frees
            for one in () if frees else waiting.pop(jobs[place].name):
                heapq.heappush(ready, one)
    if len(ends) < len(jobs):
        raise ValueError("some jobs wait for what is not there, or for each other")
    return Run(max(ends.values(), default=0.0), sum(job.seconds for job in jobs), ends)
