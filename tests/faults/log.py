"""What was tried and how long recovery took, for the table that ``make faults`` prints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "XBENCH_FAULT_LOG"
"""The variable that names the file; without it nothing is written down."""


@dataclass(frozen=True)
class Recovered:
    """One fault, and what came after it.

    Attributes:
        fault: What was done to the run.
        recovery_s: Seconds from the next start until the run was at work again; None where that was not measured.
    """

    fault: str
    recovery_s: float | None


def write_down(recovered: Recovered) -> None:
    """Add a line to the log, in one write: tests run side by side."""
    place = os.environ.get(ADDRESS)
    if place:
        line = json.dumps(vars(recovered), ensure_ascii=False)
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read_log(place: Path) -> Iterator[Recovered]:
    """What was written down."""
    for line in place.read_text(encoding="utf-8").splitlines():
        yield Recovered(**json.loads(line))
