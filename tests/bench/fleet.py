"""The paper's plan for many models on 1, 8, 64 and more devices, simulated from measured costs. Prints tables.

python -m tests.bench.fleet

No GPU is measured here, and none is spoken of. A *device* is one that runs e5-small-q4 as fast as the machine of the
published records did, and times are in its days; of a device that is N times as fast they are N times as short, and no
other number of the tables changes as long as the driver keeps up, which a line below them tells.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xbench.executors.order import Load, Run, least_seconds, longest_first, remaining, simulate
from xbench.plan import Cell, Plan, Request, Stage
from xbench.planner import make_plan
from xbench.registry import Registry, load_registry
from xbench.store import read_records

ROOT = Path(__file__).parents[2]
MODEL = "e5-small-q4"
STAND_INS = {"squad-es": "squad"}
"""A dataset whose number of rows nobody has declared, and one that is a translation of the same rows."""
SIZES = (("small", 1.0, 20), ("base", 4.0, 12), ("large", 14.0, 8))
"""Multilingual encoders' weights outside of the embedding table, in e5-small's (21, 86 and 303 million), and how many
of 40 models have them: work in matrix products goes as these, and so do the bytes of a stage."""
DEVICES = (1, 8, 64, 256, 1024, 4096)
DAY = 86_400.0
BODY_BYTES = 4 * 21_300_000
TABLE_BYTES = 4 * 96_000_000
"""Of the smallest model: what a stage writes is its body and the rows of the embedding table that its data use."""
COLUMNS = (
    ("devices", 8), ("bound", 10), ("plan order", 12), ("longest 1st", 13), ("speed-up", 10), ("busy", 7), ("tail", 7),
    ("jobs/h", 9), ("MB/s written", 18),
)  # fmt: skip


@dataclass
class Rates:
    """Measured examples a second of training and of reading.

    Attributes:
        trained: By head and dataset, for stages on that dataset alone.
        read: By head and evaluation dataset.
    """

    trained: dict[tuple[str, str], float] = field(default_factory=dict)
    read: dict[tuple[str, str], float] = field(default_factory=dict)

    def of(self, kind: str, head: str, dataset: str) -> float:
        """The dataset's own rate, else the median of the head's."""
        found: Mapping[tuple[str, str], float] = getattr(self, kind)
        own = found.get((head, dataset))
        return own or statistics.median(rate for (name, _), rate in found.items() if name == head)


def measured(out: Path) -> Rates:
    """The medians of the published records of `MODEL`; trainings in fp32 are left out where there are others.

    Args:
        out: The folder that holds ``results/``.
    """
    trained: dict[tuple[str, str], list[float]] = {}
    read: dict[tuple[str, str], list[float]] = {}
    for _, record in read_records(out):
        if record is None or record["model"]["name"] != MODEL:
            continue
        timing, head = record["timing"], record["head"]
        read.setdefault((head, record["eval"]["dataset"]), []).append(timing["eval_examples_per_s"])
        fast = record["environment"].get("training_precision") == "bf16"
        if len(record["train"]) == 1 and fast:
            trained.setdefault((head, record["train"][0]["dataset"]), []).append(timing["train_examples_per_s"])
    return Rates(*({key: statistics.median(rates) for key, rates in found.items()} for found in (trained, read)))


def rows_of(name: str, split: str, registry: Registry) -> int:
    """As many as the dataset's declaration says."""
    rows = registry.datasets.get(name).splits[split].rows
    if rows is None:
        return rows_of(STAND_INS[name], split, registry)
    return rows


def stage_seconds(stage: Stage, rates: Rates, registry: Registry) -> float:
    """Rows, times epochs, over the rate of each dataset of the mixture."""
    epochs = stage.recipe.epochs
    return sum(
        rows_of(name, stage.split, registry) * epochs / rates.of("trained", stage.head, name) for name in stage.mixture
    )


def cells_seconds(cells: Sequence[Cell], rates: Rates, registry: Registry) -> float:
    """A pass over each split that is read; cells that share one share its pass."""
    passes = {(cell.dataset, cell.split): cell for cell in cells}
    return sum(
        rows_of(name, split, registry) / rates.of("read", cell.head, name) for (name, split), cell in passes.items()
    )


