"""The real program is ended by a signal while a stage trains; the next run goes on from there to the same results."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .processes import Ended, Running, essentials, run, stages, start, temporaries, wait_until, weights

CURRICULUM = "mini-sts-en:mini-sts-ko"
EVAL = [
    "eval", "--model", "./model", "--tasks", "mini-sts", "--train", CURRICULUM, "--eval", "mini-sts-en,mini-sts-ko",
    "--head", "siamese", "--set", "recipe.epochs=6", "--set", "recipe.checkpoint_minutes=1e-6", "--limit-eval", "60",
]  # fmt: skip
SLOW = '''
import time
from pathlib import Path
from xbench.api import Dataset, Packaged, Split, hookimpl

def read(paths):
    Path("reading").touch()
    time.sleep(3600)
    yield {}

@hookimpl
def xbench_datasets():
    splits = {split: Split((Packaged((Path(__file__),), read),)) for split in ("train", "test")}
    return [Dataset("slow", ("en",), "pair-score", splits, "CC0", "nobody", "", "", score_range=(0.0, 5.0))]

@hookimpl
def xbench_tasks():
    yield """
name = "slow"
title = "t"
version = 1
train = ["slow"]
eval = ["slow"]
heads = ["siamese"]
metrics = ["spearman"]
curricula = ["slow"]
"""
'''


def place(folder: Path, model: Path) -> Path:
    """A folder to run in, with a model."""
    folder.mkdir()
    (folder / "model").symlink_to(model)
    return folder


@pytest.fixture(scope="module")
def whole(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run was not disturbed."""
    folder = place(tmp_path_factory.mktemp("faults") / "whole", tiny("xlm-roberta"))
    done = run(folder, *EVAL)
    assert done.status == 0, done.stderr
    assert "goes on" not in done.stderr
    return folder


def standing(folder: Path) -> list[int]:
    """The steps of the checkpoints that stand."""
    paths = (folder / "cache" / "unfinished").glob("*/step-*/checkpoint.json")
    return sorted(json.loads(path.read_text(encoding="utf-8"))["step"] for path in paths)


def broken_off(folder: Path, by: signal.Signals) -> Ended:
    """End a run when its second stage has a checkpoint."""

    def second_has_one(running: Running) -> bool:
        return running.said().count("train ./model") == 2 and bool(list(folder.glob("cache/unfinished/*/step-*")))

    running = start(folder, *EVAL)
    wait_until(running, lambda: second_has_one(running))
    return running.end(by)


@pytest.mark.parametrize("by", [pytest.param(signal.SIGKILL, marks=pytest.mark.more), signal.SIGINT, signal.SIGTERM])
def test_the_next_run_goes_on_and_ends_as_if_nothing_had_been(
    whole: Path, tiny: Callable[..., Path], tmp_path: Path, by: signal.Signals
) -> None:
    folder = place(tmp_path / "broken", tiny("xlm-roberta"))
    ended = broken_off(folder, by)
    assert ended.status == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[by], ended.stderr
    assert ended.stdout == ""
    kept = standing(folder)
    assert len(kept) == 1 or (by != signal.SIGTERM and len(kept) == 2)  # the older one goes when the new one stands
    if by != signal.SIGKILL:
        last = ended.stderr.splitlines()[-1]
        assert "Traceback" not in ended.stderr
        says = r"xbench: interrupted: 0 of 2 cells are done; (.+) has a checkpoint of step (\d+) of (\d+); the same "
        found = re.fullmatch(f"{says}command goes on from there", last)
        assert found, last
        assert found[1] == f"./model siamese {CURRICULUM} seed 0"
        assert int(found[2]) == kept[-1]
        assert temporaries(folder) == []
    done = run(folder, *EVAL)
    assert done.status == 0, done.stderr
    # From the very last one that stood, and the first stage not at all.
    assert re.findall(r"goes on from step (\d+) of \d+ \(checkpoint of \d\d:\d\d\)", done.stderr) == [str(kept[-1])]
    assert "found ./model siamese mini-sts-en seed 0" in done.stderr
    assert weights(folder) == weights(whole)
    assert essentials(folder) == essentials(whole)
    assert sorted(manifest["resumed"] for manifest in stages(folder).values()) == [0, 1]
    assert list((folder / "cache" / "unfinished").iterdir()) == []


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_where_nothing_trains_a_signal_stops_at_once(
    tiny: Callable[..., Path], tmp_path: Path, by: signal.Signals
) -> None:
    folder = place(tmp_path / "slow", tiny("xlm-roberta"))
    (folder / "slow.py").write_text(SLOW, encoding="utf-8")
    running = start(folder, "eval", "--plugin", "slow.py", "--model", "./model", "--tasks", "slow")
    wait_until(running, (folder / "reading").exists)
    ended = running.end(by)
    assert ended.status == 128 + by
    assert ended.stderr.splitlines()[-1] == (
        "xbench: interrupted: 0 of 1 cells are done; the same command goes on from there"
    )
    assert "Traceback" not in ended.stderr
    assert temporaries(folder) == []
