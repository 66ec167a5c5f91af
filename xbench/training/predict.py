"""Runs a module over examples: raw outputs, in order, whatever the batches were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..data.mapped import forget_pages
from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from .batching import micro_batches
from .device import NowAndThen, autocast, choose_precision, piece_tokens, token_budget
from .examples import ExampleTable
from .feeding import make_batch

OnBatch = Callable[[int, float], None]


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
    """

    module: HeadModule
    precision: str
    budget: int
    vocabulary: Vocabulary
    pad_id: int
    on_batch: OnBatch = lambda passed, share: None

    def predict(self, table: ExampleTable) -> list[npt.NDArray[np.float32]]:
        """Raw outputs for all examples.

        Args:
            table: The examples.

        Returns:
            One array an example, in the table's order, padding cut off where the module says so.
        """
        outputs: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * table.count

        def take(indices: npt.NDArray[np.int64], raw: npt.NDArray[np.float32]) -> None:
            for index, output in zip(indices, raw, strict=True):
                outputs[index] = output[..., : table.lengths[index, 0]] if self.module.trims else output

        self._run(table, take)
        return outputs

    def predict_to_file(self, table: ExampleTable, path: Path) -> npt.NDArray[np.float32]:
        """Raw outputs of one size for all examples, in a file: as many as there are, in a batch's memory.

        Args:
            table: The examples.
            path: The file to write.

        Returns:
            (examples, ...) memory-mapped.

        Raises:
            TypeError: The module's outputs have no common size.
        """
        if self.module.trims:
            name = type(self.module).__name__
            raise TypeError(f"{name} trims its outputs to each example's length: no reading can be fitted on it")
        outputs: npt.NDArray[np.float32] = np.empty((0,), np.float32)

        def take(indices: npt.NDArray[np.int64], raw: npt.NDArray[np.float32]) -> None:
            nonlocal outputs
            if not len(outputs):
                shape = (table.count, *raw.shape[1:])
                outputs = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            outputs[indices] = raw
            forget_pages(outputs)

        self._run(table, take)
        return outputs

    def _run(self, table: ExampleTable, take: Callable[[npt.NDArray[np.int64], npt.NDArray[np.float32]], None]) -> None:
        """Give each batch's examples and their outputs (n, ...); examples of like length together."""
        device = next(self.module.parameters()).device
        budget, piece = token_budget(self.budget, device), piece_tokens(device)
        tokens = table.lengths.sum(1)  # (examples,)
        memory = NowAndThen(device)
        passed, done, total = 0, 0, max(1, int(tokens.sum()))
        self.on_batch(0, 0.0)
        self.module.eval()
        # One autocast for all batches: it keeps the cast weights until it ends.
        with torch.inference_mode(), autocast(choose_precision(self.precision, device), device):
            for indices in micro_batches(table.lengths, self.module.packs(), budget, piece):
                memory.return_free_memory()
                batch = make_batch(table, indices, self.vocabulary, self.pad_id, device)
                take(indices, self.module(batch).float().cpu().numpy())
                passed, done = passed + len(indices), done + int(tokens[indices].sum())
                self.on_batch(passed, done / total)
