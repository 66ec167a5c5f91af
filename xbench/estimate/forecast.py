"""What a plan will cost here: finds what is done, counts the rest, calibrates where nobody has, and adds up."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..candidates import Candidate
from ..data.rows import select, share_limit
from ..errors import UserError
from ..files import write_json
from ..keys import content_key
from ..plan import Cell, Plan, Stage
from ..progress import Reporter
from ..recipe import Recipe, adapter_of
from ..registry import Registry
from ..settings import Settings
from ..store import read_signed, sign
from ..training import TRAINING_VERSION
from ..training.examples import build_examples, find_examples, head_context, table_folder
from ..types import Dataset
from ..work import Drawn, Turn, Work, eval_rows, fit_rows, found_records, prepare_work, stage_stands, turns
from .costs import MB, Calibration, Estimate, pass_estimate, stage_estimate
from .counts import Cut, Part, pass_counts, training_counts, vocabulary_rows
from .machine import Machine, this_machine
from .past import Past, any_kept, keep_estimate, past_errors

SAMPLE = 500
"""Rows of a split that are tokenised to count, where not all of them are tokenised yet."""
SAMPLE_SEED = 0
WHY = "a dry run fetches nothing"


@dataclass(frozen=True)
class PassForecast:
    """A pass over a split, which serves one cell or several.

    Attributes:
        rows: The rows.
        fits: Whether a reading is fitted on its outputs.
        cells: That it serves.
        estimate: What it costs.
        candidates: How many checkpoints it is made for, to choose one of them; 0 for that of the one that is scored.
    """

    rows: Drawn
    fits: bool
    cells: tuple[Cell, ...]
    estimate: Estimate
    candidates: int = 0


@dataclass
class Forecast:
    """What a plan will cost.

    Attributes:
        stages: By stage id, those that will be trained.
        passes: In the order in which they will be made.
        done_stages: The ids of stages that are there, or that nothing needs any more.
        done_cells: Cells that have their records.
        reasons: Why there is no estimate of something.
        calibrated: What was measured to estimate from, a few words each.
        machine: That it is made for; None where there was nothing to estimate.
        past: How far off past estimates were; None where there is nothing to compare.
    """

    stages: dict[str, Estimate] = field(default_factory=dict)
    passes: list[PassForecast] = field(default_factory=list)
    done_stages: set[str] = field(default_factory=set)
    done_cells: set[Cell] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)
    calibrated: list[str] = field(default_factory=list)
    machine: Machine | None = None
    past: Past | None = None

    def parts(self) -> list[Estimate]:
        """Of all that is left to do."""
        return [*self.stages.values(), *(one.estimate for one in self.passes)]


def forecast(
    plan: Plan, registry: Registry, settings: Settings, say: Callable[[str], None] = lambda text: None
) -> Forecast:
    """Estimate what is left of a plan; fetches nothing.

    Args:
        plan: What to do.
        registry: What the plugins declare.
        settings: Folders and switches.
        say: Told what takes its time here.

    Returns:
        Estimates of what can be estimated, and why the rest cannot be.
    """
    settings = dataclasses.replace(settings, offline=True, why_offline=WHY)
    found = Forecast()
    try:
        # A device that somebody asked for by name is looked at before any row; else rows may tell that there is nothing
        # to estimate, and nothing needs torch.
        if settings.device not in ("auto", "cpu") or any_kept(settings):
            found.machine = this_machine(settings)
        _fill(found, prepare_work(plan, registry, settings, Reporter()), say)
    except UserError as error:  # no such device
        found.reasons.append(str(error))
    if found.machine is not None:
        found.past = past_errors(found.machine, settings)
    return found


def _fill(found: Forecast, work: Work, say: Callable[[str], None]) -> None:
    """Find what is done, and estimate the rest."""
    found.reasons += _reasons(work)
    found.done_cells = set(found_records(work))
    todo = _without_failed(turns(work, found.done_cells), work, found)
    found.done_stages = _done_stages(work, found.done_cells)
    waiting = {turn.stage.id for turn in todo if turn.stage is not None} - found.done_stages
    if not waiting and not any(turn.groups for turn in todo):
        return
    found.machine = found.machine or this_machine(work.settings)
    forecaster = _Forecaster(work, found.machine, say, found)
    for turn in todo:
        if turn.stage is not None and turn.stage.id in waiting:
            forecaster.attempt(partial(forecaster.stage, turn.stage, turn.candidates))
        for group in turn.groups:
            forecaster.attempt(partial(forecaster.choices, tuple(group)))
            forecaster.attempt(partial(forecaster.passes, tuple(group)))


def _without_failed(todo: Sequence[Turn], work: Work, found: Forecast) -> list[Turn]:
    """What is left without stages that failed before, and those that go on from them: a run does not try them again."""
    left = []
    for turn in todo:
        chain = work.chain(None if turn.stage is None else turn.stage.id)
        marks = {stage.label: work.store.failed(work.stage_keys[stage.id]) for stage in chain}
        label = next((label for label, mark in marks.items() if mark is not None), None)
        if label is None:
            left.append(turn)
        elif turn.stage is not None:
            path = work.store.failed_path(work.stage_keys[turn.stage.id])
            again = f"delete {path} to try again" if label == turn.stage.label else "it goes on from one that failed"
            found.reasons.append(f"{turn.stage.label} failed before: {again}")
    return left


def _done_stages(work: Work, done: Container[Cell]) -> set[str]:
    """The stages that are there, and those whose cells all have their records."""
    cells = [*work.cell_keys, *work.reasons]
    wanted = {stage.id for cell in cells if cell not in done for stage in work.chain(cell.stage)}
    read = {cell.stage for cell in cells if cell not in done}
    stages = [work.stages[name] for name in work.stage_keys]
    candidates = {stage.id: stage.recipe.kept if stage.id in read else 1 for stage in stages}
    return {
        stage.id
        for stage in stages
        if stage.id not in wanted or stage_stands(stage, candidates[stage.id], work) is not None
    }


def _reasons(work: Work) -> list[str]:
    """Why some cells cannot be done, shortly: what is not here by name, then what does not fit."""
    names = [name if isinstance(name, str) else "/".join(name) for name in work.missing]
    lines = [f"not on this machine, and {WHY}: {', '.join(names)}"] if names else []
    known = set(work.missing.values())
    return [*lines, *dict.fromkeys(reason for reason in work.reasons.values() if reason not in known)]


@dataclass(frozen=True)
class _Forecaster:
    """Adds estimates to a forecast, one after the other; what one of them makes, the next ones find made."""

    work: Work
    machine: Machine
    say: Callable[[str], None]
    found: Forecast
    tables: set[Path] = field(default_factory=set)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    ran: list[Calibration] = field(default_factory=list)

    def left_mb(self) -> float:
        """Memory that what is done before has left in the process."""
        return max((calibration.left_mb for calibration in self.ran), default=0.0)

    def attempt(self, add: Callable[[], None]) -> None:
        """Add an estimate, or the reason why there is none: the plan is shown in any case."""
        try:
            add()
        except UserError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  # such as a bug in a head: the run itself will show its traceback
            reason = f"{type(error).__name__}: {error}"
        else:
            return
        if reason not in self.found.reasons:
            self.found.reasons.append(reason)

    def stage(self, stage: Stage, candidates: int) -> None:
        """Estimate a stage that keeps so many checkpoints, and keep the estimate."""
        calibration = self.calibration(True, stage)
        cut = self.cut(calibration, stage.recipe)
        parts, new = self.stage_parts(stage), self.new_tables(stage)
        rows = stored = calibration.table_rows
        if stage.recipe.vocabulary != "full" and not stage.recipe.decays_table:
            chain = [part for one in self.work.chain(stage.id) for part in self.stage_parts(one)]
            rows, stored = (vocabulary_rows(some, calibration.table_rows) for some in (parts, chain))
        counts = training_counts(parts, stage.recipe, stage.seed, cut)
        estimate = stage_estimate(
            calibration, counts, cut, rows, max(rows, stored),
            sum(part.tokens for part in new), sum(_table_mb(part) for part in new), self.left_mb(), _sampled(parts),
            max(0, min(candidates, round(counts.steps)) - 1),
        )  # fmt: skip
        self.found.stages[stage.id] = estimate
        self.ran.append(calibration)
        keep_estimate(self.work.stage_keys[stage.id], estimate, self.machine, self.work.settings)

    def choices(self, cells: Sequence[Cell]) -> None:
        """Estimate the passes over dev rows by which the checkpoints of some cells of one stage are chosen."""
        first, devs = cells[0], tuple(dict.fromkeys(dev for cell in cells for dev in cell.dev_cells()))
        if not devs:
            return
        kept = None
        if first.stage in self.found.done_stages:
            kept = self.work.candidates.find(self.work.stage_keys[first.stage], first.recipe.kept)
        # Of a stage that is still to be trained, nothing was scored.
        left = [devs] * first.recipe.kept if kept is None else [self.unscored(devs, candidate) for candidate in kept]
        for missing, times in Counter(left).items():
            if missing:
                self.passes(missing, times, cells)

    def unscored(self, devs: Sequence[Cell], candidate: Candidate) -> tuple[Cell, ...]:
        """Those on which a candidate has no score yet."""
        from ..training.select import dev_score_content

        left = []
        for dev in devs:
            try:
                self.work.candidates.score(dev_score_content(dev, candidate, self.work))
            except KeyError:
                left.append(dev)
        return tuple(left)

    def passes(self, cells: Sequence[Cell], candidates: int = 0, chosen: Sequence[Cell] = ()) -> None:
        """Estimate the passes that serve some cells of one loaded model.

        Args:
            cells: What is read.
            candidates: For how many checkpoints, where it is read to choose one of them.
            chosen: The cells whose checkpoint is chosen so.
        """
        served: dict[tuple[bool, Drawn], list[Cell]] = {}
        for cell in cells:
            served.setdefault((False, eval_rows(cell)), []).append(cell)
            if cell.fit is not None and (False, fit_rows(cell)) not in served:
                served.setdefault((True, fit_rows(cell)), []).append(cell)
        first = cells[0]
        calibration = self.calibration(False, first)
        cut = self.cut(calibration, first.recipe)
        drawn = {rows: self.pass_part(rows, first) for _, rows in served}
        rows, left_mb = vocabulary_rows(list(drawn.values()), calibration.table_rows), self.left_mb()
        self.ran.append(calibration)
        for place, ((fits, where), those) in enumerate(served.items()):
            part = drawn[where]
            new = [part] if self.is_new(where, first, self.work.rows[where.dataset, where.split].dataset) else []
            estimate = pass_estimate(
                calibration, pass_counts(part, cut), cut, rows, sum(part.tokens for part in new),
                sum(_table_mb(part) for part in new), left_mb, _sampled([part]), loads=place == 0,
                times=max(1, candidates),
            )  # fmt: skip
            serves = [one for one in chosen if not set(one.dev_cells()).isdisjoint(those)] if chosen else those
            self.found.passes.append(PassForecast(where, fits, tuple(serves), estimate, candidates))

    def cut(self, calibration: Calibration, recipe: Recipe) -> Cut:
        """How batches are cut into pieces here."""
        return Cut(calibration.packed, recipe.micro_batch_tokens or self.machine.budget, self.machine.piece_tokens)

    # Examples

    def drawn(self, stage: Stage) -> list[Drawn]:
        """The rows that a stage trains on."""
        sizes = [self.work.rows[name, stage.split].rows for name in stage.mixture]
        limits = share_limit(stage.limit, sizes)
        return [Drawn(name, stage.split, limit, stage.seed) for name, limit in zip(stage.mixture, limits, strict=True)]

    def stage_parts(self, stage: Stage) -> list[Part]:
        """The examples of each dataset of a stage's mixture."""
        return [self.part(drawn, stage, self.stage_dataset(stage)) for drawn in self.drawn(stage)]

    def stage_dataset(self, stage: Stage) -> Dataset:
        """Whose labels and scores a stage's head knows."""
        return self.work.registry.datasets.get(stage.mixture[0])

    def new_tables(self, stage: Stage) -> list[Part]:
        """Those that the stage will be the first one to tokenise."""
        dataset = self.stage_dataset(stage)
        return [self.part(one, stage, dataset) for one in self.drawn(stage) if self.is_new(one, stage, dataset)]

    def pass_part(self, drawn: Drawn, cell: Cell) -> Part:
        """The examples of a pass."""
        return self.part(drawn, cell, self.work.rows[drawn.dataset, drawn.split].dataset)

    def folder(self, drawn: Drawn, of: Stage | Cell, dataset: Dataset) -> Path:
        """Where the examples of some rows belong."""
        work = self.work
        model, rows = work.models[of.model], work.rows[drawn.dataset, drawn.split]
        context, head = head_context(of.recipe, model, dataset), work.registry.heads.get(of.head)
        return table_folder(rows, head, model, context, drawn.limit, drawn.seed, work.settings)

    def is_new(self, drawn: Drawn, of: Stage | Cell, dataset: Dataset) -> bool:
        """Whether these examples are not here, nor made by anything asked about before."""
        folder = self.folder(drawn, of, dataset)
        new = folder not in self.tables and not folder.is_dir()
        self.tables.add(folder)
        return new

    def part(self, drawn: Drawn, of: Stage | Cell, dataset: Dataset) -> Part:
        """The examples of some rows: all of them where they are here, or few enough; else a sample, which is kept."""
        work = self.work
        rows = work.rows[drawn.dataset, drawn.split]
        wanted = rows.rows if drawn.limit is None else min(drawn.limit, rows.rows)
        sample = drawn if wanted <= SAMPLE else drawn._replace(limit=SAMPLE, seed=SAMPLE_SEED)
        for some in (drawn, sample):
            table = find_examples(self.folder(some, of, dataset), work.settings)
            if table is not None:
                return Part(table, 1.0 if some is drawn else wanted / SAMPLE)
        from ..models.encoder import load_tokenizer

        model, head = work.models[of.model], work.registry.heads.get(of.head)
        self.say(f"tokenising {min(wanted, SAMPLE)} rows of {drawn.dataset}/{drawn.split} to count")
        table = build_examples(
            self.folder(sample, of, dataset), select(rows.open(), sample.limit, sample.seed), head,
            load_tokenizer(model.folder, work.settings.trust_remote_code), head_context(of.recipe, model, dataset),
            work.settings,
        )  # fmt: skip
        return Part(table, 1.0 if sample is drawn else wanted / SAMPLE)

    # Calibration

    def calibration(self, trains: bool, of: Stage | Cell) -> Calibration:
        """What training, or reading, costs with a model, head and precision: from the cache, or measured now."""
        work, machine, recipe = self.work, self.machine, of.recipe
        model, head = work.models[of.model], work.registry.heads.get(of.head)
        precision = machine.precision(recipe.precision if trains else recipe.eval_precision)
        content: dict[str, Any] = {
            "trains": trains, "model": model.identity, "head": [head.name, head.version], "precision": precision,
            "optimizer": recipe.optimizer if trains else None, "budget": recipe.micro_batch_tokens or machine.budget,
            "machine": dataclasses.asdict(machine), "training": TRAINING_VERSION,
            **(adapter_of(recipe) if trains else {}),
        }  # fmt: skip
        key = content_key("calibration", content)
        if key not in self.calibrations:
            path = work.settings.cache / "calibrations" / f"{key}.json"
            self.calibrations[key] = _read_calibration(path) or self.measure(trains, of, path)
            way = "training" if trains else "reading"
            self.found.calibrated.append(f"{way} {model.name} {head.name} in {precision}")
        return self.calibrations[key]

    def measure(self, trains: bool, of: Stage | Cell, path: Path) -> Calibration:
        """Calibrate, and keep the result."""
        from ..training.calibrate import calibrate

        work = self.work
        where = (of.mixture[0], of.split) if isinstance(of, Stage) else (of.dataset, of.split)
        way = "training" if trains else "reading"
        self.say(f"calibrating {way} with {of.model} {of.head}: some seconds, once")
        head = work.registry.heads.get(of.head)
        measured = calibrate(trains, work.models[of.model], head, of.recipe, work.rows[where], work.settings)
        write_json(path, sign(measured.as_json()))
        return measured


def _read_calibration(path: Path) -> Calibration | None:
    kept = read_signed(path)
    with contextlib.suppress(KeyError):
        return None if kept is None else Calibration.from_json(kept)
    return None


def _table_mb(part: Part) -> float:
    return part.table.bytes * part.scale / MB


def _sampled(parts: Sequence[Part]) -> bool:
    return any(part.scale > 1 for part in parts)
