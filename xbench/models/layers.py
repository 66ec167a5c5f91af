"""A BERT-shaped layer on packed sequences, derived by hand.

transformers' layer is two dozen operations, each with a node of autograd's, a result of its own and, in bf16, casts
before and after it. On a CPU these take as long as the matrix products. Here a layer is one node: one product for
query, key and value, the scaling of the scores folded into the query's weights and dropout's into the value's, results
changed in place, weights cast once for each optimizer step, and their gradients added where they belong instead of
being cast and added after.

The residual stream and layer norms are float32, as are the weights' gradients; products are of the type that autocast
asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DisableTorchFunction
from torch.autograd.function import once_differentiable

from ..training.dropout import SeededDropout
from .attention import attend, attend_back
from .layer_weights import PROJECTION, LayerWeights

if TYPE_CHECKING:
    from .packing import Packing

_norm = torch.native_layer_norm
_norm_backward = torch.ops.aten.native_layer_norm_backward
_gelu_backward = torch.ops.aten.gelu_backward


def run_layer(
    hidden: torch.Tensor, weights: LayerWeights, packing: Packing, only: torch.Tensor | None = None
) -> torch.Tensor:
    """One layer of the encoder.

    Args:
        hidden: (tokens, hidden), float32: the rows of the pack, spare ones included.
        weights: The layer's.
        packing: Which tokens are a sequence.
        only: (some,) The tokens whose output is wanted; None wants all.

    Returns:
        (tokens, hidden) or (some, hidden), float32.
    """
    # Autograd derives what an input with a gradient goes through; below may be none, with everything there frozen.
    trained = next((weight for weight in weights.parameters() if weight.requires_grad), None)
    derived = torch.is_grad_enabled() and (trained is not None or hidden.requires_grad)  # inside it is never enabled
    out: torch.Tensor = _Layer.apply(hidden, trained, weights, packing, only, derived)  # type: ignore[no-untyped-call]
    return out


def look_up(table: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
    """Rows of an embedding table; the gradient is added to the rows looked up, without a table of zeros for each pass.

    Args:
        table: The table; its padding row gets no gradient, as torch has it.
        ids: (tokens,)

    Returns:
        (tokens, hidden)
    """
    rows: torch.Tensor = _LookUp.apply(table.weight, ids, table.padding_idx)  # type: ignore[no-untyped-call]
    return rows


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: torch.nn.Parameter, ids: torch.Tensor, padding: int | None) -> torch.Tensor:
        """(rows, hidden), (tokens,) -> (tokens, hidden)."""
        ctx.weight, ctx.ids, ctx.padding = weight, ids, padding
        return weight.index_select(0, ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, None, None]:
        """Adds to the table's gradient itself."""
        if ctx.padding is not None:
            grad = grad.masked_fill((ctx.ids == ctx.padding)[:, None], 0)
        if ctx.weight.grad is None:
            ctx.weight.grad = torch.zeros_like(ctx.weight)
        ctx.weight.grad.index_add_(0, ctx.ids, grad.to(ctx.weight.dtype))
        return None, None, None


