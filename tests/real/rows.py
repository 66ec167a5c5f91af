"""Gets a split's rows as a run does, without the network."""

from __future__ import annotations

from pathlib import Path

from xbench.data.rows import RowSet, prepare
from xbench.registry import Registry
from xbench.settings import Settings


def prepared(name: str, split: str, registry: Registry, settings: Settings) -> RowSet:
    """The rows under given settings."""
    dataset = registry.datasets.get(name)
    return prepare(dataset, split, registry.schemas.get(dataset.schema), settings)


def ready(name: str, split: str, registry: Registry, data_root: Path, cache: Path) -> RowSet:
    """The rows out of a data root."""
    return prepared(name, split, registry, Settings(cache=cache, data=data_root, offline=True))
