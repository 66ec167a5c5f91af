"""The one training loop, for every head."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from ..recipe import Recipe
from ..types import Batch
from .checkpoint import Checkpoints, FollowedCheckpoints
from .device import autocast, choose_precision, piece_tokens, token_budget
from .dropout import SeededDropout
from .examples import ExampleTable
from .feeding import Feed, Piece, batches, behind, host_batch, to_host
from .group import ALONE, Alone
from .heap import Heap
from .memory import MicroBatch, TooLarge, is_out_of_memory
from .optimizer import Optimizer, make_optimizer
from .state import TrainingState
from .tally import OnStep, Position, Tally, TrainingFailedError

__all__ = ["OnStep", "OnUpdate", "TrainingFailedError", "TrainingResult", "schedule", "train"]
OnUpdate = Callable[[int], None]
"""Called with the step, from 1, when the weights have taken it, before anything of the next one is done."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run says of itself.

    Attributes:
        losses: The mean loss of each step.
        examples: Examples passed, over all epochs.
        seconds: Wall time of the whole loop, nothing left out; of one that was gone on with, that of the kept work too.
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
    on_update: OnUpdate = lambda step: None, checkpoints: Checkpoints | FollowedCheckpoints | None = None,
    group: Alone = ALONE,
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
        checkpoints: What to go on from, if there is any, and where to write where the training stands.
        group: The processes that train together; each is called with the same, and has the same weights in the end.

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
        module, Feed(tables, recipe, seed, group.rank, group.size), vocabulary, pad_id,
        choose_precision(recipe.precision, device), make_optimizer(module, recipe, device), SeededDropout(seed),
        micro_batch, group,
    )  # fmt: skip
    tally, state = Tally(run.feed.steps, on_step), TrainingState(module, run.optimizer, device)
    module.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), run.dropout:
        torch.manual_seed(group.seed(seed))
        kept = checkpoints.restore(state) if checkpoints else None
        if kept is not None:
            tally.go_on(kept)
            micro_batch.tokens = min(micro_batch.tokens, kept.micro_batch_tokens)
            started -= kept.seconds
        for measured, examples in run.steps(tally.step):
            tally.owe(to_host(measured), examples)
            on_update(tally.step)
            tally.settle(behind(device))
            if checkpoints and checkpoints.due():
                tally.settle()
                checkpoints.write(_position(tally, started, micro_batch), state)
        tally.settle()
    module.eval()
    where = _position(tally, started, micro_batch)
    return TrainingResult(where.losses, where.examples, where.seconds, run.precision, where.micro_batch_tokens)


def _position(tally: Tally, started: float, micro_batch: MicroBatch) -> Position:
    """Where a training stands whose clock began at a time."""
    return Position(tally.losses, tally.examples, time.perf_counter() - started, micro_batch.tokens)


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
    group: Alone

    def steps(self, done: int = 0) -> Iterator[tuple[torch.Tensor, int]]:
        """Make the steps that are left; gives of each, when the weights have taken it, what it has to show.

        Args:
            done: How many were made before.

        Yields:
            (2,) The mean loss and the gradient's norm; and the number of examples.
        """
        recipe, device = self.feed.recipe, next(self.module.parameters()).device
        rate, heap = schedule(recipe, self.feed.steps), Heap(device)
        weights = [weight for weight in self.module.parameters() if weight.requires_grad]
        self.group.look(done, weights, surely=True)
        while done < self.feed.steps:
            too_large: TooLarge | None = None
            with closing(self._batches(done, device)) as stream:
                for step, batches_of_step in _each_step(stream, done, self.feed.steps):
                    heap.tidy()
                    total, too_large = self._add_gradients(batches_of_step, device)
                    too_large = self.group.agree(too_large, weights)
                    if too_large is not None:
                        break
                    self.group.add_up(total, weights)
                    self.micro_batch.fits()
                    norm = self.optimizer.step(recipe.lr * rate(step))
                    done += 1
                    self.group.look(done, weights)
                    yield torch.stack((total, norm)), self.feed.examples(step)
            if too_large is not None:
                self.optimizer.clear()
                self.micro_batch.halve(too_large, device)
        self.group.look(done, weights, surely=True)

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
    ) -> tuple[torch.Tensor, TooLarge | None]:
        """Add this process's share of one effective batch's gradient.

        Returns:
            Its share of the mean loss, and what ran out of memory, if anything did.
        """
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
                    return total, TooLarge.of(lengths, error)
                total += loss.detach()
        return total, None


def _each_step(
    stream: Iterable[tuple[Piece, Batch]], first: int, steps: int
) -> Iterator[tuple[int, Iterable[tuple[Piece, Batch]]]]:
    """Each step with its pieces; a process that shares batches with others may have none in some."""
    for step, of_step in itertools.groupby(stream, key=lambda pair: pair[0].step):
        yield from ((missed, ()) for missed in range(first, step))
        yield step, of_step
        first = step + 1
    yield from ((missed, ()) for missed in range(first, steps))


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
