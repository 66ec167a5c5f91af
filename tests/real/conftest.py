"""What several of these tests read: prepared rows of the published files, and a real encoder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from xbench.models.resolve import LocalModel, resolve_model
from xbench.registry import Registry
from xbench.settings import Settings


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for a module's tests, so that each split is prepared once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Iterator[Settings]:
    """One cache for all that ask for the encoder; it takes half a gigabyte there, so nothing is left behind."""
    cache = tmp_path_factory.mktemp("encoders")
    yield Settings(cache=cache, data=data_root, offline=True, device="cpu")
    shutil.rmtree(cache)


@pytest.fixture(scope="session")
def e5(registry: Registry, settings: Settings) -> LocalModel:
    """The encoder that installs with pip, assembled."""
    return resolve_model("e5-small-q4", registry, settings)
