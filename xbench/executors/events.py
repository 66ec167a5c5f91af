"""How what a node's reporter hears comes to the driver's: through an actor on the driver's node.

No lost node takes the actor along, and what was told before a loss has been told.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from ..progress import Reporter

TELL_S = 0.5
"""Seconds between two messages about steps; nothing is left out: a loss is smoothed over all of them."""
STEPS = ("stage_step", "pass_step", "fetched")
PRINTED = "printed"
"""The event of a line that was printed; all others are called as a `Reporter`'s methods."""


class Event(NamedTuple):
    """Something that a reporter hears.

    Attributes:
        name: Of its method, or `PRINTED`.
        values: The method's arguments, or the line.
        named: The method's arguments that were given by name.
    """

    name: str
    values: tuple[Any, ...]
    named: Mapping[str, Any]


class Told(NamedTuple):
    """Events of a turn, in order.

    Attributes:
        number: Of the turn; its first message has no events, and says where it is done.
        node: The id of the node that does it.
        events: What happened there.
    """

    number: int
    node: str
    events: list[Event]


class Letterbox:
    """Keeps what nodes tell until the driver takes it; to be made an actor."""

    def __init__(self) -> None:
        self._told: list[Told] = []

    def tell(self, told: Told) -> None:
        """Put something in."""
        self._told.append(told)

    def take(self) -> list[Told]:
        """Take everything out."""
        told, self._told = self._told, []
        return told


class Telling(Reporter):
    """Tells everything that it hears, steps several at once.

    Args:
        tell: Takes events; must not wait.
        every_s: Seconds between two calls for steps alone, at least.

    Attributes:
        hushed: Whether notes are dropped: the driver has heard them before, from itself.
    """

    def __init__(self, tell: Callable[[list[Event]], object], every_s: float = TELL_S) -> None:
        self._tell, self._every_s = tell, every_s
        self._kept: list[Event] = []
        self._last = time.monotonic()
        self._lock = threading.Lock()  # downloads are heard from several threads
        self.hushed = False
        for name in (name for name in dir(Reporter) if not name.startswith("_")):
            setattr(self, name, self._hearing(name))

    def _hearing(self, name: str) -> Callable[..., None]:
        def hear(*values: Any, **named: Any) -> None:
            if not (self.hushed and name == "note"):
                self.hear(Event(name, values, named))

        return hear

    def hear(self, event: Event) -> None:
        """Take one event."""
        with self._lock:
            self._kept.append(event)
            if event.name not in STEPS or time.monotonic() - self._last >= self._every_s:
                self._send()

    def flush(self) -> None:
        """Tell what is left."""
        with self._lock:
            self._send()

    def _send(self) -> None:
        if self._kept:
            self._tell(self._kept)
            self._kept = []
        self._last = time.monotonic()


class Lines(io.TextIOBase):
    """A stream that tells whole lines besides writing them.

    A line that was drawn over, as progress bars are, is not told.

    Args:
        beneath: Where text is written.
        say: Takes a line.
    """

    def __init__(self, beneath: TextIO, say: Callable[[str], None]) -> None:
        self._beneath, self._say = beneath, say
        self._rest = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Write a text, and tell the lines that are whole by now."""
        self._beneath.write(text)
        *lines, rest = (self._rest + text).split("\n")
        _, drawn_over, end = rest.rpartition("\r")
        self._rest = drawn_over + end
        for line in lines:
            if line.strip() and "\r" not in line:
                self._say(line.rstrip())
        return len(text)

    def flush(self) -> None:
        """Flush what is beneath."""
        self._beneath.flush()
