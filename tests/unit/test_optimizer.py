"""The blocked optimizer against torch's own, over steps on both sides of RAdam's rectification."""

from __future__ import annotations

import pytest
import torch

from xbench.recipe import build_recipe
from xbench.training.optimizer import BLOCK, BlockedOptimizer, TorchOptimizer, make_optimizer

SHAPES = [(BLOCK // 64 + 3, 64), (7, 5), (BLOCK,), (3,)]  # more than a block, less, just one


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def put_gradients(trained: list[torch.nn.Parameter], step: int) -> None:
    """Gradients with rows of zeros, as an embedding table's; above the norm to clip to in every third step."""
    generator = torch.Generator().manual_seed(step)
    for parameter in trained:
        gradient = torch.randn(parameter.shape, generator=generator) * (1.0 if step % 3 == 0 else 1e-4)
        gradient[::2] = 0
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad += gradient


@pytest.mark.parametrize("kind", ["radam", "adamw"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_is_torchs_optimizer_to_rounding(kind: str, weight_decay: float) -> None:
    recipe = build_recipe({"optimizer": kind, "weight_decay": weight_decay, "max_grad_norm": 0.5}, "test", {})
    mine, theirs = parameters(), parameters()
    blocked, own = BlockedOptimizer(mine, recipe), TorchOptimizer(theirs, recipe, torch.device("cpu"))
    for step in range(25):
        lr = 1e-2 * (step + 1) / 25
        for trained, optimizer in ((mine, blocked), (theirs, own)):
            put_gradients(trained, step)
            optimizer.step(lr)
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_it_leaves_the_gradient_cleared_and_in_its_place() -> None:
    trained = parameters()
    optimizer = BlockedOptimizer(trained, build_recipe({}, "test", {}))
    put_gradients(trained, 0)
    places = [parameter.grad.data_ptr() for parameter in trained if parameter.grad is not None]
    optimizer.step(1e-3)
    assert [parameter.grad.data_ptr() for parameter in trained if parameter.grad is not None] == places
    assert all(not parameter.grad.any() for parameter in trained if parameter.grad is not None)


def test_weights_whose_gradient_was_always_zero_stay_as_they_are() -> None:
    """What the restriction of the vocabulary rests on."""
    trained = parameters()
    before = [parameter.detach().clone() for parameter in trained]
    optimizer = make_optimizer(torch.nn.ParameterList(trained), build_recipe({}, "test", {}), torch.device("cpu"))
    for step in range(8):
        put_gradients(trained, step)
        optimizer.step(1e-2)
    for parameter, old in zip(trained, before, strict=True):
        assert torch.equal(parameter[::2], old[::2])
        assert not torch.equal(parameter[1::2], old[1::2])


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    trained = parameters()
    before = trained[0].detach().clone()
    optimizer = BlockedOptimizer(trained, build_recipe({}, "test", {}))
    put_gradients(trained[1:], 0)
    optimizer.step(1e-2)
    assert torch.equal(trained[0], before)