class _Layer(torch.autograd.Function):
    """Adds the gradients of its weights to theirs itself, and gives that of its input."""

    @staticmethod
    @torch.no_grad()
    def forward(
        ctx: Any, hidden: torch.Tensor, trained: torch.Tensor | None, weights: LayerWeights, packing: Packing,
        only: torch.Tensor | None, derived: bool,
    ) -> torch.Tensor:  # fmt: skip
        """(tokens, hidden) -> (tokens or some, hidden), float32."""
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        with torch.autocast("cpu", enabled=False), DisableTorchFunction():
            low = hidden.to(kind)
            rate = _rate(weights.attention_dropout)
            projected = weights.multiply(PROJECTION, low, rate, derived)  # (tokens, 3 * hidden)
            mixed, kept = attend(projected, weights.heads, rate, packing)  # (tokens, hidden)
            wanted = None if only is None else (low.shape[0], only)
            if only is not None:
                mixed, hidden = mixed.index_select(0, only), hidden.index_select(0, only)  # (some, hidden)
            coming = weights.multiply("mix", mixed, rate, derived)
            middle, middle_state = _add_and_norm(hidden, coming, weights, 0, wanted)
            low_middle = middle.to(kind)
            wide = weights.multiply("wide", low_middle, rate, derived)  # (tokens, intermediate)
            active = torch.nn.functional.gelu(wide)
            coming = weights.multiply("narrow", active, rate, derived)
            out, out_state = _add_and_norm(middle, coming, weights, 1, wanted)
        if derived:
            ctx.save_for_backward(low, mixed, low_middle, wide, active)
            ctx.kept, ctx.states, ctx.rate = kept, (middle_state, out_state), rate
            ctx.weights, ctx.packing, ctx.only = weights, packing, only
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the input, (tokens, hidden)."""
        low, mixed, low_middle, wide, active = ctx.saved_tensors
        weights, kind = ctx.weights, low.dtype
        with torch.autocast("cpu", enabled=False), DisableTorchFunction():
            residual, coming = _norm_back(grad.contiguous(), ctx.states[1], weights, 1, kind)
            coming = _linear_back(coming, active, weights, "narrow", ctx.rate)  # (tokens, intermediate)
            coming = _gelu_backward(coming, wide)
            residual = residual.add_(_linear_back(coming, low_middle, weights, "wide", ctx.rate))  # (tokens, hidden)
            residual, coming = _norm_back(residual, ctx.states[0], weights, 0, kind)
            coming = _linear_back(coming, mixed, weights, "mix", ctx.rate)
            if ctx.only is not None:  # (some, hidden) -> (tokens, hidden)
                residual, coming = (
                    part.new_zeros(low.shape).index_add_(0, ctx.only, part) for part in (residual, coming)
                )
            coming = attend_back(coming, weights.heads, ctx.rate, ctx.kept, ctx.packing)
            ctx.kept = ctx.states = None  # what is done needs no memory while the layers below are derived
            weight, _ = weights.plain(PROJECTION, kind, ctx.rate)
            _add_projection(weights, coming.t() @ low, coming.sum(0), weights.scales(ctx.rate))
            return residual.add_(coming @ weight), None, None, None, None, None


@dataclass
class _NormState:
    """What the derivative of a layer norm of a sum needs.

    Attributes:
        added: (tokens, hidden) The sum.
        mean: (tokens, 1)
        inverse: (tokens, 1) One over the standard deviation.
        mask: (tokens, hidden) What was dropped of the second summand.
    """

    added: torch.Tensor
    mean: torch.Tensor
    inverse: torch.Tensor
    mask: torch.Tensor | None


def _add_and_norm(
    residual: torch.Tensor, coming: torch.Tensor, weights: LayerWeights, place: int,
    wanted: tuple[int, torch.Tensor] | None,
) -> tuple[torch.Tensor, _NormState]:  # fmt: skip
    """norm(residual + dropout(coming)); (tokens, hidden) each, or some of so many tokens."""
    dropout, norm = weights.dropouts[place], weights.norms[place]
    mask = _mask(coming, _rate(dropout), wanted) if _rate(dropout) else None
    added = residual + (coming if mask is None else coming.mul_(mask))
    out, mean, inverse = _norm(added, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return out, _NormState(added, mean, inverse, mask)


def _norm_back(
    grad: torch.Tensor, state: _NormState, weights: LayerWeights, place: int, kind: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of residual (float32) and coming (of the products' type)."""
    norm = weights.norms[place]
    residual, weight, bias = _norm_backward(
        grad, state.added, norm.normalized_shape, state.mean, state.inverse, norm.weight, norm.bias, [True, True, True]
    )
    _add(norm.weight, weight)
    _add(norm.bias, bias)
    coming = residual.to(kind, copy=True)
    return residual, coming if state.mask is None else coming.mul_(state.mask)


def _linear_back(
    coming: torch.Tensor, given: torch.Tensor, weights: LayerWeights, name: str, rate: float
) -> torch.Tensor:
    """The gradient of a linear map's input; its weights' is added to theirs."""
    linear = getattr(weights, name)
    _add(linear.weight, coming.t() @ given)
    _add(linear.bias, coming.sum(0))
    back: torch.Tensor = coming @ weights.plain(name, coming.dtype, rate)[0]
    return back


def _add_projection(
    weights: LayerWeights, weight: torch.Tensor, bias: torch.Tensor, scales: tuple[float, float, float]
) -> None:
    """Share (3 * hidden, hidden) and (3 * hidden,) out to query, key and value."""
    for part, own, own_bias, scale in zip(weights.parts, weight.chunk(3), bias.chunk(3), scales, strict=True):
        _add(part.weight, own, scale)
        _add(part.bias, own_bias, scale)


def _add(parameter: torch.Tensor, gradient: torch.Tensor, scale: float = 1.0) -> None:
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = gradient.to(parameter.dtype, copy=True).mul_(scale)
    else:
        parameter.grad.add_(gradient, alpha=scale)


def _mask(like: torch.Tensor, rate: float, wanted: tuple[int, torch.Tensor] | None) -> torch.Tensor:
    """(tokens, hidden) 0 or 1/(1-rate)."""
    mode = SeededDropout.active()
    if mode is None:
        return torch.nn.functional.dropout(torch.ones_like(like), rate)
    if wanted is None:
        return mode.mask(like[None], rate)[0]
    # Drawn for all tokens: what a sequence draws must not depend on what is left out.
    size, rows = wanted
    return mode.mask(like.new_empty(1, size, like.shape[1]), rate)[0].index_select(0, rows)


def _rate(dropout: torch.nn.Dropout) -> float:
    return dropout.p if dropout.training else 0.0
