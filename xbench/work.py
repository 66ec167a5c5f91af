"""Finds what a plan needs and computes its keys: what is here, what is done, and what is left to do."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from .candidates import Candidates
from .data.rows import RowSet, prepare, share_limit
from .disk import reason_or_stop
from .errors import UserError
from .identity import ChosenOn, Scored, Selection, cell_key, floor_key, stage_key
from .locks import Locks
from .models.adapters import check_peft
from .models.resolve import LocalModel, check_length, resolve_model
from .plan import Cell, Plan, Stage, chain_of
from .progress import Reporter
from .recipe import Recipe
from .registry import Registry
from .settings import Settings
from .store import DONE, Store
from .types import Floor, Head, Scalar

if TYPE_CHECKING:
    import torch

    from .overlap import Overlaps
    from .training.memory import MicroBatch

EVAL_DRAW_SEED = 0
"""``--limit-eval`` draws the same rows for every model, curriculum and seed."""


class Drawn(NamedTuple):
    """Some rows: all of a split, or as many as a limit lets the seed draw."""

    dataset: str
    split: str
    limit: int | None
    seed: int


@dataclass(frozen=True)
class Work:
    """Everything that training a stage or scoring a cell needs to know, with names resolved and keys computed.

    Attributes:
        registry: What the plugins declare.
        settings: Folders and switches.
        store: Finished work.
        reporter: Hears of the progress.
        models: By the text that the user wrote; floors are none.
        rows: By dataset and split.
        stages: By id.
        stage_keys: By stage id; of the stages whose model and rows are here.
        cell_keys: Of the cells whose model and rows are here.
        missing: What is not here, with the reason: a model's text, or a dataset and its split.
        reasons: Of the other cells: why they cannot be done.
        micro_batches: How much goes through an encoder at once, for each kind of run.
    """

    registry: Registry
    settings: Settings
    store: Store
    reporter: Reporter
    models: dict[str, LocalModel] = field(default_factory=dict)
    rows: dict[tuple[str, str], RowSet] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    stage_keys: dict[str, str] = field(default_factory=dict)
    cell_keys: dict[Cell, str] = field(default_factory=dict)
    missing: dict[str | tuple[str, str], str] = field(default_factory=dict)
    reasons: dict[Cell, str] = field(default_factory=dict)
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

    @cached_property
    def overlaps(self) -> Overlaps:
        """Counts evaluation rows that stand in training as well, each pair of splits once for all cells."""
        from .overlap import Overlaps

        return Overlaps(self.registry, self.settings, self.rows)

    @cached_property
    def locks(self) -> Locks:
        """Of the cache, against other processes."""
        return Locks.of(self.settings)

    @cached_property
    def candidates(self) -> Candidates:
        """What stages keep beside their last checkpoint."""
        return Candidates(self.settings.cache, self.store)

    def reader(self, cell: Cell) -> Head | Floor:
        """What gives a cell's predictions: a head on its encoder, or a floor."""
        return self.registry.floors.get(cell.head) if cell.is_floor else self.registry.heads.get(cell.head)

    def chain(self, stage_id: str | None) -> list[Stage]:
        """A stage and those before it, the first one first."""
        return chain_of(stage_id, self.stages)


def prepare_work(plan: Plan, registry: Registry, settings: Settings, reporter: Reporter) -> Work:
    """Find every model and all rows that a plan needs, and compute the keys of its stages and cells.

    Args:
        plan: What to do.
        registry: What the plugins declare.
        settings: Folders and switches; offline, nothing is fetched.
        reporter: Hears of rows that nobody has recorded.

    Returns:
        What is here, and what is missing.

    Raises:
        StoppedError: The disk is full, or the cache cannot be written.
    """
    settings = replace(settings, listener=reporter)
    work = Work(registry, settings, Store(settings), reporter, stages={stage.id: stage for stage in plan.stages})
    for text in dict.fromkeys(cell.model for cell in plan.cells if not cell.is_floor):
        try:
            work.models[text] = resolve_model(text, registry, settings)
        except (UserError, OSError) as error:
            work.missing[text] = reason_or_stop(error, settings.cache) or str(error)
    for name, split in dict.fromkeys(where for cell in plan.cells for where in _rows_of(cell, work)):
        _prepare_rows(name, split, work)
    for stage in plan.stages:
        here = stage.model in work.models and all((name, stage.split) in work.rows for name in stage.mixture)
        if here and (stage.parent is None or stage.parent in work.stage_keys):
            work.stage_keys[stage.id] = _stage_key(stage, work)
    for cell in plan.cells:
        reason = _missing_for(cell, work)
        if reason is None:
            work.cell_keys[cell] = _cell_key(cell, work)
        else:
            work.reasons[cell] = reason
    return work


