"""Walks a plan: data first, then floors, then stages and cells; what is finished is found by key and never repeated."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import UserError
from .plan import Cell, Plan, Stage
from .progress import Reporter
from .registry import Registry
from .settings import Settings
from .work import Work, floors_left, found_records, prepare_work, stage_stands, turns


@dataclass(frozen=True)
class Failure:
    """A cell without a score, and why.

    Attributes:
        cell: The cell.
        reason: In one line.
        record: Where its training has come to nothing, which is recorded; else None.
    """

    cell: Cell
    reason: str
    record: Mapping[str, Any] | None = None


@dataclass
class Outcome:
    """What became of a plan's cells.

    Attributes:
        records: Of the cells that are done, in the plan's order.
        failures: Of the others.
    """

    records: list[Mapping[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def execute(
    plan: Plan, registry: Registry, settings: Settings, reporter: Reporter | None = None, strict: bool = False
) -> Outcome:
    """Do the work of a plan.

    Args:
        plan: What to do.
        registry: What the plugins declare.
        settings: Folders and switches.
        reporter: Hears of the progress.
        strict: Stop before any work when a cell cannot be done, instead of doing the others.

    Returns:
        A record for each cell that is done, and a reason for each that is not.

    Raises:
        UserError: ``strict`` is set and data or a model is missing, or nothing at all can be done.
    """
    reporter = reporter or Reporter()
    work = prepare_work(plan, registry, settings, reporter)
    reasons = dict(work.reasons)
    if reasons and (strict or len(reasons) == len(plan.cells)):
        raise UserError("; ".join(dict.fromkeys(reasons.values())))
    for reason in dict.fromkeys(reasons.values()):
        reporter.failed("missing", reason)
    reporter.prepared(work.stage_keys)
    records = found_records(work)
    for cell, record in records.items():
        reporter.cell_done(cell, record, found=True)
    _run(work, records, reasons)
    outcome = Outcome()
    for cell in plan.cells:
        if cell in reasons:
            outcome.failures.append(Failure(cell, reasons[cell], records.get(cell)))
        else:
            outcome.records.append(records[cell])
    return outcome


def _run(work: Work, records: dict[Cell, Mapping[str, Any]], reasons: dict[Cell, str]) -> None:
    """Train what is not there and score what has no record, stage by stage; fills records and reasons."""
    broken: dict[str, str] = {}
    floors = floors_left(work, records)
    if floors:
        _score(floors, work, records, reasons)
    for turn in turns(work, records):
        stage = turn.stage
        if stage is not None:
            _ensure_stage(stage, turn.candidates, work, broken)
        for group in turn.groups:
            if stage is not None and stage.id in broken:
                reasons.update(dict.fromkeys(group, broken[stage.id]))
                _record_failed(group, work, records, reasons)
            else:
                _score(group, work, records, reasons)


def _ensure_stage(stage: Stage, candidates: int, work: Work, broken: dict[str, str]) -> None:
    """Train a stage unless it is there with its candidates.

    A failure is kept in ``broken`` and stops only what depends on it.
    """
    if stage.parent in broken:
        broken[stage.id] = broken[stage.parent]
        return
    key = work.stage_keys[stage.id]
    found = stage_stands(stage, candidates, work)
    if found is not None:
        work.reporter.stage_done(stage, found["timing"]["train_s"], found=True)
        return
    before = work.store.failed(key)
    if before is not None:
        broken[stage.id] = before["reason"]
        again = f"delete {work.store.failed_path(key)} to try again"
        work.reporter.failed(f"stage {stage.label}", f"failed before ({before['reason']}): {again}")
        return
    from .training.stage import train_stage

    if work.store.stage(key) is not None:
        work.reporter.note(f"{stage.label}: trained once more, to keep {candidates} checkpoints of it")
    try:
        train_stage(stage, key, work, candidates)
    except Exception as error:  # noqa: BLE001  # one stage's failure must not take the others with it
        broken[stage.id] = _explain(f"stage {stage.label}", error, work)


def _record_failed(
    group: Mapping[Cell, str], work: Work, records: dict[Cell, Mapping[str, Any]], reasons: dict[Cell, str]
) -> None:
    """Record the cells of a stage that is broken, where that is for its training."""
    from .training.failed import failed_records

    for cell, record in failed_records(group, work):
        records[cell], reasons[cell] = record, record["reason"]


def _score(
    group: Mapping[Cell, str], work: Work, records: dict[Cell, Mapping[str, Any]], reasons: dict[Cell, str]
) -> None:
    """Score cells that one loaded model serves, or that need none."""
    if next(iter(group)).is_floor:
        from .training.floors import score_cells
    else:
        from .training.select import score_cells
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
    from .training.loop import TrainingFailedError

    own = isinstance(error, UserError | TrainingFailedError)
    reason = str(error) if own else f"{type(error).__name__}: {error}"
    trace = "" if own else "".join(traceback.format_exception(error))
    work.reporter.failed(label, reason, trace)
    return reason
