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
from typing import cast

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch

from ..data.rows import RowSet
from ..estimate.costs import MB, TABLE_ROW_ID, Calibration
from ..estimate.counts import Counts, Cut, batch_counts
from ..estimate.machine import Machine
from ..heads.blocks import HeadModule
from ..keys import file_sha256
from ..models.encoder import load_tokenizer, table_size
from ..models.resolve import LocalModel
from ..models.vocabulary import Vocabulary, restricted_vocabulary
from ..provenance import environment, forget_peak_memory, peak_memory
from ..recipe import Recipe
from ..settings import Settings
from ..types import Example, Head, HeadContext, Tokens
from .batching import epoch_order, micro_batches
from .device import choose_device, has_bf16, piece_tokens, return_free_memory, start_afresh, token_budget
from .examples import ExampleTable, head_context, write_examples
from .loop import train
from .optimizer import make_optimizer
from .predict import Predictor
from .weights import build_module, save_weights

ROWS_TOKENISED = 200
ROWS_HELD = 8192
"""Of the embedding table, spread over all of it, as the pieces of real texts are."""
LENGTHS = (24, 96, 384)
"""Tokens of a sequence, as far as the model takes them."""
FILLED = 0.9
"""Of the tokens at once, by a batch: longer sequences than expected still go in one piece."""
SPREAD = 0.25
"""Lengths vary by this share: a new shape costs time of its own, and real batches bring new ones all along."""
STEPS = 3
"""Of each length; the first one, which warms up, is not counted."""


@dataclass(frozen=True)
class _Measured:
    """A step with sequences of one length: the middle one by time a token, since others may use the machine meanwhile.

    Attributes:
        counts: What went through.
        seconds: That it took.
        peak_mb: The most memory in all steps of that length.
    """

    counts: Counts
    seconds: float
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
    device, trust = choose_device(settings.device), settings.trust_remote_code
    start_afresh(device)
    context = head_context(recipe, model, rows.dataset)
    started = time.perf_counter()
    tokenizer = load_tokenizer(model.folder, trust)
    load_s, pad_id = time.perf_counter() - started, int(tokenizer.pad_token_id)
    some = rows.open()[:ROWS_TOKENISED]
    list(head.examples(some[:2], 0, tokenizer, context))
    started = time.perf_counter()
    examples = list(head.examples(some, 0, tokenizer, context))
    tokens = sum(len(one.ids) for example in examples for one in example.sequences)
    tokenise_s = (time.perf_counter() - started) / max(1, tokens)
    pattern = min(examples, key=lambda example: max(len(one.ids) for one in example.sequences))
    del tokenizer
    start_afresh(device)
    resting = _peak(device)
    vocabulary = _vocabulary(table_size(model.folder, trust), pad_id, pattern)
    started = time.perf_counter()
    module = build_module(model, head, context, vocabulary, 0, None, trust).to(device)
    load_s += time.perf_counter() - started
    load_mb = _peak(device) - resting
    with tempfile.TemporaryDirectory(dir=settings.cache, prefix=".calibration.") as folder:
        bench = _Bench(module, context, vocabulary, pad_id, pattern, model.max_length, device, Path(folder))
        measured = list(bench.training() if trains else bench.passes())
        weight_s = bench.optimizing() if trains else 0.0
        write_s, file_mb = bench.writing() if trains else (0.0, 0.0)
    width = int(cast("torch.nn.Embedding", module.encoder.get_input_embeddings()).embedding_dim)
    held = len(vocabulary.ids)
    body = sum(weight.numel() for weight in module.parameters()) - held * width
    token_s, square_s = _seconds(measured, piece_tokens(device), weight_s * (body + held * width))
    held_mb, token_mb, square_mb = _memory(measured, resting)
    return Calibration(
        trains, token_s, square_s, weight_s, load_s, tokenise_s, write_s / max(file_mb, 1e-9), resting, load_mb,
        held_mb, token_mb, square_mb, body, width, len(vocabulary.place), held,
        max(0, round(file_mb * MB) - held * (4 * width + TABLE_ROW_ID)), module.packs(),
    )  # fmt: skip


def _peak(device: torch.device) -> float:
    """The most memory since it was last forgotten, in MB: a GPU's own, else what is resident."""
    peak = peak_memory(device)
    return peak["peak_rss_mb"] or 0.0 if peak["peak_gpu_mb"] is None else peak["peak_gpu_mb"]


def _vocabulary(size: int, pad_id: int, pattern: Example) -> Vocabulary:
    used = np.zeros(size, np.bool_)
    used[np.linspace(0, size - 1, min(size, ROWS_HELD)).astype(np.int64)] = True
    used[pad_id] = True
    for tokens in pattern.sequences:
        used[list(tokens.ids)] = True
    return restricted_vocabulary(used, pad_id)


