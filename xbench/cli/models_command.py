"""``xbench models``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..models.resolve import resolve_model
from ..types import Floor, Model
from .json_stream import json_option
from .listing import open_registry, print_list, print_one
from .options import make_settings, place_options, plugin_option


@click.command("models")
@click.argument("name", required=False)
@place_options
@plugin_option
@json_option
def command(
    name: str | None, data: Path | None, cache: Path | None, offline: bool, plugins: tuple[Path, ...], as_json: bool
) -> None:
    """List the named models and floors, or show one in full, with the folder that holds its weights.

    A model that is shown is fetched or assembled when it is not here yet, so that other programs can load the very
    same weights from its folder. NAME may also be a hub id or a local folder.
    """
    registry = open_registry(plugins)
    if name is None:
        rows = [*map(_declared, registry.models), *map(_floor, registry.floors)]
        print_list(rows, as_json, ("name", "kind", "languages", "licence", "description"))
        return
    floor = registry.floor(name)
    if floor is not None:
        print_one(_floor(floor), as_json)
        return
    settings = make_settings(data, cache, offline)
    local = resolve_model(name, registry, settings)
    short = name.partition("@")[0]
    about = _declared(registry.models.get(short)) if short in registry.models.owners else {}
    found = {
        "name": local.name,
        "revision": local.revision,
        "folder": str(local.folder),
        "parameters": local.parameters,
        "max_length": local.max_length,
        "weights_sha256": local.weights_sha256,
        "identity": local.identity,
        "prompts": dict(local.prompts),
        "sentence_embedding": local.embedding,
    }
    print_one({**about, **found}, as_json)


def _declared(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "kind": "encoder",
        "languages": list(model.languages),
        "licence": model.licence,
        "homepage": model.homepage,
        "description": model.description,
        "prompts": dict(model.prompts),
        "hub": "@".join(model.hub) if model.hub else None,
    }


def _floor(floor: Floor) -> dict[str, Any]:
    return {
        "name": floor.name,
        "kind": "floor",
        "languages": [],
        "licence": None,
        "version": floor.version,
        "schemas": list(floor.schemas),
        "description": floor.description,
    }
