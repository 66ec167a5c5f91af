"""How often, how long and in how much memory a reader is tried; and what has been tried so far."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, settings

VARIABLE = "XBENCH_FUZZ_EXAMPLES"
MANY = os.environ.get(VARIABLE)
EXAMPLES = int(MANY or 30)
LONGEST_S = 60
"""Of one case: a thousand times what it takes, so that a busy machine breaks nothing."""
LONGEST_MESSAGE = 2000
MEMORY = 3 << 30
"""Bytes that a case may take beyond what the process had before."""
CASES: Counter[str] = Counter()
"""Cases tried, by target."""


class HangError(BaseException):
    """A case took too long. No reader's own ``except`` catches it."""


def fuzz(share: float = 1.0) -> Callable[[Any], Any]:
    """Settings of a target: few cases, always the same, in the usual tests; many and new ones where they are asked for.

    Args:
        share: Of the number of cases, where one takes long.
    """
    return settings(
        max_examples=max(5, round(EXAMPLES * share)), deadline=None, derandomize=MANY is None,
        database=None, suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip


@contextlib.contextmanager
def case(target: str, *allowed: type[Exception]) -> Iterator[None]:
    """Try one case: it ends well or with an error that is documented, in time, and in a bounded memory.

    Args:
        target: The reader, for the count.
        allowed: What the reader says that it raises. Its text is one line that no terminal obeys, and not endless.
    """
    CASES[target] += 1
    before = signal.signal(signal.SIGALRM, _stop)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    if limits[1] != resource.RLIM_INFINITY:
        most = min(most, limits[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    signal.alarm(LONGEST_S)
    try:
        yield
    except allowed as error:
        if len(str(error)) > LONGEST_MESSAGE:
            raise AssertionError(f"{target}: a message of {len(str(error))} letters") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _stop(number: int, frame: FrameType | None) -> None:
    raise HangError(f"more than {LONGEST_S} s")
