"""Fixtures for the tests of plugins: ``pytest_plugins = ["xbench.testing.pytest"]`` in the test file or a conftest.

Nothing heavy is imported before a fixture is asked for. It is not an entry point of pytest's: runs that have nothing to
do with xbench shall not load it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..registry import Registry, load_registry
from ..settings import Settings

if TYPE_CHECKING:
    from .runs import Bench


@pytest.fixture(scope="session")
def xbench_registry() -> Callable[..., Registry]:
    """Gives the registry of the installed plugins and of some files: ``xbench_registry("my_plugin.py")``."""

    def registry(*files: str | Path) -> Registry:
        return load_registry([Path(file) for file in files])

    return registry


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random encoder with a tokenizer for any language, as an ordinary transformers folder."""
    from .encoders import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("xbench") / "tiny-encoder")


@pytest.fixture
def xbench_settings(tmp_path: Path) -> Settings:
    """Folders of this test alone, the data root of ``XBENCH_DATA``, no network, the CPU."""
    from ..cli.options import make_settings

    return make_settings(None, tmp_path / "cache", offline=True, out=tmp_path / "out", device="cpu")


@pytest.fixture
def xbench_bench(
    tmp_path: Path, tiny_encoder_folder: Path, xbench_registry: Callable[..., Registry], xbench_settings: Settings
) -> Callable[..., Bench]:
    """Gives a bench that trains the tiny encoder and scores cells: ``xbench_bench("my_plugin.py").run("none")``."""
    from .runs import Bench

    def bench(*files: str | Path) -> Bench:
        return Bench(tmp_path, str(tiny_encoder_folder), xbench_registry(*files), xbench_settings.data)

    return bench
