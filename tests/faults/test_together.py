"""Two real processes train a stage together: the same as one does, whatever befalls either."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from xbench.testing.encoders import tiny_encoder

from .processes import Ended, Running, essentials, launch, run, stages, start, temporaries, wait_until, weights

PLUGIN = Path(__file__).with_name("stumbling_heads.py")
TASKS = '''
from xbench.api import hookimpl

TASK = """
name = "NAME"
title = "t"
version = 1
train = ["mini-KIND-en", "mini-KIND-ko"]
eval = ["mini-KIND-en", "mini-KIND-ko"]
heads = ["HEAD"]
metrics = ["METRIC"]
curricula = [CURRICULA]
recipe = { lr = 1e-2, epochs = 2, batch_size = 16, max_length = 256, precision = "fp32", MORE }
"""

def task(name, kind, head, metric, curricula, more):
    text = TASK.replace("NAME", name).replace("KIND", kind).replace("HEAD", head).replace("METRIC", metric)
    return text.replace("CURRICULA", curricula).replace("MORE", more)

@hookimpl
def xbench_tasks():
    both = '"mini-sts-en:mini-sts-ko", "mini-sts-en+mini-sts-ko"'
    yield task("whole", "sts", "siamese", "pearson", both, "warmup = 0.1")
    yield task("adapter", "sts", "cross-encoder", "pearson", both.split(",")[0], 'tuning = "lora", lora_rank = 4')
    more = "weight_decay = 0.01, stride = 16, micro_batch_tokens = 600"
    yield task("reading", "mrc", "span", "official", '"mini-mrc-en"', more)
'''
EQUAL = [
    "eval", "--plugin", "tasks.py", "--tasks", "whole,adapter,reading", "--limit-train", "17", "--limit-eval", "24",
    "--device", "cpu", "--model",
]  # fmt: skip
# 17 rows in batches of 16 leave one for the last step, in which a process has nothing to do.
LONG = [
    "eval", "--model", "./dry", "--tasks", "mini-sts", "--train", "mini-sts-en", "--eval", "mini-sts-en",
    "--head", "siamese", "--set", "recipe.epochs=60", "--set", "recipe.checkpoint_minutes=1e-6", "--set",
    "recipe.precision=fp32", "--limit-train", "48", "--limit-eval", "40",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a new folder to run in, with a model without dropout, one with, and tasks."""
    root = tmp_path_factory.mktemp("together")
    tiny_encoder(root / "models" / "dry")
    tiny_encoder(root / "models" / "wet", dropout=0.1)

    def make(name: str) -> Path:
        (root / name).mkdir()
        for model in (root / "models").iterdir():
            (root / name / model.name).symlink_to(model)
        (root / name / "tasks.py").write_text(TASKS, encoding="utf-8")
        return root / name

    return make


