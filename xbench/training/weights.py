"""A fine-tuned stage on the disk: all weights but the embedding table, and the table's rows that training held."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..heads.blocks import HeadModule
from ..models.encoder import load_encoder, table_name
from ..models.resolve import LocalModel
from ..models.vocabulary import Vocabulary
from ..types import Head, HeadContext

TABLE_IDS, TABLE_ROWS = "table.ids", "table.rows"


def build_module(
    model: LocalModel, head: Head, context: HeadContext, vocabulary: Vocabulary, seed: int, stage: Path | None,
    trust_remote_code: bool = False,
) -> HeadModule:  # fmt: skip
    """Build encoder and head, from the base model or from a stage.

    Args:
        model: The base model.
        head: What to put on it.
        context: The recipe and its company.
        vocabulary: The embedding rows to hold.
        seed: Of the head's initial weights.
        stage: A stage's weight file; None for the base model.
        trust_remote_code: Let the model's own code run.

    Returns:
        The module on the CPU, in evaluation mode.
    """
    encoder = load_encoder(model.folder, vocabulary, trust_remote_code)
    module = head.module(encoder, context, torch.Generator().manual_seed(seed))
    assert isinstance(module, HeadModule), f"the head {head.name} does not build a HeadModule"
    if stage is not None:
        _apply(module, vocabulary, load_file(stage))
    return module.eval()


def save_weights(module: HeadModule, vocabulary: Vocabulary, parent: Path | None, path: Path) -> None:
    """Write a stage's weights, so that it can be loaded on the base model without its parent.

    Args:
        module: The trained module.
        vocabulary: The embedding rows that it holds.
        parent: The weight file of the stage it started from: rows changed there and not held here are kept.
        path: The file to write.
    """
    table = f"encoder.{table_name(module.encoder)}"
    tensors = {name: value.detach().cpu() for name, value in module.state_dict().items()}
    rows = tensors.pop(table)  # (rows held, hidden)
    ids = torch.from_numpy(vocabulary.ids)
    if parent is not None:
        before = load_file(parent)
        kept = torch.from_numpy(~np.isin(before[TABLE_IDS].numpy(), vocabulary.ids))
        ids = torch.cat([ids, before[TABLE_IDS][kept]])
        rows = torch.cat([rows, before[TABLE_ROWS][kept]])
    stored = {name: value.contiguous().clone() for name, value in tensors.items()}
    save_file({**stored, TABLE_IDS: ids.clone(), TABLE_ROWS: rows.contiguous()}, path)


def _apply(module: HeadModule, vocabulary: Vocabulary, stored: dict[str, torch.Tensor]) -> None:
    """Overwrite a module's weights by a stage's."""
    places = torch.from_numpy(vocabulary.place.astype(np.int64))[stored.pop(TABLE_IDS)]  # (rows stored,)
    rows = stored.pop(TABLE_ROWS)
    held = places >= 0
    table = cast("torch.nn.Embedding", module.encoder.get_input_embeddings()).weight
    with torch.no_grad():
        table[places[held]] = rows[held]
    problems = module.load_state_dict(stored, strict=False)
    missing = set(problems.missing_keys) - {f"encoder.{table_name(module.encoder)}"}
    if missing or problems.unexpected_keys:
        raise RuntimeError(
            f"a stage's weights do not fit its head: {sorted(missing)[:3]} {problems.unexpected_keys[:3]}"
        )
