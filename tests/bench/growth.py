"""How time and memory grow with rows, start-up with plugins, and planning with cells. Prints tables.

python -m tests.bench.growth --rows 1000 10000 100000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.tiny import WORDS, tiny_model
from xbench.data.rows import prepare
from xbench.execute import execute
from xbench.models.encoder import load_tokenizer
from xbench.models.resolve import resolve_model
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.progress import Reporter
from xbench.provenance import peak_memory
from xbench.registry import Plugin, Registry, load_registry
from xbench.settings import Settings
from xbench.tasks import Task, load_task
from xbench.training.examples import head_context
from xbench.training.heap import start_afresh
from xbench.training.stage import example_table
from xbench.types import Dataset, Packaged, Split

ROOT = Path(__file__).parents[2]
TASK = """
name = "grow-{kind}"
title = "Growth"
version = 1
train = ["grow-{kind}"]
eval = ["grow-{kind}"]
eval_split = "train"
heads = ["{head}"]
metrics = ["{metric}"]
curricula = ["grow-{kind}"]
diagnostics = {diagnostics}
[recipe]
epochs = 1
batch_size = 256
micro_batch_tokens = 8192
precision = "fp32"
{recipe}
"""
KINDS = {  # head, schema, metric, diagnostics, recipe
    "pairs": ("siamese", "pair-score", "spearman", ["truncated-rows"], "max_length = 64"),
    "spans": (
        "span", "span", "squad", ["truncated-rows", "tokenizer-ceiling"],
        "max_length = 64\nstride = 16\nmax_question = 12",
    ),
}  # fmt: skip
PHASES = ("prepare", "tokenise", "train", "predict", "record")
PLUGIN = """
from xbench.api import Dataset, Split, hookimpl

@hookimpl
def xbench_datasets():
    for index in range({datasets}):
        splits = {{"train": Split(()), "test": Split(())}}
        yield Dataset(f"more-{number}-{{index}}", ("en",), "pair-score", splits, "", "", "", "")
"""
COMMANDS = {
    "--help": ["--help"],
    "tasks": ["tasks"],
    "eval --dry-run": ["eval", "--model", "m", "--tasks", "sts", "--dry-run"],
}
PLANNED = (1_000, 10_000)
WARM = 64
"""Rows that go through everything first, so that imports and what libraries keep count for no size."""


# Rows that nobody has seen


def pair_row(index: int, draw: random.Random) -> dict[str, Any]:
    """Two sentences of 4 to 12 words."""
    sides = [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) for _ in range(2)]
    return {"id": f"row-{index}", "sentence1": sides[0], "sentence2": sides[1], "score": draw.randrange(51) / 10}


def span_row(index: int, draw: random.Random) -> dict[str, Any]:
    """A passage of 20 to 100 words and a question about one to three of them."""
    words = draw.choices(WORDS, k=draw.randint(20, 100))
    first = draw.randrange(len(words) - 3)
    text, start = " ".join(words[first : first + draw.randint(1, 3)]), len(" ".join([*words[:first], ""]))
    question = " ".join(draw.choices(WORDS, k=draw.randint(3, 10)))
    answers = [{"text": text, "start": start}]
    return {"id": f"row-{index}", "context": " ".join(words), "question": question, "answers": answers}


def write_rows(path: Path, kind: str, count: int) -> None:
    """A row a line, as JSON: a form that is read row by row, which SQuAD's own is not."""
    draw, make = random.Random(count), pair_row if kind == "pairs" else span_row
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            file.write(json.dumps(make(index, draw)) + "\n")


