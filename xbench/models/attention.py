"""Attention within the sequences of a pack, derived by hand, group by group."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..training.dropout import WHOLE, SeededDropout

if TYPE_CHECKING:
    from .packing import Group, Packing

_where_positive = torch.ops.aten.threshold_backward
SHORT = 96
"""Below this length see `_softmax`."""
LONG = 128
"""From this length on the product with transposed weights is faster the other way round, see `_weigh_back`."""


class Kept(NamedTuple):
    """What the derivative of attention needs.

    Attributes:
        split: (cells, width) Query, key and value, laid out for attention.
        shares: For each group the softmax's result, (n * heads, longest, longest): negative where dropout takes it
            away. A softmax has no sign, and at hundreds of tokens masks of their own would be the most that a layer
            keeps.
    """

    split: torch.Tensor
    shares: list[torch.Tensor]


def attend(projected: torch.Tensor, heads: int, rate: float, packing: Packing) -> tuple[torch.Tensor, Kept]:
    """softmax(Q K') with dropout, times V, within each sequence.

    Args:
        projected: (size, 3 * hidden) Query, key and value of a pack; the scores' scaling is in the query, dropout's in
            the value.
        heads: How many there are.
        rate: Of dropout.
        packing: Which tokens are a sequence.

    Returns:
        (size, hidden), and what `attend_back` needs.
    """
    out = packing.empty(projected, heads, 1, projected.shape[1] // (3 * heads))
    kept = Kept(packing.split(projected, heads, 3), [])
    parts, outs = packing.views(kept.split, heads, 3), packing.views(out, heads, 1)
    for group, (query, key, value), (mixed,) in zip(packing.groups, parts, outs, strict=True):
        scores = torch.bmm(query, key.transpose(1, 2))  # (n * heads, longest, longest)
        _hide_padding(_by_head(scores, heads), group.lengths)
        share = _softmax(scores)
        if rate:
            _mark_dropped(group, _by_head(share, heads), rate)
        torch.bmm(_without_dropped(share) if rate else share, value, out=mixed)  # (n * heads, longest, width)
        kept.shares.append(share)
    return packing.join(out, heads, 1), kept


def attend_back(coming: torch.Tensor, heads: int, rate: float, kept: Kept, packing: Packing) -> torch.Tensor:
    """The gradient of what `attend` was given.

    Args:
        coming: (size, hidden) The gradient of what it gave; 0 in spare rows.
        heads: As it was given.
        rate: As it was given.
        kept: What it gave besides.
        packing: As it was given.

    Returns:
        (size, 3 * hidden)
    """
    out = packing.empty(coming, heads, 3, kept.split.shape[1])
    backs = packing.views(packing.split(coming, heads, 1), heads, 1)
    parts, outs = packing.views(kept.split, heads, 3), packing.views(out, heads, 3)
    for share, (query, key, value), (back,), grads in zip(
        kept.shares, parts, backs, outs, strict=True
    ):  # (n * heads, longest, width) each; of padding `back` is 0
        _weigh_back(_without_dropped(share) if rate else share, back, grads[2])
        inner = torch.bmm(back, value.transpose(1, 2))  # (n * heads, longest, longest)
        if rate:
            inner, share = _where_positive(inner, share, 0), share.abs()
        inner = torch._softmax_backward_data(inner, share, -1, share.dtype)
        torch.bmm(inner, key, out=grads[0])
        _weigh_back(inner, query, grads[1])
    return packing.join(out, heads, 3)


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    """Over the last dimension. In bf16 torch is slow on short rows that do not fill its registers, in fp32 not."""
    length = scores.shape[-1]
    if scores.dtype.itemsize == 2 and length < SHORT and length % 32:
        return torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)
    return torch.softmax(scores, -1)


def _weigh_back(weights: torch.Tensor, given: torch.Tensor, out: torch.Tensor) -> None:
    """The product of transposed weights, (n * heads, longest, longest), with (n * heads, longest, width).

    oneDNN copies what is transposed: the smaller of the two is to be.
    """
    if weights.shape[-1] < LONG:
        torch.bmm(weights.transpose(1, 2), given, out=out)
    else:
        out.copy_(torch.bmm(given.transpose(1, 2), weights).transpose(1, 2))


def _without_dropped(share: torch.Tensor) -> torch.Tensor:
    """0 where it is negative. As whole numbers, which compare the same way, in half of the time."""
    whole = WHOLE[share.dtype.itemsize]
    return share.view(whole).clamp_min(0).view(share.dtype)


def _by_head(values: torch.Tensor, heads: int) -> torch.Tensor:
    """(n * heads, ...) -> (n, heads, ...)."""
    return values.view(values.shape[0] // heads, heads, *values.shape[1:])


def _hide_padding(scores: torch.Tensor, lengths: tuple[int, ...]) -> None:
    """Minus infinity in the columns of padding, in place.

    Args:
        scores: (n, heads, longest, longest)
        lengths: (n,) Falling.
    """
    first = 0
    for length, alike in itertools.groupby(lengths):
        end = first + len(tuple(alike))
        if length < scores.shape[-1]:
            scores[first:end, :, :, length:].fill_(-torch.inf)
        first = end


def _mark_dropped(group: Group, share: torch.Tensor, rate: float) -> None:
    """(n, heads, longest, longest) made negative in place where it is dropped."""
    mode = SeededDropout.active()
    if mode is not None:
        mode.mark_dropped(share, group.sequences, group.lengths, rate)
    else:
        share.copysign_(torch.rand_like(share, dtype=torch.float32).sub_(rate))
