"""Walks a plan: data first, then stages, then cells; what is finished is found by key and never repeated."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .data.rows import RowSet, prepare, share_limit
from .errors import UserError
from .keys import content_key
from .models.resolve import LocalModel, check_length, resolve_model
from .plan import Cell, Plan, Stage
from .progress import Reporter
from .registry import Registry
from .settings import Settings
from .store import Store
from .training import TRAINING_VERSION
from .types import Head, Scalar

if TYPE_CHECKING:
    import torch

    from .training.memory import MicroBatch


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


@dataclass(frozen=True)
class Work:
    """Everything that training a stage or scoring a cell needs to know, with names resolved and keys computed.

    Attributes:
        registry: What the plugins declare.
        settings: Folders and switches.
        store: Finished work.
        reporter: Hears of the progress.
        models: By the text that the user wrote.
        rows: By dataset and split.
        stages: By id.
        stage_keys: By stage id.
        micro_batches: How much goes through an encoder at once, for each kind of run.
    """

    registry: Registry
    settings: Settings
    store: Store
    reporter: Reporter
    models: dict[str, LocalModel]
    rows: dict[tuple[str, str], RowSet]
    stages: dict[str, Stage]
    stage_keys: dict[str, str]
    micro_batches: dict[tuple[object, ...], MicroBatch] = field(default_factory=dict)

    def micro_batch(self, use: str, of: Stage | Cell, device: torch.device) -> MicroBatch:
        """How many tokens go through a stage's or a cell's encoder at once; the same for all of their kind.

        Args:
            use: ``train`` or ``read``, which differ in what they hold.
            of: The stage or the cell.
            device: That it runs on.
        """
        from .training.device import token_budget
        from .training.memory import MicroBatch

        asked = token_budget(of.recipe.micro_batch_tokens, device)
        kind = (use, of.model, of.head, of.recipe.max_length, asked)
        if kind not in self.micro_batches:
            self.micro_batches[kind] = MicroBatch(asked, self.reporter.note)
        return self.micro_batches[kind]

    def chain(self, stage_id: str | None) -> list[Stage]:
        """A stage and those before it, the first one first."""
        chain: list[Stage] = []
        while stage_id is not None:
            chain.append(self.stages[stage_id])
            stage_id = chain[-1].parent
        return chain[::-1]


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
    stages = {stage.id: stage for stage in plan.stages}
    work = Work(registry, settings, Store(settings), reporter, {}, {}, stages, {})
    missing = _gather(plan, work)
    reasons = {cell: reason for cell in plan.cells if (reason := _missing_for(cell, work, missing))}
    if reasons and (strict or len(reasons) == len(plan.cells)):
        raise UserError("; ".join(dict.fromkeys(reasons.values())))
    for reason in dict.fromkeys(reasons.values()):
        reporter.failed("missing", reason)
    for stage in plan.stages:
        here = stage.model in work.models and all((name, stage.split) in work.rows for name in stage.mixture)
        if here and (stage.parent is None or stage.parent in work.stage_keys):
            work.stage_keys[stage.id] = _stage_key(stage, work)
    keys = {cell: _cell_key(cell, work) for cell in plan.cells if cell not in reasons}
    records = _found(keys, work)
    _run(plan, work, keys, records, reasons)
    outcome = Outcome()
    for cell in plan.cells:
        if cell in records:
            outcome.records.append(records[cell])
        else:
            outcome.failures.append(Failure(cell, reasons[cell]))
    return outcome


def _gather(plan: Plan, work: Work) -> dict[object, str]:
    """Find every model and every split that the plan needs; gives what is missing, with the reason."""
    missing: dict[object, str] = {}
    wanted = {(name, stage.split): None for stage in plan.stages for name in stage.mixture}
    wanted.update({(cell.dataset, cell.split): None for cell in plan.cells})
    wanted.update({cell.fit: None for cell in plan.cells if cell.fit is not None})
    for name, split in wanted:
        dataset = work.registry.datasets.get(name)
        try:
            rows = prepare(dataset, split, work.registry.schemas.get(dataset.schema), work.settings)
        except (UserError, OSError) as error:
            missing[name, split] = str(error)
            continue
        work.rows[name, split] = rows
        if not rows.pinned:
            work.reporter.note(f"{name} {split}: the rows are unpinned (nobody has recorded what they should be)")
    for text in dict.fromkeys(cell.model for cell in plan.cells):
        try:
            work.models[text] = resolve_model(text, work.registry, work.settings)
        except (UserError, OSError) as error:
            missing[text] = str(error)
    return missing


def _missing_for(cell: Cell, work: Work, missing: Mapping[object, str]) -> str | None:
    """Why a cell cannot be done, if it cannot."""
    needs: list[object] = [cell.model, (cell.dataset, cell.split), *([] if cell.fit is None else [cell.fit])]
    for stage in work.chain(cell.stage):
        needs.extend((name, stage.split) for name in stage.mixture)
    reason = next((missing[need] for need in needs if need in missing), None)
    if reason is None:
        try:
            check_length(work.models[cell.model], cell.recipe.max_length)
        except UserError as error:
            reason = str(error)
    return reason


def _stage_key(stage: Stage, work: Work) -> str:
    """The content key of a stage: the same work has the same key, whoever asks for it."""
    head = work.registry.heads.get(stage.head)
    model = work.models[stage.model]
    base = {"model": model.identity} if stage.parent is None else {"parent": work.stage_keys[stage.parent]}
    sets = [work.rows[name, stage.split] for name in stage.mixture]
    # A limit that takes all rows is none: the same work has the same key.
    all_rows = all(share is None for share in share_limit(stage.limit, [one.rows for one in sets]))
    limit = None if all_rows else stage.limit
    content = {
        **base, "rows": [one.rows_sha256 for one in sets], "head": [head.name, head.version], "seed": stage.seed,
        "limit": limit, "labels": sets[0].dataset.labels, "score_range": sets[0].dataset.score_range,
        "recipe": stage.recipe.training_identity(head.decoding), "training": TRAINING_VERSION,
    }  # fmt: skip
    return content_key("stage", content)


def _cell_key(cell: Cell, work: Work) -> str:
    """The content key of a cell."""
    registry, model = work.registry, work.models[cell.model]
    head, task = registry.heads.get(cell.head), registry.tasks.get(cell.task)
    limits = cell_limits(cell, work)
    fit = None if cell.fit is None else [*cell.fit, work.rows[cell.fit].rows_sha256, limits["train"]]
    content = {
        "base": model.identity if cell.stage is None else work.stage_keys[cell.stage], "model": model.name,
        "task": [task.name, task.version], "head": [head.name, head.version], "curriculum": cell.curriculum,
        "reading": cell.reading, "fit": fit,
        "selection": "last", "seed": cell.seed, "rows": work.rows[cell.dataset, cell.split].rows_sha256,
        "dataset": [cell.dataset, cell.split], "decoding": cell_recipe(cell, head), "limit": limits["eval"],
        "metrics": [[name, registry.metrics.get(name).version] for name in cell.metrics],
        "diagnostics": [[name, registry.diagnostics.get(name).version] for name in task.diagnostics],
    }  # fmt: skip
    return content_key("cell", content)


def cell_limits(cell: Cell, work: Work) -> dict[str, int | None]:
    """Rows to train (or fit) and to evaluate on, at most; a limit that takes all rows is none."""
    chain = work.chain(cell.stage)
    mixtures = [[work.rows[name, stage.split].rows for name in stage.mixture] for stage in chain]
    mixtures += [] if cell.fit is None else [[work.rows[cell.fit].rows]]
    limited = any(share is not None for sizes in mixtures for share in share_limit(cell.limit_train, sizes))
    (evaluated,) = share_limit(cell.limit_eval, [work.rows[cell.dataset, cell.split].rows])
    return {"train": cell.limit_train if limited else None, "eval": evaluated}


def cell_recipe(cell: Cell, head: Head) -> dict[str, Scalar]:
    """What of the recipe can change a cell's predictions of given weights.

    A stage's key holds all options that training used; a frozen encoder has no stage, so its cells hold them all.
    """
    return cell.recipe.decoding_identity((*head.decoding, *(() if cell.stage is not None else head.options)))


def _found(keys: Mapping[Cell, str], work: Work) -> dict[Cell, Mapping[str, Any]]:
    """The cells that are already done."""
    records: dict[Cell, Mapping[str, Any]] = {}
    for cell, key in keys.items():
        record = work.store.record(cell, key)
        # A figure needs what the cell's head kept; where that is gone, the cell is scored again.
        figures = work.registry.tasks.get(cell.task).figures
        if record is not None and not (figures and work.store.lost(record)):
            records[cell] = record
            work.reporter.cell_done(cell, record, found=True)
    return records


def _run(
    plan: Plan, work: Work, keys: Mapping[Cell, str], records: dict[Cell, Mapping[str, Any]], reasons: dict[Cell, str]
) -> None:
    """Train what is not there and score what has no record, stage by stage; fills records and reasons."""
    broken: dict[str, str] = {}
    unfinished: dict[str | None, dict[Cell, str]] = {}
    needed: set[str] = set()
    for cell, key in keys.items():
        if cell not in records:
            unfinished.setdefault(cell.stage, {})[cell] = key
            needed.update(stage.id for stage in work.chain(cell.stage))
    for stage_id in [None, *(stage.id for stage in plan.stages if stage.id in needed)]:
        pending = unfinished.get(stage_id, {})
        if stage_id is not None:
            _ensure_stage(work.stages[stage_id], work, broken)
        if stage_id in broken:
            reasons.update(dict.fromkeys(pending, broken[stage_id]))
            continue
        for group in _groups(pending):
            _score(group, work, records, reasons)


def _groups(pending: Mapping[Cell, str]) -> list[dict[Cell, str]]:
    """Cells that one loaded model serves: the same model, head and recipe."""
    groups: list[dict[Cell, str]] = []
    for cell, key in pending.items():
        for group in groups:
            first = next(iter(group))
            if (first.model, first.head, first.recipe) == (cell.model, cell.head, cell.recipe):
                group[cell] = key
                break
        else:
            groups.append({cell: key})
    return groups


def _ensure_stage(stage: Stage, work: Work, broken: dict[str, str]) -> None:
    """Train a stage unless it is there; a failure is kept in ``broken`` and stops only what depends on it."""
    if stage.parent in broken:
        broken[stage.id] = broken[stage.parent]
        return
    key = work.stage_keys.get(stage.id)
    if key is None:
        return
    found = work.store.stage(key)
    if found is not None:
        work.reporter.stage_done(stage, found["timing"]["train_s"], found=True)
        return
    from .training.stage import train_stage

    try:
        train_stage(stage, key, work)
    except Exception as error:  # noqa: BLE001  # one stage's failure must not take the others with it
        broken[stage.id] = _explain(f"stage {stage.label}", error, work)


def _score(
    group: Mapping[Cell, str], work: Work, records: dict[Cell, Mapping[str, Any]], reasons: dict[Cell, str]
) -> None:
    from .training.evaluate import score_cells

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
