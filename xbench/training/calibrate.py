"""Measures what work costs on this machine: a few steps at a few lengths, through the real loop and the real pass."""

from __future__ import annotations

import dataclasses
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch

from ..data.rows import RowSet
from ..estimate.costs import MB, TABLE_ROW_ID, Calibration
from ..estimate.counts import Counts, Cut
from ..estimate.machine import Machine
from ..heads.blocks import HeadModule
from ..keys import file_sha256, text_sha256
from ..models.adapters import trained_weights
from ..models.encoder import load_tokenizer, table_size
from ..models.resolve import LocalModel
from ..models.vocabulary import Vocabulary, restricted_vocabulary
from ..provenance import environment, forget_peak_memory, peak_memory
from ..recipe import Recipe
from ..settings import Settings
from ..types import Example, Head, HeadContext, Tokens
from .batching import micro_batches
from .device import choose_device, has_bf16, piece_tokens, token_budget
from .examples import ExampleTable, head_context, write_examples
from .feeding import Feed
from .heap import return_free_memory, start_afresh
from .loop import train
from .optimizer import make_optimizer
from .predict import Predictor
from .weights import build_module, save_weights

ROWS_TOKENISED = 200
ROWS_HELD = 8192
"""Of the embedding table, spread over all of it, as the pieces of real texts are."""
OPTIMIZED = 4
"""Steps of the optimizer alone."""


class Shape(NamedTuple):
    """What some steps are made of.

    Attributes:
        shortest: Tokens of a sequence; lengths are drawn, since real batches bring new ones all along.
        longest: As far as the model takes them.
        share: Of the tokens at once, that a batch fills.
        steps: The first one warms up and is not counted.
    """

    shortest: int
    longest: int
    share: float
    steps: int


SHAPES = (Shape(18, 30, 0.9, 3), Shape(72, 120, 0.3, 3), Shape(288, 480, 0.5, 3))
"""Shares differ, so that memory for tokens can be told from what is held anyway."""
MIXED = Shape(16, 128, 0.5, 10)
"""How much a process grows by pieces of ever other sizes, beyond what the largest one of them takes."""


@dataclass(frozen=True)
class _Measured:
    """A step of one shape: the middle one by time a token, since others may use the machine meanwhile.

    Attributes:
        counts: What went through.
        seconds: That it took.
        widest: The largest piece of all steps.
        peak_mb: The most memory in all steps.
    """

    counts: Counts
    seconds: float
    widest: Counts
    peak_mb: float


