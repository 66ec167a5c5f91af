"""A reader never sees half a file or half a folder, and a checksum is never that of another content."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xbench.caching.temporaries import stale_temporaries
from xbench.files import Digests, atomic_file, new_folder, write_atomic, write_json


class FullDiskError(OSError):
    """What the system says when nothing more can be written."""


@pytest.fixture
def mask() -> Iterator[None]:
    """A user who shares files with a group and nobody else."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def refuse(*_: Any, **__: Any) -> None:
    raise FullDiskError("no space left")


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_written_whole_and_its_folder_with_it(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "file", b"one")
    write_atomic(tmp_path / "a" / "b" / "file", b"two")
    assert content(tmp_path) == {"a/b/file": b"two"}


@pytest.mark.parametrize("step", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_write_that_fails_leaves_everything_as_it_was(
    step: str, before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is not None:
        (tmp_path / "file").write_bytes(before)
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(FullDiskError):
        write_atomic(tmp_path / "file", b"new")
    assert content(tmp_path) == ({} if before is None else {"file": before})


def test_an_interrupted_write_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"new")
    assert content(tmp_path) == {"file": b"old"}


def test_a_reader_sees_the_old_content_or_the_new_and_nothing_else(tmp_path: Path) -> None:
    versions = [bytes([65 + index]) * 200_000 for index in range(8)]
    write_atomic(tmp_path / "file", versions[0])
    writer = threading.Thread(target=lambda: [write_atomic(tmp_path / "file", one) for one in versions])
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add((tmp_path / "file").read_bytes())
    writer.join()
    assert seen <= set(versions)
    assert content(tmp_path) == {"file": versions[-1]}


def test_files_and_folders_follow_the_users_mask(tmp_path: Path, mask: None) -> None:
    write_atomic(tmp_path / "file", b"x")
    with new_folder(tmp_path / "folder"):
        pass
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_json_for_people_reads_back_and_keeps_its_letters(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "훈련 ñ"}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "훈련 ñ" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_json_that_is_none_is_refused_before_anything_is_touched(value: object, tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "x.json", {"a": value})
    assert content(tmp_path) == {"x.json": b"1\n"}


def test_a_folder_appears_only_when_it_is_done(tmp_path: Path) -> None:
    target = tmp_path / "parent" / "folder"
    with new_folder(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"x")
        assert folder.parent == target.parent  # renaming works only within one file system
        assert folder.name.startswith(".")
        assert not target.exists()
    assert content(tmp_path) == {"parent/folder/inner/file": b"x"}
    assert os.listdir(target.parent) == ["folder"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_folder_that_fails_leaves_no_trace(error: type[BaseException], tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "folder") as folder:
            (folder / "file").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert os.listdir(tmp_path) == []


def test_the_loser_of_a_race_is_dropped(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with new_folder(target) as slow:
        (slow / "file").write_bytes(b"slow")
        with new_folder(target) as fast:
            (fast / "file").write_bytes(b"fast")
    assert content(tmp_path) == {"folder/file": b"fast"}
    assert os.listdir(tmp_path) == ["folder"]


def test_a_rename_that_fails_for_another_reason_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"a file stands in the way")
    with pytest.raises(OSError, match="folder"), new_folder(tmp_path / "folder"):
        pass
    assert os.listdir(tmp_path) == ["folder"]


def test_many_writers_of_one_folder_leave_one_whole_folder(tmp_path: Path) -> None:
    barrier = threading.Barrier(6)

    def fill(number: int) -> None:
        with new_folder(tmp_path / "folder") as folder:
            for name in ("a", "b", "c"):
                (folder / name).write_bytes(bytes([number]))
            barrier.wait()

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["folder"]
    assert len(set(content(tmp_path / "folder").values())) == 1


def change(path: Path, data: bytes) -> None:
    """Write and step the clock: file systems have clocks coarser than a test is fast."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(data)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_changed_file_is_noticed_even_at_the_same_size(tmp_path: Path) -> None:
    path, digests = tmp_path / "file", Digests(tmp_path / "memory")
    for data in (b"one", b"two", b"longer", b"", b"one"):
        change(path, data)
        assert digests.sha256(path) == digests.sha256(path) == hashlib.sha256(data).hexdigest()


def test_a_replaced_file_is_noticed_even_at_the_same_size_and_time(tmp_path: Path) -> None:
    path, digests = tmp_path / "file", Digests(tmp_path / "memory")
    path.write_bytes(b"one")
    digests.sha256(path)
    (tmp_path / "other").write_bytes(b"two")
    times = path.stat()
    os.utime(tmp_path / "other", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(tmp_path / "other", path)
    assert digests.sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    change(path, b"one")
    Digests(tmp_path / "memory").sha256(path)
    seen = path.stat()
    with path.open("r+b") as file:  # behind its back: the same size, time and place
        file.write(b"two")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert Digests(tmp_path / "memory").sha256(path) == hashlib.sha256(b"one").hexdigest()


def test_a_link_is_the_file_that_it_points_to(tmp_path: Path) -> None:
    digests = Digests(tmp_path / "memory")
    change(tmp_path / "a", b"one")
    change(tmp_path / "b", b"two")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert digests.sha256(tmp_path / "link") == hashlib.sha256(b"one").hexdigest()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert digests.sha256(tmp_path / "link") == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'"x"', b'{"file": 1}', b"\xff\xfe"])
def test_a_damaged_memory_costs_time_and_nothing_else(damage: bytes, tmp_path: Path) -> None:
    change(tmp_path / "file", b"one")
    Digests(tmp_path / "memory").sha256(tmp_path / "file")
    (memory,) = (tmp_path / "memory").iterdir()
    memory.write_bytes(damage)
    assert Digests(tmp_path / "memory").sha256(tmp_path / "file") == hashlib.sha256(b"one").hexdigest()


def test_without_a_memory_every_checksum_is_still_right(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(b"a file where the folder should be")
    change(tmp_path / "file", b"one")
    assert Digests(tmp_path / "memory").sha256(tmp_path / "file") == hashlib.sha256(b"one").hexdigest()


# What killed processes have left

OWN = [
    ".outputs.k3_9abcd", ".calibration.abcdefgh", "stages/.0a1b2c.abcdefgh", "stages/0a1b2c/.stage.json.abcd1234",
    "unfinished/0a1b2c/.step-7-18ab.abcdefgh", "candidates/0a1b2c/.step-3.abcdefgh", "kept/0a1b2c/.net.npy._bcdefg_",
    "predictions/.0a1b2c.parquet.abcdefgh", "digests/.0a1b.json.abcdefgh", "datasets/.stsb-train-0a.abcdefgh",
    "models/.e5-small-q4-v1-0a.abcdefgh", "downloads/.0a1b.abcdefgh", "examples/.0a1b.abcdefgh",
]  # fmt: skip
OTHERS = [
    "stages/0a1b2c/weights.safetensors", "models/hub/.locks/x.lock", "models/.gitattributes", "models/hub/.no_exist",
    "unfinished/0a1b2c/step-7-18ab/state.safetensors", ".DS_Store", ".cache", "stages/.0a1b2c.ABCDEFGH",
    "models/e5/.model.abcdefgh",
]  # fmt: skip


def age(path: Path, hours: float) -> None:
    """Let a file or folder, with all in it, be so old."""
    for one in (*path.rglob("*"), path):
        os.utime(one, (time.time() - 3600 * hours,) * 2)


def test_what_a_killed_process_has_left_is_found_when_nobody_works_on_it(tmp_path: Path) -> None:
    for name in (*OWN, *OTHERS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.count(".") == 2 and "/step-7" not in name:
            path.mkdir()
            (path / "half").write_bytes(b"half")
        else:
            path.write_bytes(b"half")
        age(path, 25)
    assert stale_temporaries(tmp_path) == sorted(tmp_path / name for name in OWN)
    assert stale_temporaries(tmp_path, 26 * 3600) == []
    (tmp_path / OWN[0] / "half").write_bytes(b"more")  # still at work
    os.utime(tmp_path / OWN[3])
    assert stale_temporaries(tmp_path) == sorted(tmp_path / name for name in OWN if name not in (OWN[0], OWN[3]))
    assert stale_temporaries(tmp_path / "nowhere") == []


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_written_in_earnest_has_such_a_name(tmp_path: Path, folder: bool) -> None:
    """The names are those that writing gives while it is not done."""
    target = tmp_path / "stages" / "0a1b2c"
    with new_folder(target) if folder else atomic_file(target):
        (hidden,) = target.parent.iterdir()
        age(hidden, 25)
        assert stale_temporaries(tmp_path) == [hidden]
    assert stale_temporaries(tmp_path, 0.0) == []
