"""Writes runs where they can be watched: the loss while a stage trains, then the scores of what it is read for.

Tracking listens and changes nothing: a tool that fails is named once and dropped, and the run goes on.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from . import __version__
from .errors import named_line
from .plan import Cell, Plan, Stage
from .progress import Reporter
from .recipe import LAST
from .store import Store, slug
from .trackers import Opener, OpenRun, RunInfo, Value, as_value
from .types import Reading

EVERY_S = 0.5
"""Points are at least so far apart, the first and the last step's aside: writing must not slow a fast run down."""


@dataclass
class _Current:
    """The run that is being written.

    Attributes:
        owner: A stage's id; of a frozen encoder or a floor its name.
        steps: The stage's; 0 without one.
        scores: Of the cells, so far.
        losses: Of the steps since the last point.
        before: Examples that earlier processes have passed.
    """

    owner: str
    steps: int
    runs: dict[str, OpenRun] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    before: int = 0
    started: float = field(default_factory=time.perf_counter)
    told: float = -math.inf


@dataclass
class _Later:
    """What was heard of a run while another one was being written.

    Attributes:
        heard: When, and what writes it.
        ended: Whether that was all.
    """

    heard: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    ended: bool = False


class TrackingReporter(Reporter):
    """A run a stage, and one for each frozen encoder and floor; what was found finished is not written again.

    Args:
        openers: What begins a run, by the tool's name.
        plan: What is being done.
        store: Knows how long a stage was that is there already.
        say: Told, once, of a tool that failed.
        every_s: Seconds between two points of the loss, at least; a point is the mean of the steps since the last one.
    """

    def __init__(
        self, openers: Mapping[str, Opener], plan: Plan, store: Store, say: Callable[[str], None],
        every_s: float = EVERY_S,
    ) -> None:  # fmt: skip
        self._openers = dict(openers)
        self._stages = {stage.id: stage for stage in plan.stages}
        self._store, self._say, self._every_s = store, say, every_s
        self._keys: Mapping[str, str] = {}
        self._current: _Current | None = None
        self._later: dict[str, _Later] = {}
        self._heard_at: float | None = None
        self.written: list[str] = []

    def prepared(self, stage_keys: Mapping[str, str]) -> None:
        """Keys tell runs of the same name apart."""
        self._keys = dict(stage_keys)

    def stage_started(self, stage: Stage, examples: int, steps: int) -> None:
        """Begin a run."""
        self._in_turn(stage.id, lambda: self._stage_started(stage, examples, steps))

    def stage_resumed(self, stage: Stage, step: int, steps: int, passed: int, written: datetime) -> None:
        """Count from there."""
        if self._current is not None:
            self._current.before = passed

    def stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        """A point now and then."""
        if self._openers:
            self._in_turn(stage.id, lambda: self._stage_step(stage, step, steps, loss, passed))

    def cell_done(self, cell: Cell, record: Mapping[str, Any], found: bool) -> None:
        """The scores of a cell, at the end of its stage's run."""
        if not found and self._openers:
            self._in_turn(_owner(cell), lambda: self._cell_done(cell, record))

    def turn_done(self, stage: Stage | None, cells: Sequence[Cell]) -> None:
        """Finish its run, and write those that came after it meanwhile."""
        for owner in dict.fromkeys([_owner(cell) for cell in cells] if stage is None else [stage.id]):
            if self._current is not None and self._current.owner == owner:
                self._close()
            elif owner in self._later:
                self._later[owner].ended = True
        while self._current is None and self._later:
            owner = next(iter(self._later))
            later = self._later.pop(owner)
            for self._heard_at, write in later.heard:
                write()
            self._heard_at = None
            if later.ended:
                self._close()

    def _in_turn(self, owner: str, write: Callable[[], None]) -> None:
        """The tools write one run at a time: what is heard of another one is written when that has ended."""
        if self._current is None or self._current.owner == owner:
            write()
        else:
            self._later.setdefault(owner, _Later()).heard.append((time.perf_counter(), write))

    def _now(self) -> float:
        """When what is being written was heard."""
        return time.perf_counter() if self._heard_at is None else self._heard_at

    def _stage_started(self, stage: Stage, examples: int, steps: int) -> None:
        self._begin(stage.id, _stage_run(stage, self._keys, {"examples": examples, "steps": steps}), steps)

    def _stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        current, now = self._current, self._now()
        if current is None:
            return
        current.losses.append(loss)
        if step in (1, steps) or now - current.told >= self._every_s:
            from .training.loop import schedule  # a stage trains: torch is here

            mean = sum(current.losses) / len(current.losses)
            current.losses, current.told = [], now
            self._log({
                "train/loss": mean, "train/learning_rate": stage.recipe.lr * schedule(stage.recipe, steps)(step - 1),
                "train/examples_per_s": (passed - current.before) / max(now - current.started, 1e-9),
            }, step)  # fmt: skip

    def _cell_done(self, cell: Cell, record: Mapping[str, Any]) -> None:
        if cell.stage is None:
            self._begin(_owner(cell), _unstaged_run(cell), 0)
        elif self._current is None or self._current.owner != cell.stage:
            stage = self._stages[cell.stage]
            steps = self._steps(stage)
            self._begin(stage.id, _stage_run(stage, self._keys, {"steps": steps}), steps)
        assert self._current is not None
        reading = "" if cell.reading == Reading().name else f"{cell.reading}/"
        chosen = "" if cell.selection == LAST else f"{cell.selection}/"
        scores = {
            _metric_name(f"{cell.task}/{cell.dataset}/{cell.split}/{chosen}{reading}{name}"): float(value)
            for name, value in record["scores"].items()
            if value is not None
        }
        self._current.scores.update(scores)
        self._log(scores, self._current.steps)

    def close(self) -> None:
        """Finish the run that is open, and those that wait for it; every run must end so."""
        self._close()
        for later in self._later.values():
            later.ended = True
        self.turn_done(None, ())

    def _close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            for name, run in current.runs.items():
                if name in self._openers:
                    self._try(name, lambda run=run: run.finish(current.scores))  # type: ignore[misc]

    def _begin(self, owner: str, run: RunInfo, steps: int) -> None:
        """Open a run with each tool, unless it is open."""
        if self._current is not None:
            return
        self._current = current = _Current(owner, steps)
        self.written.append(run.name)
        for name, opener in list(self._openers.items()):
            opened = self._try(name, lambda opener=opener: opener(run))  # type: ignore[misc]
            if opened is not None:
                current.runs[name] = opened
        current.started = self._now()  # imports of tools are no part of the rate

    def _steps(self, stage: Stage) -> int:
        """How many steps a stage that is there has taken."""
        manifest = self._store.stage(self._keys.get(stage.id, ""))
        if manifest is None:
            return 0
        epochs, passed = stage.recipe.epochs, int(manifest["timing"]["train_examples"])
        return epochs * math.ceil(passed / epochs / stage.recipe.batch_size)

    def _log(self, values: Mapping[str, float], step: int) -> None:
        if self._current is not None and values:
            for name, run in self._current.runs.items():
                if name in self._openers:
                    self._try(name, lambda run=run: run.log(values, step))  # type: ignore[misc]

    def _try(self, name: str, call: Callable[[], Any]) -> Any:
        """Call a tool; it is dropped when it fails."""
        try:
            return call()
        # Other people's programs, their servers and their disks: whatever they raise, the run is worth more.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._openers.pop(name, None)
            self._say(f"tracking with {name} ends here, the run goes on: {named_line(error, 300)}")
            return None


