"""How long a command takes that has nothing to compute: one process of its own at a time. Prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = [sys.executable, "-c", "import sys; from xbench.cli import main; sys.exit(main())"]
PLAN = ["eval", "--model", "e5-small-q4", "--tasks", "mini-sts", "--train", "none"]


def main() -> None:
    """Time one kind of start; the best of several counts, since others may use the machine meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", choices=["import torch", "finished plan", "help"], required=True)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        plan = [*PROGRAM, *PLAN, "--data", str(options.data), "--cache", str(options.cache), "--out", out]
        command = {
            "import torch": [sys.executable, "-c", "import torch"],
            "finished plan": plan,
            "help": [*PROGRAM, "--help"],
        }[options.style]
        if command is plan:
            subprocess.run(plan, check=True, capture_output=True)
        runs = [timed(command) for _ in range(options.times)]
    least, peak = min(seconds for seconds, _ in runs), max(peak for _, peak in runs)
    print(json.dumps({"seconds": round(least, 3), "starts_per_s": round(1 / least, 2), "peak_rss_mb": round(peak, 1)}))


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds, and the most memory held, in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return seconds, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
