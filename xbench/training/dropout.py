"""Dropout with masks from a fast generator.

On the CPU torch draws dropout masks one number after the other, which takes a fifth of a training step. Here the mask
comes from numpy's SFC64 as 16-bit numbers (so the rate is exact to 1/65536), five times as fast. The mode catches both
ways in which a model drops: ``dropout`` itself and the dropout inside ``scaled_dot_product_attention``. On a GPU
torch's own kernels are the fast ones, and the mode leaves them alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LEVELS = 1 << 16


class SeededDropout(TorchFunctionMode):
    """Replaces dropout on CPU tensors while the mode is active.

    Args:
        seed: The same seed gives the same masks, in the order in which they are asked for.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._bits = np.random.SFC64(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a torch function, or our own in its place."""
        kwargs = kwargs or {}
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func is functional.scaled_dot_product_attention and _drops_on_cpu(*args, **kwargs):
            return self._attention(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self,
        input: torch.Tensor,  # noqa: A002  # torch's own name, which callers may use
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> torch.Tensor:
        if not training or p == 0 or input.device.type != "cpu":
            return functional.dropout(input, p, training, inplace)
        mask = self._mask(input, p)
        return input.mul_(mask) if inplace else input * mask

    def _mask(self, like: torch.Tensor, p: float) -> torch.Tensor:
        """0 with probability p, else 1/(1-p); the shape and type of ``like``."""
        dropped = round(p * LEVELS)
        if dropped == LEVELS:
            return torch.zeros_like(like)
        count = like.numel()
        drawn = self._bits.random_raw(-(-count // 4)).view(np.uint16)[:count]
        keep = torch.from_numpy(drawn >= dropped).view(like.shape)
        return keep.to(like.dtype).mul_(LEVELS / (LEVELS - dropped))

    def _attention(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> torch.Tensor:  # fmt: skip
        """Attention by its definition; the shapes are those of the function that it stands for."""
        if is_causal or enable_gqa:
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        scores = (query @ key.transpose(-2, -1)).float() * factor  # (sequences, heads, length, length)
        if attn_mask is not None:
            # A row of padding may have nothing to look at: the lowest number instead of -inf keeps it from being NaN.
            lowest = torch.finfo(scores.dtype).min
            masked = scores.masked_fill(~attn_mask, lowest) if attn_mask.dtype == torch.bool else scores + attn_mask
            scores = masked.clamp(min=lowest)
        weights = scores.softmax(-1).to(query.dtype)
        return (weights * self._mask(weights, dropout_p)) @ value


def _drops_on_cpu(
    query: torch.Tensor, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, *_: Any, **__: Any
) -> bool:
    """Whether a call of ``scaled_dot_product_attention`` drops anything, and does so on the CPU."""
    return dropout_p > 0 and query.device.type == "cpu"
