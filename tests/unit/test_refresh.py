"""Records of an older form, completed from the predictions that the cache still has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import Bench
from xbench.files import write_json
from xbench.keys import file_sha256
from xbench.leaderboard.pictures import FOLDER, INDEX, Shown, published
from xbench.refresh import NEW_FIELDS, Refreshed, refresh
from xbench.registry import Registry, load_registry
from xbench.sampling import draws_of
from xbench.settings import Settings
from xbench.store import RECORD_SCHEMA, read_record, sign
from xbench.training import TRAINING_VERSION

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, str(tiny("bert")), load_registry())
    outcome, _ = bench.run("none", task="mini-sts", datasets=("mini-sts-en", "mini-sts-ko"), limit_eval=40)
    assert len(outcome.records) == 2
    return bench


def age(path: Path) -> dict[str, Any]:
    """Make a record one of before, and give it as it was."""
    whole: dict[str, Any] = json.loads(path.read_text())
    write_json(
        path, sign({**{name: whole[name] for name in whole if name not in NEW_FIELDS}, "schema": "xbench.record/2"})
    )
    return whole


def again(bench: Bench) -> list[Refreshed]:
    return list(refresh(bench.registry, Settings(cache=bench.root / "cache", out=bench.root / "out", offline=True)))


def test_a_record_of_before_gets_what_a_new_one_has(bench: Bench) -> None:
    assert again(bench) == []  # all are whole
    before = {path: age(path) for path in bench.records()}
    old = read_record(next(iter(before)))
    assert old is not None
    assert draws_of(old, "spearman") is None
    assert again(bench) == [Refreshed(path, "") for path in before]
    for path, whole in before.items():
        assert json.loads(path.read_text()) == whole
        assert (whole["schema"], whole["chance"]) == (RECORD_SCHEMA, {"spearman": 0.0, "pearson": 0.0})
        assert draws_of(whole, "spearman") is not None
    assert again(bench) == []


def test_a_record_gets_the_version_of_the_training_code_from_its_stages_keys(bench: Bench) -> None:
    bench.run("mini-sts-en:mini-sts-ko", task="mini-sts", datasets=("mini-sts-ko",), limit_train=16, limit_eval=24,
              overrides={"epochs": 1})  # fmt: skip
    (path,) = [path for path in bench.records() if json.loads(path.read_text())["stages"]]
    whole = json.loads(path.read_text())
    environment = dict(whole["environment"])
    assert environment.pop("training_version") == TRAINING_VERSION
    write_json(path, sign({**whole, "environment": environment}))
    assert again(bench) == [Refreshed(path, "")]
    assert json.loads(path.read_text()) == whole
    write_json(path, sign({**whole, "environment": environment, "stages": ["0" * 64] * 2}))
    assert again(bench) == []  # of no version: left as it is


def test_what_cannot_be_completed_stays_and_says_why(bench: Bench) -> None:
    first, second = bench.records()
    (bench.root / "cache" / "predictions" / f"{age(first)['key']}.parquet").unlink()
    changed = age(second)
    scores = {**changed["scores"], "spearman": changed["scores"]["spearman"] + 1}
    write_json(second, sign({**json.loads(second.read_text()), "scores": scores}))
    texts = [path.read_text() for path in (first, second)]
    left = again(bench)
    assert [one.path for one in left] == [first, second]
    assert "no longer in the cache" in left[0].reason
    assert "its predictions now score spearman" in left[1].reason
    assert [path.read_text() for path in (first, second)] == texts


def test_predictions_that_were_altered_are_not_taken(bench: Bench) -> None:
    first = bench.records()[0]
    key = age(first)["key"]
    path = bench.root / "cache" / "predictions" / f"{key}.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    assert "no longer in the cache" in again(bench)[0].reason
    other = bench.root / "cache" / "predictions" / f"{json.loads(bench.records()[1].read_text())['key']}.parquet"
    path.write_bytes(other.read_bytes())
    assert "no longer in the cache" in again(bench)[0].reason


def test_another_version_of_a_metric_or_other_rows_are_said(bench: Bench) -> None:
    first, second = bench.records()
    for path, changes in (
        (first, {"metric_version": {"spearman": 0, "pearson": 1}}),
        (second, {"eval": {**age(second)["eval"], "rows_sha256": "0" * 64}}),
    ):
        write_json(
            path,
            sign(
                {
                    **{name: value for name, value in json.loads(path.read_text()).items() if name not in NEW_FIELDS},
                    **changes,
                }
            ),
        )
    reasons = [one.reason for one in again(bench)]
    assert reasons[0] == "the metric spearman is version 1 here, and 0 in the record"
    assert reasons[1].endswith("has other rows now than the record was scored on")


def test_bounds_are_added_without_the_predictions(bench: Bench) -> None:
    path = bench.records()[0]
    whole = json.loads(path.read_text())
    write_json(path, sign({name: value for name, value in whole.items() if name != "bounds"}))
    (bench.root / "cache" / "predictions" / f"{whole['key']}.parquet").unlink()
    assert again(bench) == [Refreshed(path, "")]
    assert json.loads(path.read_text()) == whole


def test_pictures_of_a_record_are_shown_as_before(bench: Bench) -> None:
    """They show nothing of what was added; their arrays may be gone, so that nobody could draw them again."""
    first, second = (age(path) and read_record(path) for path in bench.records())
    assert first is not None
    assert second is not None
    folder = bench.root / "out" / FOLDER / "mini-sts"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(b"a picture")
    entry = {"figure": "gone", "version": 1, "title": "One", "files": {"one.png": file_sha256(folder / "one.png")}}
    drawn_of = {"own": first["checksum"], "other's": "0" * 64}
    pictures = [
        {**entry, "records": {first["key"]: drawn_of[whose], second["key"]: second["checksum"]}} for whose in drawn_of
    ]
    write_json(folder / INDEX, {"pictures": pictures, "drawn": {"gone": "x"}})
    nothing_declared = Registry()
    assert all(not one.reason for one in again(bench))
    records = [record for path in bench.records() if (record := read_record(path)) is not None]
    assert records[0]["checksum"] != first["checksum"]
    shown = published(bench.root / "out", records, nothing_declared)
    assert shown == {("mini-sts", True): [Shown("One", (f"{FOLDER}/mini-sts/one.png",))]}
    assert json.loads((folder / INDEX).read_text())["drawn"] == {"gone": "x"}


def test_pictures_stay_with_what_was_completed_before_it_was_broken_off(bench: Bench) -> None:
    records = {path: age(path) and read_record(path) for path in bench.records()}
    checksums = {record["key"]: record["checksum"] for record in records.values() if record is not None}
    assert len(checksums) == 2
    folder = bench.root / "out" / FOLDER / "mini-sts"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(b"a picture")
    picture = {"figure": "gone", "version": 1, "title": "One", "files": {"one.png": file_sha256(folder / "one.png")}}
    write_json(folder / INDEX, {"pictures": [{**picture, "records": checksums}], "drawn": {}})
    going = refresh(bench.registry, Settings(cache=bench.root / "cache", out=bench.root / "out", offline=True))
    done = next(going).path
    going.close()  # type: ignore[attr-defined]
    after = json.loads(done.read_text())
    (kept,) = json.loads((folder / INDEX).read_text())["pictures"]
    assert kept["records"] == {**checksums, after["key"]: after["checksum"]}
    assert after["checksum"] != checksums[after["key"]]
