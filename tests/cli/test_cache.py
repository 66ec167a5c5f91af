"""``xbench cache`` tells apart what is there; nothing goes that somebody needs or is at, or that is not xbench's."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.processes import ROOT, Ended, run
from xbench.caching.kinds import KINDS
from xbench.caching.presence import FOLDER as LOCKS
from xbench.caching.presence import at_work
from xbench.estimate.past import FOLDER as ESTIMATES
from xbench.locks import Locks
from xbench.settings import Settings
from xbench.unfinished import FOLDER as UNFINISHED

EVAL = (
    "eval", "--model", "./model", "--tasks", "mini-sts", "--train", "mini-sts-en", "--train", "mini-sts-ko",
    "--head", "siamese", "--eval", "mini-sts-en,mini-sts-ko", "--set", "recipe.epochs=1", "--limit-train", "60",
)  # fmt: skip
DAY_S = 24 * 3600.0


@pytest.fixture(scope="module")
def whole(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages, four cells."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "model").symlink_to(tiny("bert"))
    ended = run(folder, *EVAL)
    assert ended.status == 0, ended.stderr
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """Another one of the same, not used for two days."""
    folder = shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    age(folder / "cache", 2)
    return folder


def age(path: Path, days: float) -> Path:
    """Let a file, or a folder with all in it, not have been touched for so long."""
    for one in (*path.rglob("*"), path):
        os.utime(one, (time.time() - days * DAY_S,) * 2)
    return path


def files(folder: Path) -> set[Path]:
    """All files of its cache."""
    return {path for path in (folder / "cache").rglob("*") if path.is_file()}


def cache(folder: Path, *arguments: str) -> Ended:
    """Run ``xbench cache``."""
    ended = run(folder, "cache", *arguments)
    assert "Traceback" not in ended.stderr
    return ended


def pruned(folder: Path, *arguments: str) -> set[str]:
    """Prune, and give the kinds and names of what has gone."""
    before = {path for kind in (folder / "cache").iterdir() if kind.is_dir() for path in kind.iterdir()}
    ended = cache(folder, "prune", "--yes", *arguments)
    assert ended.status == 0, ended.stderr
    return {str(path.relative_to(folder / "cache")) for path in before if not os.path.lexists(path)}


def records(folder: Path) -> dict[str, Path]:
    """The paths of all records, by key."""
    paths = (folder / "leaderboard" / "results").rglob("*.json")
    return {json.loads(path.read_text(encoding="utf-8"))["key"]: path for path in paths}


def test_every_folder_that_xbench_writes_is_of_a_kind() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "xbench").rglob("*.py")]
    written = {name for text in sources for name in re.findall(r'cache / "([a-z-]+)"', text)}
    assert len(written) > 15
    assert written | {ESTIMATES, LOCKS, UNFINISHED} <= set(KINDS)


def test_the_list_tells_all_that_is_there(copy: Path) -> None:
    (copy / "cache" / "notes.txt").write_text("mine")
    listed = json.loads(cache(copy, "list", "--json").stdout)
    kinds = {row["kind"]: row for row in listed["kinds"]}
    own = {name: row["bytes"] for name, row in kinds.items() if "hub" not in name}
    assert listed["bytes"] == sum(own.values()) == sum(path.stat().st_size for path in files(copy))
    assert (kinds["stages"]["things"], kinds["stages"]["needed"]) == (2, 2)
    assert (kinds["predictions"]["things"], kinds["predictions"]["needed"]) == (4, 4)
    assert kinds["not xbench's"]["things"] == 1
    things = json.loads(cache(copy, "list", "--long", "--json").stdout)
    assert {thing["label"] for thing in things if thing["kind"] == "stages"} == {
        "mini-sts-en siamese seed 0", "mini-sts-ko siamese seed 0",
    }  # fmt: skip
    assert {thing["key"] for thing in things if thing["kind"] == "predictions"} == set(records(copy))
    text = cache(copy, "list")
    assert text.status == 0
    assert "fine-tuned weights" in text.stdout
    assert len(cache(copy, "list", "--long").stdout.splitlines()) == len(things)


def test_without_yes_nothing_goes_and_what_records_need_is_kept_back(copy: Path) -> None:
    before = files(copy)
    ended = cache(copy, "prune", "--kind", "stages,predictions,examples")
    assert "4 things would go" in ended.stderr  # the examples of two training and two evaluation splits
    assert "6 things" in ended.stderr
    assert "are kept back" in ended.stderr
    assert files(copy) == before
    assert {name.split("/")[0] for name in pruned(copy, "--kind", "stages,predictions,examples")} == {"examples"}
    ended = cache(copy, "prune", "--kind", "stages,predictions", "--even-needed", "--yes")
    assert ended.stdout.count("needed by mini-sts: bert-0.1") == 6
    assert not list((copy / "cache" / "stages").iterdir())


def test_what_no_record_leads_to_goes(copy: Path) -> None:
    place = records(copy)
    gone = {key: path for key, path in place.items() if path.name.startswith("mini-sts-ko--")}
    stage = json.loads(next(iter(gone.values())).read_text(encoding="utf-8"))["stages"][0]
    other = copy / "other" / "results"
    other.mkdir(parents=True)
    kept, dropped = gone.values()
    shutil.move(kept, other)
    dropped_key = json.loads(dropped.read_text(encoding="utf-8"))["key"]
    dropped.unlink()
    both = ("--unreachable", "--out", "leaderboard", "--out", "other")
    assert pruned(copy, *both) >= {f"predictions/{dropped_key}.parquet"}
    assert (copy / "cache" / "stages" / stage).is_dir()
    assert len(list((copy / "cache" / "predictions").iterdir())) == 3
    assert f"stages/{stage}" in pruned(copy, "--unreachable")
    assert len(list((copy / "cache" / "stages").iterdir())) == 1
    assert cache(copy, "verify").status == 0


def test_a_damaged_record_still_holds_what_it_names(copy: Path) -> None:
    for path in records(copy).values():
        path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    ended = cache(copy, "prune", "--unreachable", "--kind", "stages,predictions")
    assert "0 things would go" in ended.stderr
    assert ended.stderr.count("is no whole record") == 4


def test_without_records_nobody_knows_what_is_needed(copy: Path) -> None:
    shutil.rmtree(copy / "leaderboard")
    assert cache(copy, "prune", "--unreachable").status == 2
    assert pruned(copy, "--kind", "stages,predictions") == set()
    assert "nobody knows" in cache(copy, "prune", "--kind", "stages").stderr
    assert cache(copy, "prune", "--out", "nowhere").status == 2


def test_leftovers_go_when_they_are_old_and_strangers_stay(copy: Path, tmp_path: Path) -> None:
    folder, outside = copy / "cache", tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_text("x")
    key = next((folder / "stages").iterdir()).name
    old = [
        folder / "stages" / f".{key[:40]}.abcd_123",
        folder / ".outputs.abcd1234",
        folder / "stages" / f"{key}.damaged",
    ]
    for path in old:
        path.mkdir()
        (path / "weights.safetensors").write_text("half")
        age(path, 2)
    (folder / "downloads").mkdir()
    part, young_part = (folder / "downloads" / f"{letter * 32}.part" for letter in "ab")
    for path, days in ((part, 40), (young_part, 3)):
        path.write_text("half")
        age(path, days)
    young = folder / "predictions" / ".x.parquet.abcdefgh"
    young.write_text("half")
    (folder / "models").symlink_to(outside)
    (folder / "examples" / ("a" * 32)).symlink_to(outside)
    (folder / "examples" / "mine").mkdir()
    gone = {*old, part}
    listed = cache(copy, "prune")
    assert f"{len(gone)} things would go" in listed.stderr
    pruned(copy, "--older-than", "1d", "--even-needed")
    assert not any(os.path.lexists(path) for path in gone)
    assert young.exists()
    assert young_part.exists()
    assert (outside / "deep" / "file").exists()
    assert (folder / "models").is_symlink()
    assert (folder / "examples" / ("a" * 32)).is_symlink()
    assert (folder / "examples" / "mine").is_dir()
    assert not list((folder / "stages").iterdir())


def test_age_and_size_take_what_was_not_used_for_longest(copy: Path) -> None:
    tables = sorted((copy / "cache" / "examples").iterdir())
    for days, table in enumerate(tables, 10):
        age(table, days)
    assert pruned(copy, "--older-than", "12d", "--kind", "examples") == {
        f"examples/{table.name}" for table in tables[2:]
    }
    total = sum(path.stat().st_size for path in files(copy))
    oldest = f"examples/{tables[1].name}"
    assert pruned(copy, "--max-size", f"{total - 1}B") == {oldest}
    assert pruned(copy, "--max-size", "20GB") == set()


def test_what_a_run_at_work_has_looked_at_stays(copy: Path) -> None:
    table, other, *_ = sorted((copy / "cache" / "examples").iterdir())
    with at_work(copy / "cache"):
        os.utime(table)
        ended = cache(copy, "prune", "--kind", "examples", "--yes")
        assert "1 things are in use by a run that is at work now" in ended.stderr
    assert table.is_dir()
    assert not other.exists()
    assert pruned(copy, "--kind", "examples") == {f"examples/{table.name}"}


def test_what_another_process_makes_stays(copy: Path) -> None:
    stages = sorted((copy / "cache" / "stages").iterdir())
    held = Locks.of(Settings(cache=copy / "cache")).attempt("stage", stages[0].name)
    assert held is not None
    with held:
        ended = cache(copy, "prune", "--kind", "stages", "--even-needed", "--yes")
    assert ended.status == 1
    assert f"{stages[0]} stays: another process is at it" in ended.stderr
    assert [stage.is_dir() for stage in stages] == [True, False]


@pytest.mark.parametrize(
    "arguments", [["--older-than", "30"], ["--max-size", "much"], ["--kind", "stage"], ["--kind", "locks"]]
)
def test_what_cannot_be_read_is_one_line(copy: Path, arguments: list[str]) -> None:
    ended = cache(copy, "prune", *arguments)
    assert ended.status == 2
    assert ended.stderr.startswith(f"xbench: {arguments[0]} {arguments[1]}: ")
