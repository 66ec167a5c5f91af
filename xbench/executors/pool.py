"""Does turns that are ready side by side, in child processes: one a device, or as many as are asked for."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from ..work import Turn, Work
from . import child
from .child import Share
from .patience import Patience
from .schedule import Schedule
from .turn import Job, TurnResult, given_up

TRIES = 2
"""How often a turn is begun whose child dies."""
ENDS_WITHIN_S = 10.0
"""How long an interrupted child may take to end by itself."""
LOOK_S = 0.5
"""Children are listened to for so long, at most, before waits are told of and turns that were put off come again."""


@dataclass
class _Child:
    """A child process.

    Attributes:
        process: The process.
        channel: To it.
        turn: What it is at; None where it has nothing to do.
        crash: The traceback that it sent before it ended.
    """

    process: SpawnProcess
    channel: Connection
    turn: Turn | None = None
    crash: str = ""


@dataclass
class Pool:
    """Children that do the turns of a schedule.

    Attributes:
        schedule: Gives turns and takes results.
        work: Of this process: its reporter hears of all children.
        job: What a child needs.
        shares: Of each child, so many of them at most; they are started when there is something to do for them.
    """

    schedule: Schedule
    work: Work
    job: Job
    shares: Sequence[Share]
    _children: dict[int, _Child] = field(default_factory=dict)
    _deaths: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Do all turns."""
        patience = Patience(self.work.reporter.note)
        looked = time.monotonic()
        try:
            while not self.schedule.finished:
                self._give_out()
                for result in self._listen(LOOK_S if self._busy() else patience.pause()):
                    patience.heard(result)
                if time.monotonic() - looked >= LOOK_S or not self._busy():
                    if not self._busy():
                        patience.say(self.schedule)
                    looked = time.monotonic()
                    self.schedule.retry()
        finally:
            self._close()

    def _busy(self) -> bool:
        return any(one.turn is not None for one in self._children.values())

    def _give_out(self) -> None:
        """Give every child that has nothing to do a turn, as long as there are some."""
        for place, share in enumerate(self.shares):
            one = self._children.get(place)
            if one is not None and one.turn is not None:
                continue
            turn = self.schedule.take()
            if turn is None:
                return
            if one is None:
                one = self._children[place] = self._start(share)
            one.turn = turn
            with contextlib.suppress(OSError):  # it is dead: that is seen by its end
                one.channel.send((turn, self.schedule.stood(turn)))

    def _start(self, share: Share) -> _Child:
        context = multiprocessing.get_context("spawn")
        channel, theirs = context.Pipe()
        process = context.Process(target=child.main, args=(theirs, self.job, share))
        process.start()
        theirs.close()  # else its end would not be heard
        return _Child(process, channel)

    def _listen(self, seconds: float) -> list[TurnResult]:
        """Hear what children say; gives the results of turns that have ended."""
        places = {one.channel: place for place, one in self._children.items()}
        if not places:
            time.sleep(seconds)
            return []
        results = []
        for channel in multiprocessing.connection.wait(list(places), seconds):
            place = places[channel]  # type: ignore[index]
            one = self._children[place]
            try:
                kind, what = one.channel.recv()
            except (EOFError, OSError):
                del self._children[place]
                results += self._ended(one)
                continue
            if kind == child.HEARD:
                child.relay(what, self.schedule, self.work.reporter)
            elif kind == child.CRASHED:
                one.crash = what
            elif kind == child.DONE:
                assert one.turn is not None
                self.schedule.finish(one.turn, what)
                one.turn = None
                results.append(what)
        return results

    def _ended(self, one: _Child) -> list[TurnResult]:
        """A child is gone: its turn comes again, once."""
        one.process.join()
        if one.turn is None:
            return []
        turn, reason = one.turn, f"its process {_how(one.process.exitcode)}"
        owner = turn.label if turn.stage is None else turn.stage.id
        self._deaths[owner] += 1
        if self._deaths[owner] < TRIES:
            self.work.reporter.note(f"{one.crash}{turn.label}: {reason}: it is done once more")
            self.schedule.give_back(turn)
            return []
        reason = f"{reason}, {TRIES} times"
        self.work.reporter.failed(turn.label, reason, one.crash)
        result = given_up(self.work, turn, reason)
        self.schedule.finish(turn, result)
        return [result]

    def _close(self) -> None:
        """End all children: those that wait by a word, others as an interrupt would."""
        for one in self._children.values():
            with contextlib.suppress(OSError):
                if one.turn is None:
                    one.channel.send(None)
                elif one.process.pid is not None:
                    os.kill(one.process.pid, signal.SIGINT)
        until = time.monotonic() + ENDS_WITHIN_S
        for one in self._children.values():
            one.process.join(max(0.0, until - time.monotonic()))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
            one.channel.close()


def _how(status: int | None) -> str:
    """How a process ended, in a few words."""
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed ({signal.Signals(-status).name})"
    return f"ended with status {status}"
