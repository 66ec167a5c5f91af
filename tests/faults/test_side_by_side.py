"""Several processes on one cache and one results folder, and children of one process, at the same time."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.cli.conftest import readme_plugin, write_rows

from .processes import Ended, Running, essentials, run, stages, start, temporaries, wait_until, weights

EVAL = (
    "eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--seeds", "0,1", "--json",
    "--train", "none", "--train", "my-pairs-en", "--train", "my-pairs-de", "--train", "my-pairs-en:my-pairs-de",
    "--train", "my-pairs-en+my-pairs-de",
)  # fmt: skip
STAGES, CELLS = 8, 18  # a frozen encoder has no seeds


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
    """What one process makes, with nobody beside it."""
    folder = make_project("alone")
    ended = run(folder, *EVAL)
    assert ended.status == 0, ended.stderr
    assert len(trained(ended.stderr)) == STAGES
    assert len(json.loads(ended.stdout)) == CELLS
    return folder


def trained(said: str) -> list[str]:
    """The stages that a process has trained, by their labels."""
    return re.findall(r"^trained (.*) in [\d.]+ s$", said, re.MULTILINE)


def scored(said: str) -> list[str]:
    """The cells that a process has scored."""
    return re.findall(r"^scored (.*) \(", said, re.MULTILINE)


def check_whole(folder: Path, alone: Path, ended: list[Ended]) -> None:
    """All is there, as one process alone makes it, and each of them says so."""
    for one in ended:
        assert one.status == 0, one.stderr
        records: list[dict[str, Any]] = json.loads(one.stdout)
        assert [record["status"] for record in records] == ["done"] * CELLS
    keys = [[record["key"] for record in json.loads(one.stdout)] for one in ended]
    assert all(own == keys[0] for own in keys)
    assert essentials(folder) == essentials(alone)
    assert weights(folder) == weights(alone)
    page, expected = ((one / "leaderboard" / "README.md").read_text(encoding="utf-8") for one in (folder, alone))
    assert page == expected
    assert temporaries(folder) == []
    assert list((folder / "cache" / "locks").iterdir()) == []


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_work_and_do_nothing_twice(
    count: int, make_project: Callable[[str], Path], alone: Path
) -> None:
    folder = make_project(f"together-{count}")
    running = [start(folder, *EVAL) for _ in range(count)]
    ended = [one.ended() for one in running]
    check_whole(folder, alone, ended)
    by_all = Counter(label for one in ended for label in trained(one.stderr))
    assert len(by_all) == STAGES
    assert set(by_all.values()) == {1}
    cells = Counter(label for one in ended for label in scored(one.stderr))
    assert len(cells) == CELLS
    assert set(cells.values()) == {1}
    if count == 2:  # they share: neither had only to watch
        assert all(trained(one.stderr) or scored(one.stderr) for one in ended)


def held(folder: Path, kind: str) -> list[Path]:
    """The locks of a kind that some process holds now."""
    found = []
    for path in (folder / "cache" / "locks").glob(f"{kind}-*.lock"):
        try:
            with path.open("rb") as file:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(path)
        except FileNotFoundError:
            continue
    return found


def test_one_that_is_killed_with_a_stage_in_hand_stops_nobody(
    make_project: Callable[[str], Path], alone: Path
) -> None:
    folder = make_project("killed")
    running = [start(folder, *EVAL) for _ in range(2)]
    victim, other = running
    wait_until(victim, lambda: "train ./model" in victim.said() and not ended_last(victim))
    left = victim.end(signal.SIGKILL)
    assert left.status == -signal.SIGKILL
    ended = other.ended()
    assert ended.status == 0, ended.stderr
    begun = re.findall(r"^train (.*): \d+ examples", left.stderr, re.MULTILINE)
    assert begun[-1] not in trained(left.stderr)  # it fell in the middle of this one
    by_both = Counter(trained(left.stderr) + trained(ended.stderr))
    assert set(by_both.values()) == {1}
    assert len(by_both) == STAGES
    again = run(folder, *EVAL)
    assert trained(again.stderr) == scored(again.stderr) == []
    assert essentials(folder) == essentials(alone)
    assert weights(folder) == weights(alone)
    assert json.loads(again.stdout) == json.loads(ended.stdout)


def ended_last(running: Running) -> bool:
    """Whether the last stage that a process has begun is done."""
    said = running.said()
    begun = re.findall(r"^train (.*): \d+ examples", said, re.MULTILINE)
    return bool(begun) and begun[-1] in trained(said)
