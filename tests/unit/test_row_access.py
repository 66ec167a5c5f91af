"""Looking at rows, drawing some of them, and preparing many in little memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loopback import without_network
from xbench.data.arrow import AT_ONCE, Rows
from xbench.data.rows import select

COUNT = 60


def written(path: Path, rows: Sequence[dict[str, Any]], batches: Sequence[int]) -> Rows:
    """Rows in a file, as many to a record batch as is said, in turn."""
    table = pyarrow.Table.from_pylist(list(rows))
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        start, turn = 0, 0
        while start < len(rows):
            size = batches[turn % len(batches)]
            writer.write_table(table.slice(start, size))
            start, turn = start + size, turn + 1
    return Rows(path)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return written(tmp_path_factory.mktemp("rows") / "a", [{"id": str(index)} for index in range(COUNT)], [7])


@given(
    st.integers(0, 40), st.lists(st.integers(1, 12), min_size=1, max_size=4), st.slices(45), st.integers(-45, 45),
    st.data(),
)  # fmt: skip
def test_rows_are_a_list_of_what_was_written(
    count: int, batches: list[int], part: slice, index: int, data: st.DataObject
) -> None:
    texts = [{"id": f"r{n}", "score": n / 3, "answers": [{"text": "훈련" * k, "start": k} for k in range(n % 4)]}
             for n in range(count + 1)]  # fmt: skip
    with TemporaryDirectory() as folder:
        whole = written(Path(folder) / "a", texts, batches)
        chosen = data.draw(st.lists(st.sampled_from(range(count + 1)), unique=True).map(sorted))
        some = whole.select(np.array(chosen, np.int64))
        for rows, expected in (whole, texts), (some, [texts[n] for n in chosen]), (
            some.select(np.arange(0, len(chosen), 2)), [texts[n] for n in chosen[::2]],
        ):  # fmt: skip
            assert len(rows) == len(expected)
            assert list(rows) == [rows[n] for n in range(len(rows))] == expected
            assert rows[part] == expected[part]
            if -len(expected) <= index < len(expected):
                assert rows[index] == expected[index]
            else:
                with pytest.raises(IndexError):
                    rows[index]


def test_more_rows_than_are_made_at_once_come_in_order(tmp_path: Path) -> None:
    count = 2 * AT_ONCE + 3
    rows = written(tmp_path / "a", [{"id": str(index)} for index in range(count)], [AT_ONCE - 1, 5])
    assert [row["id"] for row in rows] == [str(index) for index in range(count)]


def drawn(rows: Rows, limit: int | None, seed: int) -> list[int]:
    return [int(row["id"]) for row in select(rows, limit, seed)]


@given(st.integers(0, 59), st.integers(0, 2**31))
def test_a_draw_has_its_size_and_keeps_the_rows_order(rows: Rows, limit: int, seed: int) -> None:
    chosen = drawn(rows, limit, seed)
    assert len(chosen) == limit
    assert chosen == sorted(set(chosen))
    assert chosen == drawn(rows, limit, seed)


@pytest.mark.parametrize("limit", [None, 60, 61, 10**9])
def test_a_limit_that_reaches_all_rows_takes_all(rows: Rows, limit: int | None) -> None:
    assert drawn(rows, limit, 0) == list(range(60))


def test_seeds_draw_differently_and_every_row_has_its_chance(rows: Rows) -> None:
    draws = [drawn(rows, 10, seed) for seed in range(100)]
    assert len({tuple(one) for one in draws}) == 100
    counts = [sum(row in one for one in draws) for row in range(60)]
    # Each row is expected 17 times (standard deviation 3.7); a draw of the first rows, or of a block, is far outside.
    assert min(counts) >= 2
    assert max(counts) <= 36


PREPARE = """
import functools, tracemalloc
from pathlib import Path
from xbench.data.rows import prepare
from xbench.data.schemas import xbench_schemas
from xbench.settings import Settings
from xbench.types import Dataset, Packaged, Split

def generate(paths, count):
    for index in range(count):
        first, second = f"{index} " * 30, f"{7 * index} " * 30
        yield {"id": str(index), "sentence1": first, "sentence2": second, "score": float(index % 6)}

def grow(count):
    source = Packaged((Path(FOLDER) / "seed",), functools.partial(generate, count=count))
    dataset = Dataset("generated", ("en",), "pair-score", {"train": Split((source,))}, "", "", "", "")
    schema = next(schema for schema in xbench_schemas() if schema.name == "pair-score")
    rows = prepare(dataset, "train", schema, Settings(cache=Path(FOLDER)))
    assert rows.rows == count

grow(2_000)  # imports what is heavy
import pyarrow
tracemalloc.start()
grow(COUNT)
report(bytes=tracemalloc.get_traced_memory()[1] + pyarrow.default_memory_pool().max_memory())
"""


def test_ten_times_the_rows_are_prepared_in_the_same_memory_but_for_their_ids_hashes(tmp_path: Path) -> None:
    grown = {}
    for count in (20_000, 200_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "seed").touch()
        code = PREPARE.replace("FOLDER", repr(str(folder))).replace("COUNT", str(count))
        grown[count] = without_network(code, folder)["bytes"]
    hashes = 10 * 200_000  # the ids' hashes, eight bytes each and some room to grow; the texts are fifty times as long
    assert grown[200_000] - hashes <= 1.5 * grown[20_000]
