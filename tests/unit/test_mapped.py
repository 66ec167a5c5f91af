"""A mapped array that was gone through does not stay in memory, and holds what it held."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xbench_plugins.alignment.maps import blocks, least_squares
from xbench_plugins.alignment.net import NetRecipe, linear_net

from xbench.api import forget_pages

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


def test_of_other_arrays_nothing_happens(path: Path) -> None:
    for array in (np.arange(3), np.arange(6)[::2], np.load(path, mmap_mode="r")[1:]):
        expected = array.copy()
        forget_pages(array)
        np.testing.assert_array_equal(array, expected)
