"""Reads cells that one loaded model serves: one pass over each dataset's rows, then every reading of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.rows import select
from ..heads.blocks import HeadModule
from ..models.encoder import load_tokenizer, table_size
from ..models.vocabulary import Vocabulary
from ..plan import Cell
from ..types import Decoding, Fitting, Head, HeadContext, Reading, Row
from ..work import Drawn, eval_rows, fit_rows
from .device import choose_device
from .examples import ExampleTable, head_context
from .heap import start_afresh
from .predict import OutputFile, Predictor
from .record import Examples, Measured
from .stage import example_table, used_vocabulary
from .weights import build_mean, build_module

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..models.resolve import LocalModel
    from ..work import Work


@dataclass
class _Pass:
    """One run of the module over some rows, made when a cell first needs it.

    Attributes:
        rows: The rows.
        table: Their examples.
        context: The recipe and its company.
        outputs: In a file, since there may be more than fit into memory; None until it has run.
        seconds: What the run took.
    """

    rows: Sequence[Row]
    table: ExampleTable
    context: HeadContext
    outputs: OutputFile | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Loaded:
    """A model with its head, and where its passes are kept."""

    head: Head
    module: HeadModule
    vocabulary: Vocabulary
    pad_id: int
    passes: Mapping[Drawn, _Pass]
    folder: Path
    keeps: bool
    about: str
    fitted: dict[tuple[str, Drawn, int], Any] = field(default_factory=dict)

    def run(self, drawn: Drawn, cell: Cell, work: Work) -> tuple[_Pass, OutputFile]:
        """Predict, unless it is done: several readings and tasks share one pass."""
        one = self.passes[drawn]
        if one.outputs is None:
            started, recipe = time.perf_counter(), cell.recipe
            label = f"{cell.curriculum}{self.about} -> {drawn.dataset}/{drawn.split}"
            examples = one.table.count
            predictor = Predictor(
                self.module, recipe.eval_precision, recipe.micro_batch_tokens, self.vocabulary, self.pad_id,
                lambda passed, share: work.reporter.pass_step(label, passed, examples, share),
                work.micro_batch("read", cell, choose_device(work.settings.device)),
            )  # fmt: skip
            path = self.folder / f"{len(list(self.folder.iterdir()))}.outputs"
            one.outputs = predictor.predict_to_file(one.table, path)
            one.seconds = time.perf_counter() - started
        return one, one.outputs


def read_cells(
    cells: Iterable[Cell], weights: Sequence[Path], work: Work, keeps: bool = True, about: str = ""
) -> Iterator[tuple[Cell, Measured | Exception]]:
    """Predict; the model is loaded once.

    Args:
        cells: Cells of one stage, model, head and recipe, at least one.
        weights: The file of the stage's weights, or of a candidate's; of several, their mean; none for the base model.
        work: Resolved names, rows and keys.
        keeps: Whether the head keeps what the task's figures draw.
        about: Which candidate it is, for those who watch.

    Yields:
        Each cell with what the head said, or with what went wrong in it alone.
    """
    cells = list(cells)
    start_afresh(choose_device(work.settings.device))
    first = cells[0]
    model, head = work.models[first.model], work.registry.heads.get(first.head)
    tokenizer = load_tokenizer(model.folder, work.settings.trust_remote_code)
    passes: dict[Drawn, _Pass] = {}
    ready: list[Cell] = []
    for cell in cells:
        try:
            for drawn in [eval_rows(cell), *([] if cell.fit is None else [fit_rows(cell)])]:
                if drawn not in passes:
                    passes[drawn] = _prepare(drawn, cell, head, model, tokenizer, work)
            ready.append(cell)
        except Exception as error:  # noqa: BLE001  # one dataset's failure must not take the others with it
            yield cell, error
    if not ready:
        return
    pad_id = int(tokenizer.pad_token_id)
    del tokenizer  # XLM-R's takes 0.28 GB, and what is tokenised needs it no more
    with tempfile.TemporaryDirectory(dir=work.settings.cache, prefix=".outputs.") as folder:
        module, vocabulary = _load(ready[0], head, model, pad_id, passes, weights, work)
        loaded = _Loaded(head, module, vocabulary, pad_id, passes, Path(folder), keeps, about)
        for cell in ready:
            try:
                measured = _read(cell, loaded, work)
            except Exception as error:  # noqa: BLE001  # one cell's failure must not take the others with it
                yield cell, error
            else:
                yield cell, measured


def _prepare(
    drawn: Drawn, cell: Cell, head: Head, model: LocalModel, tokenizer: PreTrainedTokenizerBase, work: Work
) -> _Pass:
    rows = work.rows[drawn.dataset, drawn.split]
    context = head_context(cell.recipe, model, rows.dataset)
    table = example_table(rows, head, model, tokenizer, context, drawn.limit, drawn.seed, work.settings)
    return _Pass(select(rows.open(), drawn.limit, drawn.seed), table, context)


def _load(
    cell: Cell, head: Head, model: LocalModel, pad_id: int, passes: Mapping[Drawn, _Pass], weights: Sequence[Path],
    work: Work,
) -> tuple[HeadModule, Vocabulary]:  # fmt: skip
    """The model as it was trained, with only the embedding rows that the passes look up."""
    trust = work.settings.trust_remote_code
    vocabulary = used_vocabulary([one.table for one in passes.values()], table_size(model.folder, trust), pad_id)
    context = passes[eval_rows(cell)].context
    if cell.stage is not None:
        stage = work.stages[cell.stage]
        context = head_context(stage.recipe, model, work.registry.datasets.get(stage.mixture[0]))
    if weights:
        module = build_mean(model, head, context, vocabulary, cell.seed, weights, trust)
    else:
        module = build_module(model, head, context, vocabulary, cell.seed, None, trust)
    return module.to(choose_device(work.settings.device)), vocabulary


def _read(cell: Cell, loaded: _Loaded, work: Work) -> Measured:
    """Run, fit and decode."""
    (one, outputs), head = loaded.run(eval_rows(cell), cell, work), loaded.head
    reading = next(reading for reading in head.readings if reading.name == cell.reading)
    fitted = None if reading.fit is None else _fitted(cell, reading, loaded, work)
    kept: dict[str, Any] | None = {} if loaded.keeps and work.registry.tasks.get(cell.task).figures else None
    keep = (lambda name, array: None) if kept is None else kept.__setitem__
    started = time.perf_counter()
    predictions = head.decode(
        Decoding(
            one.rows, one.table.row_of, outputs.each, one.table.extra(), one.context, cell.reading,
            work.rows[cell.dataset, cell.split].dataset, fitted, keep,
        )
    )  # fmt: skip
    decode_s = time.perf_counter() - started
    fitted_on = () if cell.fit is None else loaded.passes[fit_rows(cell)].rows
    read = Examples(one.table, one.context)
    return Measured(one.rows, predictions, one.seconds, decode_s, read, fitted_on, kept)


def _fitted(cell: Cell, reading: Reading, loaded: _Loaded, work: Work) -> Any:
    """What a reading learns from the rows that its task names; once for all evaluation datasets."""
    name = (reading.name, fit_rows(cell), cell.seed)
    if name not in loaded.fitted:
        assert reading.fit is not None
        assert cell.fit is not None
        one, outputs = loaded.run(fit_rows(cell), cell, work)
        if outputs.whole is None:
            kind = type(loaded.module).__name__
            raise TypeError(f"{kind} trims its outputs to each example's length: no reading can be fitted on it")
        dataset = work.rows[cell.fit].dataset
        about = Fitting(one.rows, one.table.row_of, outputs.whole, dataset, one.context, cell.seed)
        loaded.fitted[name] = reading.fit(about)
    return loaded.fitted[name]
