"""A plan of very many cells: planned, listed, resumed and rendered, a process each. Prints seconds and peak memory.

python -m tests.bench.many --cells 100000 --draws
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import load_registry
from xbench.settings import Settings

PYTHON = [sys.executable, *(["-P"] if sys.flags.safe_path else [])]
COMMAND = [*PYTHON, "-c", "import sys; from xbench.cli import main; sys.exit(main())"]
TASKS = ("mini",)
"""The four tasks of the paper on the corpora that lie in the package: rows cost nothing here, and cells are counted."""


@dataclass(frozen=True)
class Place:
    """Where everything lies, and what is asked.

    Attributes:
        folder: Of it all.
        count: Of models.
        seeds: Of every stage, how many.
    """

    folder: Path
    count: int
    seeds: int

    @property
    def settings(self) -> Settings:
        """Folders and switches."""
        return Settings(cache=self.folder / "cache", out=self.folder / "out", offline=True, device="cpu")

    @property
    def models(self) -> tuple[str, ...]:
        """The models' folders."""
        return tuple(str(self.folder / "models" / f"tiny-{number:03d}") for number in range(self.count))

    @property
    def strangers(self) -> tuple[str, ...]:
        """As many models of a hub, which are not here."""
        return tuple(f"hub/{Path(name).name}" for name in self.models)

    def asked(self, models: Sequence[str]) -> list[str]:
        """The request, as a user writes it."""
        seeds = ",".join(map(str, range(self.seeds)))
        return ["--model", ",".join(models), "--tasks", ",".join(TASKS), "--seeds", seeds]

    def request(self) -> Request:
        """The same as data."""
        return Request(self.models, TASKS, seeds=tuple(range(self.seeds)))


def make_place(folder: Path, models: int, cells: int) -> Place:
    """Find how many seeds give so many cells."""
    registry, seeds = load_registry(), 1
    one, two = (len(make_plan(Request(("m",), TASKS, seeds=tuple(range(count))), registry).cells) for count in (1, 2))
    while models * (one + (seeds - 1) * (two - one)) < cells:
        seeds += 1
    return Place(folder, models, seeds)


def steps(place: Place) -> dict[str, list[str]]:
    """Commands by what they do; the listing of strangers is that of a machine that only plans."""
    where = ["--cache", str(place.settings.cache), "--out", str(place.settings.out), "--offline"]
    out, known = ["--out", str(place.settings.out)], place.asked(place.models)
    return {
        "plan": [*PYTHON, "-m", "tests.bench.many", "--child", str(place.folder), str(place.count), str(place.seeds)],
        "list, nothing here": [*COMMAND, "eval", *place.asked(place.strangers), *where, "--dry-run"],
        "list, all done": [*COMMAND, "eval", *known, *where, "--dry-run"],
        "list, all done, --json": [*COMMAND, "eval", *known, *where, "--dry-run", "--json"],
        "resume, first": [*COMMAND, "eval", *known, *where],
        "resume": [*COMMAND, "eval", *known, *where],
        "resume, --json": [*COMMAND, "eval", *known, *where, "--json"],
        "leaderboard build": [*COMMAND, "leaderboard", "build", *out],
        "leaderboard check": [*COMMAND, "leaderboard", "check", *out],
    }


def timed(command: Sequence[str]) -> dict[str, Any]:
    """Seconds, the most memory held in MB, and how much was printed, of a process of its own."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        size = printed.seek(0, os.SEEK_END)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{command[:6]}: {said[-2000:].decode(errors='replace')}")
    about = {"s": round(seconds, 2), "cpu_s": round(used.ru_utime + used.ru_stime, 2)}
    return {**about, "peak_mb": round(used.ru_maxrss / 1024), "printed_mb": round((size + len(said)) / 1e6, 1)}


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # /tmp may be memory
        yield Path(name)


def main() -> None:
    """Measure every step, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--draws", action="store_true", help="records hold draws of their scores, as real ones do")
    parser.add_argument("--folder", type=Path, help="keep everything here, and take what is there")
    parser.add_argument("--only", action="append", help="this step only")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "MODELS", "SEEDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, models, seeds = options.child
        make_plan(Place(Path(folder), int(models), int(seeds)).request(), load_registry())
        return
    with _folder(options.folder) as folder:
        place = make_place(folder, options.models, options.cells)
        if not (place.settings.out / "results").is_dir():
            # A process of its own: what starts one counts for its memory, and so nothing large may be held here.
            made = [str(folder), str(place.count), str(place.seeds), "draws" if options.draws else "none"]
            subprocess.run([*PYTHON, "-m", "tests.bench.many_records", *made], check=True)
        for name, command in steps(place).items():
            if not options.only or name in options.only:
                print(f"{name:<26}{json.dumps(timed(command))}", flush=True)
        for path in sorted(place.settings.out.glob("*.*")):
            print(f"{path.name:<26}{path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
