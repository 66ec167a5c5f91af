"""A mapped array that was gone through does not stay in memory, and holds what it held."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.alignment.maps import blocks, least_squares
from xbench_plugins.alignment.net import NetRecipe, linear_net

from tests.unit.test_row_access import written
from xbench.api import forget_pages
from xbench.data.mapped import MappedArrays

MEGABYTES = 64
STATUS = Path("/proc/self/status")


def resident_file_pages() -> float:
    """MB of files that this process holds through its maps; those of a folder in memory are counted apart."""
    if not STATUS.exists():
        pytest.skip("what a process holds is told by Linux alone")
    lines = [line.split() for line in STATUS.read_text(encoding="ascii").splitlines()]
    return sum(int(line[1]) for line in lines if line[0] in ("RssFile:", "RssShmem:")) / 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", np.arange(MEGABYTES * 2**17, dtype=np.float64))
    return tmp_path / "a.npy"


def test_a_mapped_array_leaves_memory_and_comes_back(path: Path) -> None:
    mapped = np.load(path, mmap_mode="r")
    before, total = resident_file_pages(), mapped.sum()
    held = resident_file_pages()
    forget_pages(mapped)
    after = resident_file_pages()
    assert held - before > 0.9 * MEGABYTES
    assert after - before < 0.1 * MEGABYTES
    assert mapped.sum() == total


def test_what_was_written_is_not_lost(path: Path) -> None:
    written = np.lib.format.open_memmap(path, mode="r+")
    written[::3] = -1
    forget_pages(written)
    assert (written[::3] == -1).all()
    assert written[1] == 1
    written.flush()
    assert (np.load(path)[::3] == -1).all()


def test_changes_that_no_file_holds_are_kept(path: Path) -> None:
    changed = np.load(path, mmap_mode="c")
    changed[:1000] = -5
    forget_pages(changed)
    assert (changed[:1000] == -5).all()


def fit_least_squares(outputs: np.ndarray) -> None:
    least_squares(blocks(outputs, 512))


def fit_net(outputs: np.ndarray) -> None:
    linear_net(outputs, False, NetRecipe(1e-3, 64, 1, 1e-4, 5, False), 0)


@pytest.mark.parametrize("fit", [fit_least_squares, fit_net])
def test_a_map_is_fitted_without_holding_its_pairs(path: Path, fit: Callable[[np.ndarray], None]) -> None:
    outputs = np.load(path, mmap_mode="r").reshape(-1, 2, 64)  # a view: let go of by nobody
    np.save(path.with_name("pairs.npy"), outputs.astype(np.float32))
    outputs = np.load(path.with_name("pairs.npy"), mmap_mode="r")
    fit(np.array(outputs[:500]))  # the libraries that are needed are in memory from here on
    before = resident_file_pages()
    fit(outputs)
    assert resident_file_pages() - before < 0.3 * MEGABYTES / 2


LISTS = st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=12)


@given(LISTS, st.sampled_from([(), (1,), (2,), (3, 2)]), st.slices(15), st.integers(-15, 15))
def test_arrays_of_a_file_are_a_list_of_them(
    lists: list[list[int]], lead: tuple[int, ...], part: slice, index: int
) -> None:
    expected = [np.arange(math.prod(lead) * len(one), dtype=np.int32).reshape(*lead, len(one)) for one in lists]
    for n, one in enumerate(expected):
        one += 100 * n
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        # A file has to hold something to be mapped.
        path.write_bytes(b"".join(one.tobytes() for one in expected) + b"end.")
        found = MappedArrays(np.memmap(path, np.int32, mode="r"), np.cumsum([one.size for one in expected]), lead)
        assert len(found) == len(expected)
        for some, wanted in (list(found), expected), (found[part], expected[part]):
            for one, other in zip(some, wanted, strict=True):
                assert one.dtype == np.int32
                np.testing.assert_array_equal(one, other, strict=True)
        if -len(expected) <= index < len(expected):
            np.testing.assert_array_equal(found[index], expected[index], strict=True)
        else:
            with pytest.raises(IndexError):
                found[index]


def walk_in_order(arrays: MappedArrays) -> None:
    assert sum(int(array[0]) for array in arrays) == sum(range(0, MEGABYTES << 17, 512))


def walk_about(arrays: MappedArrays) -> None:
    for index in np.random.default_rng(0).permutation(len(arrays)).tolist():
        assert arrays[index].sum() == 512 * (512 * index + 255.5)


@pytest.mark.parametrize("walk", [walk_in_order, walk_about])
@pytest.mark.parametrize("ragged", [False, True])
def test_arrays_of_a_file_are_gone_through_without_holding_it(
    path: Path, walk: Callable[[MappedArrays], None], ragged: bool
) -> None:
    count = MEGABYTES << 8  # of 4 KB
    header = path.stat().st_size - (MEGABYTES << 20)
    mapped = np.memmap(path, np.float64, "r", header, (count * 512,) if ragged else (count, 512))
    before = resident_file_pages()
    walk(MappedArrays(mapped, 512 * np.arange(1, count + 1)) if ragged else MappedArrays(mapped))
    assert resident_file_pages() - before < 0.3 * MEGABYTES


def test_rows_are_gone_through_without_holding_their_file(tmp_path: Path) -> None:
    texts = [{"id": str(index), "text": f"{index} " * 400} for index in range(MEGABYTES << 9)]
    rows = written(tmp_path / "rows", texts, [1000])
    assert (tmp_path / "rows").stat().st_size > MEGABYTES << 20
    before = resident_file_pages()
    assert sum(len(row["text"]) for row in rows) == sum(len(row["text"]) for row in texts)
    assert resident_file_pages() - before < 0.3 * MEGABYTES
    assert sum(int(rows[index]["id"]) for index in range(0, len(rows), 50)) == sum(range(0, len(rows), 50))
    assert resident_file_pages() - before < 0.3 * MEGABYTES


def test_of_other_arrays_nothing_happens(path: Path) -> None:
    for array in (np.arange(3), np.arange(6)[::2], np.load(path, mmap_mode="r")[1:]):
        expected = array.copy()
        forget_pages(array)
        np.testing.assert_array_equal(array, expected)