@dataclass(frozen=True)
class _Bench:
    """A module, and examples of any length for it.

    Attributes:
        module: Encoder and head, on its device.
        context: The recipe and its company.
        vocabulary: The embedding rows that it holds.
        pad_id: The tokenizer's padding id.
        pattern: A real example, whose targets the head knows; made longer by random tokens.
        max_length: The most tokens that a sequence may have.
        device: Where the module is.
        folder: For files.
    """

    module: HeadModule
    context: HeadContext
    vocabulary: Vocabulary
    pad_id: int
    pattern: Example
    max_length: int | None
    device: torch.device
    folder: Path

    @property
    def cut(self) -> Cut:
        """How batches are cut here."""
        budget = token_budget(self.context.recipe.micro_batch_tokens, self.device)
        return Cut(self.module.packs(), budget, piece_tokens(self.device))

    def training(self) -> Iterator[_Measured]:
        """Steps with each length."""
        for table, batch_size in self._tables():
            recipe = dataclasses.replace(self.context.recipe, batch_size=batch_size, epochs=1, lr=0.0)
            clock = _Clock()
            self._forget()
            train(self.module, [table], recipe, 0, self.vocabulary, self.pad_id, clock)
            order = epoch_order([table.count], recipe.mixing_alpha, 0, 0)
            steps = [
                batch_counts([table.lengths], [order[start : start + batch_size]], self.cut, Counts()).times(1.0, 1)
                for start in range(batch_size, table.count, batch_size)
            ]
            yield self._middle(steps, clock.times)

    def passes(self) -> Iterator[_Measured]:
        """Batches with each length, forward only."""
        recipe = self.context.recipe
        for table, _ in self._tables():
            clock = _Clock()
            self._forget()
            predictor = Predictor(
                self.module, recipe.eval_precision, recipe.micro_batch_tokens, self.vocabulary, self.pad_id, clock
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
        return _Measured(counts[middle], spent[middle], _peak(self.device))

    def _forget(self) -> None:
        return_free_memory(self.device)
        forget_peak_memory()

    def _tables(self) -> Iterator[tuple[ExampleTable, int]]:
        """Examples of each length, and how many of them are a batch."""
        draw = np.random.default_rng(0)
        ids = self.vocabulary.ids[self.vocabulary.ids != self.pad_id]
        most = self.max_length or 2 * LENGTHS[-1]
        least = max(len(one.ids) for one in self.pattern.sequences)
        for length in sorted({max(min(length, most), least) for length in LENGTHS}):
            batch_size = max(1, int(FILLED * self.cut.budget / (length * len(self.pattern.sequences))))
            examples = (self._example(length, most, ids, draw) for _ in range(STEPS * batch_size))
            yield write_examples(self.folder / str(length), examples), batch_size

    def _example(self, length: int, most: int, ids: npt.NDArray[np.int64], draw: np.random.Generator) -> Example:
        sequences = []
        for tokens in self.pattern.sequences:
            wanted = min(most, round(length * draw.uniform(1 - SPREAD, 1 + SPREAD)))
            more = draw.choice(ids, max(0, wanted - len(tokens.ids))).tolist()
            types = None if tokens.types is None else [*tokens.types, *[tokens.types[-1]] * len(more)]
            sequences.append(Tokens([*tokens.ids, *more], types))
        return dataclasses.replace(self.pattern, sequences=tuple(sequences))

    def optimizing(self) -> float:
        """Seconds of the optimizer's step, for each weight: the quickest of some."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = make_optimizer(self.module, self.context.recipe, self.device)
        clock = _Clock()
        for _ in range(STEPS + 1):
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
        path, started = self.folder / "weights", time.perf_counter()
        save_weights(self.module, self.vocabulary, None, path)
        file_sha256(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return time.perf_counter() - started, path.stat().st_size / MB


def _seconds(measured: Sequence[_Measured], piece: int, step_s: float) -> list[float]:
    """Fit seconds a token and a unit of squared length; the optimizer's step is known."""
    rows = [[one.counts.tokens + piece * one.counts.pieces, one.counts.squares] for one in measured]
    return _fit(rows, [max(one.seconds - step_s * one.counts.steps, 0.1 * one.seconds) for one in measured])


def _memory(measured: Sequence[_Measured], resting: float) -> list[float]:
    """Fit MB held whatever the piece, a token of the piece, and a unit of squared length of it."""
    rows = [[1, one.counts.widest, one.counts.widest_squares] for one in measured]
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
