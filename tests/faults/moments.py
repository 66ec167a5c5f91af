"""The moments at which a run is killed, as what can be seen of it from outside."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .processes import LONGEST_S, Running


@dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Attributes:
        about: For people.
        place: A folder under which something has to appear; none for any time at all.
        unfinished: Whether what has to appear is a temporary file or folder: it is being written just now.
        ending: How its name ends.
        deep: Whether it may lie in a folder below.
        later_s: Then at most so many seconds more go by, as chance will have it.
    """

    about: str
    place: str
    unfinished: bool = False
    ending: str = ""
    deep: bool = True
    later_s: float = 0.0

    def reached(self, folder: Path) -> bool:
        """Whether it has come, in a run's folder."""
        names = _names(folder / self.place, self.deep)
        return any(name.startswith(".") == self.unfinished and name.endswith(self.ending) for name in names)


# In the order of a run that is started again after each of them.
MOMENTS = {
    "download": Moment("a file is half downloaded", "cache/downloads", ending=".part"),
    "rows": Moment("rows are prepared", "cache/datasets", unfinished=True),
    "tokenising": Moment("texts are tokenised", "cache/examples", unfinished=True),
    "predictions": Moment("predictions are written", "cache/predictions", unfinished=True),
    "record": Moment("a record is written", "leaderboard/results", unfinished=True),
    "training": Moment("it trains, in the middle of an epoch", "cache/unfinished", later_s=1.0),
    "checkpoint": Moment("a checkpoint is written", "cache/unfinished", unfinished=True),
    "stage": Moment("a stage is written", "cache/stages", unfinished=True),
    "evaluation": Moment("cells are scored", "cache/stages", later_s=1.0),
    "leaderboard": Moment("the leaderboard is written", "leaderboard", unfinished=True, deep=False),
}


def kill_at(moment: Moment, running: Running, chance: random.Random) -> bool:
    """Kill a program with SIGKILL when a moment has come; tells whether it came before the program's end."""
    until = time.monotonic() + LONGEST_S
    while not moment.reached(running.folder):
        if running.process.poll() is not None:
            return False
        assert time.monotonic() < until, f"has not come: {moment.about}: {running.said()}"
    time.sleep(chance.uniform(0, moment.later_s))
    return running.end(signal.SIGKILL).status == -signal.SIGKILL


def kill_after(seconds: float, running: Running) -> bool:
    """Kill a program after some time, wherever it is; tells whether it was still there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and running.process.poll() is None:
        time.sleep(0.005)
    return running.end(signal.SIGKILL).status == -signal.SIGKILL


def _names(folder: Path, deep: bool) -> Iterator[str]:
    """The names of the files and folders under a folder, as fast as can be: some are there for a millisecond."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        yield entry.name
    for entry in entries if deep else ():
        if not entry.name.startswith("."):
            yield from _names(Path(entry.path), deep)
