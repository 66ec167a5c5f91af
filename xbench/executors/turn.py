"""One turn: a stage is trained unless it is there, then the cells that read it are scored.

Nothing but the store changes, and what is needed can be had in any process from a `Job`: it may be done elsewhere.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..disk import reason_or_stop
from ..errors import UserError
from ..measures import Access
from ..plan import Cell, Plan, Stage
from ..progress import Reporter
from ..registry import Registry, load_registry
from ..settings import Listener, Settings
from ..unfinished import drop_finished
from ..work import Turn, Work, found_record, prepare_work, stage_stands

CELLS_AT_ONCE = 100
"""Each that is being scored holds a file open, and some systems let a process have 256."""


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

    Raises:
        StoppedError: The disk takes no more: all other turns would only fail in the same way.
    """
    stage = turn.stage
    cells = {cell: key for group in turn.groups for cell, key in group.items()}
    if any(work.cell_keys.get(cell) != key for cell, key in cells.items()):
        changed = UserError("its rows, its model or a plugin has changed since this run began: run this again")
        reason = _explain(next(iter(cells)).label, changed, work)
        return TurnResult({}, dict.fromkeys(cells, reason), stage is None, reason if stage is not None else "")
    if stage is not None:
        try:
            if not _ensure_stage(stage, turn.candidates, work, told):
                return TurnResult(stands=False, left=turn, waits_for=f"trains {stage.label}")
        except Exception as error:  # noqa: BLE001  # one stage's failure must not take the others with it
            return TurnResult(stands=False, broken=_explain(f"stage {stage.label}", error, work))
    done = _Done()
    left = [rest for group in turn.groups if (rest := _score_free(group, work, done))]
    if not left:
        return TurnResult(done.records, done.reasons)
    others = sum(len(group) for group in left) - 1
    waits_for = f"scores {next(iter(left[0])).label}" + (f" and {others} more cells" if others else "")
    return TurnResult(done.records, done.reasons, left=Turn(stage, left), waits_for=waits_for)


def given_up(work: Work, turn: Turn, reason: str) -> TurnResult:
    """What came of a turn that nobody has brought to its end, and nobody will: what stands is found, the rest failed.

    Args:
        work: Everything prepared.
        turn: What was to be done.
        reason: Why it was not.
    """
    if turn.stage is not None and stage_stands(turn.stage, turn.candidates, work) is None:
        return TurnResult(stands=False, broken=reason)
    cells = {cell: found_record(cell, key, work) for group in turn.groups for cell, key in group.items()}
    records = {cell: record for cell, record in cells.items() if record is not None}
    return TurnResult(records, {cell: reason for cell in cells if cell not in records})


def _ensure_stage(stage: Stage, candidates: int, work: Work, told: bool) -> bool:
    """Train a stage unless it is there with its candidates, or another process trains it: then it is not, for now."""
    found = stage_stands(stage, candidates, work)
    if found is None:
        key = work.stage_keys[stage.id]
        lock = work.locks.attempt("stage", key)
        if lock is None:
            return False
        with lock:
            found = stage_stands(stage, candidates, work)  # another process may just have ended
            if found is None:
                from ..training.stage import refuse_failed, train_stage

                refuse_failed(key, work)
                if work.store.stage(key) is not None:
                    work.reporter.note(f"{stage.label}: trained once more, to keep {candidates} checkpoints of it")
                train_stage(stage, key, work, candidates)
                return True
    drop_finished(work.settings.cache, work.stage_keys[stage.id])
    if not told:
        work.reporter.stage_done(stage, found["timing"]["train_s"], found=True)
    return True


@dataclass(frozen=True)
class _Done:
    """Of the cells of a turn, so far."""

    records: dict[Cell, Mapping[str, Any]] = field(default_factory=dict)
    reasons: dict[Cell, str] = field(default_factory=dict)


def _score_free(group: Mapping[Cell, str], work: Work, done: _Done) -> dict[Cell, str]:
    """Score what of a group no other process is scoring; gives the rest."""
    cells, busy = list(group.items()), dict[Cell, str]()
    for first in range(0, len(cells), CELLS_AT_ONCE):
        free: dict[Cell, str] = {}
        some = dict(cells[first : first + CELLS_AT_ONCE])
        try:
            with contextlib.ExitStack() as held:
                for cell, key in some.items():
                    lock = work.locks.attempt("cell", key)
                    if lock is not None:
                        held.enter_context(lock)
                    record = found_record(cell, key, work)  # another process may just have ended
                    if record is not None:
                        done.records[cell] = record
                        work.reporter.cell_done(cell, record, found=True)
                    else:
                        (busy if lock is None else free)[cell] = key
                if free:
                    _score(free, work, done)
        except Exception as error:  # noqa: BLE001  # one group's failure must not take the others with it
            left = [cell for cell in some if not (cell in done.records or cell in done.reasons or cell in busy)]
            reason = _explain(next(iter(left), next(iter(some))).label, error, work)
            done.reasons.update(dict.fromkeys(left, reason))
    return busy


def _score(cells: Mapping[Cell, str], work: Work, done: _Done) -> None:
    """Score cells that one loaded model serves, or that need none."""
    if next(iter(cells)).is_floor:
        from ..training.floors import score_cells
    else:
        from ..training.select import score_cells
    for cell, result in score_cells(cells, work):
        if isinstance(result, Exception):
            done.reasons[cell] = _explain(cell.label, result, work)
        else:
            done.records[cell] = result
            work.reporter.cell_done(cell, result, found=False)


def _explain(label: str, error: Exception, work: Work) -> str:
    """Report a failure once; a bug keeps its traceback.

    Raises:
        StoppedError: The disk takes no more.
    """
    from ..training.loop import TrainingFailedError

    refused = reason_or_stop(error, work.settings.cache)
    own = refused is not None or isinstance(error, UserError | TrainingFailedError)
    reason = refused or (str(error) if own else f"{type(error).__name__}: {error}")
    trace = "" if own else "".join(traceback.format_exception(error))
    work.reporter.failed(label, reason, trace)
    return reason
