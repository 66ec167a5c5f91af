"""How what a node's reporter hears comes to the driver's: through an actor on the driver's node.

No lost node takes the actor along, and what was told before a loss has been told.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple, TextIO

from .child import Heard


class Told(NamedTuple):
    """Events of a turn, in order.

    Attributes:
        number: Of the turn; its first message has no events, and says where it is done.
        node: The id of the node that does it.
        events: What happened there.
    """

    number: int
    node: str
    events: list[Heard]


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
