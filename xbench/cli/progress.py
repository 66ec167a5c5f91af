"""Shows a run while it goes on: bars and a growing table on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..leaderboard.orders import orders
from ..leaderboard.table import build_tables
from ..plan import Cell, Plan, Stage
from ..progress import Reporter
from ..registry import Registry
from .tables import rich_tables

LINE_EVERY_S = 30.0
SMOOTHING = 0.95


@dataclass
class _Clock:
    """Of a stage that trains, or a pass that runs; there may be several side by side.

    Attributes:
        started: When it began.
        said: When a line was last said of it.
        loss: The exponential mean, not yet free of its start at 0.
    """

    started: float
    said: float
    loss: float = 0.0

    @classmethod
    def begin(cls) -> _Clock:
        """A clock that starts now."""
        now = time.perf_counter()
        return cls(now, now)


class ShownReporter(Reporter, AbstractContextManager["ShownReporter"]):
    """What both kinds share: a smoothed loss and the rate.

    Args:
        plan: What is being done.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.records: list[Mapping[str, Any]] = []
        self._clocks: dict[str, _Clock] = {}

    def say(self, text: str) -> None:
        """One line."""
        click.echo(text, err=True)

    def note(self, text: str) -> None:
        """A line of its own."""
        self.say(f"note: {text}")

    def stage_started(self, stage: Stage, examples: int, steps: int) -> None:
        """Start the clock."""
        self._clocks[stage.id] = _Clock.begin()
        self.say(f"train {stage.label}: {examples} examples in {steps} steps")

    def smoothed(self, stage: Stage, step: int, loss: float, passed: int) -> tuple[float, float]:
        """The exponential mean of the loss, free of its start at 0, and examples a second."""
        clock = self._clocks.setdefault(stage.id, _Clock.begin())
        clock.loss = SMOOTHING * clock.loss + (1 - SMOOTHING) * loss
        spent = time.perf_counter() - clock.started
        return clock.loss / (1 - SMOOTHING**step), passed / max(spent, 1e-9)

    def stage_done(self, stage: Stage, seconds: float, found: bool) -> None:
        """How long it took."""
        self.say(f"found {stage.label}" if found else f"trained {stage.label} in {seconds:.1f} s")

    def cell_done(self, cell: Cell, record: Mapping[str, Any], found: bool) -> None:
        """The score."""
        self.records.append(record)
        if not found:
            scores = ", ".join(
                f"{name} {'undefined' if v is None else f'{v:.2f}'}" for name, v in record["scores"].items()
            )
            self.say(f"scored {cell.label} ({cell.transfer}{_chosen(record)}): {scores}")

    def failed(self, label: str, reason: str, traceback: str = "") -> None:
        """What failed; a bug with its traceback."""
        self.say(f"{traceback}FAILED {label}: {reason}" if label != "missing" else f"left out: {reason}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _chosen(record: Mapping[str, Any]) -> str:
    """``, source-dev: step 360 of 720``; nothing for the last checkpoint."""
    selected = record.get("selected")
    if selected is None:
        return ""
    steps, step = selected["steps"], selected["step"]
    which = f"{len(steps)} checkpoints" if step is None else f"step {step} of {steps[-1]}"
    return f", {record['selection']}: {which}"


class PlainReporter(ShownReporter):
    """One line now and then."""

    def stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        """A line every half minute."""
        smooth, rate = self.smoothed(stage, step, loss, passed)
        text = f"step {step}/{steps}, loss {smooth:.4f}, {rate:.1f} examples/s"
        if len(self._clocks) > 1:
            text = f"{stage.label}: {text}"
        self._now_and_then(self._clocks[stage.id], text, step / steps)

    def stage_done(self, stage: Stage, seconds: float, found: bool) -> None:
        """Its clock has done."""
        super().stage_done(stage, seconds, found)
        self._clocks.pop(stage.id, None)

    def pass_step(self, label: str, passed: int, examples: int, share: float) -> None:
        """A line every half minute."""
        if passed == 0:
            self._clocks[label] = _Clock.begin()
        clock = self._clocks.setdefault(label, _Clock.begin())
        rate = passed / max(time.perf_counter() - clock.started, 1e-9)
        self._now_and_then(clock, f"{label}: {passed} of {examples} examples, {rate:.1f} examples/s", share)
        if passed == examples:
            self._clocks.pop(label)

    def _now_and_then(self, clock: _Clock, text: str, share: float) -> None:
        """A line with the time that is left, if half a minute went by since the last one."""
        now = time.perf_counter()
        if now - clock.said >= LINE_EVERY_S:
            clock.said = now
            self.say(f"  {text}, {(now - clock.started) * (1 - share) / max(share, 1e-9):.0f} s left")


class RichReporter(ShownReporter):
    """Bars for the stage and for all cells, over a table that grows.

    Args:
        plan: What is being done.
        registry: For the order of tables.
    """

    def __init__(self, plan: Plan, registry: Registry) -> None:
        super().__init__(plan)
        self._orders = orders(registry)  # once: the screen is drawn four times a second, beside a training run
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[about]}"), TimeRemainingColumn(),
        )  # fmt: skip
        self._cells = self._bars.add_task("cells", total=len(plan.cells), about=f"0/{len(plan.cells)}")
        self._stages: dict[str, TaskID] = {}
        self._passes: dict[str, TaskID] = {}
        self._live = Live(
            console=Console(stderr=True, highlight=False), get_renderable=self._draw, refresh_per_second=4
        )

    def _draw(self) -> Group:
        tables = [drawn for table in build_tables(self.records, self._orders) for drawn in rich_tables(table)]
        return Group(*tables, self._bars)

    def __enter__(self) -> RichReporter:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.transient = kind is None  # the command prints the finished table itself
        self._live.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._live.console.print(text, markup=False)

    def stage_started(self, stage: Stage, examples: int, steps: int) -> None:
        """A bar of its own."""
        super().stage_started(stage, examples, steps)
        self._take_away(self._stages, stage.id)
        self._stages[stage.id] = self._bars.add_task(stage.label, total=steps, about="")

    def stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        """Move the bar."""
        smooth, rate = self.smoothed(stage, step, loss, passed)
        if stage.id in self._stages:
            about = f"loss {smooth:.4f}, {rate:.1f} examples/s"
            self._bars.update(self._stages[stage.id], completed=step, about=about)

    def stage_done(self, stage: Stage, seconds: float, found: bool) -> None:
        """Take the bar away."""
        super().stage_done(stage, seconds, found)
        self._take_away(self._stages, stage.id)

    def pass_step(self, label: str, passed: int, examples: int, share: float) -> None:
        """A bar of its own, until all is done."""
        if label not in self._passes:
            self._passes[label] = self._bars.add_task(label, total=1.0, about="")
        self._bars.update(self._passes[label], completed=share, about=f"{passed}/{examples} examples")
        if passed == examples:
            self._take_away(self._passes, label)

    def failed(self, label: str, reason: str, traceback: str = "") -> None:
        """Take its bar away too; whose pass it was is not said, and one that still runs shows again."""
        super().failed(label, reason, traceback)
        for stage in self.plan.stages:
            if label == f"stage {stage.label}":
                self._take_away(self._stages, stage.id)
        for one in list(self._passes):
            self._take_away(self._passes, one)

    def _take_away(self, bars: dict[str, TaskID], owner: str) -> None:
        if owner in bars:
            self._bars.remove_task(bars.pop(owner))

    def cell_done(self, cell: Cell, record: Mapping[str, Any], found: bool) -> None:
        """Let the table grow."""
        super().cell_done(cell, record, found)
        done = len(self.records)
        self._bars.update(self._cells, completed=done, about=f"{done}/{len(self.plan.cells)}")


def make_reporter(plan: Plan, registry: Registry) -> ShownReporter:
    """Bars where stderr is a terminal, plain lines elsewhere."""
    return RichReporter(plan, registry) if sys.stderr.isatty() else PlainReporter(plan)
