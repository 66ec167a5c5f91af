"""Locks: one holder at a time, free when it ends in whatever way, and refused where two could wait for one another."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xbench import locks
from xbench.errors import UserError
from xbench.locks import Locks
from xbench.settings import Settings

HOLDER = """
import sys, time
from pathlib import Path
from xbench.locks import Locks
lock = Locks(Path(sys.argv[1]), print, "--cache").attempt(sys.argv[2], sys.argv[3])
print(lock is not None, flush=True)
time.sleep(600)
"""
COUNTER = """
import sys, time
from pathlib import Path
from xbench.locks import Locks
folder, count = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(int(sys.argv[3])):
    with Locks(folder, print, "--cache").wait("rows", "counter", "counts"):
        seen = int(count.read_text())
        time.sleep(0.001)
        count.write_text(str(seen + 1))
"""


@pytest.fixture
def own(tmp_path: Path) -> Locks:
    return Locks.of(Settings(cache=tmp_path))


def holder(folder: Path, kind: str, key: str) -> subprocess.Popen[str]:
    """Another process that holds a lock."""
    command = [sys.executable, "-c", HOLDER, str(folder), kind, key]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_one_at_a_time_and_no_file_is_left(own: Locks, tmp_path: Path) -> None:
    first = own.attempt("stage", "a" * 64)
    assert first is not None
    assert [path.name for path in (tmp_path / "locks").iterdir()] == [f"stage-{'a' * 64}.lock"]
    assert own.attempt("stage", "a" * 64) is None
    other = own.attempt("stage", "b" * 64)
    assert other is not None
    with first, other:
        pass
    assert list((tmp_path / "locks").iterdir()) == []
    again = own.attempt("stage", "a" * 64)
    assert again is not None
    again.release()


def test_a_killed_holder_holds_nothing_any_more(own: Locks, tmp_path: Path) -> None:
    process = holder(tmp_path / "locks", "rows", "key")
    assert own.attempt("rows", "key") is None
    killed = threading.Timer(0.3, process.kill)
    killed.start()
    with own.wait("rows", "key", "sleeps"):
        assert process.wait() == -9
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_file_that_a_dead_process_has_left_stops_nobody(own: Locks, tmp_path: Path) -> None:
    process = holder(tmp_path / "locks", "stage", "key")
    process.kill()
    process.wait()
    assert (tmp_path / "locks" / "stage-key.lock").is_file()
    lock = own.attempt("stage", "key")
    assert lock is not None
    lock.release()


def test_processes_that_count_together_lose_no_count(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    command = [sys.executable, "-c", COUNTER, str(tmp_path / "locks"), str(count), "40"]
    for process in [subprocess.Popen(command) for _ in range(4)]:
        assert process.wait() == 0
    assert count.read_text() == "160"


def test_threads_wait_for_each_other_too(own: Locks) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with own.wait("download", "file", "fetches"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_long_wait_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SAID_AFTER_S", 0.05)
    said: list[str] = []
    process = holder(tmp_path, "rows", "key")
    threading.Timer(0.6, process.kill).start()
    with Locks(tmp_path, said.append, "--cache").wait("rows", "key", "reads the rows of stsb/train"):
        process.wait()
    assert said == ["waiting for another process that reads the rows of stsb/train"]


@pytest.mark.parametrize(("held", "wanted"), [("rows", "examples"), ("rows", "rows"), ("publish", "ceiling")])
def test_a_wait_that_could_end_in_a_deadlock_is_refused(own: Locks, held: str, wanted: str) -> None:
    with own.wait(held, "one", "x"), pytest.raises(RuntimeError, match=f"{wanted} is waited for while holding"):
        own.wait(wanted, "other", "x")
    with own.wait(wanted, "other", "x"):  # alone it may
        pass


@pytest.mark.parametrize("kind", locks.TRIED)
def test_stages_and_cells_are_never_waited_for(own: Locks, kind: str) -> None:
    with pytest.raises(RuntimeError, match=f"{kind} is waited for"):
        own.wait(kind, "key", "x")


def test_later_kinds_may_be_waited_for_inside_earlier_ones(own: Locks, tmp_path: Path) -> None:
    first = own.attempt("cell", "one")
    second = own.attempt("cell", "two")
    assert first is not None
    assert second is not None
    with first, second, own.wait("dev-score", "x", "x"), own.wait("examples", "x", "x"):
        assert len(list((tmp_path / "locks").iterdir())) == 4
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_name_from_outside_stays_in_the_folder(own: Locks, tmp_path: Path) -> None:
    lock = own.attempt("model", "../../" + "x" * 300 + "\n")
    assert lock is not None
    (path,) = (tmp_path / "locks").iterdir()
    assert path.name.startswith("model-")
    lock.release()
    assert list(tmp_path.iterdir()) == [tmp_path / "locks"]


def test_a_cache_that_takes_no_lock_is_named_in_one_line(own: Locks, tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(UserError, match=r"locks cannot be written to \(.*\): see to it, or name another place"):
        own.attempt("stage", "key")