def _rows_of(cell: Cell, work: Work) -> list[tuple[str, str]]:
    """The splits that a cell needs, those of its stages first; none without its model, since nothing can be done."""
    return [] if cell.model in work.missing else cell.splits(work.chain(cell.stage))


def _prepare_rows(name: str, split: str, work: Work) -> None:
    dataset = work.registry.datasets.get(name)
    try:
        rows = prepare(dataset, split, work.registry.schemas.get(dataset.schema), work.settings)
    except (UserError, OSError) as error:
        work.missing[name, split] = reason_or_stop(error, work.settings.cache) or str(error)
        return
    work.rows[name, split] = rows
    if not rows.pinned:
        work.reporter.note(f"{name} {split}: the rows are unpinned (nobody has recorded what they should be)")


def _missing_for(cell: Cell, work: Work) -> str | None:
    """Why a cell cannot be done, if it cannot."""
    needs: list[str | tuple[str, str]] = [cell.model, *_rows_of(cell, work)]
    reason = next((work.missing[need] for need in needs if need in work.missing), None)
    if reason is None and not cell.is_floor:
        try:
            check_length(work.models[cell.model], cell.recipe.max_length)
            if cell.stage is not None:
                check_peft(cell.recipe)
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
    return stage_key(
        base, [one.rows_sha256 for one in sets], (head.name, head.version), stage.seed,
        None if all_rows else stage.limit, sets[0].dataset, stage.recipe.training_identity(head.decoding),
    )  # fmt: skip


def _cell_key(cell: Cell, work: Work) -> str:
    """The content key of a cell."""
    registry, reader = work.registry, work.reader(cell)
    task, limits = registry.tasks.get(cell.task), cell_limits(cell, work)
    scored = Scored(
        (task.name, task.version), (cell.dataset, cell.split), work.rows[cell.dataset, cell.split].rows_sha256,
        limits["eval"], [(name, registry.metrics.get(name).version) for name in cell.metrics],
    )  # fmt: skip
    if isinstance(reader, Floor):
        return floor_key((reader.name, reader.version), scored)
    model = work.models[cell.model]
    fit = None if cell.fit is None else (*cell.fit, work.rows[cell.fit].rows_sha256, limits["train"])
    base = model.identity if cell.stage is None else work.stage_keys[cell.stage]
    diagnostics = [(name, registry.diagnostics.get(name).version) for name in task.diagnostics]
    return cell_key(
        scored, base, model.name, (reader.name, reader.version), cell.curriculum, cell.reading, fit, cell.seed,
        cell_recipe(cell, reader), diagnostics, cell_selection(cell, work),
    )  # fmt: skip


def cell_selection(cell: Cell, work: Work) -> Selection:
    """How a cell's checkpoint is chosen; a limit that takes all rows is none."""
    chosen_on = []
    for dataset, split, metric in cell.chosen_on:
        rows = work.rows[dataset, split]
        (limit,) = share_limit(cell.limit_eval, [rows.rows])
        version = work.registry.metrics.get(metric).version
        chosen_on.append(ChosenOn(dataset, split, rows.rows_sha256, limit, (metric, version)))
    return Selection(cell.selection, cell.recipe.kept, chosen_on)


def cell_limits(cell: Cell, work: Work) -> dict[str, int | None]:
    """Rows to train (or fit) and to evaluate on, at most; a limit that takes all rows is none."""
    chain = work.chain(cell.stage)
    mixtures = [[work.rows[name, stage.split].rows for name in stage.mixture] for stage in chain]
    mixtures += [] if cell.fit is None else [[work.rows[cell.fit].rows]]
    limited = any(share is not None for sizes in mixtures for share in share_limit(cell.limit_train, sizes))
    (evaluated,) = share_limit(cell.limit_eval, [work.rows[cell.dataset, cell.split].rows])
    return {"train": cell.limit_train if limited else None, "eval": evaluated}


