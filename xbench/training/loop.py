"""The one training loop, for every head."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from ..recipe import Recipe
from ..types import Batch
from .device import autocast, choose_precision, piece_tokens, token_budget
from .dropout import SeededDropout
from .examples import ExampleTable
from .feeding import Feed, Piece, batches, behind, held_back, host_batch, to_host
from .heap import Heap
from .memory import MicroBatch, TooLarge, is_out_of_memory
from .optimizer import Optimizer, make_optimizer

OnStep = Callable[[int, int, float, int], None]
"""Called after each step with: step from 1, steps in all, the batch's mean loss, examples passed so far."""
OnUpdate = Callable[[int], None]
"""Called with the step, from 1, when the weights have taken it, before anything of the next one is done."""


class TrainingFailedError(RuntimeError):
    """The training has come to nothing: a loss or a gradient that is no number, or the same output for every input."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run says of itself.

    Attributes:
        losses: The mean loss of each step.
        examples: Examples passed, over all epochs.
        seconds: Wall time of the whole loop, nothing left out.
        precision: ``bf16`` or ``fp32``.
        micro_batch_tokens: Tokens that went through the encoder at once, at most.
    """

    losses: list[float]
    examples: int
    seconds: float
    precision: str
    micro_batch_tokens: int


def train(
    module: HeadModule, tables: Sequence[ExampleTable], recipe: Recipe, seed: int, vocabulary: Vocabulary,
    pad_id: int, on_step: OnStep = lambda step, steps, loss, examples: None, micro_batch: MicroBatch | None = None,
    on_update: OnUpdate = lambda step: None,
) -> TrainingResult:  # fmt: skip
    """Fine-tune a module on a mixture.

    An effective batch is drawn at random by seed. Inside it examples are sorted by length and run in pieces under a
    token budget; the pieces' losses are summed and divided by the batch's number of examples, so that neither lengths
    nor memory change what is learned. When memory runs out the step begins again, in pieces of half the size.

    Args:
        module: Encoder and head, already on its device; trained in place.
        tables: The examples of each dataset of the mixture.
        recipe: The hyper-parameters.
        seed: Of the order of the examples and of dropout.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.
        on_step: Told of every step.
        micro_batch: How many tokens go through at once; None takes the recipe's, or what suits the device.
        on_update: May read the weights after every step; on a GPU, ``on_step`` hears of a step only later.

    Returns:
        Losses and timing.

    Raises:
        TrainingFailedError: The loss or the gradient became NaN or infinite.
        UserError: Memory does not hold a single example.
    """
    started = time.perf_counter()
    device = next(module.parameters()).device
    micro_batch = micro_batch or MicroBatch(token_budget(recipe.micro_batch_tokens, device))
    run = _Run(
        module, Feed(tables, recipe, seed), vocabulary, pad_id, choose_precision(recipe.precision, device),
        make_optimizer(module, recipe, device), SeededDropout(seed), micro_batch, on_update,
    )  # fmt: skip
    losses: list[float] = []
    passed = 0
    module.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), run.dropout:
        torch.manual_seed(seed)
        for coming, examples in held_back(run.steps(), behind(device)):
            loss, norm = coming().tolist()
            losses.append(loss)
            passed += examples
            for what, value in (("loss", loss), ("gradient's norm", norm)):
                if not math.isfinite(value):
                    raise TrainingFailedError(f"the {what} is {value} at step {len(losses)} of {run.feed.steps}")
            on_step(len(losses), run.feed.steps, loss, passed)
    module.eval()
    return TrainingResult(losses, passed, time.perf_counter() - started, run.precision, micro_batch.tokens)


@dataclass(frozen=True)
class _Run:
    """A run, put together."""

    module: HeadModule
    feed: Feed
    vocabulary: Vocabulary
    pad_id: int
    precision: str
    optimizer: Optimizer
    dropout: SeededDropout
    micro_batch: MicroBatch
    on_update: OnUpdate

    def steps(self) -> Iterator[tuple[Callable[[], torch.Tensor], int]]:
        """Make all steps; gives of each mean loss and gradient's norm, on their way to the host, and its examples."""
        recipe, device = self.feed.recipe, next(self.module.parameters()).device
        rate, heap = schedule(recipe, self.feed.steps), Heap(device)
        done = 0
        while done < self.feed.steps:
            too_large: TooLarge | None = None
            with closing(self._batches(done, device)) as stream:
                for step, batches_of_step in itertools.groupby(stream, key=lambda pair: pair[0].step):
                    heap.tidy()
                    total, examples = self._add_gradients(batches_of_step, device)
                    if isinstance(total, TooLarge):
                        too_large = total
                        break
                    self.micro_batch.fits()
                    norm = self.optimizer.step(recipe.lr * rate(step))
                    done += 1
                    self.on_update(done)
                    yield to_host(torch.stack((total, norm))), examples
            if too_large is not None:
                self.optimizer.clear()
                self.micro_batch.halve(too_large, device)

    def _batches(self, first: int, device: torch.device) -> Generator[tuple[Piece, Batch]]:
        """The pieces from a step on, with their batches."""
        packed, budget = self.module.packs(), self.micro_batch.tokens
        pieces = self.feed.pieces(first, packed, budget, piece_tokens(device))
        return batches(
            pieces,
            lambda piece, pinned: host_batch(piece.table, piece.indices, self.vocabulary, self.pad_id, pinned),
            device,
        )

    def _add_gradients(
        self, of_step: Iterable[tuple[Piece, Batch]], device: torch.device
    ) -> tuple[torch.Tensor | TooLarge, int]:
        """Add one effective batch's gradient; gives its mean loss, or what ran out of memory, and its examples."""
        total = torch.zeros((), device=device)
        # One autocast context for all pieces: each weight is cast once a step, not once a piece.
        with autocast(self.precision, device):
            for piece, batch in of_step:
                lengths = piece.table.lengths[piece.indices]  # (examples, sequences)
                self.dropout.next_piece(piece.step, piece.positions, lengths)
                try:
                    loss = self.module.loss(self.module(batch), batch).sum() / piece.of
                    loss.backward()  # type: ignore[no-untyped-call]
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    return TooLarge.of(lengths, error), piece.of
                total += loss.detach()
        return total, piece.of


def schedule(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The share of the highest learning rate at each step, from 0: a linear warm-up, then the recipe's schedule."""
    warmup = int(recipe.warmup * steps)

    def rate(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        if recipe.schedule == "constant":
            return 1.0
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return rate
