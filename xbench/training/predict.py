"""Runs a module over examples: raw outputs, in order, whatever the batches were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from .batching import micro_batches
from .device import autocast, choose_precision, piece_tokens, token_budget
from .examples import ExampleTable
from .loop import make_batch


def predict(
    module: HeadModule, table: ExampleTable, precision: str, budget: int, vocabulary: Vocabulary, pad_id: int
) -> list[npt.NDArray[np.float32]]:
    """Raw outputs of a module.

    Args:
        module: Encoder and head, on its device.
        table: The examples.
        precision: ``auto``, ``bf16`` or ``fp32``.
        budget: Tokens at once, at most; 0 takes what suits the device.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.

    Returns:
        One array an example, in the table's order, padding cut off where the module says so.
    """
    outputs: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * table.count
    for indices, raw in _batches(module, table, precision, budget, vocabulary, pad_id):
        for index, output in zip(indices, raw, strict=True):
            outputs[index] = output[..., : table.lengths[index, 0]] if module.trims else output
    return outputs


def predict_to_file(
    module: HeadModule, table: ExampleTable, precision: str, budget: int, vocabulary: Vocabulary, pad_id: int,
    path: Path,
) -> npt.NDArray[np.float32]:  # fmt: skip
    """Raw outputs of a module, of one size for all examples, in a file: as many as there are, in a batch's memory.

    Args:
        module: Encoder and head, on its device.
        table: The examples.
        precision: ``auto``, ``bf16`` or ``fp32``.
        budget: Tokens at once, at most; 0 takes what suits the device.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.
        path: The file to write.

    Returns:
        (examples, ...) memory-mapped.

    Raises:
        TypeError: The module's outputs have no common size.
    """
    if module.trims:
        raise TypeError(
            f"{type(module).__name__} trims its outputs to each example's length: no reading can be fitted on it"
        )
    outputs: npt.NDArray[np.float32] | None = None
    for indices, raw in _batches(module, table, precision, budget, vocabulary, pad_id):
        if outputs is None:
            shape = (table.count, *raw.shape[1:])
            outputs = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        outputs[indices] = raw
    return np.empty((0,), np.float32) if outputs is None else outputs


def _batches(
    module: HeadModule, table: ExampleTable, precision: str, budget: int, vocabulary: Vocabulary, pad_id: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Which examples, and their outputs (n, ...); examples of like length together."""
    device = next(module.parameters()).device
    module.eval()
    for indices in micro_batches(table.lengths, module.packs(), token_budget(budget, device), piece_tokens(device)):
        batch = make_batch(table, indices, vocabulary, pad_id, device)
        with torch.inference_mode(), autocast(choose_precision(precision, device), device):
            raw = module(batch).float().cpu().numpy()  # (n, ...)
        yield indices, raw
