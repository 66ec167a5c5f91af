"""Scores cells that one loaded model serves: one pass over each dataset's rows, then every reading of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.rows import select
from ..heads.blocks import HeadModule
from ..models.encoder import load_tokenizer, table_size
from ..models.vocabulary import Vocabulary
from ..plan import Cell
from ..provenance import forget_peak_memory
from ..recipe import Recipe
from ..types import Decoding, Fitting, Head, HeadContext, Reading, Row
from .device import choose_device
from .examples import ExampleTable
from .predict import predict, predict_to_file
from .record import Measured, make_record
from .stage import example_table, head_context, used_vocabulary
from .weights import build_module

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..execute import Work
    from ..models.resolve import LocalModel

EVAL_DRAW_SEED = 0
"""``--limit-eval`` draws the same rows for every model, curriculum and seed."""


@dataclass
class _Pass:
    """One run of the module over some rows, made when a cell first needs it.

    Attributes:
        rows: The rows.
        table: Their examples.
        context: The recipe and its company.
        outputs: None until it has run.
        seconds: What the run took.
    """

    rows: Sequence[Row]
    table: ExampleTable
    context: HeadContext
    outputs: Any = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Loaded:
    """A model with its head, and where its passes are kept."""

    module: HeadModule
    vocabulary: Vocabulary
    pad_id: int
    passes: dict[object, _Pass]
    folder: Path
    fitted: dict[object, Any] = field(default_factory=dict)

    def run(self, one: _Pass, recipe: Recipe, to_file: bool) -> None:
        """Predict, unless it is done; several readings and tasks share one pass."""
        if one.outputs is not None:
            return
        started = time.perf_counter()
        about = (recipe.eval_precision, recipe.micro_batch_tokens, self.vocabulary, self.pad_id)
        if to_file:
            path = self.folder / f"{len(list(self.folder.iterdir()))}.npy"
            one.outputs = predict_to_file(self.module, one.table, *about, path)
        else:
            one.outputs = predict(self.module, one.table, *about)
        one.seconds = time.perf_counter() - started


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
    passes: dict[object, _Pass] = {}
    ready: dict[Cell, str] = {}
    for cell, key in cells.items():
        try:
            for name, (dataset, split, limit, seed) in _rows_of(cell).items():
                if name not in passes:
                    passes[name] = _prepare(cell, dataset, split, limit, seed, head, model, tokenizer, work)
            ready[cell] = key
        except Exception as error:  # noqa: BLE001  # one dataset's failure must not take the others with it
            yield cell, error
    if not ready:
        return
    with tempfile.TemporaryDirectory(dir=work.settings.cache, prefix=".outputs.") as folder:
        loaded = _load(next(iter(ready)), head, model, int(tokenizer.pad_token_id), passes, Path(folder), work)
        for cell, key in ready.items():
            try:
                yield cell, _score(cell, key, head, loaded, work)
            except Exception as error:  # noqa: BLE001  # one cell's failure must not take the others with it
                yield cell, error


def _rows_of(cell: Cell) -> dict[object, tuple[str, str, int | None, int]]:
    """The rows that a cell passes over, to predict and to fit: name to dataset, split, limit and seed of the draw."""
    rows: dict[object, tuple[str, str, int | None, int]] = {_eval_name(cell): _eval_rows(cell)}
    if cell.fit is not None:
        rows[_fit_name(cell)] = (*cell.fit, cell.limit_train, cell.seed)
    return rows


def _eval_rows(cell: Cell) -> tuple[str, str, int | None, int]:
    return cell.dataset, cell.split, cell.limit_eval, EVAL_DRAW_SEED


def _eval_name(cell: Cell) -> object:
    return ("eval", *_eval_rows(cell))


def _fit_name(cell: Cell) -> object:
    return ("fit", cell.fit, cell.limit_train, cell.seed)


def _prepare(
    cell: Cell, dataset: str, split: str, limit: int | None, seed: int, head: Head, model: LocalModel,
    tokenizer: PreTrainedTokenizerBase, work: Work,
) -> _Pass:  # fmt: skip
    rows = work.rows[dataset, split]
    context = head_context(cell.recipe, model, rows.dataset)
    table = example_table(rows, head, model, tokenizer, context, limit, seed, work.settings)
    return _Pass(select(rows.open(), limit, seed), table, context)


def _load(
    cell: Cell, head: Head, model: LocalModel, pad_id: int, passes: dict[object, _Pass], folder: Path, work: Work
) -> _Loaded:
    """The model with only the embedding rows that the passes look up."""
    trust = work.settings.trust_remote_code
    tables = [one.table for one in passes.values()]
    vocabulary = used_vocabulary(tables, table_size(model.folder, trust), pad_id)
    weights = None if cell.stage is None else work.store.stage_weights(work.stage_keys[cell.stage])
    context = passes[_eval_name(cell)].context
    module = build_module(model, head, context, vocabulary, cell.seed, weights, trust)
    return _Loaded(module.to(choose_device(work.settings.device)), vocabulary, pad_id, passes, folder)


def _score(cell: Cell, key: str, head: Head, loaded: _Loaded, work: Work) -> Mapping[str, Any]:
    """Run, fit, decode, and store the record."""
    one = loaded.passes[_eval_name(cell)]
    loaded.run(one, cell.recipe, to_file=False)
    reading = next(reading for reading in head.readings if reading.name == cell.reading)
    fitted = None if reading.fit is None else _fitted(cell, reading, loaded, work)
    kept: dict[str, Any] = {}
    started = time.perf_counter()
    predictions = head.decode(
        Decoding(
            one.rows, one.table.row_of, one.outputs, one.table.extra(), one.context, cell.reading, fitted,
            kept.__setitem__,
        )
    )  # fmt: skip
    spent = one.seconds + time.perf_counter() - started
    measured = Measured(one.rows, predictions, one.table, one.context, kept, spent)
    return make_record(cell, key, measured, choose_device(work.settings.device), work)


def _fitted(cell: Cell, reading: Reading, loaded: _Loaded, work: Work) -> Any:
    """What a reading learns from the rows that its task names; once for all evaluation datasets."""
    name = (reading.name, _fit_name(cell))
    if name not in loaded.fitted:
        assert reading.fit is not None
        assert cell.fit is not None
        one = loaded.passes[_fit_name(cell)]
        loaded.run(one, cell.recipe, to_file=True)
        dataset = work.rows[cell.fit].dataset
        loaded.fitted[name] = reading.fit(
            Fitting(one.rows, one.table.row_of, one.outputs, dataset, one.context, cell.seed)
        )
    return loaded.fitted[name]
