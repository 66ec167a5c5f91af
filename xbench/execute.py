"""Walks a plan: data first, then floors, then stages and cells; what is finished is found by key and never repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .caching.presence import at_work
from .disk import check_writable
from .errors import UserError
from .executors import Executor, make_executor
from .executors.schedule import Schedule
from .executors.turn import Job
from .plan import Cell, Plan
from .progress import Reporter
from .record_files import RecordFiles
from .registry import Registry
from .settings import Settings
from .work import Turn, Work, floors_left, found_records, prepare_work, turns


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
        files: Has read the records that were found, for those who go on with them.
    """

    records: list[Mapping[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    files: RecordFiles = field(default_factory=RecordFiles)


def execute(
    plan: Plan, registry: Registry, settings: Settings, reporter: Reporter | None = None, strict: bool = False,
    executor: Executor | None = None,
) -> Outcome:  # fmt: skip
    """Do the work of a plan.

    Args:
        plan: What to do.
        registry: What the plugins declare.
        settings: Folders and switches.
        reporter: Hears of the progress.
        strict: Stop before any work when a cell cannot be done, instead of doing the others.
        executor: Where the work is done; without one, in this process.

    Returns:
        A record for each cell that is done, and a reason for each that is not.

    Raises:
        UserError: ``strict`` is set and data or a model is missing, or nothing at all can be done.
        StoppedError: The disk is full, or the cache or the results cannot be written.
    """
    with at_work(settings.cache):
        return _execute(plan, registry, settings, reporter or Reporter(), strict, executor)


def _execute(
    plan: Plan, registry: Registry, settings: Settings, reporter: Reporter, strict: bool, executor: Executor | None
) -> Outcome:
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

    def ended(turn: Turn) -> None:
        reporter.turn_done(turn.stage, [cell for group in turn.groups for cell in group])

    schedule = Schedule([Turn(None, [floors_left(work, records)]), *turns(work, records)], records, reasons, ended)
    if not schedule.finished:
        check_writable(settings.cache, settings.out / "results")
        executor = executor or make_executor("local")
        executor.run(schedule, work, Job.of(plan, registry, settings))
    failed = _record_failed(schedule.reasons, work)
    outcome = Outcome(files=work.store.files)
    for cell in plan.cells:
        if cell in schedule.records:
            outcome.records.append(schedule.records[cell])
        else:
            kept = failed.get(cell)
            outcome.failures.append(Failure(cell, schedule.reasons[cell] if kept is None else kept["reason"], kept))
    return outcome


def _record_failed(reasons: Mapping[Cell, str], work: Work) -> dict[Cell, Mapping[str, Any]]:
    """Record the cells of stages whose training has come to nothing, also of those that would go on from them."""
    groups: dict[str, dict[Cell, str]] = {}
    for cell in reasons:
        if cell.stage is not None and cell in work.cell_keys:
            groups.setdefault(cell.stage, {})[cell] = work.cell_keys[cell]
    records: dict[Cell, Mapping[str, Any]] = {}
    for stage, group in groups.items():
        if any(work.store.failed(work.stage_keys[one.id]) is not None for one in work.chain(stage)):
            from .training.failed import failed_records

            records.update(failed_records(group, work))
    return records
