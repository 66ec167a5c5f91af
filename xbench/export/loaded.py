"""A stage with everything that its record says of it, on the base model that it was trained from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..heads.blocks import HeadModule
from ..models.encoder import table_size
from ..models.folder import read_json
from ..models.resolve import LocalModel, model_here, resolve_model
from ..models.vocabulary import full_vocabulary
from ..recipe import build_recipe
from ..registry import Registry
from ..settings import Settings
from ..store import Store
from ..training.examples import head_context
from ..training.weights import build_module
from ..types import Head, HeadContext
from .chosen import SHORT, Chosen, Record


@dataclass(frozen=True)
class Loaded:
    """A stage, ready to run.

    Attributes:
        chosen: Which one, and its records.
        manifest: What the store keeps of it.
        model: The base model.
        head: The head.
        context: Of its training.
        module: Encoder, with the whole embedding table, and head, on the CPU.
    """

    chosen: Chosen
    manifest: dict[str, Any]
    model: LocalModel
    head: Head
    context: HeadContext
    module: HeadModule


def load_stage(chosen: Chosen, model: str | None, registry: Registry, store: Store, settings: Settings) -> Loaded:
    """Put a stage's weights on its base model.

    Args:
        chosen: The stage.
        model: The base model as the user names it; None looks for the one that the record names.
        registry: For the head, the datasets and declared models.
        store: Holds the stage.
        settings: The cache.

    Returns:
        The stage.

    Raises:
        UserError: It is not in the cache, its base model is not here, has other weights or brings its own code, or its
            head is another.
    """
    record = chosen.record
    manifest = store.stage(chosen.key)
    if manifest is None:
        raise UserError(
            f"the stage {chosen.key[:SHORT]} ({chosen.label}) is not in the cache {settings.cache}, or is damaged: "
            f"train it again with xbench eval --model {record['model']['name']} --tasks {record['task']} "
            f"--train {chosen.curriculum}, or name the cache with --cache"
        )
    head = registry.heads.get(record["head"])
    if head.version != record["head_version"]:
        raise UserError(
            f"the head {head.name} is version {head.version} here, and {record['head_version']} in the record"
        )
    base = _base(record, model, registry, settings)
    first = next(split for split in record["train"] if split["stage"] == chosen.depth)
    recipe = build_recipe(record["recipe"], "the record's recipe", head.options)
    context = head_context(recipe, base, registry.datasets.get(first["dataset"]))
    whole = full_vocabulary(table_size(base.folder))
    module = build_module(base, head, context, whole, record["seed"], store.stage_weights(chosen.key))
    return Loaded(chosen, manifest, base, head, context, module)


def _base(record: Record, model: str | None, registry: Registry, settings: Settings) -> LocalModel:
    """The base model that a record was made with.

    Raises:
        UserError: It is not here, another one is, or it brings its own code.
    """
    name, revision = record["model"]["name"], record["model"]["revision"]
    if model is not None:
        found: LocalModel | None = resolve_model(model, registry, settings)
    else:
        found = model_here(name, revision, registry, settings)
    if found is None:
        raise UserError(f"the base model {name} is not found here: say where it is with --model (a folder or a hub id)")
    if found.weights_sha256 != record["model"]["weights_sha256"]:
        raise UserError(
            f"the model {found.name} in {found.folder} has other weights than the one that the stage was trained from "
            f"(sha256 {found.weights_sha256[:12]}, and {record['model']['weights_sha256'][:12]} in the record): "
            "name the right one with --model"
        )
    if read_json(found.folder / "config.json").get("auto_map") is not None:
        raise UserError(f"{found.name} brings its own code, which is never run here: such a model is not exported")
    return found
