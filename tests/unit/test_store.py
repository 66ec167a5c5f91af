"""What the store gives back is what was put in, or nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import settings as sized
from hypothesis import strategies as st

from xbench.plan import Cell
from xbench.recipe import Recipe
from xbench.settings import Settings
from xbench.store import MANIFEST, RECORD_SCHEMA, ROWS_AT_ONCE, WEIGHTS, Store, read_record, read_records, sign, slug

KEY, OTHER_KEY = "a1" * 32, "b2" * 32
CELL = Cell(
    task="sts", model="e5-small-q4", head="siamese", curriculum="stsb:korsts", reading="default", fit=None,
    metrics=("spearman", "pearson"), dataset="korsts",
    split="test", seed=0, stage=None, transfer="mixed", recipe=Recipe(), limit_train=None, limit_eval=None,
)  # fmt: skip
RECORD: dict[str, Any] = {
    "status": "done", "task": "sts", "seed": 0, "scores": {"spearman": 81.25, "pearson": None}, "primary": "spearman",
    "model": {"name": "훈련", "revision": None}, "train": [{"dataset": "stsb", "rows": 5749}], "sample": False,
    "recipe": {"lr": 4e-05},
}  # fmt: skip
WEIGHT_BYTES = bytes(range(256)) * 4
STEP = 5  # bytes between those that are damaged one by one


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Settings(cache=tmp_path / "cache", out=tmp_path / "out"))


def save_stage(store: Store, key: str = KEY, weights: bytes = WEIGHT_BYTES) -> dict[str, Any]:
    manifest = {"rows": [5749], "timing": {"train_s": 12.5, "train_examples": 22996}}
    return store.save_stage(key, manifest, lambda path: path.write_bytes(weights) and None)


def damage(path: Path, at: int, mask: int = 1) -> None:
    """Change one byte, and step the clock: file systems have clocks coarser than a test is fast."""
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    before = path.stat().st_mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(before + 10**9, before + 10**9))


@given(st.text(max_size=120))
def test_a_slug_is_a_plain_file_name(text: str) -> None:
    name = slug(text)
    assert name
    assert name[0] not in ".-"
    assert not set(name) & set('/\\:*?"<>| \t\r\n\0')
    assert name.isascii()
    assert len(name) <= 100


NASTY = st.text("aA.-_~+/ \\é\n", max_size=6)


@given(NASTY | st.text(), NASTY | st.text())
def test_different_texts_have_different_slugs(left: str, right: str) -> None:
    assert (slug(left) == slug(right)) == (left == right)


@given(NASTY)
def test_a_text_cannot_pass_for_another_ones_slug(text: str) -> None:
    name = slug(text)
    assert name == text or slug(name) != name


@pytest.mark.parametrize("text", ["stsb", "stsb+korsts", "mini-sts-en", "e5_small.v2"])
def test_an_ordinary_name_stays_as_it_is(text: str) -> None:
    assert slug(text) == text


def test_long_names_that_differ_at_the_end_stay_apart() -> None:
    assert len({slug("x" * 200 + end) for end in ("a", "b", "")}) == 3


@pytest.mark.parametrize(
    "model", ["..", "/", "../../etc", ".", "", "org/model@rev", "C:\\models\\m", "a\nb", "x" * 300]
)
def test_a_record_stays_inside_the_results_whatever_the_names(model: str, store: Store, tmp_path: Path) -> None:
    cell = dataclasses.replace(CELL, model=model, task="../t", dataset="..", curriculum="../../a:b")
    assert store.save_record(cell, KEY, RECORD)["scores"] == RECORD["scores"]
    assert store.record(cell, KEY) is not None
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert path.is_relative_to(tmp_path / "out" / "results")
    assert len(path.relative_to(tmp_path / "out" / "results").parts) == 3
    assert not any(part.startswith(".") for part in path.relative_to(tmp_path).parts)


def test_a_record_comes_back_as_it_was_written(store: Store) -> None:
    written = store.save_record(CELL, KEY, RECORD)
    assert store.record(CELL, KEY) == written
    assert {name: written[name] for name in RECORD} == RECORD
    assert (written["schema"], written["key"]) == (RECORD_SCHEMA, KEY)


def test_the_checksum_is_the_sha256_of_everything_else(store: Store) -> None:
    store.save_record(CELL, KEY, RECORD)
    record = json.loads(store.record_path(CELL, KEY).read_text(encoding="utf-8"))
    said = record.pop("checksum")
    line = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(line.encode()).hexdigest() == said


def test_any_single_changed_byte_of_a_record_is_noticed(store: Store) -> None:
    store.save_record(CELL, KEY, RECORD)
    path = store.record_path(CELL, KEY)
    whole = path.read_bytes()
    for at in range(0, len(whole), STEP):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert store.record(CELL, KEY) is None, (at, path.read_bytes()[max(0, at - 20) : at + 20])
    path.write_bytes(whole)
    assert store.record(CELL, KEY) is not None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_record_cut_short_is_noticed(share: float, store: Store) -> None:
    store.save_record(CELL, KEY, RECORD)
    path = store.record_path(CELL, KEY)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert store.record(CELL, KEY) is None


@pytest.mark.parametrize("text", ["[]", "null", "1", '"x"', "{}", '{"schema": "xbench.record/1"}', "NaN"])
def test_json_that_is_no_record_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    assert read_record(tmp_path / "x.json") is None


def test_a_better_score_with_the_old_checksum_is_noticed(store: Store) -> None:
    written = store.save_record(CELL, KEY, RECORD)
    path = store.record_path(CELL, KEY)
    path.write_text(json.dumps({**written, "scores": {"spearman": 99.0, "pearson": None}}), encoding="utf-8")
    assert store.record(CELL, KEY) is None


def test_a_record_of_another_schema_is_not_read(store: Store) -> None:
    written = store.save_record(CELL, KEY, RECORD)
    store.record_path(CELL, KEY).write_text(json.dumps(sign({**written, "schema": "xbench.record/0"})))
    assert store.record(CELL, KEY) is None


def test_a_record_with_another_layout_of_the_same_content_is_whole(store: Store) -> None:
    written = store.save_record(CELL, KEY, RECORD)
    store.record_path(CELL, KEY).write_text(json.dumps(written, sort_keys=True), encoding="utf-8")
    assert store.record(CELL, KEY) == written


def test_a_record_under_another_cells_name_is_not_that_cells(store: Store) -> None:
    store.save_record(CELL, KEY, RECORD)
    path = store.record_path(CELL, KEY)
    path.rename(store.record_path(CELL, OTHER_KEY))
    assert store.record(CELL, KEY) is None
    assert store.record(CELL, OTHER_KEY) is None


def test_keys_with_the_same_beginning_are_told_apart(store: Store) -> None:
    store.save_record(CELL, KEY, RECORD)
    near = KEY[:-1] + "0"
    assert store.record_path(CELL, near) == store.record_path(CELL, KEY)
    assert store.record(CELL, near) is None


def test_a_record_that_others_made_is_found_by_whoever_asks_for_a_revision(store: Store) -> None:
    record = sign({
        **RECORD, "schema": RECORD_SCHEMA, "key": KEY, "curriculum": CELL.curriculum, "eval": {"dataset": CELL.dataset},
        "model": {"name": "org/encoder", "revision": "4" * 40},
    })  # fmt: skip
    asked = dataclasses.replace(CELL, model="org/encoder@main")
    place = store.take_record(record)
    assert place == store.place_of(record) == store.record_path(dataclasses.replace(CELL, model="org/encoder"), KEY)
    assert store.record(asked, KEY) is None
    assert store.record(asked, KEY, "org/encoder") == record
    place.write_text("ours")
    with pytest.raises(FileExistsError):
        store.take_record(record)
    assert place.read_text() == "ours"


def test_a_record_too_deep_to_be_read_is_damaged(store: Store) -> None:
    store.save_record(CELL, KEY, RECORD)
    store.record_path(CELL, KEY).write_text('{"schema":' + "[" * 100_000)
    assert store.record(CELL, KEY) is None


def test_all_records_are_read_in_one_order_and_damaged_ones_are_named(store: Store, tmp_path: Path) -> None:
    for seed, name in enumerate(["korsts", "stsb", "sts17-ar"]):
        cell = dataclasses.replace(CELL, dataset=name)
        store.save_record(cell, f"{seed}" * 64, {**RECORD, "seed": seed})
    (tmp_path / "out" / "results" / "broken.json").write_text("{")
    (tmp_path / "out" / "results" / "notes.txt").write_text("no record")
    found = list(read_records(tmp_path / "out"))
    assert [path for path, _ in found] == sorted(path for path, _ in found)
    assert sorted(record["seed"] for _, record in found if record) == [0, 1, 2]
    assert [path.name for path, record in found if record is None] == ["broken.json"]
    assert list(read_records(tmp_path / "nothing here")) == []


def test_a_stage_comes_back_with_its_weights(store: Store) -> None:
    assert store.stage(KEY) is None
    written = save_stage(store)
    assert store.stage(KEY) == written
    assert written["weights_sha256"] == hashlib.sha256(WEIGHT_BYTES).hexdigest()
    assert store.stage_weights(KEY).read_bytes() == WEIGHT_BYTES
    assert store.stage(OTHER_KEY) is None


@pytest.mark.parametrize("at", [0, 1, 500, 1022, 1023])
def test_a_stage_with_a_changed_byte_is_none_and_can_be_made_again(at: int, store: Store) -> None:
    written = save_stage(store)
    assert store.stage(KEY) == written
    damage(store.stage_weights(KEY), at)
    assert store.stage(KEY) is None
    for _ in range(2):  # a second time too: the damaged one is kept once, for whoever wants to look
        assert save_stage(store) == store.stage(KEY) == written
        assert store.stage_weights(KEY).read_bytes() == WEIGHT_BYTES
        damage(store.stage_weights(KEY), at, mask=128)
        assert store.stage(KEY) is None


def test_any_single_changed_byte_of_a_manifest_is_noticed(store: Store) -> None:
    """Its numbers go into records: a speed or a row count that nobody measured must not."""
    save_stage(store)
    path = store.stage_weights(KEY).with_name(MANIFEST)
    whole = path.read_bytes()
    for at in range(0, len(whole), STEP):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert store.stage(KEY) is None, path.read_bytes()[max(0, at - 20) : at + 20]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", "{}", '{"weights_sha256": null}'])
def test_a_stage_whose_manifest_is_none_is_none_and_can_be_made_again(text: str, store: Store) -> None:
    save_stage(store)
    store.stage_weights(KEY).with_name(MANIFEST).write_text(text)
    assert store.stage(KEY) is None
    assert save_stage(store) == store.stage(KEY)


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
def test_a_stage_that_lacks_a_file_is_none_and_can_be_made_again(name: str, store: Store) -> None:
    save_stage(store)
    store.stage_weights(KEY).with_name(name).unlink()
    assert store.stage(KEY) is None
    assert save_stage(store) == store.stage(KEY)


def test_what_lies_beside_the_weights_is_checked_as_they_are(store: Store) -> None:
    def write(path: Path) -> None:
        path.write_bytes(WEIGHT_BYTES)
        path.with_name("b.json").write_bytes(b"{}")
        path.with_name("a.bin").write_bytes(b"abcd")

    for harm in (lambda path: damage(path, 1), Path.unlink):
        written = store.save_stage(KEY, {}, write)
        assert store.stage(KEY) == written
        assert list(written["beside_sha256"].items()) == [
            (name, hashlib.sha256(data).hexdigest()) for name, data in (("a.bin", b"abcd"), ("b.json", b"{}"))
        ]
        assert store.stage_bytes(KEY) == len(WEIGHT_BYTES) + 6
        harm(store.stage_weights(KEY).with_name("a.bin"))
        assert store.stage(KEY) is None
    assert "beside_sha256" not in save_stage(store, OTHER_KEY)


def test_a_stage_under_another_key_is_not_that_keys(store: Store) -> None:
    save_stage(store)
    folder = store.stage_weights(KEY).parent
    folder.rename(folder.with_name(OTHER_KEY))
    assert store.stage(OTHER_KEY) is None


def test_a_stage_whose_weights_cannot_be_written_is_not_there(store: Store) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        store.save_stage(KEY, {}, fail)
    assert store.stage(KEY) is None
    assert not store.stage_weights(KEY).parent.exists()


def hashed(store: Store, ids: list[str], predictions: list[Any], references: list[Any]) -> str:
    return store.save_predictions(KEY, ids, predictions, references)


def test_predictions_come_back_row_by_row(store: Store) -> None:
    ids, predictions = ["0", "b\tc", "훈련"], [0.1, None, {"text": "a\nb", "start": 3}]
    hashed(store, ids, predictions, [4.5, ["x", "y"], ""])
    table = pyarrow.parquet.read_table(store.predictions_path(KEY)).to_pydict()
    assert list(table) == ["id", "prediction", "reference"]
    assert table["id"] == ids
    assert [json.loads(text) for text in table["prediction"]] == predictions
    assert [json.loads(text) for text in table["reference"]] == [4.5, ["x", "y"], ""]


def test_the_hash_is_of_the_predictions_and_not_of_the_file(store: Store) -> None:
    files: list[bytes] = []
    hashes: list[str] = []
    for references in ([1.0, 2.0], ["other", "gold"]):
        hashes.append(hashed(store, ["0", "1"], [0.5, 1e-7], references))
        files.append(store.predictions_path(KEY).read_bytes())
    assert files[0] != files[1]
    assert hashes[0] == hashes[1] == hashlib.sha256(b'"0"\t0.5\n"1"\t1e-07\n').hexdigest()


ROWS = st.lists(st.tuples(st.text('0"\t\n,', max_size=3), st.text('0"\t\n,', max_size=3) | st.floats(0, 1)), max_size=3)


def test_more_predictions_than_are_written_at_once_are_one_file_and_one_hash(store: Store) -> None:
    count = 2 * ROWS_AT_ONCE + 5
    ids, predictions = [f"훈련-{index}" for index in range(count)], [index / 3 for index in range(count)]
    found = store.save_predictions(KEY, iter(ids), iter(predictions), iter(ids))
    lines = "".join(f'"{name}"\t{said!r}\n' for name, said in zip(ids, predictions, strict=True))
    assert found == hashlib.sha256(lines.encode()).hexdigest()
    table = pyarrow.parquet.read_table(store.predictions_path(KEY)).to_pydict()
    assert table["id"] == ids
    assert [json.loads(text) for text in table["prediction"]] == predictions
    assert [json.loads(text) for text in table["reference"]] == ids
    assert pyarrow.parquet.ParquetFile(store.predictions_path(KEY)).num_row_groups == 3


def test_predictions_that_end_in_an_error_leave_no_file(store: Store) -> None:
    def broken() -> Iterator[float]:
        yield from [0.5] * ROWS_AT_ONCE
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.save_predictions(KEY, map(str, itertools.count()), broken(), itertools.repeat(None))
    assert list(store.predictions_path(KEY).parent.iterdir()) == []


@sized(max_examples=20)
@given(ROWS, ROWS)
def test_different_predictions_have_different_hashes(
    tmp_path_factory: pytest.TempPathFactory, left: list[tuple[str, Any]], right: list[tuple[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("predictions")
    one, other = (
        hashed(
            Store(Settings(folder, folder)), [row for row, _ in rows], [said for _, said in rows], [None] * len(rows)
        )
        for rows in (left, right)
    )
    assert (one == other) == (repr(left) == repr(right))


def test_ids_and_predictions_must_be_of_one_length(store: Store) -> None:
    with pytest.raises(ValueError, match="shorter"):
        hashed(store, ["0", "1"], [0.5], [1.0])
