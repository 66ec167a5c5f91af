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

from .processes import ROOT, Ended, Running, begun, essentials, run, start, temporaries, trained, wait_until, weights

EVAL = (
    "eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--seeds", "0,1", "--json",
    "--train", "none", "--train", "my-pairs-en", "--train", "my-pairs-de", "--train", "my-pairs-en:my-pairs-de",
)  # fmt: skip
STAGES, CELLS = 6, 14  # a frozen encoder has no seeds


@pytest.fixture(scope="module")
def alone(make_project: Callable[..., Path]) -> Path:
    """What one process makes, with nobody beside it."""
    folder = make_project("alone")
    ended = run(folder, *EVAL)
    assert ended.status == 0, ended.stderr
    assert len(trained(ended.stderr)) == STAGES
    assert len(json.loads(ended.stdout)) == CELLS
    return folder


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
    assert list((folder / "cache" / "locks").iterdir()) == []


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.more)])
def test_processes_share_the_work_and_do_nothing_twice(
    count: int, make_project: Callable[..., Path], alone: Path
) -> None:
    folder = make_project(f"together-{count}")
    running = [start(folder, *EVAL) for _ in range(count)]
    ended = [one.ended() for one in running]
    check_whole(folder, alone, ended)
    assert temporaries(folder) == []
    by_all = Counter(label for one in ended for label in trained(one.stderr))
    assert len(by_all) == STAGES
    assert set(by_all.values()) == {1}
    cells = Counter(label for one in ended for label in scored(one.stderr))
    assert len(cells) == CELLS
    assert set(cells.values()) == {1}
    if count == 2:  # they share: neither had only to watch
        assert all(trained(one.stderr) or scored(one.stderr) for one in ended)


def test_one_that_is_killed_with_a_stage_in_hand_stops_nobody(make_project: Callable[..., Path], alone: Path) -> None:
    folder = make_project("killed")
    running = [start(folder, *EVAL) for _ in range(2)]
    victim, other = running
    wait_until(victim, lambda: stopped_in_a_stage(victim))
    left = victim.end(signal.SIGKILL)
    assert list((folder / "cache" / "locks").glob("stage-*.lock"))  # its file is still there
    assert left.status == -signal.SIGKILL
    ended = other.ended()
    assert ended.status == 0, ended.stderr
    assert begun(left.stderr)[-1] not in trained(left.stderr)  # it fell in the middle of this one
    by_both = Counter(trained(left.stderr) + trained(ended.stderr))
    assert set(by_both.values()) == {1}
    assert len(by_both) == STAGES
    again = run(folder, *EVAL)
    assert trained(again.stderr) == scored(again.stderr) == []
    assert list((folder / "cache" / "locks").iterdir()) == []
    assert essentials(folder) == essentials(alone)
    assert weights(folder) == weights(alone)
    assert json.loads(again.stdout) == json.loads(ended.stdout)


def in_a_stage(running: Running) -> bool:
    """Whether a process is training."""
    said = running.said()
    return bool(begun(said)) and begun(said)[-1] not in trained(said)


def stopped_in_a_stage(running: Running) -> bool:
    """Stop a process while it trains; it goes on where it was faster than that."""
    if in_a_stage(running):
        running.process.send_signal(signal.SIGSTOP)
        cache = running.folder / "cache"
        taken = [path.stem.removeprefix("stage-") for path in (cache / "locks").glob("stage-*.lock")]
        if in_a_stage(running) and not any((cache / "stages" / key).exists() for key in taken):
            return True
        running.process.send_signal(signal.SIGCONT)
    return False


def test_children_of_one_process_do_the_same_as_it_alone(make_project: Callable[..., Path], alone: Path) -> None:
    folder = make_project("children")
    ended = run(folder, *EVAL, "--workers", "2")
    check_whole(folder, alone, [ended])
    assert len(trained(ended.stderr)) == len(set(trained(ended.stderr))) == STAGES
    assert len(scored(ended.stderr)) == len(set(scored(ended.stderr))) == CELLS


def children_of(process: int) -> list[int]:
    """The processes that a process has started to do turns."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == process and b"spawn_main" in command:
            found.append(int(path.name))
    return found


@pytest.mark.more
def test_the_turn_of_a_child_that_dies_is_done_by_another_one(make_project: Callable[..., Path], alone: Path) -> None:
    folder = make_project("child-killed")
    running = start(folder, *EVAL, "--workers", "2")
    wait_until(running, lambda: "train ./model" in running.said() and children_of(running.process.pid))
    os.kill(children_of(running.process.pid)[0], signal.SIGKILL)
    ended = running.ended()
    assert "its process was killed (SIGKILL): it is done once more" in ended.stderr
    check_whole(folder, alone, [ended])


@pytest.mark.more
def test_children_end_with_their_parent(make_project: Callable[..., Path], alone: Path) -> None:
    folder = make_project("parent-killed")
    running = start(folder, *EVAL, "--workers", "2")
    wait_until(running, lambda: "train ./model" in running.said())
    children = children_of(running.process.pid)
    assert children
    running.end(signal.SIGKILL)
    again = run(folder, *EVAL)
    assert again.status == 0, again.stderr
    assert not any(Path(f"/proc/{child}/cmdline").exists() for child in children)
    assert essentials(folder) == essentials(alone)


DEADLY = """
import dataclasses, os
from tests.tiny import WORDS
from xbench.api import hookimpl
from xbench.registry import load_registry

@hookimpl
def xbench_heads():
    whole = load_registry().heads.get("siamese")
    def examples(rows, first, tokenizer, context):
        if not {word for row in rows for word in row["sentence1"].split()}.isdisjoint(WORDS[128:]):
            os._exit(7)
        return whole.examples(rows, first, tokenizer, context)
    return [dataclasses.replace(whole, name="deadly", examples=examples)]
"""


@pytest.mark.more
def test_what_kills_its_process_twice_fails_alone(make_project: Callable[..., Path]) -> None:
    folder = make_project("deadly")
    (folder / "deadly.py").write_text(DEADLY, encoding="utf-8")
    ended = run(
        folder, *EVAL[:7], "--plugin", "deadly.py", "--head", "deadly", "--workers", "2", "--json",
        "--train", "my-pairs-en", "--train", "my-pairs-de", "--train", "my-pairs-de:my-pairs-en",
        "--eval", "my-pairs-en", PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    )  # fmt: skip
    assert ended.status == 1, ended.stderr
    records = json.loads(ended.stdout)
    assert [(record["status"], record["curriculum"]) for record in records] == [
        ("done", "my-pairs-en"), ("failed", "my-pairs-de"), ("failed", "my-pairs-de:my-pairs-en"),
    ]  # fmt: skip
    assert {record.get("error") for record in records[1:]} == {"its process ended with status 7, 2 times"}
    assert ended.stderr.count("it is done once more") == 1
    assert "Traceback" not in ended.stderr
