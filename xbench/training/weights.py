"""A fine-tuned stage on the disk.

Of full fine-tuning it is one file: all weights but the embedding table, and the table's rows that training held. Of an
adapter the file holds the head alone, and beside it lie the adapter's two files in peft's format.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..heads.blocks import HeadModule
from ..models.adapters import CONFIG, add_adapter, has_adapter, load_adapter, merge_adapter, save_adapter
from ..models.encoder import load_encoder, table_name
from ..models.resolve import LocalModel
from ..models.vocabulary import Vocabulary
from ..recipe import LORA
from ..types import Head, HeadContext

TABLE_IDS, TABLE_ROWS = "table.ids", "table.rows"


def build_module(
    model: LocalModel, head: Head, context: HeadContext, vocabulary: Vocabulary, seed: int, stage: Path | None,
    trust_remote_code: bool = False, trains: bool = False,
) -> HeadModule:  # fmt: skip
    """Build encoder and head, from the base model or from a stage.

    An adapter stays apart where it is to be trained: the stage's, or a new one where the recipe wants one. Else the
    stage's is merged, and the encoder is an ordinary one, as fast as the base model.

    Args:
        model: The base model.
        head: What to put on it.
        context: The recipe and its company.
        vocabulary: The embedding rows to hold.
        seed: Of the initial weights of the head and of an adapter.
        stage: A stage's weight file; None for the base model.
        trust_remote_code: Let the model's own code run.
        trains: Whether it is going to be trained.

    Returns:
        The module on the CPU, in evaluation mode.
    """
    encoder = load_encoder(model.folder, vocabulary, trust_remote_code)
    module = head.module(encoder, context, torch.Generator().manual_seed(seed))
    assert isinstance(module, HeadModule), f"the head {head.name} does not build a HeadModule"
    if stage is not None:
        _apply(module, vocabulary, load_file(stage))
        if (stage.parent / CONFIG).is_file():
            load_adapter(encoder, stage.parent)
    if trains and context.recipe.tuning == LORA and not has_adapter(encoder):
        add_adapter(encoder, context.recipe, seed, model)
    if has_adapter(encoder) and not trains:
        merge_adapter(encoder)
    return module.eval()


def save_weights(module: HeadModule, vocabulary: Vocabulary, parent: Path | None, path: Path) -> None:
    """Write a stage's weights, so that it can be loaded on the base model without its parent.

    An adapter goes on where its parent stopped, so that it holds what both have learned.

    Args:
        module: The trained module.
        vocabulary: The embedding rows that it holds.
        parent: The weight file of the stage it started from: rows changed there and not held here are kept.
        path: The file to write; an adapter's come beside it.
    """
    if has_adapter(module.encoder):
        save_adapter(module.encoder, path.parent)
        own = {name: value for name, value in module.state_dict().items() if not name.startswith("encoder.")}
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in own.items()}, path)
        return
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
    """Overwrite a module's weights by a stage's: all of them, or the head's alone."""
    if TABLE_IDS not in stored:
        _load(module, stored, {name for name in module.state_dict() if name.startswith("encoder.")})
        return
    places = torch.from_numpy(vocabulary.place.astype(np.int64))[stored.pop(TABLE_IDS)]  # (rows stored,)
    rows = stored.pop(TABLE_ROWS)
    held = places >= 0
    table = cast("torch.nn.Embedding", module.encoder.get_input_embeddings()).weight
    with torch.no_grad():
        table[places[held]] = rows[held]
    _load(module, stored, {f"encoder.{table_name(module.encoder)}"})


def _load(module: HeadModule, stored: dict[str, torch.Tensor], others: set[str]) -> None:
    """Overwrite all weights but those that are held elsewhere."""
    problems = module.load_state_dict(stored, strict=False)
    missing = set(problems.missing_keys) - others
    if missing or problems.unexpected_keys:
        raise RuntimeError(
            f"a stage's weights do not fit its head: {sorted(missing)[:3]} {problems.unexpected_keys[:3]}"
        )