def jobs_of(plan: Plan, factors: Mapping[str, float], rates: Rates, registry: Registry) -> list[Load]:
    """A job for each stage with its cells, and one for the frozen encoder's cells of each model and head.

    Args:
        plan: The paper's.
        factors: How many times as long a model takes as `MODEL`.
        rates: Of that one.
        registry: For the numbers of rows.
    """
    cells: dict[str, list[Cell]] = {}
    for cell in plan.cells:
        cells.setdefault(cell.stage or f"{cell.model} {cell.head}", []).append(cell)
    known: dict[tuple[Any, ...], float] = {}  # the same for every model and seed

    def once(kind: tuple[Any, ...], seconds: Any, *about: Any) -> float:
        if kind not in known:
            known[kind] = seconds(*about, rates, registry)
        return known[kind]

    jobs = []
    for stage in plan.stages:
        factor, kind = factors[stage.model], (stage.head, stage.curriculum)
        trains = factor * once(("stage", *kind), stage_seconds, stage)
        reads = factor * once(("cells", *kind), cells_seconds, cells[stage.id]) if stage.id in cells else 0.0
        jobs.append(Load(stage.id, trains + reads, stage.parent, trains))
    ids = {stage.id for stage in plan.stages}
    for name, frozen in cells.items():
        if name not in ids:
            reads = once(("frozen", frozen[0].head, len(frozen)), cells_seconds, frozen)
            jobs.append(Load(name, factors[frozen[0].model] * reads))
    return jobs


def idle_tail(run: Run, devices: int) -> float:
    """The share of the time in which not all devices have work, at the end."""
    ends = sorted(run.ends.values())
    return 1 - ends[-min(devices, len(ends))] / run.seconds


def print_table(title: str, plan: Plan, factors: Mapping[str, float], rates: Rates, registry: Registry) -> None:
    """A line for each number of devices."""
    jobs, bodies = jobs_of(plan, factors, rates, registry), sum(factors[stage.model] for stage in plan.stages)
    alone, first = sum(job.seconds for job in jobs), longest_first(jobs)
    chain, longest = max(remaining(jobs).values()) / DAY, max(job.seconds for job in jobs) / DAY
    print(f"\n{title}: {len(jobs):,} jobs, {alone / DAY:,.0f} device days, longest chain {chain:.2f} days, "
          f"longest job {longest:.2f}")  # fmt: skip
    print("".join(f"{name:>{width}}" for name, width in COLUMNS))
    for devices in DEVICES:
        planned, best = simulate(jobs, devices), simulate(first, devices)
        low, high = (bodies * size / best.seconds / 1e6 for size in (BODY_BYTES, BODY_BYTES + TABLE_BYTES))
        texts = (
            f"{devices:,}", f"{least_seconds(jobs, devices) / DAY:.2f}", f"{planned.seconds / DAY:.2f}",
            f"{best.seconds / DAY:.2f}", f"{alone / best.seconds:.1f}", f"{best.busy / best.seconds / devices:.0%}",
            f"{idle_tail(best, devices):.0%}", f"{3600 * len(jobs) / best.seconds:.1f}", f"{low:.2f} to {high:.2f}",
        )  # fmt: skip
        print("".join(f"{text:>{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True)))


def main() -> None:
    """Simulate 40 models, all small and of several sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "leaderboard", help="holds the published records")
    options = parser.parse_args()
    registry, rates = load_registry(), measured(options.out)
    models = tuple(f"model-{number:02d}" for number in range(options.models))
    plan = make_plan(Request(models, ("paper",), seeds=tuple(range(options.seeds))), registry)
    print(f"{options.models} models, {options.seeds} seeds: {len(plan.stages):,} stages, {len(plan.cells):,} cells")
    for (head, dataset), rate in sorted(rates.trained.items()):
        print(f"  {head} on {dataset}: {rate:.2f} examples/s in training")
    alike = dict.fromkeys(models, 1.0)
    print_table("all as e5-small", plan, alike, rates, registry)
    several = [factor for _, factor, count in SIZES for _ in range(count * options.models // 40)]
    mixed = dict(zip(models, [*several, *[1.0] * len(models)], strict=False))
    title = ", ".join(f"{count} {name} (x{factor:g})" for name, factor, count in SIZES)
    print_table(title, plan, mixed, rates, registry)


if __name__ == "__main__":
    main()
