"""Ids are unique within a split, and looking for repeats takes eight bytes a row."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.data.ids import first_repeat, id_hash, suspects
from xbench.data.rows import prepare
from xbench.data.schemas import xbench_schemas
from xbench.errors import DataError
from xbench.settings import Settings
from xbench.types import Dataset, Packaged, Row, Split

SCHEMA = next(schema for schema in xbench_schemas() if schema.name == "pair-score")
TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=30)


def read(paths: Sequence[Path]) -> Iterator[Row]:
    """One row a line of the file; the line is its id."""
    for line in paths[0].read_text(encoding="utf-8").splitlines():
        yield {"id": line, "sentence1": "a", "sentence2": "b", "score": 1.0}


def prepared(folder: Path, ids: list[str]) -> int:
    path = folder / "ids.txt"
    path.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
    split = Split((Packaged((path,), read),))
    dataset = Dataset("made-up", ("en",), "pair-score", {"train": split}, "none", "none", "none", "none")
    return prepare(dataset, "train", SCHEMA, Settings(cache=folder / "cache")).rows


def test_unique_ids_are_fine_however_many(tmp_path: Path) -> None:
    assert prepared(tmp_path, [f"{index:x}" for index in range(5000)]) == 5000


def test_one_row_has_no_repeats(tmp_path: Path) -> None:
    assert prepared(tmp_path, ["alone"]) == 1


@pytest.mark.parametrize(("first", "second"), [(0, 1), (3, 4321), (1200, 4999)])
def test_a_repeated_id_is_named_with_its_rows(tmp_path: Path, first: int, second: int) -> None:
    ids = [f"id-{index}" for index in range(5000)]
    ids[second] = ids[first]
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, ids)
    assert f"{tmp_path / 'ids.txt'} gives the rows {first} and {second} the same id 'id-{first}'" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert list((tmp_path / "cache" / "datasets").iterdir()) == []


@given(TEXTS)
def test_suspects_are_what_occurs_twice(texts: list[str]) -> None:
    counts = Counter(map(id_hash, texts))
    assert suspects(array("Q", map(id_hash, texts))) == {value for value, count in counts.items() if count > 1}


@given(TEXTS)
def test_the_first_repeat_is_the_first(texts: list[str]) -> None:
    found = first_repeat(texts, suspects(array("Q", map(id_hash, texts))))
    repeats = [index for index, text in enumerate(texts) if text in texts[:index]]
    assert found == ((texts[repeats[0]], texts.index(texts[repeats[0]]), repeats[0]) if repeats else None)


def test_hashes_that_are_equal_by_chance_are_no_repeat() -> None:
    ids = ["a", "b", "c"]
    assert first_repeat(ids, {id_hash(one) for one in ids}) is None
    assert first_repeat([*ids, "b"], {id_hash(one) for one in ids}) == ("b", 1, 3)
