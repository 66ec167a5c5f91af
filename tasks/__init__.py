"""The task files that come with xbench, one TOML file a task."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xbench.api import hookimpl


@hookimpl
def xbench_tasks() -> Iterable[Path]:
    """Every TOML file of this folder."""
    return sorted(Path(__file__).parent.glob("*.toml"))
