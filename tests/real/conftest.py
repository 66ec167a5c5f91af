"""What several of these tests read: prepared rows of the published files."""

from __future__ import annotations

from pathlib import Path

import pytest

from xbench.settings import Settings


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for a module's tests, so that each split is prepared once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def settings(encoder_settings: Settings) -> Settings:
    """The cache that has the encoder, and the published files."""
    return encoder_settings
