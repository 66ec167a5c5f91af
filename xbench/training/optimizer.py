"""RAdam and AdamW, with the gradient's clipping and clearing, in one call a step.

torch's optimizers pass over all weights once for each of a dozen small operations. Weights, gradients and two moments
are hundreds of megabytes, so that on a CPU each of these passes goes to memory, and the step costs more than some of
the matrix products. Here a block of a size that the processor's cache holds goes through all of the operations before
the next one begins. On a GPU torch's own kernels, fused where there are any, do the same.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from ..recipe import Recipe

BETAS = (0.9, 0.999)
EPSILON = 1e-8
BLOCK = 1 << 19
"""Weights in a block: with its gradient, two moments and a buffer 10 MB."""


class Optimizer(Protocol):
    """What the training loop asks of an optimizer."""

    def step(self, lr: float) -> torch.Tensor:
        """Clip the gradient, change the weights, clear the gradient.

        Args:
            lr: The learning rate of this step.

        Returns:
            () The gradient's global norm before it was clipped, float32, where the weights are. Where it is no finite
            number, nothing good can come of the step: the weights are then of no use, or as they were.
        """

    def clear(self) -> None:
        """Clear the gradient."""

    def state(self) -> dict[str, torch.Tensor]:
        """What it remembers between two steps, by name; not copied."""

    def load(self, names: Collection[str], get: Callable[[str], torch.Tensor]) -> None:
        """Remember what `state` gave, before the first step.

        Args:
            names: Its names.
            get: Gives one of its tensors; no two are needed at a time.
        """


def make_optimizer(module: torch.nn.Module, recipe: Recipe, device: torch.device) -> Optimizer:
    """RAdam (Liu et al., 2020) or AdamW, with torch's default moments; weight decay spares biases and norms.

    Args:
        module: Whose parameters to train.
        recipe: Names the optimizer, its weight decay and the norm to clip to.
        device: Where the module is.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if device.type == "cpu" and all(parameter.dtype == torch.float32 for parameter in trained):
        return BlockedOptimizer(trained, recipe)
    return TorchOptimizer(trained, recipe, device)


def _is_spared(parameter: torch.nn.Parameter) -> bool:
    """Whether weight decay leaves it alone: biases and norms."""
    return parameter.ndim <= 1


class TorchOptimizer:
    """torch's own.

    Args:
        parameters: What to train.
        recipe: See `make_optimizer`.
        device: Where they are.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], recipe: Recipe, device: torch.device) -> None:
        decayed = [parameter for parameter in parameters if not _is_spared(parameter)]
        spared = [parameter for parameter in parameters if _is_spared(parameter)]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": spared, "weight_decay": 0.0}]
        self._parameters, self._max_norm = parameters, recipe.max_grad_norm
        self._optimizer: torch.optim.Optimizer
        if recipe.optimizer == "radam":
            self._optimizer = torch.optim.RAdam(groups, betas=BETAS, eps=EPSILON, foreach=device.type == "cuda")
        else:
            self._optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON, fused=device.type == "cuda")

    def step(self, lr: float) -> torch.Tensor:
        """See `Optimizer`. The norm is not looked at here: a GPU would have to wait for it."""
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._max_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self.clear()
        return norm.float()

    def clear(self) -> None:
        """See `Optimizer`."""
        self._optimizer.zero_grad()

    def state(self) -> dict[str, torch.Tensor]:
        """See `Optimizer`; torch's own names behind the parameter's number."""
        of_each = self._optimizer.state_dict()["state"]
        return {f"{index}.{name}": value for index, state in of_each.items() for name, value in state.items()}

    def load(self, names: Collection[str], get: Callable[[str], torch.Tensor]) -> None:
        """See `Optimizer`; rates and decays are the recipe's, and not kept."""
        of_each: dict[int, dict[str, torch.Tensor]] = defaultdict(dict)
        for full in names:
            index, _, name = full.partition(".")
            of_each[int(index)][name] = get(full)
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": dict(of_each)})


@dataclass(frozen=True)
class _Block:
    """A run of one parameter's numbers, (n,) each.

    Attributes:
        parameter: Whose gradient it takes.
        start: Where it begins in the flattened parameter.
        weights: A view of the parameter.
        first: The running mean of the gradient.
        second: The running mean of its square.
        decay: The weight decay.
    """

    parameter: torch.nn.Parameter
    start: int
    weights: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    decay: float


