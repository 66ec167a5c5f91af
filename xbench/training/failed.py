"""Keeps trainings that have come to nothing: a mark in the cache for the stage, and a record for each cell of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..data.rows import share_limit
from ..forms import MOST
from ..plan import Cell, Stage
from ..recipe import LAST
from ..scoring import name_scores
from ..store import DONE, FAILED
from .record import describe_choice, origin, split_of, training_environment

if TYPE_CHECKING:
    from ..work import Work


def keep_failure(stage: Stage, key: str, manifest: Mapping[str, Any], work: Work) -> None:
    """Keep that a stage has failed, and say how it is tried again.

    Args:
        stage: What was trained.
        key: Its content key.
        manifest: Its ``reason``, ``timing`` and ``environment``, and ``retried`` where it was tried twice.
        work: Resolved names, rows and keys.
    """
    parent = None if stage.parent is None else work.stage_keys[stage.parent]
    about = {"curriculum": stage.curriculum, "mixture": list(stage.mixture), "head": stage.head, "seed": stage.seed}
    path = work.store.save_failed(key, {"status": FAILED, **manifest, **about, "parent": parent})
    work.candidates.forget(key)
    once = "" if "retried" in manifest else "no second try, which would be the same run; "
    work.reporter.note(f"{stage.label}: {once}kept as failed: delete {path} to try again")


def failed_records(cells: Mapping[Cell, str], work: Work) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Record cells whose training has come to nothing.

    Args:
        cells: Of one stage that is not there, with their keys.
        work: Resolved names, rows and keys.

    Yields:
        Each cell with its record. Nothing where no stage is kept as failed: something else went wrong. Where a score
        is recorded already, it stays.
    """
    chain = work.chain(next(iter(cells)).stage)
    keys = [work.stage_keys[stage.id] for stage in chain]
    marks = [None if work.store.stage(key) else work.store.failed(key) for key in keys]
    depth = next((place for place, mark in enumerate(marks) if mark is not None), None)
    if depth is None:
        return
    mark = marks[depth] or {}
    for cell, key in cells.items():
        record = _record(cell, chain, depth, mark, work)
        standing = work.store.record(cell, key, work.models[cell.model].name)
        if standing is None or (standing["status"] != DONE and not standing.items() >= record.items()):
            yield cell, work.store.save_record(cell, key, record)
        elif standing["status"] != DONE:
            yield cell, standing


def _record(cell: Cell, chain: Sequence[Stage], depth: int, mark: Mapping[str, Any], work: Work) -> dict[str, Any]:
    """What a record without a score says; ``depth`` is the place of the stage that failed."""
    registry = work.registry
    metrics = [registry.metrics.get(name) for name in cell.metrics]
    scores = name_scores([(one.name, dict.fromkeys(one.best or one.titles or (one.name,))) for one in metrics])
    which = "" if depth == len(chain) - 1 else f"its {'first' if depth == 0 else 'earlier'} stage failed: "
    about = mark["environment"]
    (evaluated,) = _splits([(cell.dataset, cell.split)], cell.limit_eval, work)
    return {
        "status": FAILED, "reason": f"{which}{mark['reason']}"[:MOST],
        **origin(cell, work),
        "train": [
            {**split, "stage": place}
            for place, stage in enumerate(chain)
            for split in _splits([(name, stage.split) for name in stage.mixture], stage.limit, work)
        ],
        "fit": None if cell.fit is None else _splits([cell.fit], cell.limit_train, work)[0],
        "eval": evaluated,
        "scores": scores, "primary": next(iter(scores)), "chance": {}, "bounds": {}, "ceilings": {}, "overlap": None,
        # Their names are a part of the key.
        "diagnostics": {name: {} for name in registry.tasks.get(cell.task).diagnostics},
        **({} if cell.selection == LAST else {"selected": describe_choice(cell, (), None, (), work)}),
        "kept": None,
        "timing": _timing(chain[:depth], mark, work),
        "environment": {
            **about, "precision": "", **training_environment(about),
        },
    }  # fmt: skip


def _splits(names: Sequence[tuple[str, str]], limit: int | None, work: Work) -> list[dict[str, Any]]:
    """Who the rows are, and how many of them were drawn, whether or not each gave an example."""
    found = [split_of(work, *name) for name in names]
    shares = share_limit(limit, [split["rows"] for split in found])
    return [split if share is None else {**split, "rows": share} for split, share in zip(found, shares, strict=True)]


def _timing(before: Sequence[Stage], mark: Mapping[str, Any], work: Work) -> dict[str, Any]:
    """Of the stages that were trained, and of the tries of the one that failed; nothing was read."""
    manifests = [work.store.stage(work.stage_keys[stage.id]) for stage in before]
    seconds = sum(manifest["timing"]["train_s"] for manifest in manifests if manifest is not None)
    spent = {"train_s": round(seconds + mark["timing"]["train_s"], 3), "train_examples_per_s": None}
    return {**mark["timing"], **spent, **dict.fromkeys(("eval_s", "eval_examples_per_s", "decode_s", "score_s"), 0.0)}
