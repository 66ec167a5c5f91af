"""What goes through the encoder together, and how it gets to the device in time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from ..models.vocabulary import Vocabulary
from ..recipe import Recipe
from ..types import Batch
from .batching import epoch_order, micro_batches, share_out
from .examples import ExampleTable

AHEAD = 3
"""Batches made while a GPU works on others."""
BEHIND = 2
"""Results that a GPU may owe when one is read: it never waits for the processor, nor falls far behind it."""
T = TypeVar("T")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Piece:
    """Some examples of an effective batch that go through the encoder together.

    Attributes:
        table: Where they are.
        indices: (n,) Which they are in it.
        positions: (n,) Their places in the effective batch.
        step: The optimizer step, from 0.
        of: How many examples the effective batch has.
    """

    table: ExampleTable
    indices: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    step: int
    of: int


@dataclass(frozen=True)
class Feed:
    """The order in which a run sees its examples: a function of the recipe and the seed, never of the memory.

    Attributes:
        tables: The examples of each dataset of the mixture.
        recipe: For batch size, epochs and mixing.
        seed: Of the run.
        rank: Which of the processes that share each effective batch this one is.
        size: How many they are.
    """

    tables: Sequence[ExampleTable]
    recipe: Recipe
    seed: int
    rank: int = 0
    size: int = 1

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.recipe.epochs * self._steps_an_epoch

    @property
    def _steps_an_epoch(self) -> int:
        return math.ceil(self._examples_an_epoch / self.recipe.batch_size)

    @property
    def _examples_an_epoch(self) -> int:
        return sum(table.count for table in self.tables)

    def examples(self, step: int) -> int:
        """Of a step's effective batch; an epoch's last one has what is left."""
        passed = step % self._steps_an_epoch * self.recipe.batch_size
        return min(self.recipe.batch_size, self._examples_an_epoch - passed)

    def pieces(self, first: int, packed: bool, budget: int, cost: int) -> Iterator[Piece]:
        """The pieces of a step and of all after it that are this process's; of a small batch it may have none.

        Args:
            first: The step.
            packed: Whether a piece runs without padding.
            budget: Tokens of a piece, at most.
            cost: What a further piece costs, in tokens.
        """
        size = self.recipe.batch_size
        known, order = -1, np.empty(0, np.int64)
        for step in range(first, self.steps):
            epoch, index = divmod(step, self._steps_an_epoch)
            if epoch != known:
                sizes = [table.count for table in self.tables]
                known, order = epoch, epoch_order(sizes, self.recipe.mixing_alpha, self.seed, epoch)
            yield from self._cut(order[index * size : (index + 1) * size], step, packed, budget, cost)

    def _cut(self, chosen: npt.NDArray[np.int64], step: int, packed: bool, budget: int, cost: int) -> Iterator[Piece]:
        """Cut an effective batch, given as positions in the tables laid end to end, into pieces of one table each."""
        start, loads = 0, np.zeros(self.size, np.int64)
        for table in self.tables:
            positions = np.flatnonzero((chosen >= start) & (chosen < start + table.count))
            indices = chosen[positions] - start
            if self.size > 1:
                mine = share_out(table.lengths[indices].sum(1), loads) == self.rank
                positions, indices = positions[mine], indices[mine]
            if len(indices):
                for piece in micro_batches(table.lengths[indices], packed, budget, cost):
                    yield Piece(table, indices[piece], positions[piece], step, len(chosen))
            start += table.count


def host_batch(
    table: ExampleTable, indices: npt.NDArray[np.int64], vocabulary: Vocabulary, pad_id: int, pinned: bool = False
) -> Batch:
    """Pad some examples, on the host.

    Args:
        table: The examples.
        indices: (n,) Which of them.
        vocabulary: The embedding rows held.
        pad_id: The tokenizer's padding id.
        pinned: Put them where a GPU reads them without the processor's help.

    Returns:
        A batch of n examples.
    """
    ids, mask, types = table.pad(indices, vocabulary.place, pad_id)
    targets = np.array(table.targets[indices], np.float32)
    tensors = [None if array is None else torch.from_numpy(array) for array in (ids, mask, types, targets)]
    if pinned:
        tensors = [None if tensor is None else tensor.pin_memory() for tensor in tensors]
    input_ids, attention_mask, token_type_ids, target = tensors
    assert input_ids is not None
    assert attention_mask is not None
    assert target is not None
    lengths = table.lengths[indices].T.reshape(-1)  # (n, sequences) -> (sequences * n,)
    return Batch(input_ids, attention_mask, token_type_ids, target, lengths)


def send(batch: Batch, device: torch.device) -> Batch:
    """The same batch on a device; from pinned memory the processor does not wait for it."""
    if device.type == "cpu":
        return batch
    types = batch.token_type_ids
    return replace(
        batch,
        input_ids=batch.input_ids.to(device, non_blocking=True),
        attention_mask=batch.attention_mask.to(device, non_blocking=True),
        token_type_ids=None if types is None else types.to(device, non_blocking=True),
        targets=batch.targets.to(device, non_blocking=True),
    )


def batches(
    pieces: Iterable[T], make: Callable[[T, bool], Batch], device: torch.device, ahead: int | None = None
) -> Generator[tuple[T, Batch]]:
    """Each piece with its batch on the device.

    A GPU gets batches that a thread has made beforehand. On the CPU a thread would take a core from the products.

    Args:
        pieces: What to make batches of.
        make: Makes one on the host, pinned or not.
        device: Where to.
        ahead: How many are made beforehand; None takes what suits the device.
    """
    pinned = device.type == "cuda"
    depth = (AHEAD if pinned else 0) if ahead is None else ahead
    with closing(in_advance(pieces, lambda piece: make(piece, pinned), depth)) as made:
        for piece, batch in made:
            yield piece, send(batch, device)


def in_advance(items: Iterable[T], make: Callable[[T], Made], depth: int) -> Generator[tuple[T, Made]]:
    """What is made of each item, in order; up to ``depth`` are made by a thread before they are asked for."""
    if depth == 0:
        for item in items:
            yield item, make(item)
        return
    waiting: deque[tuple[T, Future[Made]]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for item in items:
            waiting.append((item, pool.submit(make, item)))
            if len(waiting) > depth:
                first, made = waiting.popleft()
                yield first, made.result()
        while waiting:
            first, made = waiting.popleft()
            yield first, made.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def behind(device: torch.device) -> int:
    """How many results later one is read."""
    return BEHIND if device.type == "cuda" else 0


def to_host(tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Begin to copy a tensor to the host; calling the result waits for it.

    A GPU works through a queue. To ask at once for what it has not yet come to stops the processor from filling it.
    """
    if tensor.device.type != "cuda":
        return lambda: tensor
    there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    there.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def read() -> torch.Tensor:
        copied.synchronize()
        return there

    return read


def held_back(items: Iterable[T], lag: int) -> Iterator[T]:
    """The same items in order, each when so many more are there, or no more come."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > lag:
            yield waiting.popleft()
    yield from waiting
