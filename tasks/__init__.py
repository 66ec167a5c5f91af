"""The task files that come with xbench, one TOML file a task."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xbench.api import hookimpl

PAPER = ("sts", "mrc", "sentiment", "alignment", "alignment-sts")
"""In the paper's order, in which the leaderboard shows them."""


@hookimpl
def xbench_tasks() -> Iterable[Path]:
    """Every TOML file of this folder, the paper's tasks first."""
    files = Path(__file__).parent.glob("*.toml")
    return sorted(files, key=lambda path: (PAPER.index(path.stem) if path.stem in PAPER else len(PAPER), path.stem))