def read_rows(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The reader."""
    with paths[0].open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


# One size, in a process of its own


class Marks(Reporter):
    """Begins and ends a phase where the run says that it has come there.

    Attributes:
        results: Of each phase the seconds of processor time and the peak MB.
    """

    def __init__(self) -> None:
        self.results: dict[str, dict[str, float]] = {}
        self._began = 0.0

    def begin(self) -> None:
        """A phase begins."""
        start_afresh(torch.device("cpu"))
        self._began = time.process_time()

    def end(self, name: str) -> None:
        """It ends."""
        seconds = time.process_time() - self._began
        self.results[name] = {"s": seconds, "mb": peak_memory(torch.device("cpu"))["peak_rss_mb"] or 0.0}

    def stage_started(self, stage: Any, examples: int, steps: int) -> None:
        """See `Reporter`."""
        self.begin()

    def stage_done(self, stage: Any, seconds: float, found: bool) -> None:
        """See `Reporter`."""
        self.end("train")

    def pass_step(self, label: str, passed: int, examples: int, share: float) -> None:
        """See `Reporter`."""
        if passed == 0:
            self.begin()
        elif passed == examples:
            self.end("predict")
            self.begin()

    def cell_done(self, cell: Any, record: Any, found: bool) -> None:
        """See `Reporter`."""
        self.end("record")


def declare(kind: str, path: Path, registry: Registry) -> tuple[Dataset, Task]:
    """Add the rows and a task on them to what the plugins declare."""
    head, schema, metric, diagnostics, recipe = KINDS[kind]
    owner, source = Plugin("growth", "bench"), Packaged((path,), read_rows)
    about = Dataset(
        f"grow-{kind}", ("en",), schema, {"train": Split((source,))}, "", "", "", "", score_range=(0.0, 5.0)
    )
    registry.datasets.add(about.name, about, owner)
    task = load_task(
        TASK.format(kind=kind, head=head, metric=metric, diagnostics=json.dumps(diagnostics), recipe=recipe)
    )
    registry.tasks.add(task.name, task, owner)
    return about, task


def measure(kind: str, count: int, folder: Path, model: Path) -> dict[str, dict[str, float]]:
    """Prepare, tokenise, train one pass and evaluate, as ``xbench eval`` does it.

    Returns:
        Of each phase the seconds of processor time, on one thread, and the peak MB.
    """
    torch.set_num_threads(1)
    marks, registry = Marks(), load_registry()
    about, task = declare(kind, folder / f"{kind}-{count}.jsonl", registry)
    place = Path(tempfile.mkdtemp(dir=folder))
    settings = Settings(cache=place / "cache", out=place / "out", offline=True, device="cpu")
    plan = make_plan(Request((str(model),), (task.name,)), registry)
    marks.begin()
    rows = prepare(about, "train", registry.schemas.get(about.schema), settings)
    marks.end("prepare")
    local, head = resolve_model(str(model), registry, settings), registry.heads.get(task.heads[0])
    tokenizer, context = load_tokenizer(local.folder), head_context(plan.cells[0].recipe, local, about)
    marks.begin()
    example_table(rows, head, local, tokenizer, context, None, 0, settings)
    marks.end("tokenise")
    outcome = execute(plan, registry, settings, marks)
    assert not outcome.failures, outcome.failures
    return marks.results


def grow(kinds: Sequence[str], sizes: Sequence[int]) -> None:
    """Measure every size and say how far from flat time and memory are."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # /tmp may be memory
        folder = Path(name)
        model = tiny_model(folder / "model", "xlm-roberta")
        for kind in kinds:
            found = {}
            for count in (WARM, *sizes):
                write_rows(folder / f"{kind}-{count}.jsonl", kind, count)
            for count in sizes:
                found[count] = json.loads(_child("--child", kind, str(count), str(folder), str(model)))
            _print_growth(kind, found)


def _child(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *_safe_path(), "-m", "tests.bench.growth", *arguments], check=True, cwd=ROOT,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def _safe_path() -> list[str]:
    return ["-P"] if sys.flags.safe_path else []


def _print_growth(kind: str, found: Mapping[int, Mapping[str, Mapping[str, float]]]) -> None:
    sizes, width = list(found), 10 * len(found)
    titles = f"{'seconds for 1,000 of so many rows':<{width + 10}}{'peak MB':<{width + 3}}bytes for"
    header = "".join(f"{size:>10,}" for size in sizes)
    print(f"\n{kind:<10}{titles}\n{'':<10}{header}{'last/first':>12}{header}{'a further row':>16}")
    for phase in PHASES:
        seconds = [1000 * found[size][phase]["s"] / size for size in sizes]
        peaks = [found[size][phase]["mb"] for size in sizes]
        slope = (peaks[-1] - peaks[0]) * 2**20 / max(1, sizes[-1] - sizes[0])
        times, memory = "".join(f"{one:>10.3f}" for one in seconds), "".join(f"{one:>10.0f}" for one in peaks)
        print(f"{phase:<10}{times}{seconds[-1] / seconds[0]:>12.2f}{memory}{slope:>16.0f}")


# Start-up and planning


def start_up(rounds: int, plugins: int = 100, datasets: int = 10) -> None:
    """Time commands with the built-in plugins alone, and with many more: as files, and installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = _write_plugins(folder, plugins, datasets)
        by_file = [word for file in files for word in ("--plugin", str(file))]
        path = os.pathsep.join([os.environ.get("PYTHONPATH", str(ROOT)), name])
        ways: dict[str, tuple[list[str], dict[str, str]]] = {
            "built-in": ([], {}), f"{plugins} files": (by_file, {}), f"{plugins} installed": ([], {"PYTHONPATH": path}),
        }  # fmt: skip
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for title, arguments in COMMANDS.items():
                for way, (more, environment) in ways.items():
                    words = arguments + ([] if title == "--help" else more)
                    times.setdefault((title, way), []).append(_time_command(words, environment))
    print(f"\n{'seconds':<18}" + "".join(f"{way:>16}" for way in ways) + f"   ({datasets} data sets a plugin)")
    for title in COMMANDS:
        print(f"{title:<18}" + "".join(f"{statistics.median(times[title, way]):>16.3f}" for way in ways))


def _write_plugins(folder: Path, plugins: int, datasets: int) -> list[Path]:
    """Plugin files, and an installed distribution that names them all."""
    files, points = [], ["[xbench]"]
    for number in range(plugins):
        files.append(folder / f"more_{number}.py")
        files[-1].write_text(PLUGIN.format(number=number, datasets=datasets), encoding="utf-8")
        points.append(f"more{number} = more_{number}")
    about = folder / "many_plugins-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: many-plugins\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("\n".join(points) + "\n", encoding="utf-8")
    return files


def _time_command(words: Sequence[str], environment: Mapping[str, str]) -> float:
    code = "import sys; from xbench.cli import main; sys.exit(main())"
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *_safe_path(), "-c", code, *words], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )  # fmt: skip
    return time.perf_counter() - started


def planning(rounds: int) -> None:
    """Time plans of the paper's Table I for as many seeds as the number of cells needs."""
    registry = load_registry()
    print(f"\n{'cells':<10}{'stages':>9}{'seconds':>9}")
    for cells in PLANNED:
        request = Request(tuple(f"m{index}" for index in range(cells // 100)), ("sts",), seeds=tuple(range(5)))
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            plan = make_plan(request, registry)
            times.append(time.perf_counter() - started)
        assert len(plan.cells) == cells
        print(f"{cells:<10,}{len(plan.stages):>9,}{statistics.median(times):>9.3f}")


def main() -> None:
    """Measure what is asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=5, help="of start-up and planning")
    parser.add_argument("--only", choices=["rows", "start", "plan"])
    parser.add_argument("--child", nargs=4, metavar=("KIND", "ROWS", "FOLDER", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, count, folder, model = options.child
        measure(kind, WARM, Path(folder), Path(model))
        print(json.dumps(measure(kind, int(count), Path(folder), Path(model))))
        return
    if options.only in (None, "plan"):
        planning(options.rounds)
    if options.only in (None, "start"):
        start_up(options.rounds)
    if options.only in (None, "rows"):
        grow(options.kinds, options.rows)


if __name__ == "__main__":
    main()
