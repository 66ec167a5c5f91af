"""Taking others' records into a results folder: files that anybody may have made, conflicts, and what is left alone."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strangers import altered, load
from tests.tiny import Bench
from xbench.cli import main
from xbench.errors import UserError
from xbench.leaderboard.publish import build
from xbench.merge import LARGEST, Merged, differences, find_files, merge
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import read_record


@pytest.fixture
def theirs(theirs_made: Bench, tmp_path: Path) -> Path:
    """A copy of what they publish."""
    return Path(shutil.copytree(theirs_made.root / "out", tmp_path / "theirs"))


@pytest.fixture
def take(registry: Registry, tmp_path: Path) -> Any:
    """Merges folders into ``tmp_path/out``."""

    def take(*folders: Path, dry_run: bool = False) -> list[Merged]:
        files = [path for folder in folders for path in find_files(folder)[0]]
        return list(merge(files, registry, Settings(cache=tmp_path / "cache", out=tmp_path / "out"), dry_run))

    return take


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outcomes(merged: list[Merged]) -> list[str]:
    return [one.outcome for one in merged]


def test_records_are_taken_as_they_are_and_a_second_time_are_here(take: Any, theirs: Path, tmp_path: Path) -> None:
    assert set(outcomes(take(theirs, dry_run=True))) == {"taken"}
    assert not (tmp_path / "out").exists()
    merged = take(theirs)
    assert set(outcomes(merged)) == {"taken"}
    assert tree(tmp_path / "out" / "results") == tree(theirs / "results")
    assert sorted(one.place for one in merged if one.place) == sorted((tmp_path / "out").rglob("*.json"))
    before = tree(tmp_path / "out")
    assert set(outcomes(take(theirs, theirs / "results"))) == {"here"}
    assert tree(tmp_path / "out") == before


def test_an_evaluation_goes_on_from_records_that_were_taken(
    theirs_made: Bench, take: Any, theirs: Path, registry: Registry, tmp_path: Path
) -> None:
    take(theirs)
    mine = Bench(tmp_path, theirs_made.model, registry)
    outcome, heard = mine.run(
        "none", task="mini-sts", models=(theirs_made.model, "lexical-overlap"), limit_eval=24,
        datasets=("mini-sts-en", "mini-sts-ko"), overrides={"epochs": 1, "max_length": 32},
    )  # fmt: skip
    assert (len(heard.found_cells), heard.scored) == (4, [])
    assert len(outcome.records) == 4


def test_the_place_is_that_of_the_record_and_not_of_its_file(take: Any, theirs: Path, tmp_path: Path) -> None:
    first = next(path for path in theirs.rglob("*.json") if "lexical" not in str(path) and "none" in path.name)
    evil = altered(load(first), "model.name", "../../../../etc/\u00e9vil")
    folder = tmp_path / "flat" / "results" / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "-rf --then ; .json").write_text(json.dumps(evil))
    (one,) = take(tmp_path / "flat")
    assert one.outcome == "taken"
    assert one.place is not None
    assert one.place.parents[2] == tmp_path / "out" / "results"
    assert one.place.parent.name.startswith("vil~")
    assert read_record(one.place) == evil


def test_another_result_under_one_key_is_a_conflict_and_ours_stays(take: Any, theirs: Path, tmp_path: Path) -> None:
    take(theirs)
    before = tree(tmp_path / "out")
    path = next(theirs.rglob("*.json"))
    record = load(path)
    forged = altered(altered(record, "scores.spearman", 99.25), "predictions_sha256", "0" * 64)
    path.write_text(json.dumps(forged))
    conflict = next(one for one in take(theirs) if one.path == path)
    place = tmp_path / "out" / path.relative_to(theirs)
    assert (conflict.outcome, conflict.place) == ("conflict", place)
    assert conflict.said == (
        f"differs from {place}, which stays: scores.spearman is {record['scores']['spearman']} here and 99.25 there; "
        "predictions_sha256 is another"
    )
    assert tree(tmp_path / "out") == before


def test_where_and_when_it_was_measured_is_no_conflict(take: Any, theirs: Path) -> None:
    take(theirs)
    path = next(theirs.rglob("*.json"))
    record = load(path)
    elsewhere = altered(altered(record, "timing.eval_s", 123.0), "environment.device", "cuda (Other)")
    assert differences(record, elsewhere) == []
    path.write_text(json.dumps(elsewhere))
    assert set(outcomes(take(theirs))) == {"here"}


def test_no_record_that_is_taken_breaks_the_leaderboard(
    take: Any, theirs: Path, tmp_path: Path, registry: Registry
) -> None:
    """A score has a best; a correlation's worst is nowhere declared, and it may be any number."""
    path = next(theirs.rglob("none--*.json"))
    for score, outcome in ((-1e200, "refused"), (-1e29, "taken")):
        path.write_text(json.dumps(altered(load(path), "scores.spearman", score)))
        assert next(one for one in take(theirs) if one.path == path).outcome == outcome
    build(tmp_path / "out", registry)


