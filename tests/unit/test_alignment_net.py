"""One linear layer under gradient descent comes to the least squares solution, the same from the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from xbench_plugins.alignment.maps import blocks, least_squares
from xbench_plugins.alignment.net import NetRecipe, linear_net

RECIPE = NetRecipe(lr=1e-2, batch=64, epochs=300, tolerance=1e-4, patience=5, bias=False)


def drawn(count: int = 600, width: int = 8, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """(count, 2, width) pairs: a map and noise."""
    generator = np.random.default_rng(seed)
    source = generator.standard_normal((count, width))
    target = source @ generator.standard_normal((width, width)) + 0.3 * generator.standard_normal((count, width))
    return np.stack([source, target + shift], 1).astype(np.float32)


@pytest.mark.parametrize("swapped", [False, True])
def test_it_comes_to_the_least_squares_solution(swapped: bool) -> None:
    pairs = drawn()
    found = linear_net(pairs, swapped, RECIPE, 0)
    expected = least_squares(blocks(pairs, 100, swapped))
    source, target = pairs[:, int(swapped)], pairs[:, 1 - int(swapped)]
    one, other = (np.square(each(source) - target).mean() for each in (found, expected))
    assert one < 1.02 * other
    if not swapped:  # the way back is flat in some directions
        np.testing.assert_allclose(found.matrix, expected.matrix, atol=0.05)


def test_a_bias_takes_up_a_shift() -> None:
    pairs = drawn(shift=3.0)
    source, target = pairs[:, 0], pairs[:, 1]
    plain, shifted = (linear_net(pairs, False, replace(RECIPE, bias=bias), 0) for bias in (False, True))
    assert not plain.offset.any()
    assert np.square(shifted(source) - target).mean() < 0.05 * np.square(plain(source) - target).mean()


def test_the_same_seed_gives_the_same_map_and_another_one_nearly_so() -> None:
    pairs = drawn(200)
    first, again, other = (linear_net(pairs, False, RECIPE, seed).matrix for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first, other, atol=0.1)


def test_it_stops_when_it_no_longer_gets_better_and_at_the_last_epoch() -> None:
    errors: list[float] = []
    linear_net(drawn(), False, RECIPE, 0, lambda epoch, error: errors.append(error))
    assert 10 < len(errors) < RECIPE.epochs
    waited = errors[-RECIPE.patience :]
    before = min(errors[: -RECIPE.patience])
    assert all(error >= before * (1 - RECIPE.tolerance) for error in waited)
    few: list[int] = []
    linear_net(drawn(), False, replace(RECIPE, epochs=4), 0, lambda epoch, error: few.append(epoch))
    assert few == [0, 1, 2, 3]


def test_one_pair_is_enough_and_none_is_refused() -> None:
    pairs = drawn(1)
    found = linear_net(pairs, False, RECIPE, 0)
    np.testing.assert_allclose(found(pairs[:, 0]), pairs[:, 1], atol=0.1)
    with pytest.raises(ValueError, match="no pairs"):
        linear_net(pairs[:0], False, RECIPE, 0)


def test_the_global_generator_is_none_of_its_business() -> None:
    import torch

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    linear_net(drawn(50), False, replace(RECIPE, epochs=2), 0)
    assert torch.equal(before, torch.random.get_rng_state())
