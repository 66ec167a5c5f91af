"""Trying again after a failure that may pass: a longer wait each time, or what the server asks for; never for ever."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

TRIES = 5
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
LONGEST_ASKED_S = 120.0
"""Who is asked to wait for longer had better come back another time."""
MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Of HTTP's answers, those that say nothing of the request: too early, too many, or the server's own trouble."""

sleep = time.sleep


class Hiccup(NamedTuple):
    """A failure that may pass.

    Attributes:
        what: In a few words.
        asked_s: How long the server asks to wait; None where it does not say.
    """

    what: str
    asked_s: float | None = None


class Patience:
    """What is left of it for one thing that is fetched.

    Args:
        label: Of the thing, for people.
        note: Hears of each wait.
    """

    def __init__(self, label: str, note: Callable[[str], None]) -> None:
        self._label, self._note = label, note
        self._failed_in_a_row = 0
        self._tries = 1
        self._waited_s = 0.0

    def wait(self, hiccup: Hiccup, moved: bool = False) -> bool:
        """Wait before the next try.

        Args:
            hiccup: What went wrong.
            moved: Whether the try that failed got on: then the count begins anew, since whoever gets on comes to an
                end.

        Returns:
            Whether to try again; False where it was tried often enough, or where the server asks for too long a wait.
        """
        self._failed_in_a_row = 1 if moved else self._failed_in_a_row + 1
        too_long = hiccup.asked_s is not None and hiccup.asked_s > LONGEST_ASKED_S
        if self._failed_in_a_row >= TRIES or too_long:
            return False
        seconds = backoff_s(self._failed_in_a_row) if hiccup.asked_s is None else hiccup.asked_s
        self._note(
            f"{self._label}: {hiccup.what}; trying again in {seconds:.1f} s ({self._waited_s + seconds:.1f} s in all)"
        )
        sleep(seconds)
        self._waited_s += seconds
        self._tries += 1
        return True

    def spent(self, last: Hiccup | None = None) -> str:
        """For the end of a message: how often it was tried, and whether the server asks to come back much later.

        Args:
            last: The failure that ended it, if it was one that may pass.
        """
        tried = f", tried {self._tries} times in {self._waited_s:.0f} s" if self._tries > 1 else ""
        asked = None if last is None else last.asked_s
        return tried if asked is None or asked <= LONGEST_ASKED_S else f"{tried}; {come_back(asked)}"


def come_back(asked: float) -> str:
    """In words what a server says that asks for a longer wait, in seconds, than anybody should sit through."""
    return f"its server asks to come back in {math.ceil(min(asked, 1e9) / 60)} minutes"


def backoff_s(failed: int) -> float:
    """How long to wait after so many failures in a row: twice as long each time, give or take a half.

    The draw keeps those who failed together from coming back together.
    """
    share = random.uniform(0.5, 1.5)  # noqa: S311  # nothing secret
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (failed - 1)) * share


def asked_s(retry_after: str | None) -> float | None:
    """What an answer's ``Retry-After`` says, in seconds from now: it holds them, or a date (RFC 9110, 10.2.3)."""
    text = (retry_after or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
