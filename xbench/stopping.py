"""What becomes of a signal that asks a run to stop.

Ctrl-C stops at once. So does SIGTERM, which a cluster sends before it takes a machine away, except while a stage is
trained with checkpoints: there the first one waits for the end of the step, so that the work up to it is kept.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(BaseException):  # no error, as KeyboardInterrupt is none
    """The run was asked to stop. Like KeyboardInterrupt, nothing that waits for errors catches it.

    Args:
        number: The signal's.

    Attributes:
        number: The signal's; 128 more is the exit status.
        why: What happened, in a few words for the user.
        standing: What is done, in a few words for the user.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.why, self.standing = number, "interrupted", ""


class _Wish:
    """Whether somebody wants this process to stop, and whether it may finish its step."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.may_wait = False

    def heard(self, number: int, frame: FrameType | None) -> None:
        """The signal's handler."""
        if self.may_wait and self.number is None:
            self.number = number
            return
        signal.signal(number, signal.SIG_DFL)  # whoever asks again while all is tidied up does not wait for it
        raise Interrupted(number)


_WISH = _Wish()


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Take SIGTERM as a wish to stop; where it is ignored or someone else takes it, it stays so."""
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not mine:
        yield
        return
    signal.signal(signal.SIGTERM, _WISH.heard)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) == _WISH.heard:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _WISH.number = None


@contextlib.contextmanager
def at_steps() -> Iterator[None]:
    """Let the first SIGTERM wait until `heed` is called, or until the block ends; a second one stops at once."""
    _WISH.may_wait = True
    try:
        yield
    finally:
        _WISH.may_wait = False
    heed()


def wanted() -> bool:
    """Whether a signal waits to be heeded."""
    return _WISH.number is not None


def heed() -> None:
    """Stop if a signal waits for it.

    Raises:
        Interrupted: One does.
    """
    number, _WISH.number = _WISH.number, None
    if number is not None:
        raise Interrupted(number)


def hear_no_more() -> None:
    """From here on SIGTERM does nothing: the process ends by itself, and has a last word to say."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def die_by_the_next() -> None:
    """From here on another Ctrl-C ends the process without a word: the last one has been said."""
    if threading.current_thread() is threading.main_thread() and os.name == "posix":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