def _owner(cell: Cell) -> str:
    """Whose run a cell's scores belong to: its stage's, a frozen encoder's or a floor's."""
    return cell.stage if cell.stage is not None else f"{cell.model} {cell.head}"


def _stage_run(stage: Stage, keys: Mapping[str, str], more: Mapping[str, Value]) -> RunInfo:
    """A stage's run: its label's parts and the beginning of its key."""
    key = keys.get(stage.id, "")
    config: dict[str, Any] = {
        "model": stage.model, "head": stage.head, "curriculum": stage.curriculum, "datasets": "+".join(stage.mixture),
        "split": stage.split, "seed": stage.seed, "limit_train": stage.limit, "key": key,
        "parent_key": keys.get(stage.parent or "", ""), "xbench": __version__, **more,
        **{f"recipe.{name}": value for name, value in stage.recipe.values().items()},
    }  # fmt: skip
    parts = (Path(stage.model).name, stage.head, stage.curriculum.replace(":", "-then-"), f"seed-{stage.seed}")
    name = "--".join(slug(part) for part in (*parts, *([key[:8]] if key else [])))
    return RunInfo(name, {name: as_value(value) for name, value in config.items()})


def _unstaged_run(cell: Cell) -> RunInfo:
    """A frozen encoder's run, or a floor's."""
    parts = (Path(cell.model).name,) if cell.is_floor else (Path(cell.model).name, cell.head, cell.curriculum)
    config = {"model": cell.model, "head": cell.head, "curriculum": cell.curriculum, "xbench": __version__}
    return RunInfo("--".join(slug(part) for part in parts), config)


def _metric_name(text: str) -> str:
    """A name that all tools take: letters, digits, ``_``, ``.``, ``-`` and ``/``."""
    return re.sub(r"[^\w./-]+", "-", text, flags=re.ASCII)
