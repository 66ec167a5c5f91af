"""Writes a stage as an ordinary model folder, and sees that what is written says what the stage says."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from ..errors import UserError
from ..files import new_folder, umask, write_json
from ..heads.blocks import HeadModule
from ..heads.exports import SENTENCES, model_class
from ..heads.sentences import SentenceModule
from ..models.encoder import Quiet, load_encoder, load_tokenizer
from ..models.folder import TOKENIZER_CONFIG, TOKENIZER_FILES, read_json
from ..models.layout_reader import read_layout
from ..models.layout_writer import write_layout
from ..models.sentences import SentenceLayout
from ..types import Batch, Export, Exporting, HeadContext
from .card import model_card
from .loaded import Loaded

ENCODER = "AutoModel"
SEQUENCES = 12
"""Random sequences on which what is written is held against the stage: as many first ones as second ones, and so on."""
LONGEST = 512
SHARE = 1e-3
"""Of the largest number that the stage gives: what rounding stays far below, and another activation far above."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        folder: Where.
        loads: The class that loads it.
        bytes: Of all its files.
        difference: The largest one between what the stage gives and what the folder gives.
        scale: The largest number that the stage gives.
    """

    folder: Path
    loads: str
    bytes: int
    difference: float
    scale: float


def check_target(folder: Path) -> None:
    """See that a folder can be written.

    Raises:
        UserError: Something is there.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"--to {folder}: there is something already, and nothing is overwritten; name a new folder")


def write_stage(stage: Loaded, target: Path, encoder_only: bool = False) -> Written:
    """Write a stage.

    Args:
        stage: The stage.
        target: A new folder, or an empty one; it gets its files only when they are whole and checked.
        encoder_only: Leave the head out.

    Returns:
        What was written.

    Raises:
        UserError: The head cannot be exported, the disk has no room, or the folder is not free.
    """
    check_target(target)
    module, config = stage.module, copy.deepcopy(stage.module.encoder.config)
    export = None if encoder_only else _export(stage, config)
    _check_room(target, module)
    loads = ENCODER if export is None else export.loads
    with new_folder(target) as folder:
        _write_model(folder, module, config, export)
        _write_tokenizer(folder, stage)
        if export is not None and loads == SENTENCES:
            _write_sentences(folder, stage, export)
        batch = _batch(stage, int(config.get_text_config().vocab_size))
        difference, scale = _compare(folder, stage, export, batch)
        if not difference <= SHARE * scale:
            raise UserError(
                f"the head {stage.head.name} cannot be exported with {stage.model.name}: {loads} puts another head on "
                f"such an encoder, and would say something else (by up to {difference:.2g}); "
                "--encoder-only exports the encoder without it"
            )
        notes = [*(() if export is None else export.notes)]
        if loads in (ENCODER, SENTENCES) and hasattr(module.encoder, "pooler"):
            notes.append("It has no pooler, which nothing uses: a warning that its weights are missing is right.")
        (folder / "README.md").write_text(model_card(stage, loads, notes), encoding="utf-8")
        for path in folder.rglob("*"):  # safetensors writes for the user alone
            path.chmod(0o777 & ~umask() if path.is_dir() else 0o666 & ~umask())
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        ours = folder.stat().st_ino
    if target.stat().st_ino != ours:
        raise UserError(f"--to {target}: another program wrote there meanwhile; name a new folder")
    return Written(target, loads, size, difference, scale)


def _export(stage: Loaded, config: Any) -> Export:
    if stage.head.export is None:
        raise UserError(
            f"the head {stage.head.name} does not say how it is exported; --encoder-only exports the encoder without it"
        )
    own = {name: weight for name, weight in stage.module.state_dict().items() if not name.startswith("encoder.")}
    try:
        return stage.head.export(Exporting(own, config, stage.context))
    except UserError as reason:
        raise UserError(
            f"the head {stage.head.name} cannot be exported with {stage.model.name}: {reason}; "
            "--encoder-only exports the encoder without it"
        ) from None


