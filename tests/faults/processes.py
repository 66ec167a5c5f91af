"""Starts the real program, waits until something has come to pass, ends it by a signal, and reads what it left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LONGEST_S = 300.0
"""Nothing that is waited for takes nearly so long, however busy the machine."""
# A shell that starts tests in the background lets them ignore SIGINT, and their children with them.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from xbench.cli import main; sys.exit(main())"
)
LAUNCH = (
    "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
    "--main_process_port", "0",
)  # fmt: skip
ESSENTIAL = ("key", "scores", "predictions_sha256", "stages", "recipe", "train", "eval", "diagnostics", "selected")
"""Of a record: what is the same whoever made it, and however often it was broken off."""


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        status: Its exit status; the signal's number below 0 where it ended by one.
        stdout: What it printed.
        stderr: What it said.
    """

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Running:
    """A program that was started.

    Attributes:
        process: Its process, which leads a group of its own.
        folder: Where it runs; ``cache`` and ``leaderboard`` lie in it.
        name: Its two outputs lie in ``folder`` under this name.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    name: str

    def said(self) -> str:
        """What it has said on stderr so far."""
        return (self.folder / f"{self.name}.stderr").read_text(encoding="utf-8", errors="replace")

    def ended(self, seconds: float = LONGEST_S) -> Ended:
        """Wait for its end."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise AssertionError(f"not done after {seconds} s: {self.said()}") from None
        stdout = (self.folder / f"{self.name}.stdout").read_text(encoding="utf-8", errors="replace")
        return Ended(status, stdout, self.said())

    def end(self, by: signal.Signals) -> Ended:
        """Send it a signal, and wait for its end."""
        self.process.send_signal(by)
        return self.ended()


def start(folder: Path, *arguments: str, program: Sequence[str] = ("-c", PROGRAM), **environment: str) -> Running:
    """Start the program on one thread, offline.

    Args:
        folder: Where it runs; its cache is the folder ``cache`` in it, its results go where they go by default.
        arguments: Of the command line.
        program: What Python runs.
        environment: Added to this process's own, of which no variable of xbench's is kept.
    """
    return _begin([sys.executable, "-P", *program, *arguments], folder, environment)


def launch(folder: Path, *arguments: str, program: Sequence[str] = ("-m", "xbench"), **environment: str) -> Running:
    """Start the program as two processes on the CPU that train together, by accelerate's launcher; see `start`."""
    launcher = [sys.executable, "-P", "-m", "accelerate.commands.launch", *LAUNCH]
    return _begin([*launcher, *program, *arguments], folder, environment)


def _begin(command: list[str], folder: Path, environment: Mapping[str, str]) -> Running:
    name = f"run-{len(list(folder.glob('run-*.stderr')))}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XBENCH_")}
    own = {"XBENCH_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment}
    with (folder / f"{name}.stdout").open("wb") as stdout, (folder / f"{name}.stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=folder, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**inherited, **own},
        )  # fmt: skip
    return Running(process, folder, name)


def run(folder: Path, *arguments: str, **environment: str) -> Ended:
    """Run the program to its end; see `start`."""
    return start(folder, *arguments, **environment).ended()


def wait_until(running: Running, condition: Callable[[], object], seconds: float = LONGEST_S) -> None:
    """Wait until something has come to pass while a program runs.

    Args:
        running: The program; it must not end before.
        condition: Asked again and again, such as ``lambda: "trained" in running.said()``.
        seconds: How long to wait at most.
    """
    until = time.monotonic() + seconds
    while not condition():
        # Asked once more: it may have come to pass with the very end.
        assert running.process.poll() is None or condition(), f"ended before: {running.said()}"
        if time.monotonic() > until:
            running.end(signal.SIGKILL)
            raise AssertionError(f"has not come to pass in {seconds} s: {running.said()}")
        time.sleep(0.005)


def essentials(folder: Path, out: str = "leaderboard") -> dict[str, dict[str, Any]]:
    """What must be the same of a run's records, by their place.

    Args:
        folder: Where the program ran.
        out: Its folder of results.
    """
    results = folder / out / "results"
    found = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.rglob("*.json"))}
    return {
        str(path.relative_to(results)): {name: record[name] for name in ESSENTIAL if name in record}
        for path, record in found.items()
    }


def stages(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifests of the finished stages of a cache, by key."""
    paths = sorted((folder / "cache" / "stages").glob("[!.]*/stage.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def weights(folder: Path) -> dict[str, str]:
    """The checksums of the finished stages' weights, by key."""
    return {key: manifest["weights_sha256"] for key, manifest in stages(folder).items()}


def temporaries(folder: Path) -> list[Path]:
    """What was begun under a hidden name in the cache or among the results, and never got its own."""
    return sorted(path for name in ("cache", "leaderboard") for path in (folder / name).rglob(".*"))


def begun(said: str) -> list[str]:
    """The stages that a process has begun to train, by their labels."""
    return re.findall(r"^train (.*): \d+ examples", said, re.MULTILINE)


def trained(said: str) -> list[str]:
    """The stages that a process has trained, by their labels."""
    return re.findall(r"^trained (.*) in [\d.]+ s$", said, re.MULTILINE)