class BlockedOptimizer:
    """The same to rounding as torch's, block by block.

    Args:
        parameters: What to train; contiguous, float32, on the CPU.
        recipe: See `make_optimizer`.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], recipe: Recipe) -> None:
        self._parameters, self._recipe = parameters, recipe
        self._moments = [(torch.zeros(one.numel()), torch.zeros(one.numel())) for one in parameters]
        self._blocks = [
            block
            for parameter, moments in zip(parameters, self._moments, strict=True)
            for block in _blocks(parameter, *moments, recipe.weight_decay)
        ]
        self._buffer = torch.empty(BLOCK)
        self._steps = 0

    @torch.no_grad()
    def step(self, lr: float) -> torch.Tensor:
        """See `Optimizer`. After a gradient that is no number the weights are as they were."""
        self._steps += 1
        norm = self._norm()
        if not torch.isfinite(norm):
            self.clear()
            return norm
        scale = min(1.0, self._recipe.max_grad_norm / (float(norm) + 1e-6))  # 1e-6 as torch
        update = self._radam if self._recipe.optimizer == "radam" else self._adamw
        for block in self._blocks:
            if block.parameter.grad is None:
                continue
            gradient = block.parameter.grad.view(-1)[block.start : block.start + len(block.weights)]
            if scale < 1:
                gradient.mul_(scale)
            update(block, gradient, lr)
            # Cleared in place: new gradients would lie amid the next pieces' activations.
            gradient.zero_()
        return norm

    def clear(self) -> None:
        """See `Optimizer`."""
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.zero_()

    def state(self) -> dict[str, torch.Tensor]:
        """See `Optimizer`."""
        state = {"steps": torch.tensor(self._steps)}
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                state[f"{index}.first"], state[f"{index}.second"] = self._moments[index]
        return state

    def load(self, names: Collection[str], get: Callable[[str], torch.Tensor]) -> None:
        """See `Optimizer`."""
        self._steps = int(get("steps"))
        for index, (parameter, (first, second)) in enumerate(zip(self._parameters, self._moments, strict=True)):
            if f"{index}.first" in names:
                first.copy_(get(f"{index}.first"))
                second.copy_(get(f"{index}.second"))
                # A weight that has had a gradient goes on moving by its moments where a batch gives it none.
                parameter.grad = torch.zeros_like(parameter)

    def _norm(self) -> torch.Tensor:
        """() The gradient's global norm."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        return torch.nn.utils.get_total_norm(gradients, foreach=True)

    def _root(self, block: _Block, gradient: torch.Tensor) -> torch.Tensor:
        """Move both moments; gives the second one's square root, in a buffer."""
        block.first.lerp_(gradient, 1 - BETAS[0])
        block.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        return torch.sqrt(block.second, out=self._buffer[: len(block.weights)])

    def _radam(self, block: _Block, gradient: torch.Tensor, lr: float) -> None:
        """RAdam (Liu et al., 2020), its weight decay an L2 term, as torch's default."""
        if block.decay:
            gradient.add_(block.weights, alpha=block.decay)
        root = self._root(block, gradient)
        rate = lr / (1 - BETAS[0] ** self._steps)
        rectification = self._rectification()
        if rectification is None:
            block.weights.add_(block.first, alpha=-rate)
        else:
            block.weights.addcdiv_(block.first, root.add_(EPSILON), value=-rate * rectification)

    def _rectification(self) -> float | None:
        """The paper's r_t with the second moment's bias; None for the first steps, which do without that moment."""
        right = BETAS[1] ** self._steps
        longest = 2 / (1 - BETAS[1]) - 1
        length = longest - 2 * self._steps * right / (1 - right)
        if length <= 5:  # torch's bound; the paper's is 4
            return None
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        return math.sqrt(ratio * (1 - right))

    def _adamw(self, block: _Block, gradient: torch.Tensor, lr: float) -> None:
        """AdamW (Loshchilov and Hutter, 2019)."""
        if block.decay:
            block.weights.mul_(1 - lr * block.decay)
        root = self._root(block, gradient).div_(math.sqrt(1 - BETAS[1] ** self._steps)).add_(EPSILON)
        block.weights.addcdiv_(block.first, root, value=-lr / (1 - BETAS[0] ** self._steps))


def _blocks(
    parameter: torch.nn.Parameter, first: torch.Tensor, second: torch.Tensor, weight_decay: float
) -> Iterator[_Block]:
    decay = 0.0 if _is_spared(parameter) else weight_decay
    flat = parameter.detach().view(-1)
    for start in range(0, len(flat), BLOCK):
        part = slice(start, start + BLOCK)
        yield _Block(parameter, start, flat[part], first[part], second[part], decay)