def cell_recipe(cell: Cell, reader: Head | Floor) -> dict[str, Scalar]:
    """What of the recipe can change a cell's predictions of given weights; nothing where there are none.

    A stage's key holds all options that training used; a frozen encoder has no stage, so its cells hold them all.
    """
    if isinstance(reader, Floor):
        return {}
    return cell.recipe.decoding_identity((*reader.decoding, *(() if cell.stage is not None else reader.options)))


def eval_rows(cell: Cell) -> Drawn:
    """The rows that a cell is scored on."""
    return Drawn(cell.dataset, cell.split, cell.limit_eval, EVAL_DRAW_SEED)


def fit_rows(cell: Cell) -> Drawn:
    """The rows that a cell's reading is fitted on; it must have such."""
    assert cell.fit is not None
    limited = cell.limit_train is not None
    return Drawn(*cell.fit, cell.limit_train, cell.seed if limited else EVAL_DRAW_SEED)


def found_records(work: Work) -> dict[Cell, Mapping[str, Any]]:
    """The records of cells that are already done."""
    records: dict[Cell, Mapping[str, Any]] = {}
    for cell, key in work.cell_keys.items():
        record = found_record(cell, key, work)
        if record is not None:
            records[cell] = record
    work.store.files.keep()
    return records


def found_record(cell: Cell, key: str, work: Work) -> Mapping[str, Any] | None:
    """A cell's record, when the cell is already done: that of a failed training is none, the cache knows of that."""
    record = work.store.record(cell, key, "" if cell.is_floor else work.models[cell.model].name)
    if record is None or record["status"] != DONE:
        return None
    # A figure needs what the cell's head kept; where that is gone, the cell is scored again.
    figures = work.registry.tasks.get(cell.task).figures
    if not (figures and work.store.lost(record)):
        return record
    if record["kept"] is not None:
        work.store.tell(f"{cell.label}: what its head kept is not whole in the cache: it is scored again")
    return None


def floors_left(work: Work, done: Container[Cell]) -> dict[Cell, str]:
    """The floors' cells that have no record yet, with their keys; no model serves them, and nothing need come before.

    Args:
        work: Its keys tell what can be done.
        done: Cells that have their records.
    """
    return {cell: key for cell, key in work.cell_keys.items() if cell.is_floor and cell not in done}


def stage_stands(stage: Stage, candidates: int, work: Work) -> dict[str, Any] | None:
    """The manifest of a finished stage that keeps so many candidates as well, or None."""
    key = work.stage_keys[stage.id]
    found = work.store.stage(key)
    return found if candidates < 2 or work.candidates.find(key, candidates) is not None else None


class Turn(NamedTuple):
    """What is done together: a stage is trained unless it is there, then the cells that read it are scored.

    Attributes:
        stage: None for frozen encoders.
        groups: Cells with their keys; one loaded model serves a group. There may be none, where only a later stage
            needs this one.
    """

    stage: Stage | None
    groups: list[dict[Cell, str]]

    @property
    def candidates(self) -> int:
        """How many checkpoints the stage has to keep: of one that only others go on from, the last is enough."""
        return self.stage.recipe.kept if self.stage is not None and self.groups else 1

    @property
    def label(self) -> str:
        """For people."""
        return next(iter(self.groups[0])).label if self.stage is None else f"stage {self.stage.label}"


def turns(work: Work, done: Container[Cell]) -> list[Turn]:
    """What is left to do with encoders, in order.

    Args:
        work: Its keys tell what can be done.
        done: Cells that have their records.
    """
    unfinished: dict[str | None, dict[Cell, str]] = {}
    needed: set[str] = set()
    for cell, key in work.cell_keys.items():
        if cell not in done and not cell.is_floor:
            unfinished.setdefault(cell.stage, {})[cell] = key
            needed.update(stage.id for stage in work.chain(cell.stage))
    stages = [None, *(stage for stage in work.stages.values() if stage.id in needed)]
    return [Turn(stage, _groups(unfinished.get(None if stage is None else stage.id, {}))) for stage in stages]


def _groups(pending: Mapping[Cell, str]) -> list[dict[Cell, str]]:
    """Cells that one loaded model serves: the same model, head and recipe."""
    groups: dict[tuple[str, str, Recipe], dict[Cell, str]] = {}
    for cell, key in pending.items():
        groups.setdefault((cell.model, cell.head, cell.recipe), {})[cell] = key
    return list(groups.values())