def losses(folder: Path) -> dict[tuple[str, int], float]:
    """The loss of every step of every stage."""
    lines = (folder / "losses.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert len({(stage, step) for stage, step, _ in found}) == len(found)  # each was told once
    return {(stage, step): loss for stage, step, loss in found}


def files(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of every finished stage."""
    paths = (folder / "cache" / "stages").glob("*/*.safetensors")
    return {f"{path.parent.name}/{path.name}": load_file(path) for path in sorted(paths)}


@pytest.mark.parametrize("model", [pytest.param("dry", marks=pytest.mark.more), "wet"])
def test_two_processes_learn_what_one_learns(model: str, place: Callable[[str], Path]) -> None:
    alone, together = place(f"{model}-alone"), place(f"{model}-both")
    told, asked = [str(Path(__file__).with_name("every_loss.py"))], [*EQUAL, f"./{model}"]
    first, second = start(alone, *asked, program=told).ended(), launch(together, *asked, program=told).ended()
    for ended in (first, second):
        assert ended.status == 0, ended.stderr
    # One of the two has spoken.
    assert second.stderr.count(f"train ./{model}") == first.stderr.count(f"train ./{model}") == 6
    assert [second.stdout.count(f"{task} · {model} ") for task in ("whole", "adapter", "reading")] == [1] * 3
    assert {one["environment"]["processes"] for one in stages(together).values()} == {2}
    one, two = losses(alone), losses(together)
    assert list(one) == list(two)
    assert len({stage for stage, _ in one}) == 6
    np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=5e-5)
    ours, theirs = files(together), files(alone)
    assert ours.keys() == theirs.keys()
    for file, tensors in theirs.items():
        assert ours[file].keys() == tensors.keys()
        for name, weight in tensors.items():
            if not name.endswith("key.bias"):  # softmax cancels these, so that only rounding moves them
                torch.testing.assert_close(ours[file][name], weight, atol=2e-4, rtol=1e-3, msg=f"{file} {name}")
    _same_records(together, alone)
    assert temporaries(together) == []


def _same_records(folder: Path, other: Path) -> None:
    """The same keys, and scores that differ in no digit that counts."""
    ours, theirs = essentials(folder), essentials(other)
    assert ours.keys() == theirs.keys()
    for path, record in theirs.items():
        for name in ("key", "stages", "recipe", "train", "eval"):
            assert ours[path][name] == record[name]
        assert ours[path]["scores"] == pytest.approx(record["scores"], abs=0.01), path


def test_what_befalls_one_of_them_is_told_and_ends_one_stage_alone(place: Callable[[str], Path]) -> None:
    folder = place("stumbling")
    ended = launch(
        folder, "eval", "--plugin", str(PLUGIN), "--model", "./dry", "--tasks", "stumbling", "--limit-train", "48",
        "--limit-eval", "24", "--device", "cpu",
    ).ended()  # fmt: skip
    assert ended.status == 1
    failures = dict(re.findall(r"FAILED stage \./dry (\S+) mini-sts-en seed 0: (.*)", ended.stderr))
    assert failures.pop("bug-there") == "RuntimeError: process 1 of 2: RuntimeError: stumbled"
    assert failures.pop("bug-here") == "RuntimeError: stumbled"
    assert failures.pop("nan-there").startswith("in fp32 the loss is nan at step 1 of ")
    assert failures.pop("other-there").startswith("RuntimeError: after step 0 process 1 of 2 has other weights")
    assert failures.pop("tiny-there").startswith("out of memory with a single example of ")
    assert failures == {}
    # The bug's own traceback, from where it happened, and not a second one of the other process.
    assert ended.stderr.count('raise RuntimeError("stumbled")') == 2
    assert ended.stderr.count("there:\nTraceback") == 1
    assert ended.stderr.count("out of memory with 1536 tokens at once") == 1
    scores = {record["head"]: record["scores"] for record in _records(folder) if record["status"] == "done"}
    assert sorted(scores) == ["siamese", "small-there"]
    assert scores["small-there"] == pytest.approx(scores["siamese"], abs=0.01)


def _records(folder: Path) -> list[dict[str, Any]]:
    paths = (folder / "leaderboard" / "results").rglob("*.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def ranks(running: Running) -> dict[int, psutil.Process]:
    """The processes that a launcher has started."""
    children = psutil.Process(running.process.pid).children()
    return {int(child.environ()["RANK"]): child for child in children if "RANK" in child.environ()}


# How each ends a launch, and what is said of it then by the one that speaks, if that one is still there.
ENDS: dict[str, tuple[Callable[[Running], None], str]] = {
    "it is asked to": (lambda running: running.process.send_signal(signal.SIGTERM), "interrupted"),
    "the one that follows dies": (
        lambda running: ranks(running)[1].kill(), "another of the 2 processes of this launch has ended"
    ),
    "the one that speaks dies": (lambda running: ranks(running)[0].kill(), ""),
}  # fmt: skip


def broken_off(folder: Path, end: Callable[[Running], None]) -> Ended:
    """Let something end a launch when it has a checkpoint of a good many steps more than it began with."""

    def step() -> int:
        paths = (folder / "cache" / "unfinished").glob("*/step-*")
        return max((int(path.name.split("-")[1]) for path in paths), default=0)

    before = step()
    running = launch(folder, *LONG)
    wait_until(running, lambda: step() >= before + 15)
    started = ranks(running)
    assert sorted(started) == [0, 1]
    end(running)
    ended = running.ended()
    _, alive = psutil.wait_procs(started.values(), timeout=60)
    assert not alive
    return ended


@pytest.mark.parametrize("ways", [pytest.param(list(ENDS), marks=pytest.mark.more), list(ENDS)[1:2]], ids=len)
def test_a_launch_that_is_ended_in_any_way_goes_on(ways: list[str], place: Callable[[str], Path]) -> None:
    whole, folder = place(f"undisturbed-{len(ways)}"), place(f"ended-{len(ways)}")
    done = launch(whole, *LONG).ended()
    assert done.status == 0, done.stderr
    runs = [broken_off(folder, ENDS[way][0]) for way in ways]
    says = r"0 of 1 cells are done; \./dry siamese mini-sts-en seed 0 has a checkpoint of step \d+ of 180; "
    for way, ended in zip(ways, runs, strict=True):
        assert ended.status != 0
        assert not ENDS[way][1] or re.search(f"xbench: {ENDS[way][1]}: {says}", ended.stderr), ended.stderr
    shutil.copytree(folder, folder.with_name(f"one-{len(ways)}"), symlinks=True)
    again = launch(folder, *LONG).ended()
    assert again.status == 0, again.stderr
    for ended in (*runs[1:], again):
        assert len(re.findall(r"goes on from step \d+ of 180", ended.stderr)) == 1, ended.stderr
    for ended in (*runs, again):
        assert ended.stderr.count("xbench: ") <= 1  # nothing from the one that follows
    # With two processes the sums have one order, so that the bits are those of a launch that nothing befell.
    assert weights(folder) == weights(whole)
    assert essentials(folder) == essentials(whole)
    assert [one["resumed"] for one in stages(folder).values()] == [len(ways)]
    assert list((folder / "cache" / "unfinished").iterdir()) == []
    alone = run(folder.with_name(f"one-{len(ways)}"), *LONG)
    assert alone.status == 0, alone.stderr
    assert "written with other processes (2, here 1): the last bits may differ" in alone.stderr
    assert len(re.findall(r"goes on from step \d+ of 180", alone.stderr)) == 1
    _same_records(folder.with_name(f"one-{len(ways)}"), whole)


def test_a_mistake_is_said_once(place: Callable[[str], Path]) -> None:
    ended = launch(place("mistaken"), "eval", "--model", "./dry", "--tasks", "stz").ended()
    assert ended.status != 0
    assert ended.stderr.count("xbench: ") == 1
    assert "xbench: unknown task 'stz'" in ended.stderr


def test_a_process_that_follows_plans_and_says_nothing(place: Callable[[str], Path]) -> None:
    variables = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    arguments = ["eval", "--model", "./dry", "--tasks", "mini-sts", "--dry-run"]
    ended = start(place("silent"), *arguments, **variables).ended()
    assert ended == Ended(0, "", "")
    assert "RANK" not in os.environ
