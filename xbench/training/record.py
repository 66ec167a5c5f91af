"""Turns a cell's predictions into scores, and the scores into a record with its whole provenance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ..candidates import Candidate
from ..forms import MOST
from ..measures import MetricContext
from ..plan import Cell, Stage
from ..provenance import environment, peak_memory
from ..sampling import sample_scores
from ..scoring import chance_scores, compute_scores, score_bounds
from ..store import DONE
from ..types import HeadContext, Prediction, Row
from ..work import cell_limits, cell_recipe, cell_selection
from . import TRAINING_VERSION
from .device import choose_precision
from .diagnose import diagnose
from .examples import ExampleTable

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..work import Work


class Examples(NamedTuple):
    """Rows as an encoder reads them.

    Attributes:
        table: The rows' examples.
        context: The recipe and its company.
    """

    table: ExampleTable
    context: HeadContext


@dataclass(frozen=True)
class Measured:
    """What a head, or a floor, said of some rows.

    Attributes:
        rows: The evaluation rows.
        predictions: One a row.
        pass_s: Seconds that the encoder's pass over the rows took; a floor's from the rows to the predictions.
        decode_s: Seconds from the encoder's outputs to the predictions.
        read: How an encoder has read the rows; None where there is none.
        fit_rows: The rows that the reading was fitted on; none where it was not.
        kept: Arrays that the head keeps for figures, by name; None where the task has no figures. A floor keeps none.
    """

    rows: Sequence[Row]
    predictions: Sequence[Prediction]
    pass_s: float
    decode_s: float = 0.0
    read: Examples | None = None
    fit_rows: Sequence[Row] = ()
    kept: Mapping[str, npt.NDArray[Any]] | None = field(default_factory=dict)


def make_record(
    cell: Cell, key: str, measured: Measured, device: torch.device, work: Work,
    selected: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score one cell; store its predictions, what its head keeps, and its record.

    Args:
        cell: What was asked.
        key: Its content key.
        measured: What the head, or the floor, said.
        device: That it ran on.
        work: Resolved names, rows and keys.
        selected: Which checkpoint it is and why; None for the last one.

    Returns:
        The record as stored.

    Raises:
        RuntimeError: It is not one prediction a row.
    """
    registry, store = work.registry, work.store
    rows, predictions = measured.rows, measured.predictions
    reader = work.reader(cell)
    if len(predictions) != len(rows):
        kind = "floor" if cell.is_floor else "head"
        raise RuntimeError(f"the {kind} {reader.name} gave {len(predictions)} predictions for {len(rows)} rows")
    schema = registry.schemas.get(registry.datasets.get(cell.dataset).schema)
    references = [schema.reference(row) for row in rows]
    started = time.perf_counter()
    metrics = [registry.metrics.get(name) for name in cell.metrics]
    about = MetricContext(registry.datasets.get(cell.dataset), rows)
    scores = compute_scores(metrics, predictions, references, about)
    score_s = time.perf_counter() - started
    diagnostics, ceilings = diagnose(cell, measured, work)
    chain = work.chain(cell.stage)
    manifests = [manifest for stage in chain if (manifest := store.stage(work.stage_keys[stage.id])) is not None]
    precision = "" if cell.is_floor else choose_precision(cell.recipe.eval_precision, device)
    trained = manifests[-1]["environment"] if manifests else {}
    record = {
        "status": DONE,
        **origin(cell, work),
        "train": _trained_on(chain, manifests, work),
        "fit": None if cell.fit is None else {**split_of(work, *cell.fit), "rows": len(measured.fit_rows)},
        "eval": {**split_of(work, cell.dataset, cell.split), "rows": len(rows)},
        "scores": scores, "primary": next(iter(scores)),
        "chance": chance_scores(metrics, references, about), "bounds": score_bounds(metrics),
        "sampling": sample_scores(metrics, predictions, references, about, schema, scores),
        "diagnostics": diagnostics, "ceilings": ceilings, **({} if selected is None else {"selected": selected}),
        "predictions_sha256": store.save_predictions(key, (row["id"] for row in rows), predictions, references),
        "kept": None if measured.kept is None else store.save_kept(key, measured.kept),
        "timing": {**_training_timing(manifests, device), **_timing(measured, score_s)},
        "environment": {
            **environment(device, precision), **training_environment(trained),
        },
    }  # fmt: skip
    return store.save_record(cell, key, {**record, "overlap": work.overlaps.of_record(record)})


