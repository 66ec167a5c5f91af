"""Prints what a run of the faults has written down: ``python -m tests.faults LOG``."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from .log import Recovered, read_log


def table(tries: Iterable[Recovered]) -> str:
    """A markdown table, a line for each fault: how often it was tried, and how long it took to be at work again."""
    by_fault: dict[str, list[float | None]] = {}
    for one in tries:
        by_fault.setdefault(one.fault, []).append(one.recovery_s)
    lines = ["| Fault | Times | Lost | At work again after, median | longest |", "|---|---:|---|---:|---:|"]
    for fault, seconds in sorted(by_fault.items()):
        measured = [one for one in seconds if one is not None]
        times = [f"{one:.1f} s" for one in (statistics.median(measured), max(measured))] if measured else ["", ""]
        lines.append(f"| {fault} | {len(seconds)} | nothing | {' | '.join(times)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(read_log(Path(sys.argv[1]))))
