"""The maps are those of numpy's and scipy's solvers on all pairs at once, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.alignment.maps import LinearMap, blocks, least_squares, procrustes


def drawn(count: int, width: int, seed: int = 0, noise: float = 0.3, rank: int | None = None) -> np.ndarray:
    """(count, 2, width) pairs: the second side is a map of the first, with noise."""
    generator = np.random.default_rng(seed)
    source = generator.standard_normal((count, rank or width)) @ generator.standard_normal((rank or width, width))
    target = source @ generator.standard_normal((width, width)) + noise * generator.standard_normal((count, width))
    return np.stack([source, target], 1)


@pytest.mark.parametrize("at_once", [1, 7, 64, 1000])
@pytest.mark.parametrize(("count", "width"), [(200, 8), (9, 8), (8, 8), (3, 8), (1, 5)])
def test_least_squares_is_numpys_at_any_block_size(count: int, width: int, at_once: int) -> None:
    pairs = drawn(count, width)
    expected = np.linalg.lstsq(pairs[:, 0], pairs[:, 1], rcond=None)[0]
    found = least_squares(blocks(pairs, at_once))
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-9, atol=1e-9)
    assert not found.offset.any()


def test_least_squares_keeps_its_accuracy_where_the_normal_equations_lose_it() -> None:
    """Columns whose scales are ten million apart: A'A is singular to the last digit."""
    pairs = drawn(300, 6, noise=0.0)
    pairs[:, 0] *= np.logspace(0, -9, 6)
    expected = np.linalg.lstsq(pairs[:, 0], pairs[:, 1], rcond=None)[0]
    np.testing.assert_allclose(least_squares(blocks(pairs, 32)).matrix, expected, rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_of_many_solutions_least_squares_is_the_one_of_least_norm(rank: int) -> None:
    pairs = drawn(60, 8, rank=rank)
    expected = np.linalg.lstsq(pairs[:, 0], pairs[:, 1], rcond=1e-10)[0]
    np.testing.assert_allclose(least_squares(blocks(pairs, 16)).matrix, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("ridge", [0.1, 10.0])
def test_ridge_is_the_normal_equations_with_a_ridge(ridge: float) -> None:
    pairs = drawn(50, 6)
    source, target = pairs[:, 0], pairs[:, 1]
    expected = np.linalg.solve(source.T @ source + ridge * np.eye(6), source.T @ target)
    np.testing.assert_allclose(least_squares(blocks(pairs, 20), ridge).matrix, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize(("count", "width"), [(200, 8), (8, 8), (3, 8)])
def test_procrustes_is_scipys_at_any_block_size(count: int, width: int, at_once: int) -> None:
    pairs = drawn(count, width)
    found = procrustes(blocks(pairs, at_once)).matrix
    np.testing.assert_allclose(found @ found.T, np.eye(width), atol=1e-10)
    if count >= width:  # else many are as good
        expected, _ = scipy.linalg.orthogonal_procrustes(pairs[:, 0], pairs[:, 1])
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@given(count=st.integers(1, 40), width=st.integers(1, 6), seed=st.integers(0, 999))
def test_no_orthogonal_map_is_nearer_than_procrustes(count: int, width: int, seed: int) -> None:
    pairs = drawn(count, width, seed)
    source, target = pairs[:, 0], pairs[:, 1]
    best = np.linalg.norm(procrustes(blocks(pairs, 9))(source) - target)
    generator = np.random.default_rng(seed)
    for _ in range(5):
        other = np.linalg.qr(generator.standard_normal((width, width)))[0]
        assert best <= np.linalg.norm(source @ other - target) + 1e-9


@pytest.mark.parametrize("fit", [least_squares, procrustes])
def test_centred_is_what_it_says(fit: object) -> None:
    pairs = drawn(80, 5) + np.array([[3.0], [-7.0]])
    plain = pairs - pairs.mean(0)
    centred = fit(blocks(pairs, 11), centred=True)  # type: ignore[operator]
    uncentred = fit(blocks(plain, 80))  # type: ignore[operator]
    np.testing.assert_allclose(centred.matrix, uncentred.matrix, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(centred(pairs[:, 0].mean(0)[None]), pairs[:, 1].mean(0)[None], atol=1e-8)


@pytest.mark.parametrize("fit", [least_squares, procrustes])
def test_swapped_pairs_give_the_map_back(fit: object) -> None:
    pairs = drawn(60, 5)
    swapped = fit(blocks(pairs, 13, swapped=True))  # type: ignore[operator]
    np.testing.assert_allclose(swapped.matrix, fit(blocks(pairs[:, ::-1], 60)).matrix, atol=1e-9)  # type: ignore[operator]


@pytest.mark.parametrize("fit", [least_squares, procrustes])
def test_without_pairs_there_is_no_map(fit: object) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        fit(blocks(np.empty((0, 2, 4)), 8))  # type: ignore[operator]


def test_the_identity_changes_nothing() -> None:
    rows = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_array_equal(LinearMap(np.eye(3), np.zeros(3))(rows), rows)
