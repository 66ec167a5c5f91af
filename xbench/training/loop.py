"""The one training loop, for every head."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from ..recipe import Recipe
from ..types import Batch
from .batching import epoch_order, micro_batches
from .device import NowAndThen, autocast, choose_precision, piece_tokens, token_budget
from .dropout import SeededDropout
from .examples import ExampleTable
from .optimizer import make_optimizer

OnStep = Callable[[int, int, float, int], None]
"""Called after each step with: step from 1, steps in all, the batch's mean loss, examples passed so far."""


class TrainingFailedError(RuntimeError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run says of itself.

    Attributes:
        losses: The mean loss of each step.
        examples: Examples passed, over all epochs.
        seconds: Wall time of the whole loop, nothing left out.
        precision: ``bf16`` or ``fp32``.
    """

    losses: list[float]
    examples: int
    seconds: float
    precision: str


def train(
    module: HeadModule, tables: Sequence[ExampleTable], recipe: Recipe, seed: int, vocabulary: Vocabulary,
    pad_id: int, on_step: OnStep = lambda step, steps, loss, examples: None,
) -> TrainingResult:  # fmt: skip
    """Fine-tune a module on a mixture.

    An effective batch is drawn at random by seed. Inside it examples are sorted by length and run in pieces under a
    token budget; the pieces' losses are summed and divided by the batch's number of examples, so that neither lengths
    nor memory change what is learned.

    Args:
        module: Encoder and head, already on its device; trained in place.
        tables: The examples of each dataset of the mixture.
        recipe: The hyper-parameters.
        seed: Of the order of the examples and of dropout.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.
        on_step: Told of every step.

    Returns:
        Losses and timing.

    Raises:
        TrainingFailedError: The loss became NaN or infinite.
    """
    started = time.perf_counter()
    device = next(module.parameters()).device
    precision = choose_precision(recipe.precision, device)
    sizes = [table.count for table in tables]
    steps = recipe.epochs * math.ceil(sum(sizes) / recipe.batch_size)
    optimizer, rate = make_optimizer(module, recipe, device), _rate(recipe, steps)
    losses: list[float] = []
    passed, memory = 0, NowAndThen(device)
    module.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), SeededDropout(seed) as dropout:
        torch.manual_seed(seed)
        for epoch in range(recipe.epochs):
            order = epoch_order(sizes, recipe.mixing_alpha, seed, epoch)
            for start in range(0, len(order), recipe.batch_size):
                chosen = order[start : start + recipe.batch_size]
                pieces = _pieces(tables, chosen, module.packs(), recipe, device)
                memory.return_free_memory()
                losses.append(_step(module, pieces, len(losses), precision, vocabulary, pad_id, dropout))
                if not math.isfinite(losses[-1]):
                    raise TrainingFailedError(f"the loss is {losses[-1]} at step {len(losses)} of {steps}")
                optimizer.step(recipe.lr * rate(len(losses) - 1))
                passed += len(chosen)
                on_step(len(losses), steps, losses[-1], passed)
    module.eval()
    return TrainingResult(losses, passed, time.perf_counter() - started, precision)


def _step(
    module: HeadModule, pieces: Iterable[_Piece], step: int, precision: str, vocabulary: Vocabulary, pad_id: int,
    dropout: SeededDropout,
) -> float:  # fmt: skip
    """Add one effective batch's gradient; gives its mean loss."""
    device = next(module.parameters()).device
    total = torch.zeros((), device=device)
    # One autocast context for all pieces: each weight is cast once a step, not once a piece.
    with autocast(precision, device):
        for piece in pieces:
            dropout.next_piece(step, piece.positions, piece.table.lengths[piece.indices])
            batch = make_batch(piece.table, piece.indices, vocabulary, pad_id, device)
            loss = module.loss(module(batch), batch).sum() / piece.of
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
    return float(total)


@dataclass(frozen=True)
class _Piece:
    """Some examples of an effective batch that go through the encoder together.

    Attributes:
        table: Where they are.
        indices: (n,) Which they are in it.
        positions: (n,) Their places in the effective batch.
        of: How many examples the effective batch has.
    """

    table: ExampleTable
    indices: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    of: int


def _pieces(
    tables: Sequence[ExampleTable], chosen: npt.NDArray[np.int64], packed: bool, recipe: Recipe, device: torch.device
) -> Iterator[_Piece]:
    """Cut an effective batch, given as positions in the tables laid end to end, into pieces of one table each."""
    budget, cost = token_budget(recipe.micro_batch_tokens, device), piece_tokens(device)
    start = 0
    for table in tables:
        positions = np.flatnonzero((chosen >= start) & (chosen < start + table.count))
        indices = chosen[positions] - start
        if len(indices):
            for piece in micro_batches(table.lengths[indices], packed, budget, cost):
                yield _Piece(table, indices[piece], positions[piece], len(chosen))
        start += table.count


def make_batch(
    table: ExampleTable, indices: npt.NDArray[np.int64], vocabulary: Vocabulary, pad_id: int, device: torch.device
) -> Batch:
    """Pad some examples and put them on a device.

    Args:
        table: The examples.
        indices: (n,) Which of them.
        vocabulary: The embedding rows held.
        pad_id: The tokenizer's padding id.
        device: Where to.

    Returns:
        A batch of n examples.
    """
    ids, mask, types = table.pad(indices, vocabulary.place, pad_id)
    return Batch(
        input_ids=torch.from_numpy(ids).to(device),
        attention_mask=torch.from_numpy(mask).to(device),
        token_type_ids=None if types is None else torch.from_numpy(types).to(device),
        targets=torch.from_numpy(np.array(table.targets[indices], np.float32)).to(device),
    )


def _rate(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The share of the highest learning rate at each step: a linear warm-up, then the recipe's schedule."""
    warmup = int(recipe.warmup * steps)

    def rate(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if recipe.schedule == "constant":
            return 1.0
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return rate