class _Clock:
    """Writes down when it is called."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, *_: object) -> None:
        self.times.append(time.perf_counter())


def look(settings: Settings) -> Machine:
    """What torch says of this machine.

    Raises:
        UserError: The device asked for is not there.
    """
    device = choose_device(settings.device)
    about = environment(device, "")
    return Machine(
        about["device"], about["threads"], about["torch"], has_bf16(device), token_budget(0, device),
        piece_tokens(device),
    )  # fmt: skip


def calibrate(
    trains: bool, model: LocalModel, head: Head, recipe: Recipe, rows: RowSet, settings: Settings
) -> Calibration:
    """Measure what training with, or reading from, a model and a head costs.

    Args:
        trains: Measure steps of training; else passes forward.
        model: The model.
        head: What is put on it.
        recipe: Its precision, optimizer and tokens at once.
        rows: Some that the head takes: they give it a target that it knows.
        settings: Cache, device.

    Returns:
        What was measured.
    """
    device = choose_device(settings.device)
    start_afresh(device)
    context = head_context(recipe, model, rows.dataset)
    text = _Text.look(model, head, context, rows, settings.trust_remote_code)
    start_afresh(device)
    resting = _peak(device)
    fresh = _fresh(device.type, resting)
    measured = _with_module(trains, model, head, context, text, resting, device, settings)
    start_afresh(device)
    return dataclasses.replace(measured, resting_mb=fresh, left_mb=max(0.0, _peak(device) - resting))


@dataclass(frozen=True)
class _Text:
    """What some real rows tell.

    Attributes:
        pattern: The shortest example, whose targets the head knows; made longer by random tokens.
        tokenise_s: Seconds a token.
        load_s: Seconds to load the tokenizer.
        pad_id: Its padding id.
    """

    pattern: Example
    tokenise_s: float
    load_s: float
    pad_id: int

    @classmethod
    def look(cls, model: LocalModel, head: Head, context: HeadContext, rows: RowSet, trust: bool) -> _Text:
        """Tokenise some rows; the tokenizer goes when this is done."""
        clock = _Clock()
        clock()
        tokenizer = load_tokenizer(model.folder, trust)
        clock()
        some = rows.open()[:ROWS_TOKENISED]
        list(head.examples(some[:2], 0, tokenizer, context))  # warms up
        clock()
        examples = list(head.examples(some, 0, tokenizer, context))
        clock()
        tokens = sum(len(one.ids) for example in examples for one in example.sequences)
        pattern = min(examples, key=lambda example: max(len(one.ids) for one in example.sequences))
        started, loaded, ready, ended = clock.times
        return cls(pattern, (ended - ready) / max(1, tokens), loaded - started, int(tokenizer.pad_token_id))


def _with_module(
    trains: bool, model: LocalModel, head: Head, context: HeadContext, text: _Text, resting: float,
    device: torch.device, settings: Settings,
) -> Calibration:  # fmt: skip
    """Load the module and measure; it goes when this is done."""
    trust = settings.trust_remote_code
    vocabulary = _vocabulary(table_size(model.folder, trust), text)
    started = time.perf_counter()
    module = build_module(model, head, context, vocabulary, 0, None, trust, trains).to(device)
    load_s = text.load_s + time.perf_counter() - started
    load_mb = _peak(device) - resting
    with tempfile.TemporaryDirectory(dir=settings.cache, prefix=".calibration.") as folder:
        bench = _Bench(module, context, vocabulary, text, model.max_length, device, Path(folder))
        *measured, mixed = bench.training() if trains else bench.passes()
        weight_s = bench.optimizing() if trains else 0.0
        write_s, file_mb = bench.writing() if trains else (0.0, 0.0)
    table = cast("torch.nn.Embedding", module.encoder.get_input_embeddings())
    width, held, frozen = int(table.embedding_dim), len(vocabulary.ids), not table.weight.requires_grad
    moved = trained_weights(module) if trains else sum(weight.numel() for weight in module.parameters())
    body = moved - (0 if frozen else held * width)
    token_s, square_s = _seconds([*measured, mixed], piece_tokens(device), weight_s * moved)
    held_mb, token_mb, square_mb = _memory(measured, resting)
    grown_mb = (
        mixed.peak_mb - resting - held_mb - token_mb * mixed.widest.widest - square_mb * mixed.widest.widest_squares
    )
    return Calibration(
        trains, token_s, square_s, weight_s, load_s, text.tokenise_s, write_s / max(file_mb, 1e-9), resting, load_mb,
        held_mb + max(0.0, grown_mb), token_mb, square_mb, 0.0, body, width, len(vocabulary.place), held,
        max(0, round(file_mb * MB) - (0 if frozen else held * (4 * width + TABLE_ROW_ID))), module.packs(), frozen,
    )  # fmt: skip


_FRESH: dict[str, float] = {}


def _fresh(kind: str, resting: float) -> float:
    """What rested in memory when this process first calibrated: later, more does, which earlier work has left."""
    return _FRESH.setdefault(kind, resting)


def _peak(device: torch.device) -> float:
    """The most memory since it was last forgotten, in MB: a GPU's own, else what is resident."""
    peak = peak_memory(device)
    return peak["peak_rss_mb"] or 0.0 if peak["peak_gpu_mb"] is None else peak["peak_gpu_mb"]


def _vocabulary(size: int, text: _Text) -> Vocabulary:
    used = np.zeros(size, np.bool_)
    used[np.linspace(0, size - 1, min(size, ROWS_HELD)).astype(np.int64)] = True
    used[text.pad_id] = True
    for tokens in text.pattern.sequences:
        used[list(tokens.ids)] = True
    return restricted_vocabulary(used, text.pad_id)


