"""A disk that is full, read-only or forbidden: one line, nothing lost, and the same command goes on from there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .disks import Session, can_mount
from .processes import Ended, essentials, run, temporaries

EVAL = (
    "eval", "--model", "./model", "--tasks", "mini-sts", "--train", "mini-sts-en", "--head", "siamese",
    "--eval", "mini-sts-en,mini-sts-ko", "--set", "recipe.epochs=1", "--limit-train", "120",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run was not disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "model").symlink_to(tiny("bert"))
    ended = run(folder, *EVAL)
    assert ended.status == 0, ended.stderr
    assert len(essentials(folder)) == 2
    return folder


@pytest.fixture
def fresh(whole: Path, tmp_path: Path) -> Path:
    """A folder in which nothing has run yet."""
    (tmp_path / "model").symlink_to((whole / "model").resolve())
    return tmp_path


def line_of(ended: Ended, *words: str) -> str:
    """The one line of a run that could not go on."""
    assert ended.status == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "FAILED" not in ended.stderr  # no cell after the other, each with the same words
    lines = [line for line in ended.stderr.splitlines() if line.startswith("xbench: ")]
    assert lines == ended.stderr.splitlines()[-1:]
    for word in ("name another place with --", "what is finished is kept", *words):
        assert word in lines[0]
    return lines[0]


def test_a_disk_that_fills_up_at_any_stage_loses_nothing(whole: Path, fresh: Path) -> None:
    cache = fresh / "cache"
    session = Session(fresh, can_mount())
    sizes = (24, 140, 230) if session.mounts else (8, 20, 40)  # in all, or for one file
    session.small(cache, sizes[0])
    session.run(*EVAL)
    for size in (*sizes[1:], 100_000):
        session.room(cache, size)
        session.run(*EVAL)
    session.keep(cache, fresh / "kept")
    *stopped, last = session.ended()
    said = "the disk is full" if session.mounts else "no file may become as large here"
    places = [line_of(ended, said).split(":")[1].strip() for ended in stopped]
    kinds = [Path(place).relative_to(cache).parts[0] for place in places]
    assert {"datasets", "stages"} <= {*kinds}, places
    assert last.status == 0, last.stderr
    assert essentials(fresh) == essentials(whole)
    assert not [path for path in (fresh / "kept").rglob("*") if path.name[0] == "."]


@pytest.mark.more
def test_a_limit_on_files_is_named_and_can_be_raised(whole: Path, fresh: Path) -> None:
    session = Session(fresh, mounts=False)
    session.small(fresh / "cache", 30)
    session.run(*EVAL)
    session.room(fresh / "cache", 100_000)
    session.run(*EVAL)
    stopped, last = session.ended()
    line_of(stopped, "no file may become as large here", "ulimit -f")
    assert last.status == 0, last.stderr
    assert essentials(fresh) == essentials(whole)
    assert temporaries(fresh) == []


@pytest.mark.more
def test_a_full_results_folder_stops_before_more_is_scored_and_nothing_is_trained_again(
    whole: Path, fresh: Path
) -> None:
    out, session = fresh / "leaderboard", Session(fresh, can_mount())
    session.small(out, 4 if session.mounts else 1)
    session.run(*EVAL)
    session.room(out, 100_000)
    session.run(*EVAL)
    session.keep(out, fresh / "kept")
    stopped, last = session.ended()
    line_of(stopped)
    assert last.status == 0, last.stderr
    assert ("trained " in last.stderr) != session.mounts  # what the limit on files did not let be kept is trained then
    assert essentials(fresh, "kept") == essentials(whole)


@pytest.mark.parametrize("name", ["cache", "leaderboard"])
def test_where_nothing_may_be_written_nothing_is_begun(fresh: Path, name: str) -> None:
    (fresh / name).mkdir()
    (fresh / name).chmod(0o555)
    ended = run_bound(fresh, *EVAL)
    line_of(ended, "Permission denied", str(name))
    assert "train " not in ended.stderr
    assert list((fresh / name).iterdir()) == []


def test_finished_work_is_found_where_nothing_may_be_written(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    before = essentials(folder)
    session = Session(folder, can_mount())
    for name in ("cache", "leaderboard"):
        if session.mounts:
            session.read_only(folder / name)
    session.run(*EVAL)
    (ended,) = session.ended()
    assert ended.status == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert essentials(folder) == before


@pytest.mark.more
def test_a_read_only_disk_is_told_before_training(whole: Path, fresh: Path) -> None:
    shutil.copytree(whole / "cache", fresh / "cache")
    shutil.rmtree(fresh / "cache" / "stages")
    if not can_mount():
        for path in (fresh / "cache", *(fresh / "cache").rglob("*")):
            path.chmod(path.stat().st_mode & ~0o222)
        ended = run_bound(fresh, *EVAL)
    else:
        session = Session(fresh, mounts=True)
        session.read_only(fresh / "cache")
        session.run(*EVAL)
        (ended,) = session.ended()
    line_of(ended, str(fresh / "cache"))
    assert "train " not in ended.stderr


@pytest.mark.more
def test_what_may_not_be_read_is_refused_and_stays(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    shutil.rmtree(folder / "leaderboard")
    (weights,) = (folder / "cache" / "stages").glob("*/weights.safetensors")
    before = weights.read_bytes()
    weights.chmod(0)
    for path in (folder / "cache" / "digests").iterdir():
        path.unlink()
    ended = run_bound(folder, *EVAL)
    weights.chmod(0o644)
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    assert f"{weights} cannot be read (Permission denied)" in ended.stderr
    assert weights.read_bytes() == before


def run_bound(folder: Path, *arguments: str) -> Ended:
    """Run the program as somebody whom permission bits bind."""
    session = Session(folder, mounts=False, as_user=True)
    session.run(*arguments)
    (ended,) = session.ended()
    return ended
