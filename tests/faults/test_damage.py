"""Whatever is torn or altered on the disk is noticed by its checksum, named in one line, and made anew or refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .processes import essentials, run

STS = (
    "eval", "--model", "./model", "--tasks", "mini-sts", "--train", "mini-sts-en", "--head", "siamese",
    "--eval", "mini-sts-en,mini-sts-ko", "--set", "recipe.epochs=1", "--limit-train", "120",
    "--set", "recipe.selection=average", "--set", "recipe.candidates=2",
)  # fmt: skip
MAPS = ("eval", "--model", "./model", "--tasks", "mini-alignment", "--eval", "mini-parallel-ko/test")


@pytest.fixture(scope="module")
def whole(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all is as it was written."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "model").symlink_to(tiny("bert"))
    for command in (STS, MAPS):
        ended = run(folder, *command)
        assert ended.status == 0, ended.stderr
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """Another one of the same."""
    return shutil.copytree(whole, tmp_path / "copy", symlinks=True)


def flip(path: Path, keep_time: bool = False) -> Path:
    """Change one bit in the middle of a file, as a failing disk does: then its time of change stays the same."""
    state, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x04
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return path


def cut(path: Path) -> Path:
    """Take the last byte away."""
    os.truncate(path, path.stat().st_size - 1)
    return path


def one(folder: Path, pattern: str) -> Path:
    """The first file of a pattern."""
    return min(folder.glob(pattern))


def naming(said: str, *words: str) -> list[str]:
    """The lines that hold all of some words."""
    return [line for line in said.splitlines() if all(word in line for word in words)]


def test_what_a_run_meets_damaged_is_named_and_made_anew(whole: Path, copy: Path) -> None:
    cache = copy / "cache"
    weights = flip(one(cache, "stages/*/weights.safetensors"))
    rows = cut(one(cache, "datasets/mini-sts-en-train-*/rows.arrow"))
    table = flip(one(cache, "examples/*/ids.bin"))
    record = flip(one(copy, "leaderboard/results/mini-sts/*/*mini-sts-ko*.json"))
    kept = flip(one(cache, "kept/*/*.npy"))
    others = {path: path.read_bytes() for path in (copy / "leaderboard" / "results").rglob("*--mini-sts-en--*.json")}
    for memory in (cache / "digests").glob("*.json"):
        flip(memory)
    first, second = run(copy, *STS), run(copy, *MAPS)
    for ended in (first, second):
        assert ended.status == 0, ended.stderr
        assert "Traceback" not in ended.stderr
    assert len(naming(first.stderr, str(weights.parent), "is damaged: it is trained again")) == 1
    assert len(naming(first.stderr, str(rows.parent), "is damaged: its rows are prepared again")) == 1
    assert len(naming(first.stderr, str(record.relative_to(copy)), "its cell is scored again")) == 1
    assert len(naming(first.stderr + second.stderr, str(table.parent), "is damaged: its rows are tokenised again")) == 1
    assert len(naming(second.stderr, "what its head kept is not whole", "it is scored again")) == 1
    assert kept.read_bytes() == (whole / kept.relative_to(copy)).read_bytes()
    assert essentials(copy) == essentials(whole)
    assert {path: path.read_bytes() for path in others} == others
    assert weights.parent.with_name(f"{weights.parent.name}.damaged").is_dir()


@pytest.mark.more
def test_a_damaged_candidate_is_named_and_its_stage_trained_again(whole: Path, copy: Path) -> None:
    candidate = cut(one(copy / "cache", "candidates/*/step-*/weights.safetensors"))
    for path in (copy / "leaderboard" / "results" / "mini-sts").rglob("*.json"):
        path.unlink()
    ended = run(copy, *STS)
    assert ended.status == 0, ended.stderr
    assert len(naming(ended.stderr, str(candidate), "is damaged", "the stage is trained again")) == 1
    assert essentials(copy) == essentials(whole)


@pytest.mark.more
def test_verify_finds_what_changed_though_its_time_did_not(copy: Path) -> None:
    cache = copy / "cache"
    assert run(copy, "cache", "verify").status == 0
    damaged = {
        "stages": one(cache, "stages/*/weights.safetensors"), "candidates": one(cache, "candidates/*/*/weights.*"),
        "datasets": one(cache, "datasets/*/rows.arrow"), "examples": one(cache, "examples/*/targets.bin"),
        "predictions": one(cache, "predictions/*.parquet"), "kept": one(cache, "kept/*/*.npy"),
    }  # fmt: skip
    for path in damaged.values():
        flip(path, keep_time=True)
    before = sorted(path for path in cache.rglob("*") if path.is_file())
    found = run(copy, "cache", "verify", "--json")
    assert found.status == 1
    assert "Traceback" not in found.stderr
    for kind, path in damaged.items():
        item = path if kind == "predictions" else cache / path.relative_to(cache).parents[-3]
        assert len(naming(found.stderr, f"{item} is damaged")) == 1, found.stderr
    report = json.loads(found.stdout)
    assert {entry["kind"] for entry in report["damaged"]} - {"digests"} == set(damaged)
    assert report["removed"] == []
    assert sorted(path for path in cache.rglob("*") if path.is_file()) == before

    removed = run(copy, "cache", "verify", "--remove")
    assert removed.status == 1
    gone = {Path(entry["path"]) for entry in report["damaged"]}
    left = [path for path in before if not gone & {path, *path.parents}]
    assert sorted(path for path in cache.rglob("*") if path.is_file()) == left
    last = run(copy, "cache", "verify")
    assert last.status == 0, last.stderr


def test_damaged_predictions_are_refused(copy: Path) -> None:
    record = json.loads(one(copy, "leaderboard/results/mini-sts/*/*mini-sts-en-*.json").read_text(encoding="utf-8"))
    path = flip(copy / "cache" / "predictions" / f"{record['key']}.parquet")
    ended = run(copy, "leaderboard", "refresh")
    assert "Traceback" not in ended.stderr
    found = run(copy, "cache", "verify")
    assert found.status == 1
    assert len(naming(found.stderr, str(path), "delete the record of mini-sts: bert-0.1")) == 1


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda content: content[: len(content) // 2], "it is truncated or another version"),
        (lambda content: content.replace(b" playing ", b" plbying ", 1), "it was altered or is another dataset"),
    ],
    ids=["truncated", "one letter"],
)
def test_a_publishers_file_that_was_altered_is_refused_and_nothing_is_lost(
    whole: Path, copy: Path, data_root: Path, alter: Callable[[bytes], bytes], said: str
) -> None:
    data = copy / "data"
    shutil.copytree(data_root / "stsbenchmark", data / "stsbenchmark")
    path = data / "stsbenchmark" / "sts-test.csv"
    path.write_bytes(alter(path.read_bytes()))
    before = essentials(copy)
    ended = run(
        copy, "eval", "--model", "./model", "--tasks", "sts", "--train", "none", "--eval", "stsb", XBENCH_DATA=str(data)
    )
    assert ended.status == 2
    assert "Traceback" not in ended.stderr
    assert len(naming(ended.stderr, str(path), "dataset stsb", "split test")) == 1
    assert said in ended.stderr or "cannot be read" in ended.stderr
    assert essentials(copy) == before == essentials(whole)
