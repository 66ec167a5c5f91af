"""The low-rank part of a linear layer that carries a LoRA adapter (Hu et al., 2022), for layers derived by hand.

Such a layer gives W x + b + (alpha / rank) B A dropout(x), with W and b frozen. The products with A and B are a few
hundredths of that with W, and are made beside it: added into W once for each step instead, they would have all of W be
cast and laid out anew, and in bf16 be rounded to its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

MaskOf = Callable[[torch.Tensor, float], torch.Tensor]
"""Draws dropout's mask, 0 or 1/(1-rate), for a tensor."""


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds to a linear layer.

    Attributes:
        down: A, (rank, in).
        up: B, (out, rank).
        scaling: alpha / rank.
        dropout: Of what goes in; an identity where there is none.
    """

    down: torch.nn.Parameter
    up: torch.nn.Parameter
    scaling: float
    dropout: torch.nn.Module

    @property
    def rate(self) -> float:
        """Of dropout, at the moment."""
        return float(getattr(self.dropout, "p", 0.0)) if self.dropout.training else 0.0

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Both."""
        yield from (self.down, self.up)


@dataclass
class LowRankState:
    """What the derivative needs.

    Attributes:
        inner: (tokens, rank) A dropout(x).
        mask: (tokens, in) Of dropout; None where nothing is dropped.
    """

    inner: torch.Tensor
    mask: torch.Tensor | None


def take_apart(linear: Any) -> tuple[torch.nn.Linear, LowRank | None]:
    """The linear layer itself, and its adapter where it has one.

    Args:
        linear: A linear layer, or peft's around one.

    Raises:
        TypeError: It is something else, or its adapter does more than adding two products.
    """
    if isinstance(linear, torch.nn.Linear):
        return linear, None
    names = list(getattr(linear, "active_adapters", ()))
    base = getattr(linear, "base_layer", None)
    plain = len(names) == 1 and not (linear.merged or linear.disable_adapters or getattr(linear, "lora_variant", None))
    if not isinstance(base, torch.nn.Linear) or not plain or linear.lora_B[names[0]].bias is not None:
        raise TypeError(f"{type(linear).__name__} is neither a linear layer nor one with a single plain LoRA adapter")
    (name,) = names
    down, up = linear.lora_A[name].weight, linear.lora_B[name].weight
    return base, LowRank(down, up, float(linear.scaling[name]), linear.lora_dropout[name])


def add_low_rank(
    out: torch.Tensor, given: torch.Tensor, adapters: Sequence[LowRank | None], scales: Sequence[float], mask_of: MaskOf
) -> list[LowRankState | None]:
    """Add what adapters give, in place.

    Args:
        out: (tokens, parts * width) What the linear layers gave, side by side.
        given: (tokens, in) What they were given.
        adapters: (parts,) Of each; None where it has none.
        scales: (parts,) What each one's output is multiplied with besides.
        mask_of: Draws masks.

    Returns:
        (parts,) What `low_rank_back` needs of each.
    """
    states: list[LowRankState | None] = []
    for part, adapter, scale in zip(out.chunk(len(adapters), 1), adapters, scales, strict=True):
        if adapter is None:
            states.append(None)
            continue
        mask = mask_of(given, adapter.rate) if adapter.rate else None
        inner = (given if mask is None else given * mask) @ adapter.down.to(given.dtype).t()  # (tokens, rank)
        part.addmm_(inner, adapter.up.to(given.dtype).t(), alpha=adapter.scaling * scale)
        states.append(LowRankState(inner, mask))
    return states


def low_rank_back(
    back: torch.Tensor | None, coming: torch.Tensor, given: torch.Tensor, adapters: Sequence[LowRank | None],
    scales: Sequence[float], states: Sequence[LowRankState | None],
    add: Callable[[torch.Tensor, torch.Tensor, float], None],
) -> None:  # fmt: skip
    """Derive `add_low_rank`.

    Args:
        back: (tokens, in) The gradient of what was given, added to in place; None where it is not wanted.
        coming: (tokens, parts * width) The gradient of what was added to.
        given: As it was given.
        adapters: As they were given.
        scales: As they were given.
        states: What it gave.
        add: Adds a gradient, times a factor, to a parameter's.
    """
    parts = zip(coming.chunk(len(adapters), 1), adapters, scales, states, strict=True)
    for part, adapter, scale, state in parts:
        if adapter is None or state is None:
            continue
        factor = adapter.scaling * scale
        inner = part @ adapter.up.to(part.dtype)  # (tokens, rank)
        add(adapter.up, part.t() @ state.inner, factor)
        add(adapter.down, inner.t() @ (given if state.mask is None else given * state.mask), factor)
        if back is not None and state.mask is None:
            back.addmm_(inner, adapter.down.to(part.dtype), alpha=factor)
        elif back is not None and state.mask is not None:
            back.add_((inner @ adapter.down.to(part.dtype)).mul_(state.mask), alpha=factor)
