"""A fine-tuned stage on the disk.

Of full fine-tuning it is one file: all weights but the embedding table, and the table's rows that training held. Of an
adapter the file holds the head alone, and beside it lie the adapter's two files in peft's format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
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


def build_mean(
    model: LocalModel, head: Head, context: HeadContext, vocabulary: Vocabulary, seed: int, stages: Sequence[Path],
    trust_remote_code: bool = False,
) -> HeadModule:  # fmt: skip
    """Build encoder and head with the mean of the weights of some checkpoints, the embedding rows included.

    Averaging what a training passes through is the method of Izmailov et al. (2018), "Averaging Weights Leads to Wider
    Optima and Better Generalization", here over the checkpoints that are kept. The sum is in float64, so that their
    number does not change the rounding.

    Args:
        model: The base model.
        head: What to put on it.
        context: The recipe and its company.
        vocabulary: The embedding rows to hold.
        seed: Of the head's initial weights.
        stages: The checkpoints' weight files, all of one stage, at least one.
        trust_remote_code: Let the model's own code run.

    Returns:
        The module on the CPU, in evaluation mode.
    """
    module = build_module(model, head, context, vocabulary, seed, stages[0], trust_remote_code)
    if len(stages) == 1:
        return module
    mean = module.state_dict()
    total = {name: value.double() for name, value in mean.items() if value.is_floating_point()}
    for stage in stages[1:]:
        other = build_module(model, head, context, vocabulary, seed, stage, trust_remote_code).state_dict()
        for name, value in total.items():
            value += other[name]
    averaged = {name: (value / len(stages)).to(mean[name].dtype) for name, value in total.items()}
    module.load_state_dict({**mean, **averaged})
    return module


def save_weights(module: HeadModule, vocabulary: Vocabulary, parent: Path | None, path: Path) -> None:
    """Write a stage's weights as they are now, so that it can be loaded on the base model without its parent.

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
        with safe_open(parent, "pt") as before:
            table_ids, table_rows = before.get_tensor(TABLE_IDS), before.get_tensor(TABLE_ROWS)
        kept = torch.from_numpy(~np.isin(table_ids.numpy(), vocabulary.ids))
        ids = torch.cat([ids, table_ids[kept]])
        rows = torch.cat([rows, table_rows[kept]])
    save_file(apart({**tensors, TABLE_IDS: ids, TABLE_ROWS: rows}), path)


def apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors; of those that share their storage all but one are copies, as a file needs them.

    Nothing else is copied: a training that writes its weights on the way needs no more memory for it.
    """
    seen: set[int] = set()
    apart = {}
    for name, value in tensors.items():
        one = value.contiguous()
        place = one.untyped_storage().data_ptr()
        apart[name] = one.clone() if place in seen else one
        seen.add(place)
    return apart


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