@dataclass(frozen=True)
class _Bench:
    """A module, and examples of any length for it.

    Attributes:
        module: Encoder and head, on its device.
        context: The recipe and its company.
        vocabulary: The embedding rows that it holds.
        text: A pattern for examples, and the padding id.
        max_length: The most tokens that a sequence may have.
        device: Where the module is.
        folder: For files.
    """

    module: HeadModule
    context: HeadContext
    vocabulary: Vocabulary
    text: _Text
    max_length: int | None
    device: torch.device
    folder: Path

    @property
    def cut(self) -> Cut:
        """How batches are cut here."""
        budget = token_budget(self.context.recipe.micro_batch_tokens, self.device)
        return Cut(self.module.packs(), budget, piece_tokens(self.device))

    def training(self) -> Iterator[_Measured]:
        """Steps of each shape."""
        for table, batch_size in (self._table(shape) for shape in (*SHAPES, MIXED)):
            recipe = dataclasses.replace(self.context.recipe, batch_size=batch_size, epochs=1, lr=0.0)
            clock = _Clock()
            self._forget()
            train(self.module, [table], recipe, 0, self.vocabulary, self.text.pad_id, clock)
            steps: dict[int, Counts] = {}
            for piece in Feed([table], recipe, 0).pieces(1, *self.cut):  # the clock begins behind the first step
                counts = steps.get(piece.step, Counts(steps=1))
                steps[piece.step] = counts.add(table.lengths[piece.indices], self.cut.packed)
            yield self._middle(list(steps.values()), clock.times)

    def passes(self) -> Iterator[_Measured]:
        """Batches of each shape, forward only."""
        recipe = self.context.recipe
        for shape in (*SHAPES, MIXED):
            table, _ = self._table(shape._replace(share=1.0, steps=2))
            clock = _Clock()
            self._forget()
            predictor = Predictor(
                self.module, recipe.eval_precision, recipe.micro_batch_tokens, self.vocabulary, self.text.pad_id, clock
            )
            predictor.predict(table)
            pieces = list(micro_batches(table.lengths, *self.cut))
            counts = [Counts().add(table.lengths[piece], self.cut.packed) for piece in pieces]
            yield self._middle(counts[1:] or counts, clock.times[1:] if counts[1:] else clock.times)

    def _middle(self, counts: Sequence[Counts], times: Sequence[float]) -> _Measured:
        """One of some steps.

        Args:
            counts: Of each.
            times: When each began, and the last one ended.
        """
        spent = [end - start for start, end in itertools.pairwise(times)]
        order = sorted(range(len(counts)), key=lambda step: spent[step] / counts[step].tokens)
        middle = order[(len(order) - 1) // 2]
        widest = Counts(
            widest=max(one.widest for one in counts), widest_squares=max(one.widest_squares for one in counts)
        )
        return _Measured(counts[middle], spent[middle], widest, _peak(self.device))

    def _forget(self) -> None:
        return_free_memory(self.device)
        forget_peak_memory()

    def _table(self, shape: Shape) -> tuple[ExampleTable, int]:
        """Examples of a shape, and how many of them are a batch."""
        draw = np.random.default_rng(0)
        ids = self.vocabulary.ids[self.vocabulary.ids != self.text.pad_id]
        sequences = self.text.pattern.sequences
        most, least = self.max_length or shape.longest, max(len(one.ids) for one in sequences)
        longest = max(least, min(most, shape.longest))
        shortest = max(least, min(shape.shortest, longest * shape.shortest // shape.longest))
        batch_size = max(1, int(shape.share * self.cut.budget * 2 / ((shortest + longest) * len(sequences))))
        examples = (self._example(shortest, longest, ids, draw) for _ in range(shape.steps * batch_size))
        return write_examples(self.folder / text_sha256(str(shape))[:16], examples), batch_size

    def _example(self, shortest: int, longest: int, ids: npt.NDArray[np.int64], draw: np.random.Generator) -> Example:
        sequences = []
        for tokens in self.text.pattern.sequences:
            more = draw.choice(ids, int(draw.integers(shortest, longest + 1)) - len(tokens.ids)).tolist()
            types = None if tokens.types is None else [*tokens.types, *[tokens.types[-1]] * len(more)]
            sequences.append(Tokens([*tokens.ids, *more], types))
        return dataclasses.replace(self.text.pattern, sequences=tuple(sequences))

    def optimizing(self) -> float:
        """Seconds of the optimizer's step, for each weight: the quickest of some."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = make_optimizer(self.module, self.context.recipe, self.device)
        clock = _Clock()
        for _ in range(OPTIMIZED):
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            clock()
            optimizer.step(0.0)
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        spent = [end - start for start, end in itertools.pairwise(clock.times)]
        return min(spent) / sum(parameter.numel() for parameter in parameters)

    def writing(self) -> tuple[float, float]:
        """Seconds to write the weights, and MB written."""
        folder, started = self.folder / "stage", time.perf_counter()
        folder.mkdir()
        save_weights(self.module, self.vocabulary, None, folder / "weights")
        for path in folder.iterdir():  # an adapter is several files
            file_sha256(path)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        return time.perf_counter() - started, sum(path.stat().st_size for path in folder.iterdir()) / MB


def _seconds(measured: Sequence[_Measured], piece: int, step_s: float) -> list[float]:
    """Fit seconds a token and a unit of squared length; the optimizer's step is known."""
    rows = [[one.counts.tokens + piece * one.counts.pieces, one.counts.squares] for one in measured]
    return _fit(rows, [max(one.seconds - step_s * one.counts.steps, 0.1 * one.seconds) for one in measured])


def _memory(measured: Sequence[_Measured], resting: float) -> list[float]:
    """Fit MB held whatever the piece, a token of the piece, and a unit of squared length of it."""
    rows = [[1, one.widest.widest, one.widest.widest_squares] for one in measured]
    return _fit(rows, [max(0.0, one.peak_mb - resting) for one in measured])


def _fit(rows: Sequence[Sequence[float]], truth: Sequence[float]) -> list[float]:
    """Non-negative least squares of the relative errors.

    Args:
        rows: (measurements, unknowns)
        truth: (measurements,)

    Returns:
        (unknowns,)
    """
    known, wanted = np.array(rows, np.float64), np.maximum(np.array(truth, np.float64), 1e-9)
    scale = np.maximum(known.max(0), 1e-12)
    found, _ = scipy.optimize.nnls(known / scale / wanted[:, None], np.ones(len(wanted)))
    values: list[float] = (found / scale).tolist()
    return values
