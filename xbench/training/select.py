"""Chooses the checkpoint of each cell by its protocol, and scores it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..candidates import Candidate
from ..errors import UserError
from ..measures import MetricContext
from ..plan import Cell
from ..recipe import AVERAGE, LAST
from ..scoring import compute_scores
from ..selection import best_candidate
from ..work import cell_recipe
from .device import choose_device
from .evaluate import read_cells
from .record import Measured, describe_choice, make_record

if TYPE_CHECKING:
    from ..work import Work

Scored: TypeAlias = tuple[Cell, Mapping[str, Any] | Exception]
"""A cell with its record, or with what went wrong in it alone."""
DevScores: TypeAlias = Mapping[tuple[Cell, int], float | Exception | None]
"""By dev cell and step."""


def score_cells(cells: Mapping[Cell, str], work: Work) -> Iterator[Scored]:
    """Choose, predict and score.

    Args:
        cells: Cells of one stage, model, head and recipe, with their keys.
        work: Resolved names, rows and keys.

    Yields:
        Each cell with its record, as soon as it is stored, or with what went wrong in it alone.
    """
    first = next(iter(cells))
    if first.selection == LAST:
        weights = [] if first.stage is None else [work.store.stage_weights(work.stage_keys[first.stage])]
        yield from _score(cells, weights, {}, work)
        return
    candidates = _candidates(first, work)
    if first.selection == AVERAGE:
        selected = {cell: describe_choice(cell, candidates, None, (), work) for cell in cells}
        yield from _score(cells, [one.path for one in candidates], selected, work)
        return
    scores = _dev_scores(cells, candidates, work)
    chosen: dict[Candidate, dict[Cell, Mapping[str, Any]]] = {}
    for cell in cells:
        try:
            place, said = _choose(cell, candidates, scores, work)
            chosen.setdefault(candidates[place], {})[cell] = said
        except Exception as error:  # noqa: BLE001  # one cell's failure must not take the others with it
            yield cell, error
    for candidate, own in chosen.items():
        yield from _score({cell: cells[cell] for cell in own}, [candidate.path], own, work)


def _score(
    cells: Mapping[Cell, str], weights: Sequence[Path], selected: Mapping[Cell, Mapping[str, Any]], work: Work
) -> Iterator[Scored]:
    """Score cells of one checkpoint."""
    device = choose_device(work.settings.device)
    for cell, measured in read_cells(cells, weights, work):
        try:
            if isinstance(measured, Exception):
                raise measured
            yield cell, make_record(cell, cells[cell], measured, device, work, selected.get(cell))
        except Exception as error:  # noqa: BLE001  # as above
            yield cell, error


def _candidates(cell: Cell, work: Work) -> Sequence[Candidate]:
    assert cell.stage is not None
    found = work.candidates.find(work.stage_keys[cell.stage], cell.recipe.kept)
    if found is None:
        raise UserError(f"{cell.label}: the checkpoints of its stage have gone from the cache: run this again")
    if len(found) < 2:
        raise UserError(
            f"{cell.label}: the training has a single step, and so a single checkpoint to choose from: "
            f"take --set recipe.selection={LAST}, or train on more rows"
        )
    return found


# Scores on dev rows


def _dev_scores(cells: Mapping[Cell, str], candidates: Sequence[Candidate], work: Work) -> DevScores:
    """Of every candidate on all rows by which some cell's is chosen; what was scored before is not read again."""
    wanted = list(dict.fromkeys(dev for cell in cells for dev in cell.dev_cells()))
    scores: dict[tuple[Cell, int], float | Exception | None] = {}
    for candidate in candidates:
        if not _found_scores(wanted, candidate, scores, work):
            continue
        about = f", step {candidate.step}"
        with work.locks.wait("dev-score", candidate.checksum, "scores the checkpoints of a stage on dev rows"):
            missing = _found_scores(wanted, candidate, scores, work)
            for dev, measured in read_cells(missing, [candidate.path], work, keeps=False, about=about):
                scores[dev, candidate.step] = _dev_score(dev, candidate, measured, work)
    return scores


def _found_scores(
    wanted: Iterable[Cell], candidate: Candidate, scores: dict[tuple[Cell, int], float | Exception | None], work: Work
) -> list[Cell]:
    """Look up what a candidate has scored before; gives the dev cells that it has no score for."""
    missing = []
    for dev in wanted:
        try:
            scores[dev, candidate.step] = work.candidates.score(dev_score_content(dev, candidate, work))
        except KeyError:
            missing.append(dev)
    return missing


def _dev_score(dev: Cell, candidate: Candidate, measured: Measured | Exception, work: Work) -> float | Exception | None:
    """Score one candidate on some dev rows, and keep the score."""
    if isinstance(measured, Exception):
        return measured
    registry, (name,) = work.registry, dev.metrics
    dataset = registry.datasets.get(dev.dataset)
    references = [registry.schemas.get(dataset.schema).reference(row) for row in measured.rows]
    try:
        about = MetricContext(dataset, measured.rows)
        scores = compute_scores([registry.metrics.get(name)], measured.predictions, references, about)
    except Exception as error:  # noqa: BLE001  # as above
        return error
    value = next(iter(scores.values()))
    work.candidates.save_score(dev_score_content(dev, candidate, work), value)
    return value


def dev_score_content(dev: Cell, candidate: Candidate, work: Work) -> dict[str, Any]:
    """What a candidate's score on dev rows depends on: the same for every cell, task and protocol that asks for it.

    Args:
        dev: One of a cell's `Cell.dev_cells`.
        candidate: Whose score.
        work: Resolved names, rows and keys.
    """
    assert dev.stage is not None
    registry, (name,) = work.registry, dev.metrics
    head, rows, metric = registry.heads.get(dev.head), work.rows[dev.dataset, dev.split], registry.metrics.get(name)
    limit = dev.limit_eval if dev.limit_eval is not None and dev.limit_eval < rows.rows else None
    fit = None
    if dev.fit is not None:
        fit = [*dev.fit, work.rows[dev.fit].rows_sha256, dev.limit_train, dev.seed]
    return {
        "stage": work.stage_keys[dev.stage], "step": candidate.step, "files": candidate.checksum,
        "model": work.models[dev.model].name, "head": [head.name, head.version], "reading": dev.reading, "fit": fit,
        "decoding": cell_recipe(dev, head), "dataset": [dev.dataset, dev.split], "rows": rows.rows_sha256,
        "limit": limit, "metric": [metric.name, metric.version],
    }  # fmt: skip


# The choice


def _choose(
    cell: Cell, candidates: Sequence[Candidate], scores: DevScores, work: Work
) -> tuple[int, Mapping[str, Any]]:
    """The place of a cell's checkpoint, and what its record says of it.

    Raises:
        UserError: No candidate has a score.
        Exception: What went wrong while one was scored.
    """
    table: list[list[float | None]] = []
    for candidate in candidates:
        own = [scores[dev, candidate.step] for dev in cell.dev_cells()]
        for one in own:
            if isinstance(one, Exception):
                raise one
        table.append([one for one in own if not isinstance(one, Exception)])
    best = best_candidate(table)
    if best is None:
        where = ", ".join(f"{one.dataset}/{one.split}" for one in cell.chosen_on)
        raise UserError(f"no checkpoint has a defined score on {where}: there is nothing to choose by")
    return best, describe_choice(cell, candidates, candidates[best], table, work)
