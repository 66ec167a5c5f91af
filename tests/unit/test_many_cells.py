"""Work with very many cells grows as their number does, and the records of very many are held without waste.

Calls are counted, and not seconds: they are the same on a busy machine. `python -m tests.bench.many` measures 100,000.
"""

from __future__ import annotations

import copy
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.records import record
from xbench.cli.dry_run import print_plan
from xbench.files import write_json
from xbench.keys import file_sha256
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.record_files import Checked, RecordFiles, sign
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import read_record, read_records
from xbench.work import _groups


def plan_of(models: int, registry: Registry) -> Plan:
    """The paper's Table I for some models that are not here, with five seeds: 100 cells each."""
    return make_plan(
        Request(tuple(f"m{number}" for number in range(models)), ("sts",), seeds=tuple(range(5))), registry
    )


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, of Python and of C."""
    count = 0

    def heard(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(heard)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def grows_evenly(work: Callable[[int], object]) -> None:
    """Four times as many cells are at most five times as many calls; as the square, they would be sixteen times."""
    work(1)  # what is imported or remembered once
    assert calls(lambda: work(40)) < 5 * calls(lambda: work(10))


def test_planning_grows_with_the_cells(registry: Registry) -> None:
    grows_evenly(lambda models: plan_of(models, registry))
    assert len(plan_of(40, registry).cells) == 4000


@pytest.mark.parametrize("as_json", [False, True])
def test_listing_grows_with_the_cells(as_json: bool, registry: Registry, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", out=tmp_path / "out", data=tmp_path, offline=True, device="cpu")
    plans = {models: plan_of(models, registry) for models in (1, 10, 40)}

    def listed(models: int) -> None:
        @click.command()
        def command() -> None:
            print_plan(plans[models], registry, settings, as_json)

        result = CliRunner().invoke(command, catch_exceptions=False)
        assert result.output.count("sts17-es") >= 25 * models

    grows_evenly(listed)


def test_cells_of_one_model_are_found_together_without_a_search(registry: Registry) -> None:
    plans = {models: plan_of(models, registry) for models in (1, 10, 40)}
    grows_evenly(lambda models: _groups(dict.fromkeys(plans[models].cells, "key")))
    # One recipe for all stages of the task, another head for frozen encoders: they stay apart.
    groups = _groups(dict.fromkeys(plans[10].cells, "key"))
    assert [len({(cell.model, cell.head, cell.recipe) for cell in group}) for group in groups] == [1] * len(groups)
    assert sum(map(len, groups)) == len(plans[10].cells)


# Records


def write_many(out: Path, count: int) -> list[Path]:
    """Records of one cell with many seeds, with draws."""
    whole = record(draws=True)
    paths = []
    for seed in range(count):
        paths.append(out / "results" / "sts" / "m" / f"{seed:05d}.json")
        write_json(paths[-1], sign({**whole, "seed": seed, "key": f"{seed:064x}"}))
    return paths


def test_many_records_hold_equal_parts_once(tmp_path: Path) -> None:
    write_many(tmp_path, 201)
    first = read_record(tmp_path / "results" / "sts" / "m" / "00000.json")
    assert first is not None
    draws = sum(len(one["data"]) for one in first["sampling"]["scores"].values())
    tracemalloc.start()
    held = [found for _, found in read_records(tmp_path)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size / len(held) < draws + 6000  # 16,000 more where every record has parts of its own
    assert held[0] == first
    assert held[1] is not None
    assert held[1]["recipe"] is held[0]["recipe"]
    assert held[1] != held[0]


def test_a_record_is_read_again_only_when_its_file_has_changed(tmp_path: Path) -> None:
    (path,), files = write_many(tmp_path, 1), RecordFiles()
    first = files.read(path)
    assert first is not None
    assert files.read(path) is first
    write_json(path, sign({**first, "seed": 7}))
    second = files.read(path)
    assert second is not None
    assert second["seed"] == 7
    path.write_bytes(path.read_bytes().replace(b'"seed": 7', b'"seed": 8'))
    assert files.read(path) is None
    path.unlink()
    assert files.read(path) is None


def test_what_is_remembered_as_whole_is_bytes_and_no_file(tmp_path: Path) -> None:
    (path,), memory = write_many(tmp_path, 1), tmp_path / "cache" / "checked" / "records"
    files = RecordFiles(Checked(memory))
    whole = copy.deepcopy(files.read(path))
    files.keep()
    assert memory.read_bytes().hex() == file_sha256(path)
    assert RecordFiles(Checked(memory)).read(path) == whole
    state = path.stat()
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"seed": 0', b'"seed": 1'))  # one bit of it, and its time and size as before
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert RecordFiles(Checked(memory)).read(path) is None
    path.write_bytes(data)
    for damaged in (b"", b"not a list of checksums", os.urandom(100)):
        memory.write_bytes(damaged)
        assert RecordFiles(Checked(memory)).read(path) == whole


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (path,) = write_many(tmp_path, 1)
    (tmp_path / "file").write_bytes(b"")
    files = RecordFiles(Checked(tmp_path / "file" / "records"))  # its folder is a file
    assert files.read(path) is not None
    files.keep()