def test_two_of_one_key_among_theirs_are_a_conflict_in_a_dry_run_as_well(
    take: Any, theirs: Path, tmp_path: Path
) -> None:
    path = next(theirs.rglob("*.json"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.json").write_text(json.dumps(altered(load(path), "scores.spearman", 1.5)))
    assert outcomes(take(theirs, tmp_path / "more", dry_run=True))[-1] == "conflict"
    assert outcomes(take(theirs, tmp_path / "more"))[-1] == "conflict"


def test_a_damaged_record_of_ours_stays(take: Any, theirs: Path, tmp_path: Path) -> None:
    take(theirs)
    place = next((tmp_path / "out").rglob("*.json"))
    place.write_text("{}")
    assert outcomes(take(theirs)).count("conflict") == 1
    assert place.read_text() == "{}"


def test_other_weights_are_another_cell(take: Any, theirs: Path, tmp_path: Path) -> None:
    take(theirs)
    path = next(path for path in theirs.rglob("none--*.json") if "lexical" not in str(path))
    other = altered(altered(load(path), "model.weights_sha256", "1" * 64), "key", "2" * 64)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.json").write_text(json.dumps(other))
    assert outcomes(take(tmp_path / "more")) == ["taken"]


HOSTILE = {
    "deep": (b'{"schema": ' + b"[" * 900_000, "too deep"),
    "deep-table": (b'{"a":' * 200_000, "too deep"),
    "cut": (b'{"schema": "xbench.record/3", "key"', "not JSON"),
    "bytes": (b"\xff\xfe\x00", "not JSON"),
    "twice": (b'{"schema": "xbench.record/3", "schema": "xbench.record/2"}', "a field stands twice"),
    "nan": (b'{"schema": "xbench.record/3", "seed": NaN}', "NaN is no number of JSON"),
    "digits": (b'{"schema": "xbench.record/3", "seed": ' + b"9" * 100_000 + b"}", "not JSON"),
    "huge": (b" " * (LARGEST + 1), "holds 2,000,001 bytes; a record has at most 2,000,000"),
    "empty": (b"", "not JSON"),
    "many": (
        json.dumps({"schema": "xbench.record/3", **{f"f{place}": 0 for place in range(150_000)}}).encode(),
        "and more",
    ),
    "bare": (b'{"schema": "xbench.record/3"}', "key: is missing"),
    "new": (b'{"schema": "xbench.record/4"}', "schema: 'xbench.record/4' is none that is read here"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_whole_record_is_refused_in_one_short_line(take: Any, tmp_path: Path, name: str) -> None:
    data, reason = HOSTILE[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_bytes(data)
    (one,) = take(tmp_path / "in")
    assert one.outcome == "refused"
    assert reason in one.said
    assert one.said.isprintable()
    assert len(one.said) < 400


def test_what_is_something_else_is_skipped_and_named(take: Any, theirs: Path, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    path = next(theirs.rglob("*.json"))
    (inside / "link.json").symlink_to(path)
    (inside / "folder").symlink_to(theirs)
    (inside / "notes.txt").write_text("x")
    os.mkfifo(inside / "pipe.json")
    (inside / ".git").mkdir()
    (inside / ".git" / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no records: no \.json file lies in it"):
        find_files(inside)
    (inside / "other.json").write_text('{"schema": "else"}')
    (inside / "list.json").write_text("[]")
    files, skipped = find_files(inside)
    assert [path.name for path in files] == ["list.json", "other.json"]
    assert {one.path.name: one.said for one in skipped} == {
        "link.json": "a symbolic link", "folder": "a symbolic link", "notes.txt": "no record: not a .json file",
        "pipe.json": "not an ordinary file", ".git": "a hidden folder, or one too deep",
    }  # fmt: skip
    assert outcomes(take(inside)) == ["skipped", "skipped"]


def test_folders_within_folders_end_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    deep, here = 1100, os.getcwd()  # deeper than Python calls itself
    try:
        os.chdir(tmp_path)
        for _ in range(deep):
            os.mkdir("d")
            os.chdir("d")
        files, skipped = find_files(tmp_path)
    finally:
        for _ in range(deep):  # not even rmtree could remove them
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)
    assert [path.name for path in files] == ["a.json"]
    assert [one.said for one in skipped] == ["a hidden folder, or one too deep"]


def test_what_cannot_be_written_leaves_whole_files_only(registry: Registry, theirs: Path, tmp_path: Path) -> None:
    files = sorted(find_files(theirs)[0], key=lambda path: "lexical" in str(path))
    results = tmp_path / "out" / "results" / "mini-sts"
    results.mkdir(parents=True)
    (results / "lexical-overlap").write_text("in the way")
    settings = Settings(cache=tmp_path / "cache", out=tmp_path / "out")
    with pytest.raises(UserError, match=r"cannot be written: .*; the records before it are taken"):
        list(merge(files, registry, settings))
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "lexical-overlap"]
    assert len(written) == len(files) - 2
    assert all(read_record(path) is not None for path in written)


@given(st.data())
def test_bytes_that_were_changed_never_break_anything(
    theirs_made: Bench, registry: Registry, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    original = theirs_made.records()[0].read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    new = data.draw(st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"}", b",", b"[", b"\\", b"1e999", b"null"]))
    (folder / "a.json").write_bytes(original[:at] + new + original[at + data.draw(st.integers(0, 6)) :])
    settings = Settings(cache=folder / "cache", out=folder / "out")
    (one,) = merge([folder / "a.json"], registry, settings, dry_run=True)
    assert one.outcome in ("refused", "skipped") or load(folder / "a.json") == json.loads(original)


def xbench(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["xbench", *map(str, arguments)])
    return main()


def test_the_command_says_what_became_of_each_and_ends_with_the_right_status(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    options = ("--out", out, "--cache", cache)
    count = len(list(theirs.rglob("*.json")))
    assert xbench(monkeypatch, "leaderboard", "merge", theirs, *options, "--dry-run") == 0
    said = capsys.readouterr()
    assert said.out.count("would be taken (key") == count
    assert said.err == f"{count} records would be taken, 0 already here, 0 conflicts, 0 refused\n"
    assert xbench(monkeypatch, "leaderboard", "merge", theirs, *options) == 0
    said = capsys.readouterr()
    assert "taken (key not checked: the model tiny is not here)" in said.out
    assert "taken (key checked; its first stage's not: the model tiny is not here)" in said.out
    assert "lexical-overlap--" not in said.err
    assert said.err.splitlines() == [
        f"{count} records taken, 0 already here, 0 conflicts, 0 refused",
        f"now run xbench leaderboard build --out {out}",
    ]
    first, second = sorted(theirs.rglob("*.json"))[:2]
    first.write_text(json.dumps(altered(load(first), "scores.spearman", 12.5)))
    second.with_name("bad\x1b[2J.json").write_text(json.dumps(altered(load(second), "scores.spearman", "x")))
    (theirs / "results" / "link.json").symlink_to(second)
    assert xbench(monkeypatch, "leaderboard", "merge", theirs, *options, "--json") == 1
    said = capsys.readouterr()
    values = json.loads(said.out)
    numbers = {name: values[name] for name in ("taken", "here", "conflicts", "refused", "skipped")}
    assert numbers == {"taken": 0, "here": count - 1, "conflicts": 1, "refused": 1, "skipped": 1}
    assert "bad\\x1b[2J.json: refused: scores.spearman: 'x' is not a number" in said.err
    assert "\x1b" not in said.err + said.out
    assert said.err.splitlines()[-1] == (f"0 records taken, {count - 1} already here, 1 conflict, 1 refused, 1 skipped")


def test_a_wrong_request_ends_with_status_2_before_anything_is_written(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    options = ("--out", tmp_path / "out", "--cache", tmp_path / "cache")
    for wrong, reason in (("nowhere", "is not a folder"), ("empty", "has no records")):
        assert xbench(monkeypatch, "leaderboard", "merge", theirs, tmp_path / wrong, *options) == 2
        assert reason in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    (tmp_path / "empty" / "package.json").write_text("{}")
    assert xbench(monkeypatch, "leaderboard", "merge", tmp_path / "empty", *options) == 2
    assert "there are no records in" in capsys.readouterr().err
