"""How to wait for other processes, when all that is left to do is being done by them."""

from __future__ import annotations

import time
from collections.abc import Callable

from .schedule import Schedule
from .turn import TurnResult

FIRST_S, LONGEST_S = 0.05, 1.0
"""Seconds between two looks: short at first, since much takes but a moment."""
SAID_AFTER_S = 2.0


class Patience:
    """Waits for other processes.

    Args:
        note: Told once of each thing that is waited for longer than a moment.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._said: set[str] = set()
        self._pause, self._since = FIRST_S, time.monotonic()

    def heard(self, result: TurnResult) -> None:
        """A turn has come back: where something of it was done, it was no wait."""
        if result.left is None or result.records or result.reasons:
            self._pause, self._since = FIRST_S, time.monotonic()

    def wait(self, schedule: Schedule) -> None:
        """Wait a little, and let what was put off come again.

        Args:
            schedule: Nothing of it is ready now.
        """
        self.say(schedule)
        time.sleep(self.pause())
        schedule.retry()

    def say(self, schedule: Schedule) -> None:
        """Tell what is waited for, when it has been for longer than a moment."""
        if time.monotonic() - self._since >= SAID_AFTER_S:
            for line in schedule.waits_for:
                if line not in self._said:
                    self._said.add(line)
                    self._note(f"waiting for another process that {line}")

    def pause(self) -> float:
        """Seconds until the next look; longer each time."""
        pause, self._pause = self._pause, min(1.5 * self._pause, LONGEST_S)
        return pause
