"""Runs a module over examples: raw outputs, in order, whatever the batches were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from .batching import micro_batches
from .device import autocast, choose_precision, token_budget
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
        budget: Padded tokens at once, at most; 0 takes what suits the device.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.

    Returns:
        One array an example, in the table's order, padding cut off where the module says so.
    """
    device = next(module.parameters()).device
    outputs: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * table.count
    module.eval()
    with torch.inference_mode(), autocast(choose_precision(precision, device), device):
        for indices in micro_batches(table.lengths, module.packs(), token_budget(budget, device)):
            batch = make_batch(table, indices, vocabulary, pad_id, device)
            raw = module(batch).float().cpu().numpy()  # (examples, ...)
            for index, output in zip(indices, raw, strict=True):
                outputs[index] = output[..., : table.lengths[index, 0]] if module.trims else output
    return outputs
