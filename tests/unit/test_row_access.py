"""Drawing some of the rows, and preparing many in little memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loopback import without_network
from xbench.data.rows import select

ROWS: Any = datasets.Dataset.from_dict({"id": [str(index) for index in range(60)]})


def drawn(limit: int | None, seed: int) -> list[int]:
    return [int(row["id"]) for row in select(ROWS, limit, seed)]


@given(st.integers(0, 59), st.integers(0, 2**31))
def test_a_draw_has_its_size_and_keeps_the_rows_order(limit: int, seed: int) -> None:
    chosen = drawn(limit, seed)
    assert len(chosen) == limit
    assert chosen == sorted(set(chosen))
    assert chosen == drawn(limit, seed)


@pytest.mark.parametrize("limit", [None, 60, 61, 10**9])
def test_a_limit_that_reaches_all_rows_takes_all(limit: int | None) -> None:
    assert drawn(limit, 0) == list(range(60))


def test_seeds_draw_differently_and_every_row_has_its_chance() -> None:
    draws = [drawn(10, seed) for seed in range(100)]
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