def _check_room(target: Path, module: HeadModule) -> None:
    """A model half written is nothing; so is an old file that made room for it."""
    needed = sum(weight.numel() for weight in module.state_dict().values()) * 4 + (64 << 20)
    place = next(path for path in target.absolute().parents if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(f"--to {target}: {needed / 1e6:,.0f} MB are needed, and {free / 1e6:,.0f} MB are free there")


def _write_model(folder: Path, module: HeadModule, config: Any, export: Export | None) -> None:
    """Weights and configuration."""
    encoder = module.encoder.state_dict()
    if export is None or export.loads == SENTENCES:
        kind, state = type(module.encoder).__name__, dict(encoder)
    else:
        for name, value in export.config.items():
            setattr(config, name, value)
        built = model_class(export.loads, config)
        kind = built.__name__
        state = {f"{built.base_model_prefix}.{name}": weight for name, weight in encoder.items()} | dict(export.weights)
    config.architectures, config.dtype = [kind], torch.float32
    config.save_pretrained(folder)
    save_file(_stored(state), folder / "model.safetensors", {"format": "pt"})


def _stored(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in state.items()}


def _write_tokenizer(folder: Path, stage: Loaded) -> None:
    """The base model's own files; only the length at which it cuts is that of the training."""
    for name in TOKENIZER_FILES:
        if (stage.model.folder / name).is_file():
            shutil.copyfile(stage.model.folder / name, folder / name)
    path = folder / TOKENIZER_CONFIG
    config = read_json(path) if path.is_file() else {}
    write_json(path, {**config, "model_max_length": _longest(stage, sentences=False)})


def _longest(stage: Loaded, sentences: bool) -> int:
    """Tokens of a sequence, at most, as the stage read them."""
    layout, asked = stage.context.sentence, stage.context.recipe.max_length
    return layout.longest(asked) if sentences and layout is not None else asked


def _write_sentences(folder: Path, stage: Loaded, export: Export) -> None:
    context = stage.context
    layout = replace(
        context.sentence or SentenceLayout(folder), prompt=context.prompts.get("sentence", ""),
        max_length=_longest(stage, sentences=True),
    )  # fmt: skip
    paths = write_layout(folder, layout, int(stage.module.encoder.config.hidden_size))
    for path, weights in zip(paths, filter(None, export.layers), strict=True):
        save_file(_stored(weights), path, {"format": "pt"})


def _batch(stage: Loaded, size: int) -> Batch:
    """(12, length) Random token ids, of many lengths."""
    tokenizer = load_tokenizer(stage.model.folder)
    draw = np.random.default_rng(0)
    special = [token for token in tokenizer.all_special_ids if token is not None]
    ids = np.setdiff1d(np.arange(size), special)
    longest = min(_longest(stage, sentences=False), LONGEST)
    lengths = np.linspace(4, longest, SEQUENCES).astype(np.int64)
    rows = np.full((SEQUENCES, longest), int(tokenizer.pad_token_id), np.int64)
    mask = np.arange(longest) < lengths[:, None]
    rows[mask] = draw.choice(ids, int(mask.sum()))
    if tokenizer.cls_token_id is not None:
        rows[:, 0] = tokenizer.cls_token_id
    types = None
    if "token_type_ids" in tokenizer.model_input_names:
        kinds = int(getattr(stage.module.encoder.config, "type_vocab_size", 1) or 1)
        second = np.arange(longest) >= lengths[:, None] // 2
        types = torch.from_numpy((second & mask & (kinds > 1)).astype(np.int64))
    targets = torch.zeros(SEQUENCES, 1)
    return Batch(torch.from_numpy(rows), torch.from_numpy(mask.astype(np.int64)), types, targets)


@torch.inference_mode()
def _compare(folder: Path, stage: Loaded, export: Export | None, batch: Batch) -> tuple[float, float]:
    """The largest difference between the stage and the folder as others load it, and the stage's largest number.

    Raises:
        RuntimeError: The folder does not hold every weight.
    """
    if export is None:
        real = batch.attention_mask.bool()
        ours, theirs = (HeadModule(encoder, stage.context).encode(batch)[real] for encoder in (
            stage.module.encoder, load_encoder(folder)))  # fmt: skip
    elif export.loads == SENTENCES:
        ours = stage.module(batch)
        context = HeadContext(stage.context.recipe, stage.context.prompts, sentence=read_layout(folder))
        theirs = export.raw(SentenceModule(load_encoder(folder), context).eval().embed(batch))
    else:
        ours = stage.module(batch)
        with Quiet():
            model, report = getattr(transformers, export.loads).from_pretrained(
                folder, output_loading_info=True, local_files_only=True, use_safetensors=True
            )
        wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
        if wrong:
            raise RuntimeError(f"{export.loads} does not find its weights in what was written: {wrong[:3]}")
        given = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if batch.token_type_ids is not None:
            given["token_type_ids"] = batch.token_type_ids
        theirs = export.raw(model.eval()(**given))
    if ours.shape != theirs.shape:
        raise RuntimeError(f"the head {stage.head.name} gives {tuple(ours.shape)}, its export {tuple(theirs.shape)}")
    said = ours.isfinite()  # a head may say that it never points at padding
    return float((ours - theirs)[said].abs().max()), float(ours[said].abs().max())
