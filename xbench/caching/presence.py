"""Who works with a cache right now: what such a process has looked at since it began may be of use to it still.

Every run holds a lock of its own while it works, whose file's name says when it began; the system lets go of it when
the process ends, in whatever way. All that a run finds in the cache it marks as used (`xbench.files.mark_used`).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = "locks"
_NAME = re.compile(r"run-(\d+)-\d+\.lock")


@contextlib.contextmanager
def at_work(cache: Path) -> Iterator[None]:
    """Be seen by who makes the cache smaller, until the block ends. Where nothing can be written, nothing is pruned.

    Args:
        cache: The cache's folder.
    """
    from filelock import FileLock

    path = cache / FOLDER / f"run-{time.time_ns()}-{os.getpid()}.lock"
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except OSError:
        yield
        return
    working_since(cache)  # takes away what killed runs have left
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def working_since(cache: Path) -> float | None:
    """When the first of the runs began that still work with a cache, in seconds as `time.time` counts them.

    Args:
        cache: The cache's folder.

    Returns:
        None where there is none. What killed runs have left is tidied away.
    """
    from filelock import FileLock, Timeout

    began = []
    for path in sorted((cache / FOLDER).glob("run-*.lock")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):
            began.append(int(match[1]) / 1e9)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
            lock.release()
    return min(began, default=None)
