"""A BERT-shaped layer on packed sequences, derived by hand.

transformers' layer is two dozen operations, each with a node of autograd's, a result of its own and, in bf16, casts
before and after it. On a CPU these take as long as the matrix products. Here a layer is one node: one product for
query, key and value, the scaling of the scores folded into the query's weights and dropout's into the value's, results
changed in place, weights cast once for each optimizer step, and their gradients added where they belong instead of
being cast and added after.

The residual stream and layer norms are float32, as are the weights' gradients; products are of the type that autocast
asks for. What is frozen gets no gradient and costs none; LoRA adapters are products of their own beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DisableTorchFunction
from torch.autograd.function import once_differentiable

from ..training.dropout import SeededDropout
from .attention import attend, attend_back
from .layer_weights import PROJECTION, LayerWeights
from .low_rank import LowRankState, add_low_rank, low_rank_back

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
            low, size = hidden.to(kind), hidden.shape[0]
            rate = _rate(weights.attention_dropout)
            wanted = None if only is None else (size, only)
            run = partial(_linear, weights=weights, rate=rate, derived=derived)
            projected, of_projection = run(low, name=PROJECTION, wanted=None)  # (tokens, 3 * hidden)
            mixed, kept = attend(projected, weights.heads, rate, packing)  # (tokens, hidden)
            if only is not None:
                mixed, hidden = mixed.index_select(0, only), hidden.index_select(0, only)  # (some, hidden)
            coming, of_mix = run(mixed, name="mix", wanted=wanted)
            middle, middle_state = _add_and_norm(hidden, coming, weights, 0, wanted)
            low_middle = middle.to(kind)
            wide, of_wide = run(low_middle, name="wide", wanted=wanted)  # (tokens, intermediate)
            active = torch.nn.functional.gelu(wide)
            coming, of_narrow = run(active, name="narrow", wanted=wanted)
            out, out_state = _add_and_norm(middle, coming, weights, 1, wanted)
        if derived:
            given = zip((PROJECTION, "mix", "wide", "narrow"), (low, mixed, low_middle, active), strict=True)
            ctx.save_for_backward(wide, *(what if weights.learns(name) else None for name, what in given))
            ctx.kept, ctx.states, ctx.rate = kept, (middle_state, out_state), rate
            ctx.low_ranks = (of_projection, of_mix, of_wide, of_narrow)
            ctx.weights, ctx.packing, ctx.only, ctx.size = weights, packing, only, size
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the input, (tokens, hidden)."""
        wide, low, mixed, low_middle, active = ctx.saved_tensors
        of_projection, of_mix, of_wide, of_narrow = ctx.low_ranks
        weights, kind = ctx.weights, wide.dtype
        with torch.autocast("cpu", enabled=False), DisableTorchFunction():
            back = partial(_linear_back, weights=weights, rate=ctx.rate)
            residual, coming = _norm_back(grad.contiguous(), ctx.states[1], weights, 1, kind)
            coming = back(coming, active, of_narrow, name="narrow")  # (tokens, intermediate)
            coming = _gelu_backward(coming, wide)
            residual = residual.add_(back(coming, low_middle, of_wide, name="wide"))  # (tokens, hidden)
            residual, coming = _norm_back(residual, ctx.states[0], weights, 0, kind)
            coming = back(coming, mixed, of_mix, name="mix")
            if ctx.only is not None:  # (some, hidden) -> (tokens, hidden)
                residual, coming = (
                    part.new_zeros(ctx.size, part.shape[1]).index_add_(0, ctx.only, part) for part in (residual, coming)
                )
            coming = attend_back(coming, weights.heads, ctx.rate, ctx.kept, ctx.packing)
            ctx.kept = ctx.states = None  # what is done needs no memory while the layers below are derived
            if not ctx.needs_input_grad[0]:  # all below is frozen
                _learn(None, coming, low, of_projection, PROJECTION, weights, ctx.rate)
                return None, None, None, None, None, None
            return residual.add_(back(coming, low, of_projection, name=PROJECTION)), None, None, None, None, None


def _linear(
    given: torch.Tensor, name: str, weights: LayerWeights, rate: float, derived: bool,
    wanted: tuple[int, torch.Tensor] | None,
) -> tuple[torch.Tensor, list[LowRankState | None]]:  # fmt: skip
    """A linear map with its adapters: (tokens, in) -> (tokens, out), and what their derivative needs."""
    out = weights.multiply(name, given, rate, derived)
    mask_of = partial(_mask, wanted=wanted)
    return out, add_low_rank(out, given, weights.adapters[name], weights.scales_of(name, rate), mask_of)


def _linear_back(
    coming: torch.Tensor, given: torch.Tensor | None, states: list[LowRankState | None], name: str,
    weights: LayerWeights, rate: float,
) -> torch.Tensor:  # fmt: skip
    """The gradient of a linear map's input, (tokens, in); see `_learn`."""
    back = coming @ weights.plain(name, coming.dtype, rate)[0]
    _learn(back, coming, given, states, name, weights, rate)
    return back


def _learn(
    back: torch.Tensor | None, coming: torch.Tensor, given: torch.Tensor | None, states: list[LowRankState | None],
    name: str, weights: LayerWeights, rate: float,
) -> None:  # fmt: skip
    """Add the gradients of what is trained in a linear map: its weights', or its adapters'.

    Args:
        back: (tokens, in) The gradient of the map's input, to which the adapters add theirs; None if nobody wants it.
        coming: (tokens, out) The gradient of its output.
        given: (tokens, in) Its input; None where nothing in it is trained.
        states: Of its adapters.
        name: The map's.
        weights: The layer's.
        rate: Attention's dropout.
    """
    if given is None:
        return
    linears, scales = weights.linears(name), weights.scales_of(name, rate)  # three make the projection
    if any(linear.weight.requires_grad for linear in linears):
        for linear, own, scale in zip(linears, (coming.t() @ given).chunk(len(linears)), scales, strict=True):
            _add(linear.weight, own, scale)
    if any(linear.bias.requires_grad for linear in linears):
        for linear, own, scale in zip(linears, coming.sum(0).chunk(len(linears)), scales, strict=True):
            _add(linear.bias, own, scale)
    low_rank_back(back, coming, given, weights.adapters[name], scales, states, _add)


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
        grad, state.added, norm.normalized_shape, state.mean, state.inverse, norm.weight, norm.bias,
        [True, norm.weight.requires_grad, norm.bias.requires_grad],
    )  # fmt: skip
    _add(norm.weight, weight)
    _add(norm.bias, bias)
    coming = residual.to(kind, copy=True)
    return residual, coming if state.mask is None else coming.mul_(state.mask)


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
