"""What a command tells of its downloads."""

from __future__ import annotations

import threading
import time

from ..settings import Listener
from .listing import size_text
from .terminal import say

LINE_EVERY_S = 5.0
LITTLE = 1 << 20
"""A download smaller than this is over before anybody wonders."""


class DownloadLines(Listener):
    """Why one waits, and a line now and then for each download that takes its time; threads share it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._said: dict[str, float] = {}

    def note(self, text: str) -> None:
        """A line of its own."""
        with self.lock:
            say(f"note: {text}", err=True)

    def fetched(self, label: str, done: int, total: int | None) -> None:
        """A line every few seconds."""
        now = time.monotonic()
        with self.lock:
            last = self._said.setdefault(label, now)
            if now - last >= LINE_EVERY_S and done >= LITTLE:
                self._said[label] = now
                say(f"  {label}: {bytes_text(done)} of {bytes_text(total)}", err=True)


def bytes_text(count: int | None) -> str:
    """A number of bytes for people."""
    return "an unknown size" if count is None else size_text(count)
