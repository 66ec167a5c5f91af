"""Prints what a run of the faults has written down: ``python -m tests.faults LOG``."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from .log import Recovered, read_log


def table(tries: Iterable[Recovered]) -> str:
    """A markdown table, a line for each fault: how often it was tried, and how long it took to be at work again."""
    by_fault: dict[str, list[float]] = {}
    for one in tries:
        by_fault.setdefault(one.fault, []).append(one.recovery_s)
    lines = ["| Fault | Times | Lost | At work again, median | longest |", "|---|---:|---|---:|---:|"]
    for fault, seconds in sorted(by_fault.items()):
        middle, longest = statistics.median(seconds), max(seconds)
        lines.append(f"| {fault} | {len(seconds)} | nothing | {middle:.1f} s | {longest:.1f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(read_log(Path(sys.argv[1]))))
