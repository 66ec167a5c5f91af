"""Runs a module over examples: raw outputs, in order, whatever the batches were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch

from ..data.mapped import MappedArrays
from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from .batching import micro_batches
from .device import autocast, choose_precision, piece_tokens, token_budget
from .examples import ExampleTable
from .feeding import batches, behind, held_back, host_batch, to_host
from .heap import Heap
from .memory import MicroBatch, TooLarge, is_out_of_memory

OnBatch = Callable[[int, float], None]


@dataclass(frozen=True)
class OutputFile:
    """Outputs in a file, read-only: one pass serves several readings.

    Attributes:
        whole: (examples, ...) memory-mapped; None where the module trims, so that they have no common size.
        each: One array an example.
    """

    whole: npt.NDArray[np.float32] | None
    each: Sequence[npt.NDArray[np.float32]]


class _Writer:
    """Puts each output at its place in a file, in whatever order they come.

    Args:
        file: Empty.
        lengths: (examples,) What the last dimension of each output is cut to; None keeps them whole.
    """

    def __init__(self, file: IO[bytes], lengths: npt.NDArray[np.int64] | None) -> None:
        self._file, self._lengths = file, lengths
        self._ends: npt.NDArray[np.int64] | None = None
        self._shape: tuple[int, ...] | None = None

    def take(self, indices: npt.NDArray[np.int64], raw: npt.NDArray[np.float32]) -> None:
        """Write a batch.

        Args:
            indices: (n,) Examples.
            raw: (n, ...) Their outputs.
        """
        if self._lengths is None:
            self._expect(self._shape in (None, raw.shape[1:]), raw)
        elif self._ends is None:
            self._ends = np.cumsum(math.prod(raw.shape[1:-1]) * self._lengths)
        self._shape = raw.shape[1:]
        for index, output in zip(indices.tolist(), raw, strict=True):
            place = index * output.nbytes
            if self._lengths is not None and self._ends is not None:
                output = output[..., : self._lengths[index]]
                self._expect(output.shape[-1] == self._lengths[index], raw)
                place = 4 * int(self._ends[index]) - output.nbytes
            self._file.seek(place)
            self._file.write(output.tobytes())

    def _expect(self, holds: bool, raw: npt.NDArray[np.float32]) -> None:
        if not holds:
            raise TypeError(
                f"a batch's outputs are {raw.shape}: their last dimension runs over tokens where the module sets "
                "`trims`, and else all have one size"
            )

    def finish(self, path: Path, count: int) -> OutputFile:
        """Map the file."""
        assert self._shape is not None
        if self._ends is not None:
            flat = np.memmap(path, np.float32, mode="r", shape=(int(self._ends[-1]),))
            return OutputFile(None, MappedArrays(flat, self._ends, self._shape[:-1]))
        whole = np.memmap(path, np.float32, mode="r", shape=(count, *self._shape))
        return OutputFile(whole, MappedArrays(whole))


@dataclass(frozen=True)
class Predictor:
    """A module, ready to be run over any examples.

    Attributes:
        module: Encoder and head, on its device.
        precision: ``auto``, ``bf16`` or ``fp32``.
        budget: Tokens at once, at most; 0 takes what suits the device.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.
        on_batch: Told before the first and after each batch: examples passed, and which share of all tokens they hold.
        micro_batch: How many tokens go through at once; None takes the budget.
    """

    module: HeadModule
    precision: str
    budget: int
    vocabulary: Vocabulary
    pad_id: int
    on_batch: OnBatch = lambda passed, share: None
    micro_batch: MicroBatch | None = None

    def predict(self, table: ExampleTable, some: npt.NDArray[np.int64] | None = None) -> list[npt.NDArray[np.float32]]:
        """Raw outputs for all examples, or for some.

        Args:
            table: The examples.
            some: (n,) Which of them, rising; None for all.

        Returns:
            One array an example, in the table's order, padding cut off where the module says so.
        """
        outputs: dict[int, npt.NDArray[np.float32]] = {}

        def take(indices: npt.NDArray[np.int64], raw: npt.NDArray[np.float32]) -> None:
            for index, output in zip(indices.tolist(), raw, strict=True):
                outputs[index] = output[..., : table.lengths[index, 0]] if self.module.trims else output

        self._run(table, take, some)
        return [outputs[index] for index in sorted(outputs)]

    def predict_to_file(self, table: ExampleTable, path: Path) -> OutputFile:
        """Raw outputs for all examples, in a file: as many as there are, in a batch's memory.

        Args:
            table: The examples.
            path: The file to write.

        Returns:
            What `predict` gives, read from the file.
        """
        with path.open("wb") as file:
            writer = _Writer(file, table.lengths[:, 0] if self.module.trims else None)
            self._run(table, writer.take)
        return writer.finish(path, table.count)

    def _run(
        self, table: ExampleTable, take: Callable[[npt.NDArray[np.int64], npt.NDArray[np.float32]], None],
        some: npt.NDArray[np.int64] | None = None,
    ) -> None:  # fmt: skip
        """Give each batch's examples and their outputs (n, ...); examples of like length together."""
        device = next(self.module.parameters()).device
        micro_batch = self.micro_batch or MicroBatch(token_budget(self.budget, device))
        tokens = table.lengths.sum(1)  # (examples,)
        left = np.full(table.count, some is None)
        if some is not None:
            left[some] = True
        heap, total = Heap(device), max(1, int(tokens[left].sum()))
        passed, done = 0, 0
        self.on_batch(0, 0.0)
        self.module.eval()
        # One autocast for all batches: it keeps the cast weights until it ends.
        with torch.inference_mode(), autocast(choose_precision(self.precision, device), device):
            while left.any():
                too_large: TooLarge | None = None
                for indices, coming in held_back(
                    self._outputs(table, left, micro_batch.tokens, device), behind(device)
                ):
                    if isinstance(coming, TooLarge):
                        too_large = coming
                        continue  # others before it are still on their way
                    heap.tidy()
                    take(indices, coming().numpy())
                    left[indices] = False
                    micro_batch.fits()
                    passed, done = passed + len(indices), done + int(tokens[indices].sum())
                    self.on_batch(passed, done / total)
                if too_large is not None:
                    micro_batch.halve(too_large, device)

    def _outputs(
        self, table: ExampleTable, left: npt.NDArray[np.bool_], budget: int, device: torch.device
    ) -> Iterator[tuple[npt.NDArray[np.int64], Callable[[], torch.Tensor] | TooLarge]]:
        """Each batch's examples, and their outputs on their way to the host.

        Where memory does not hold a batch, this stands in their place, and it is the last one.
        """
        examples = np.flatnonzero(left)
        cuts = micro_batches(table.lengths[examples], self.module.packs(), budget, piece_tokens(device))
        stream = batches(
            (examples[cut] for cut in cuts),
            lambda indices, pinned: host_batch(table, indices, self.vocabulary, self.pad_id, pinned),
            device,
        )
        with closing(stream):
            for indices, batch in stream:
                try:
                    coming = to_host(self.module(batch).float())
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    yield indices, TooLarge.of(table.lengths[indices], error)
                    return
                yield indices, coming
