"""One turn: a stage is trained unless it is there, then the cells that read it are scored.

Nothing but the store changes, and what is needed can be had in any process from a `Job`: it may be done elsewhere.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..measures import Access
from ..plan import Cell, Plan, Stage
from ..progress import Reporter
from ..registry import Registry, load_registry
from ..settings import Listener, Settings
from ..work import Turn, Work, prepare_work, stage_stands


@dataclass(frozen=True)
class Job:
    """What a process needs to prepare the same work as the one that was asked for it.

    Attributes:
        plan: What to do.
        settings: Folders and switches; nobody listens.
        plugins: The files that were loaded beside the installed plugins.
        access: What the user lets things do that come from elsewhere.
        folder: The working folder, from which a model's relative path is seen: to be made that of the process.
    """

    plan: Plan
    settings: Settings
    plugins: tuple[Path, ...]
    access: Access
    folder: Path

    @classmethod
    def of(cls, plan: Plan, registry: Registry, settings: Settings) -> Job:
        """The job of a run.

        Args:
            plan: What to do.
            registry: What the plugins declare.
            settings: Folders and switches.
        """
        plugins = tuple(Path(plugin.name).resolve() for plugin in registry.plugins if plugin.distribution == "file")
        data = None if settings.data is None else settings.data.resolve()
        places = replace(settings, listener=Listener(), cache=settings.cache.resolve(), out=settings.out.resolve())
        return cls(plan, replace(places, data=data), plugins, registry.access, Path.cwd())

    def prepare(self, reporter: Reporter) -> Work:
        """Everything prepared in this process.

        Args:
            reporter: Hears of the progress of what is done with it.
        """
        registry = load_registry(self.plugins)
        registry.access = self.access
        return prepare_work(self.plan, registry, self.settings, reporter)


@dataclass(frozen=True)
class TurnResult:
    """What came of a turn.

    Attributes:
        records: Of cells that are done.
        reasons: Of cells that failed, each for itself.
        stands: Whether the turn's stage is there; with none, so it is said too.
        broken: Why the stage cannot be had, so that no cell of it was tried; empty where it is there.
        left: What of the turn another process is at: to be done later, or found done.
        waits_for: What the other process is doing, such as ``trains ...``.
    """

    records: Mapping[Cell, Mapping[str, Any]] = field(default_factory=dict)
    reasons: Mapping[Cell, str] = field(default_factory=dict)
    stands: bool = True
    broken: str = ""
    left: Turn | None = None
    waits_for: str = ""


def do_turn(work: Work, turn: Turn, told: bool = False) -> TurnResult:
    """Do a turn, or what of it no other process is doing.

    Args:
        work: Everything prepared, by this very process.
        turn: What to do.
        told: Whether the reporter has heard already that the stage stands.

    Returns:
        What came of it; no failure of a stage or a cell is raised.
    """
    if turn.stage is not None:
        broken = _ensure_stage(turn.stage, turn.candidates, work, told)
        if broken:
            return TurnResult(stands=False, broken=broken)
    records: dict[Cell, Mapping[str, Any]] = {}
    reasons: dict[Cell, str] = {}
    for group in turn.groups:
        _score(group, work, records, reasons)
    return TurnResult(records, reasons)


def _ensure_stage(stage: Stage, candidates: int, work: Work, told: bool) -> str:
    """Train a stage unless it is there with its candidates; gives the reason where it fails."""
    key = work.stage_keys[stage.id]
    found = stage_stands(stage, candidates, work)
    if found is not None:
        if not told:
            work.reporter.stage_done(stage, found["timing"]["train_s"], found=True)
        return ""
    from ..training.stage import train_stage

    if work.store.stage(key) is not None:
        work.reporter.note(f"{stage.label}: trained once more, to keep {candidates} checkpoints of it")
    try:
        train_stage(stage, key, work, candidates)
    except Exception as error:  # noqa: BLE001  # one stage's failure must not take the others with it
        return _explain(f"stage {stage.label}", error, work)
    return ""


def _score(
    group: Mapping[Cell, str], work: Work, records: dict[Cell, Mapping[str, Any]], reasons: dict[Cell, str]
) -> None:
    """Score cells that one loaded model serves, or that need none."""
    if next(iter(group)).is_floor:
        from ..training.floors import score_cells
    else:
        from ..training.select import score_cells
    try:
        for cell, result in score_cells(group, work):
            if isinstance(result, Exception):
                reasons[cell] = _explain(cell.label, result, work)
            else:
                records[cell] = result
                work.reporter.cell_done(cell, result, found=False)
    except Exception as error:  # noqa: BLE001  # as above
        left = [cell for cell in group if cell not in records and cell not in reasons]
        reason = _explain(next(iter(left), next(iter(group))).label, error, work)
        reasons.update(dict.fromkeys(left, reason))


def _explain(label: str, error: Exception, work: Work) -> str:
    """Report a failure once; a bug keeps its traceback."""
    from ..training.loop import TrainingFailedError

    own = isinstance(error, UserError | TrainingFailedError)
    reason = str(error) if own else f"{type(error).__name__}: {error}"
    trace = "" if own else "".join(traceback.format_exception(error))
    work.reporter.failed(label, reason, trace)
    return reason
