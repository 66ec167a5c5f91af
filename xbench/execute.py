"""Walks a plan: data first, then floors, then stages and cells; what is finished is found by key and never repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import UserError
from .executors import Executor, make_executor
from .executors.schedule import Schedule
from .executors.turn import Job
from .plan import Cell, Plan
from .progress import Reporter
from .registry import Registry
from .settings import Settings
from .work import Turn, floors_left, found_records, prepare_work, turns


@dataclass(frozen=True)
class Failure:
    """A cell that has no record, and why."""

    cell: Cell
    reason: str


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

    def ended(turn: Turn) -> None:
        reporter.turn_done(turn.stage, [cell for group in turn.groups for cell in group])

    schedule = Schedule([Turn(None, [floors_left(work, records)]), *turns(work, records)], records, reasons, ended)
    if not schedule.finished:
        executor = executor or make_executor("local")
        executor.run(schedule, work, Job.of(plan, registry, settings))
    outcome = Outcome()
    for cell in plan.cells:
        if cell in schedule.records:
            outcome.records.append(schedule.records[cell])
        else:
            outcome.failures.append(Failure(cell, schedule.reasons[cell]))
    return outcome
