"""``xbench datasets``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..data.rows import prepare
from ..errors import UserError
from ..registry import Registry
from ..settings import Settings
from ..types import Dataset, Files, Hub, Source, Split
from .json_stream import json_option
from .listing import open_registry, print_list, print_one
from .options import make_settings, place_options, plugin_option

UNPINNED = "unpinned"


@click.command("datasets")
@click.argument("name", required=False)
@place_options
@plugin_option
@json_option
def command(
    name: str | None, data: Path | None, cache: Path | None, offline: bool, plugins: tuple[Path, ...], as_json: bool
) -> None:
    """List the datasets, or show one in full: its licence, whom to cite, its splits and whether they are here.

    Nothing is downloaded.
    """
    registry = open_registry(plugins)
    if name is None:
        print_list([_summary(one) for one in registry.datasets], as_json, ("name", "language", "splits", "description"))
        return
    why = {} if offline else {"why_offline": "showing a dataset downloads nothing"}
    settings = make_settings(data, cache, offline=True, **why)
    about = _in_full(registry.datasets.get(name), registry, settings)
    print_one(about if as_json else _readable(about), as_json)


def _summary(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "language": dataset.language,
        "schema": dataset.schema,
        "splits": {split: declared.rows for split, declared in dataset.splits.items()},
        "description": dataset.description,
        "licence": dataset.licence,
        "sample": dataset.sample,
    }


def _in_full(dataset: Dataset, registry: Registry, settings: Settings) -> dict[str, Any]:
    return {
        **_summary(dataset),
        "citation": dataset.citation,
        "homepage": dataset.homepage,
        "labels": list(dataset.labels),
        "score_range": list(dataset.score_range or ()),
        "official_metrics": list(dataset.official),
        "translation_of": dataset.translation_of,
        "not_on_hub": dataset.not_on_hub,
        "splits": [_split(dataset, name, split, registry, settings) for name, split in dataset.splits.items()],
    }


def _split(dataset: Dataset, name: str, split: Split, registry: Registry, settings: Settings) -> dict[str, Any]:
    about: dict[str, Any] = {
        "split": name,
        "rows": split.rows,
        "rows_sha256": split.rows_sha256 or UNPINNED,
        "sources": [_source(source) for source in split.sources],
    }
    try:
        found = prepare(dataset, name, registry.schemas.get(dataset.schema), settings)
    except UserError as error:
        return {**about, "here": False, "why_not": str(error)}
    return {**about, "rows": found.rows, "here": True, "from": found.source}


def _readable(about: Mapping[str, Any]) -> dict[str, Any]:
    """For the terminal: what holds, without what does not apply, and the splits in a line or two each."""
    shown = {name: value for name, value in about.items() if value not in ([], "")}
    splits = "\n".join(_split_text(split) for split in about["splits"])
    hub = {one.partition(":")[2] for split in about["splits"] for one in split["sources"] if one.startswith("hub:")}
    where = {"from_hub": ", ".join(sorted(hub))} if hub else {}
    return {**shown, "sample": "yes" if about["sample"] else "no", "splits": splits, **where}


def _split_text(split: Mapping[str, Any]) -> str:
    rows = "rows not counted yet" if split["rows"] is None else f"{split['rows']:,} rows"
    pin = split["rows_sha256"]
    pinned = pin if pin == UNPINNED else f"sha256 {pin[:12]}"
    where = f"here ({split['from']})" if split["here"] else f"not here\n    {split['why_not']}"
    return f"{split['split']}: {rows}, {pinned}, {where}"


def _source(source: Source) -> str:
    if isinstance(source, Files):
        return " + ".join(file.path for file in source.files)
    if isinstance(source, Hub):
        return f"hub:{source.repository}@{source.revision[:12]}"
    return "package"