def training_environment(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a record's environment says of its training; the version of the code is in the stages' keys.

    Args:
        about: The last stage's environment, which is to have been made by this code; empty where nothing was trained.
    """
    found = {f"training_{name}": about.get(name) for name in ("device", "precision", "threads")}
    if about:
        found["training_version"] = TRAINING_VERSION
    if about.get("processes", 1) > 1:
        found["training_processes"] = about["processes"]
    return found


def origin(cell: Cell, work: Work) -> dict[str, Any]:
    """What a record says of how its cell was asked for, and by what: the same whether it came to a score or not."""
    registry, reader, chain = work.registry, work.reader(cell), work.chain(cell.stage)
    task = registry.tasks.get(cell.task)
    used = [cell.dataset, *(cell.fit or ())[:1], *(name for stage in chain for name in stage.mixture)]
    return {
        "task": task.name, "task_version": task.version, "head": reader.name, "head_version": reader.version,
        "curriculum": cell.curriculum, "reading": cell.reading, "seed": cell.seed, "transfer": cell.transfer,
        "model": _model(cell, work),
        "stages": [work.stage_keys[stage.id] for stage in chain],
        "limits": cell_limits(cell, work),
        "sample": any(registry.datasets.get(name).sample for name in used),
        "metric_version": {name: registry.metrics.get(name).version for name in cell.metrics},
        "recipe": cell.recipe.stated() if chain else cell_recipe(cell, reader), "selection": cell.selection,
    }  # fmt: skip


def _model(cell: Cell, work: Work) -> dict[str, Any]:
    if cell.is_floor:
        return {"name": cell.model, "revision": "", "weights_sha256": "", "parameters": 0}
    model = work.models[cell.model]
    about = {
        "name": model.name, "revision": model.revision, "weights_sha256": model.weights_sha256,
        "parameters": model.parameters,
    }  # fmt: skip
    known = model.sentence is not None and not model.sentence.problem
    return {**about, "sentence": model.embedding[:MOST]} if known else about


def split_of(work: Work, name: str, split: str) -> dict[str, Any]:
    """Who the rows of a split are, as a record says it."""
    rows = work.rows[name, split]
    language = rows.dataset.language
    return {"dataset": name, "language": language, "split": split, "rows": rows.rows, "rows_sha256": rows.rows_sha256}


def describe_choice(
    cell: Cell, candidates: Sequence[Candidate], chosen: Candidate | None, scores: Sequence[Sequence[float | None]],
    work: Work,
) -> dict[str, Any]:  # fmt: skip
    """Which checkpoint it is, of which, and why, as a record says it; the mean of all is none of them.

    Args:
        cell: Whose checkpoint.
        candidates: Those that there were; none where the training failed.
        chosen: One of them, or None.
        scores: By candidate, on the rows of each dataset that it is chosen by.
        work: Resolved names, rows and keys.
    """
    dev = []
    for one in cell_selection(cell, work).chosen_on:
        split = split_of(work, one.dataset, one.split)
        name, version = one.metric
        rows = split["rows"] if one.limit is None else one.limit
        dev.append({**split, "rows": rows, "limit": one.limit, "metric": name, "metric_version": version})
    return {
        "candidates": cell.recipe.kept, "steps": [one.step for one in candidates],
        "epochs": [one.epoch for one in candidates], "step": None if chosen is None else chosen.step, "dev": dev,
        "scores": [list(own) for own in scores],
    }  # fmt: skip


def _trained_on(chain: Sequence[Stage], manifests: Sequence[Mapping[str, Any]], work: Work) -> list[dict[str, Any]]:
    return [
        {**split_of(work, name, stage.split), "rows": manifest["rows"][index], "stage": depth}
        for depth, (stage, manifest) in enumerate(zip(chain, manifests, strict=True))
        for index, name in enumerate(stage.mixture)
    ]


def _timing(measured: Measured, score_s: float) -> dict[str, float]:
    return {
        "eval_s": round(measured.pass_s, 3), "eval_examples_per_s": round(len(measured.rows) / measured.pass_s, 2),
        "decode_s": round(measured.decode_s, 3), "score_s": round(score_s, 3),
    }  # fmt: skip


def _training_timing(manifests: Sequence[Mapping[str, Any]], device: torch.device) -> dict[str, Any]:
    """Of all stages of the chain together, whenever they were trained."""
    memory = peak_memory(device)
    for manifest in manifests:
        for name, value in memory.items():
            earlier = manifest["timing"].get(name)
            memory[name] = max(value or 0.0, earlier or 0.0) if value is not None or earlier is not None else None
    train_s = sum(manifest["timing"]["train_s"] for manifest in manifests)
    examples = sum(manifest["timing"]["train_examples"] for manifest in manifests)
    speed = round(examples / train_s, 2) if train_s else None
    return {"train_s": round(train_s, 3), "train_examples_per_s": speed, **memory}
