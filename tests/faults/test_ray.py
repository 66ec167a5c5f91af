"""Runs on a real Ray cluster: the same results as here, whatever becomes of its nodes."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import readme_plugin, write_rows

from .processes import Ended, essentials, run, start, temporaries, wait_until, weights
from .ray_cluster import cluster_of, destroy, doing

ASKED = (
    "eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--json",
    "--train", "none", "--train", "my-pairs-en:my-pairs-de", "--train", "my-pairs-de",
)  # fmt: skip
ON_RAY = ("--executor", "ray")
STAGES = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes with a CPU each."""
    with cluster_of(3) as made:
        yield made


@pytest.fixture(scope="module")
def make_project(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a project's folder: a plugin, its rows, and a tiny model."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / "my_task.py").write_text(readme_plugin("my-pairs"), encoding="utf-8")
        write_rows(folder, "train", 240)
        write_rows(folder, "test", 36)
        (folder / "model").symlink_to(tiny("bert"))
        return folder

    return make


@pytest.fixture(scope="module")
def alone(make_project: Callable[[str], Path]) -> Path:
    """What the local executor makes on one thread."""
    folder = make_project("alone")
    ended = run(folder, *ASKED)
    assert ended.status == 0, ended.stderr
    assert len(trained(ended.stderr)) == STAGES
    return folder


def begun(said: str) -> list[str]:
    """The stages that were begun, by their labels."""
    return re.findall(r"^train (.*): \d+ examples", said, re.MULTILINE)


def trained(said: str) -> list[str]:
    """The stages that were trained, by their labels."""
    return re.findall(r"^trained (.*) in [\d.]+ s$", said, re.MULTILINE)


def check_whole(folder: Path, alone: Path, ended: Ended) -> None:
    """All is as the local executor makes it."""
    assert ended.status == 0, ended.stderr
    assert essentials(folder) == essentials(alone)
    assert weights(folder) == weights(alone)
    page, expected = ((one / "leaderboard" / "README.md").read_text(encoding="utf-8") for one in (folder, alone))
    assert page == expected
    assert [record["status"] for record in json.loads(ended.stdout)] == ["done"] * len(essentials(alone))
    assert temporaries(folder) == []


def test_a_cluster_gives_what_one_process_gives(
    cluster: Any, make_project: Callable[[str], Path], alone: Path
) -> None:  # fmt: skip
    folder = make_project("whole")
    ended = run(folder, *ASKED, *ON_RAY, RAY_ADDRESS=cluster.address)
    check_whole(folder, alone, ended)
    assert Counter(begun(ended.stderr)) == Counter(trained(ended.stderr)) == Counter(set(trained(ended.stderr)))
    assert len(trained(ended.stderr)) == STAGES
    assert "Ray cluster of 3 nodes" in ended.stderr
    noise = [line for line in ended.stderr.splitlines() if "ray::" in line or "(pid=" in line or "WARNING" in line]
    assert noise == []
