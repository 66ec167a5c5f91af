"""``linear-net``: one linear layer, trained by gradient descent on the mean squared error (section II.C)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from xbench.api import forget_pages

from .maps import LinearMap


@dataclass(frozen=True)
class NetRecipe:
    """How the layer is trained.

    Attributes:
        lr: Adam's step.
        batch: Pairs of a step.
        epochs: At most.
        tolerance: An epoch is better when its mean error is lower than the best before by this share.
        patience: It stops after so many epochs in a row that are not better.
        bias: Whether the layer has one.
    """

    lr: float
    batch: int
    epochs: int
    tolerance: float
    patience: int
    bias: bool


def linear_net(
    outputs: npt.NDArray[np.floating], swapped: bool, recipe: NetRecipe, seed: int,
    on_epoch: Callable[[int, float], None] = lambda epoch, error: None,
) -> LinearMap:  # fmt: skip
    """Train the layer.

    Args:
        outputs: (pairs, 2, d) the embeddings of both sides, memory-mapped or not.
        swapped: Whether the second side is the source.
        recipe: How.
        seed: Of the first weights and of the order of the pairs.
        on_epoch: Told of every epoch and its mean squared error.

    Returns:
        The map.

    Raises:
        ValueError: There are no pairs.
    """
    if not len(outputs):
        raise ValueError("no pairs to fit a map on")
    generator = torch.Generator().manual_seed(seed)
    width = outputs.shape[-1]
    layer = torch.nn.utils.skip_init(torch.nn.Linear, width, width, bias=recipe.bias)  # type: ignore[no-untyped-call]
    torch.nn.init.normal_(layer.weight, std=width**-0.5, generator=generator)
    if recipe.bias:
        torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=recipe.lr)
    best, waited = float("inf"), 0
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(outputs), generator=generator).numpy()  # (pairs,)
        total = 0.0
        for start in range(0, len(order), recipe.batch):
            some = np.sort(order[start : start + recipe.batch])  # a memory map is read forwards
            both = torch.from_numpy(np.asarray(outputs[some], np.float32))  # (rows, 2, d)
            # Each step: the system may map 2 MB of the file around each pair.
            forget_pages(outputs)
            loss = torch.nn.functional.mse_loss(layer(both[:, int(swapped)]), both[:, 1 - int(swapped)])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(some)
        error = total / len(order)
        on_epoch(epoch, error)
        waited = 0 if error < best * (1 - recipe.tolerance) else waited + 1
        best = min(best, error)
        if waited == recipe.patience:
            break
    weight, bias = layer.weight.detach().double().numpy(), layer.bias
    offset = np.zeros(len(weight)) if bias is None else bias.detach().double().numpy()
    return LinearMap(weight.T.copy(), offset)
