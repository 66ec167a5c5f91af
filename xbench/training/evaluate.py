"""Scores cells that one loaded model serves, and writes their records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..data.rows import select
from ..keys import finite
from ..models.encoder import load_tokenizer, table_size
from ..plan import Cell
from ..provenance import environment, forget_peak_memory, peak_memory
from ..types import Decoding, DiagnosticContext, Head, HeadContext, Prediction, Row
from .device import choose_device, choose_precision
from .examples import ExampleTable
from .predict import predict
from .stage import example_table, head_context, used_vocabulary
from .weights import build_module

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..execute import Work
    from ..models.resolve import LocalModel

EVAL_DRAW_SEED = 0
"""``--limit-eval`` draws the same rows for every model, curriculum and seed."""


def score_cells(cells: Mapping[Cell, str], work: Work) -> Iterator[tuple[Cell, Mapping[str, Any] | Exception]]:
    """Predict and score; the model is loaded once.

    Args:
        cells: Cells of one stage, model, head and recipe, with their keys.
        work: Resolved names, rows and keys.

    Yields:
        Each cell with its record, as soon as it is stored, or with what went wrong in it alone.
    """
    forget_peak_memory()
    first = next(iter(cells))
    model, head = work.models[first.model], work.registry.heads.get(first.head)
    tokenizer = load_tokenizer(model.folder, work.settings.trust_remote_code)
    pad_id = int(tokenizer.pad_token_id)
    passes: dict[tuple[str, str, int | None], _Pass] = {}
    left: dict[Cell, str] = {}
    for cell, key in cells.items():
        try:
            if _rows_of(cell) not in passes:
                passes[_rows_of(cell)] = _prepare(cell, head, model, tokenizer, work)
            left[cell] = key
        except Exception as error:  # noqa: BLE001  # one dataset's failure must not take the others with it
            yield cell, error
    if not left:
        return
    first = next(iter(left))
    size = table_size(model.folder, work.settings.trust_remote_code)
    vocabulary = used_vocabulary([one.table for one in passes.values()], size, pad_id)
    weights = None if first.stage is None else work.store.stage_weights(work.stage_keys[first.stage])
    device = choose_device(work.settings.device)
    module = build_module(
        model, head, passes[_rows_of(first)].context, vocabulary, first.seed, weights, work.settings.trust_remote_code
    ).to(device)
    for cell, key in left.items():
        try:
            one = passes[_rows_of(cell)]
            started = time.perf_counter()
            if one.outputs is None:  # several readings and tasks share one pass
                recipe = cell.recipe
                one.outputs = predict(
                    module, one.table, recipe.eval_precision, recipe.micro_batch_tokens, vocabulary, pad_id
                )
                one.seconds = time.perf_counter() - started
            started = time.perf_counter()
            predictions = head.decode(
                Decoding(one.rows, one.table.row_of, one.outputs, one.table.extra(), one.context, cell.reading)
            )
            spent = one.seconds + time.perf_counter() - started
            result: Mapping[str, Any] | Exception = _record(
                cell, key, one.rows, predictions, one.table, one.context, device, spent, work
            )
        except Exception as error:  # noqa: BLE001  # one cell's failure must not take the others with it
            result = error
        yield cell, result


@dataclass
class _Pass:
    """One run of the module over some evaluation rows."""

    rows: Sequence[Row]
    table: ExampleTable
    context: HeadContext
    outputs: list[Any] | None = None
    seconds: float = 0.0


def _rows_of(cell: Cell) -> tuple[str, str, int | None]:
    """What tells the evaluation rows of cells apart."""
    return cell.dataset, cell.split, cell.limit_eval


def _prepare(cell: Cell, head: Head, model: LocalModel, tokenizer: PreTrainedTokenizerBase, work: Work) -> _Pass:
    rows, limit = work.rows[cell.dataset, cell.split], cell.limit_eval
    context = head_context(cell.recipe, model, rows.dataset)
    table = example_table(rows, head, model, tokenizer, context, limit, EVAL_DRAW_SEED, work.settings)
    return _Pass(select(rows.open(), limit, EVAL_DRAW_SEED), table, context)


def _record(
    cell: Cell, key: str, rows: Sequence[Row], predictions: Sequence[Prediction], table: ExampleTable,
    context: HeadContext, device: torch.device, eval_s: float, work: Work,
) -> dict[str, Any]:  # fmt: skip
    """Score one cell and store its record and predictions."""
    registry, store = work.registry, work.store
    task, head = registry.tasks.get(cell.task), registry.heads.get(cell.head)
    model, dataset = work.models[cell.model], registry.datasets.get(cell.dataset)
    references = [registry.schemas.get(dataset.schema).reference(row) for row in rows]
    if len(predictions) != len(rows):
        raise RuntimeError(f"the head {head.name} gave {len(predictions)} predictions for {len(rows)} rows")
    scores: dict[str, float | None] = {}
    for name in task.metrics:
        computed = registry.metrics.get(name).compute(predictions, references)
        scores.update({metric: finite(value) for metric, value in computed.items()})
    chain = work.chain(cell.stage)
    manifests = [manifest for stage in chain if (manifest := store.stage(work.stage_keys[stage.id])) is not None]
    predictions_sha256 = store.save_predictions(key, [row["id"] for row in rows], predictions, references)
    precision = choose_precision(cell.recipe.eval_precision, device)
    record = {
        "status": "done",
        "task": task.name, "task_version": task.version, "head": head.name, "curriculum": cell.curriculum,
        "reading": cell.reading, "seed": cell.seed, "transfer": cell.transfer,
        "model": {
            "name": model.name, "revision": model.revision, "weights_sha256": model.weights_sha256,
            "parameters": model.parameters,
        },
        "train": [
            {**_split(work, name, stage.split), "rows": manifest["rows"][index], "stage": depth}
            for depth, (stage, manifest) in enumerate(zip(chain, manifests, strict=True))
            for index, name in enumerate(stage.mixture)
        ],
        "eval": {**_split(work, cell.dataset, cell.split), "rows": len(rows)},
        "stages": [work.stage_keys[stage.id] for stage in chain],
        "limits": {"train": cell.limit_train, "eval": cell.limit_eval},
        "sample": dataset.sample or any(registry.datasets.get(n).sample for s in chain for n in s.mixture),
        "scores": scores, "primary": next(iter(scores)),
        "metric_version": {name: registry.metrics.get(name).version for name in task.metrics},
        "diagnostics": _diagnostics(task.diagnostics, rows, predictions, table, cell, context, work),
        "recipe": cell.recipe.values() if chain else cell.recipe.decoding_identity(head.decoding),
        "selection": "last",
        "predictions_sha256": predictions_sha256,
        "timing": {
            **_timing(manifests, device), "eval_s": round(eval_s, 3),
            "eval_examples_per_s": round(len(rows) / eval_s, 2),
        },
        "environment": {
            **environment(device, precision),
            "training_precision": manifests[-1]["environment"]["precision"] if manifests else None,
        },
    }  # fmt: skip
    return store.save_record(cell, key, record)


def _split(work: Work, name: str, split: str) -> dict[str, Any]:
    rows = work.rows[name, split]
    language = rows.dataset.language
    return {"dataset": name, "language": language, "split": split, "rows": rows.rows, "rows_sha256": rows.rows_sha256}


def _timing(manifests: Sequence[Mapping[str, Any]], device: torch.device) -> dict[str, Any]:
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


def _diagnostics(
    names: Sequence[str], rows: Sequence[Row], predictions: Sequence[Prediction], table: ExampleTable, cell: Cell,
    context: HeadContext, work: Work,
) -> dict[str, Any]:  # fmt: skip
    import numpy as np

    truncated = np.zeros(len(rows), np.bool_)
    np.logical_or.at(truncated, table.row_of, table.truncated)
    dataset, folder = work.registry.datasets.get(cell.dataset), work.models[cell.model].folder
    about = DiagnosticContext(rows, predictions, truncated, dataset, folder, context)
    return {name: dict(work.registry.diagnostics.get(name).compute(about)) for name in names}
