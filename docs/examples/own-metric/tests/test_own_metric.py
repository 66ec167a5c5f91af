"""What xbench asks of every plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xbench.testing import parametrize_with_checks

PROJECT = Path(__file__).parents[1]


@parametrize_with_checks(PROJECT)
def test_conformance(check: Callable[[], None]) -> None:
    check()
