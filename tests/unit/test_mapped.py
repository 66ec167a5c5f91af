"""A mapped array that was gone through does not stay in memory, and holds what it held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbench.api import forget_pages

MEGABYTES = 64


def resident_file_pages() -> float:
    """MB of files that this process holds through its maps."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no RssFile")


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


def test_of_other_arrays_nothing_happens(path: Path) -> None:
    for array in (np.arange(3), np.arange(6)[::2], np.load(path, mmap_mode="r")[1:]):
        expected = array.copy()
        forget_pages(array)
        np.testing.assert_array_equal(array, expected)
