"""Locks between processes on one cache: what is made once and kept is made by one of them at a time.

A lock is a file in ``cache/locks``, named by what it guards and held by the operating system (``flock``): when its
holder ends, in whatever way, the lock is free at once, and a file that a killed process has left stops nobody. Whoever
has got one looks again whether the thing is there by now.

No deadlock, by two rules. The kinds in `TRIED` are never waited for: who does not get one does something else, and
comes back to it holding nothing. Of the others, who waits for one holds only kinds that stand before it in `ORDER`: so
the holder of a later kind never waits for one of an earlier kind. `Locks` refuses what breaks the second rule.

On a file system that has no ``flock`` the library falls back, with a warning, to files whose being there is the lock,
with the holder's process and host in them. There too one process at a time works on a thing, where the file system
makes new files for one process alone; a file of a dead process of the same host is recognised and taken away, one of
another host has to be deleted by hand.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from .errors import UserError
from .keys import text_sha256

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from .settings import Settings

ORDER: Final = ("stage", "cell", "dev-score", "examples", "rows", "model", "download", "ceiling", "publish")
"""All kinds. Who holds one may wait for those behind it."""
TRIED: Final = ("stage", "cell")
"""What is never waited for; a process holds many of the second kind at once."""
FIRST_S, LONGEST_S = 0.02, 1.0
"""Seconds between two tries: short at first, since most waits are."""
SAID_AFTER_S = 2.0
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")


class _Held(threading.local):
    """The kinds that this thread holds."""

    def __init__(self) -> None:
        self.kinds: list[str] = []


_HELD = _Held()


class Lock:
    """A lock that is held, until the block that it is given to ends.

    Args:
        kind: What it guards.
        lock: The library's.
    """

    def __init__(self, kind: str, lock: BaseFileLock) -> None:
        self._kind, self._lock, self._held = kind, lock, _HELD.kinds
        self._held.append(kind)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let it go, and take its file away: who had it open meanwhile sees that, and opens a new one."""
        from filelock import UnixFileLock

        self._held.remove(self._kind)
        if isinstance(self._lock, UnixFileLock):
            with contextlib.suppress(OSError):
                Path(self._lock.lock_file).unlink()
        self._lock.release()


class Locks:
    """The locks of a folder.

    Args:
        folder: Of their files; made when one is asked for.
        note: Told once of each thing that is waited for longer than a moment.
        option: What names another folder instead.
    """

    def __init__(self, folder: Path, note: Callable[[str], None], option: str) -> None:
        self._folder, self._note, self._option = folder, note, option

    @classmethod
    def of(cls, settings: Settings) -> Locks:
        """Those of a cache.

        Args:
            settings: The cache, and who hears of waits.
        """
        return cls(settings.cache / "locks", settings.listener.note, "--cache or XBENCH_CACHE")

    def attempt(self, kind: str, key: str) -> Lock | None:
        """Get a lock at once, or not at all: another process has it, or another thread.

        Args:
            kind: One of `ORDER`.
            key: What it guards, within its kind; empty where there is but one.

        Raises:
            UserError: Nothing can be written there, so that nothing can be made.
        """
        from filelock import FileLock, Timeout

        assert kind in ORDER
        name = key if _PLAIN.fullmatch(key) else text_sha256(key)[:32]
        path = self._folder / (f"{kind}-{name}.lock" if key else f".{kind}.lock")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Not the thread's own: it may be released by another one.
            lock = FileLock(path, thread_local=False)
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be written to ({error.strerror or error}): see to it, or name another folder "
                f"with {self._option}"
            ) from None
        return Lock(kind, lock)

    def wait(self, kind: str, key: str, doing: str) -> Lock:
        """Get a lock, however long another process has it.

        Args:
            kind: One of `ORDER`, and none of `TRIED`.
            key: What it guards, within its kind.
            doing: What the other process does, such as ``reads the rows of stsb``.

        Raises:
            UserError: Nothing can be written there, so that nothing can be made.
            RuntimeError: This thread holds a lock that might be waited for by who has this one.
        """
        later = [held for held in _HELD.kinds if ORDER.index(held) >= ORDER.index(kind)]
        if kind in TRIED or later:
            raise RuntimeError(f"a lock of the kind {kind} is waited for while holding {later}: see xbench.locks")
        started, pause, said = time.monotonic(), FIRST_S, False
        while (lock := self.attempt(kind, key)) is None:
            if not said and time.monotonic() - started >= SAID_AFTER_S:
                self._note(f"waiting for another process that {doing}")
                said = True
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_S)
        return lock
