"""What several of these tests read: prepared rows of the published files."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for a module's tests, so that each split is prepared once."""
    return tmp_path_factory.mktemp("cache")
