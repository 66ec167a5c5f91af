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

from .processes import Ended, begun, essentials, run, start, temporaries, trained, wait_until, weights
from .ray_cluster import SMALL, cluster_of, destroy, doing, wait_idle

ASKED = (
    "eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--json",
    "--train", "none", "--train", "my-pairs-en:my-pairs-de", "--train", "my-pairs-de", "--set", "recipe.epochs=10",
)  # fmt: skip
ON_RAY = ("--executor", "ray")
STAGES, TRAIN_ROWS = 3, 240


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes with a CPU each."""
    with cluster_of(3) as made:
        yield made


@pytest.fixture(scope="module")
def alone(make_project: Callable[..., Path]) -> Path:
    """What the local executor makes on one thread."""
    folder = make_project("alone", TRAIN_ROWS)
    ended = run(folder, *ASKED)
    assert ended.status == 0, ended.stderr
    assert len(trained(ended.stderr)) == STAGES
    return folder


def failed(said: str) -> list[str]:
    """What failed, in the order of its names."""
    return sorted(re.findall(r"^FAILED .*$", said, re.MULTILINE))


def outcomes(printed: str) -> list[tuple[Any, ...]]:
    """Of each cell its status, and its key or what is said of its failure."""
    return [(one["status"], one.get("key"), one.get("error")) for one in json.loads(printed)]


def check_whole(folder: Path, alone: Path, ended: Ended) -> None:
    """All is as the local executor makes it."""
    assert ended.status == 0, ended.stderr
    assert essentials(folder) == essentials(alone)
    assert weights(folder) == weights(alone)
    page, expected = ((one / "leaderboard" / "README.md").read_text(encoding="utf-8") for one in (folder, alone))
    assert page == expected
    assert [record["status"] for record in json.loads(ended.stdout)] == ["done"] * len(essentials(alone))
    assert temporaries(folder) == []


@pytest.mark.more
def test_a_cluster_gives_what_one_process_gives(
    cluster: Any, make_project: Callable[..., Path], alone: Path
) -> None:  # fmt: skip
    folder = make_project("whole", TRAIN_ROWS)
    ended = run(folder, *ASKED, *ON_RAY, RAY_ADDRESS=cluster.address)
    check_whole(folder, alone, ended)
    assert Counter(begun(ended.stderr)) == Counter(trained(ended.stderr)) == Counter(set(trained(ended.stderr)))
    assert len(trained(ended.stderr)) == STAGES
    assert "Ray cluster of 3 nodes" in ended.stderr
    noise = [line for line in ended.stderr.splitlines() if "ray::" in line or "(pid=" in line or "WARNING" in line]
    assert noise == []


def test_a_node_that_is_lost_costs_its_turn_only(
    cluster: Any, make_project: Callable[..., Path], alone: Path
) -> None:  # fmt: skip
    folder = make_project("lost", TRAIN_ROWS)
    running = start(folder, *ASKED, *ON_RAY, RAY_ADDRESS=cluster.address)
    found: list[tuple[Any, str]] = []

    def one_trains() -> bool:
        """Whether a stage is in the middle of its steps, on another node than the driver's."""
        said = running.said()
        going = {f"stage {label}": label for label in set(begun(said)) - set(trained(said))}
        found[:] = [
            (node, going[name]) for node in cluster.worker_nodes for name in doing(node) if name in going
        ]  # fmt: skip
        return bool(found)

    wait_until(running, one_trains)
    node, label = found[0]
    assert destroy(node) > 1
    ended = running.ended()
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**SMALL)
    check_whole(folder, alone, ended)
    assert re.search(rf"^note: stage {re.escape(label)}: lost on \S+ \(.*\); it is done again$", ended.stderr, re.M)
    assert Counter(begun(ended.stderr)) == {one: 1 + (one == label) for one in trained(ended.stderr)}
    assert len(trained(ended.stderr)) == STAGES


@pytest.mark.more
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nothing_going_on(
    by: signal.Signals, cluster: Any, make_project: Callable[..., Path], alone: Path
) -> None:  # fmt: skip
    folder = make_project(by.name, TRAIN_ROWS)
    running = start(folder, *ASKED, *ON_RAY, RAY_ADDRESS=cluster.address)
    wait_until(running, lambda: begun(running.said()))
    stopped = running.end(by)
    assert stopped.status == 128 + by, stopped.stderr
    assert "the same command goes on from" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    wait_idle(cluster)
    ended = run(folder, *ASKED)
    assert not set(trained(stopped.stderr)) & set(begun(ended.stderr))
    check_whole(folder, alone, ended)


@pytest.mark.more
def test_a_stage_that_fails_by_itself_is_not_done_again(
    cluster: Any, make_project: Callable[..., Path]
) -> None:  # fmt: skip
    asked = (*ASKED, "--set", "recipe.lr=1e30")
    here, there = make_project("fails-here", TRAIN_ROWS), make_project("fails-there", TRAIN_ROWS)
    local = run(here, *asked)
    ended = run(there, *asked, *ON_RAY, RAY_ADDRESS=cluster.address)
    assert ended.status == local.status == 1
    assert outcomes(ended.stdout) == outcomes(local.stdout)
    assert {status for status, *_ in outcomes(ended.stdout)} == {"done", "failed"}
    assert Counter(begun(ended.stderr)) == Counter(begun(local.stderr))
    assert failed(ended.stderr) == failed(local.stderr) != []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:9", "no Ray cluster is there: RAY_ADDRESS=127.0.0.1:9 does not answer"),
        ("ray://127.0.0.1:10001", "name the head as HOST:PORT"),
        ("local", "name the head as HOST:PORT"),
        ("nonsense", "write HOST:PORT"),
    ],
)
def test_without_a_cluster_one_line_says_so(
    address: str, reason: str, make_project: Callable[..., Path]
) -> None:  # fmt: skip
    folder = make_project("none", TRAIN_ROWS)
    ended = run(folder, *ASKED, *ON_RAY, RAY_ADDRESS=address)
    assert ended.status == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("xbench: ")
    assert reason in line
    assert not (folder / "cache" / "stages").exists()
