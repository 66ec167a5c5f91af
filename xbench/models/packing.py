"""Runs an encoder without padding: all real tokens of a batch as one row, and attention inside each sequence.

Every matrix product then sees real tokens only, in one piece. Attention alone is padded, within groups of sequences of
like length, where the padding costs little. The result is that of the padded batch to rounding.

This serves the encoders whose position embeddings are looked up by number and whose attention transformers lets others
provide (BERT, RoBERTa, XLM-R and their like), on the CPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, PreTrainedModel

from ..training.batching import cut_sorted
from ..training.dropout import SeededDropout
from ..types import Batch

NAME = "xbench-packed"
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})
GROUP_COST = 5000
"""What one more group costs, as the number of attention weights of one head that would take as long."""
LARGEST_GROUP = 1 << 22
"""Attention weights of one head in a group, at most; a group has at least one sequence."""


@dataclass(frozen=True)
class Group:
    """Sequences of like length, whose attention is computed together.

    Attributes:
        sequences: (n,) Their places in the batch.
        lengths: (n,) Their tokens.
        rows: (n * longest,) Where each token stands in the pack; padding repeats a sequence's first token.
        padding: (n, longest) True for padding; None when there is none.
        real: (tokens,) The places in ``rows`` that are no padding.
    """

    sequences: tuple[int, ...]
    lengths: tuple[int, ...]
    rows: torch.Tensor
    padding: torch.Tensor | None
    real: torch.Tensor

    def take(self, packed: torch.Tensor) -> torch.Tensor:
        """(tokens, heads, width) -> (n, heads, longest, width)."""
        taken = packed.index_select(0, self.rows)  # (n * longest, heads, width)
        return taken.view(len(self.lengths), -1, *packed.shape[1:]).transpose(1, 2)

    def put(self, target: torch.Tensor, values: torch.Tensor) -> None:
        """Write (n, heads, longest, width) into (tokens, heads, width); padding is left out."""
        flat = values.transpose(1, 2).reshape(-1, *target.shape[1:])  # (n * longest, heads, width)
        if self.padding is None:
            target.index_copy_(0, self.rows, flat)
        else:
            target.index_copy_(0, self.rows[self.real], flat.index_select(0, self.real))


@dataclass(frozen=True)
class Packing:
    """How a padded batch lies in a pack.

    Attributes:
        where: (tokens,) The place of each real token in the flattened rectangle.
        groups: Every sequence is in one.
    """

    where: torch.Tensor
    groups: tuple[Group, ...]


def can_pack(encoder: PreTrainedModel, device: torch.device) -> bool:
    """Whether `encode_packed` serves an encoder on a device."""
    config = encoder.config
    absolute = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return (
        device.type == "cpu"
        and config.model_type in FAMILIES
        and absolute
        and not getattr(config, "is_decoder", False)
        and getattr(config, "auto_map", None) is None
    )


def encode_packed(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Run an encoder on the real tokens of a batch.

    Args:
        encoder: One that `can_pack`.
        batch: Sequences padded at their ends.

    Returns:
        (sequences, length, hidden) the last layer's output, 0 at padding.
    """
    sequences, length = batch.input_ids.shape
    packing = pack(batch.attention_mask)
    types = {} if batch.token_type_ids is None else {"token_type_ids": _take(batch.token_type_ids, packing)}
    with _packed_attention(encoder):
        output = encoder(
            input_ids=_take(batch.input_ids, packing), position_ids=_take(_positions(encoder, batch), packing),
            packing=packing, **types,
        )  # fmt: skip
    hidden: torch.Tensor = output.last_hidden_state[0]  # (tokens, hidden)
    flat = hidden.new_zeros(sequences * length, hidden.shape[-1]).index_copy(0, packing.where, hidden)
    return flat.view(sequences, length, hidden.shape[-1])


def pack(mask: torch.Tensor) -> Packing:
    """Find the real tokens and group the sequences.

    Args:
        mask: (sequences, length), 1 for a real token; padding at the ends.
    """
    lengths = mask.sum(1).numpy()  # (sequences,)
    starts = np.cumsum(lengths) - lengths  # where each sequence begins in the pack
    starts = np.minimum(starts, max(0, int(lengths.sum()) - 1))  # an empty last one would begin behind the pack's end
    order = np.argsort(-lengths, kind="stable")
    groups = []
    squares = lengths[order] ** 2
    for first, end in cut_sorted(squares, LARGEST_GROUP, GROUP_COST):
        some = order[first:end]
        steps = np.arange(lengths[some[0]])  # (longest,)
        real = steps[None, :] < lengths[some][:, None]  # (n, longest)
        rows = starts[some][:, None] + np.where(real, steps[None, :], 0)
        groups.append(
            Group(
                tuple(some.tolist()), tuple(lengths[some].tolist()), torch.from_numpy(rows.reshape(-1)),
                None if real.all() else torch.from_numpy(~real), torch.from_numpy(np.flatnonzero(real)),
            )
        )  # fmt: skip
    return Packing(mask.reshape(-1).nonzero()[:, 0], tuple(groups))


def _take(padded: torch.Tensor, packing: Packing) -> torch.Tensor:
    """(sequences, length) -> (1, tokens)."""
    return padded.reshape(-1)[packing.where][None]


def _positions(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """(sequences, length) The position of each token, as the encoder itself counts them."""
    embeddings: Any = encoder.embeddings
    count = getattr(embeddings, "create_position_ids_from_input_ids", None)
    if count is not None:  # RoBERTa and its like count from the padding id
        positions: torch.Tensor = count(batch.input_ids, embeddings.padding_idx)
        return positions
    return torch.arange(batch.input_ids.shape[1]).expand_as(batch.input_ids)


@contextlib.contextmanager
def _packed_attention(encoder: PreTrainedModel) -> Iterator[None]:
    """Put our attention in the encoder's place for one pass."""
    before = encoder.config._attn_implementation
    encoder.config._attn_implementation = NAME
    try:
        yield
    finally:
        encoder.config._attn_implementation = before


def _attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: None,
    scaling: float, dropout: float, packing: Packing, **_: object,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """What transformers calls in every layer: (1, heads, tokens, width) each -> (1, tokens, heads, width)."""
    rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]  # (tokens, heads, width)
    out: torch.Tensor = _PackedAttention.apply(*rows, packing, scaling, dropout)  # type: ignore[no-untyped-call]
    return out[None], None


AttentionInterface.register(NAME, _attention)


class _PackedAttention(torch.autograd.Function):
    """softmax(Q K' scaling) with dropout, times V, within each sequence; derived by hand, group by group.

    Deriving by hand spares autograd's bookkeeping for a dozen small operations a group, and its slow scatters.
    """

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packing: Packing, scaling: float,
        rate: float,
    ) -> torch.Tensor:  # fmt: skip
        """(tokens, heads, width) each -> (tokens, heads, width)."""
        out = torch.empty_like(value, memory_format=torch.contiguous_format)
        kept: list[torch.Tensor | None] = []
        for group in packing.groups:
            scores = (group.take(query) @ group.take(key).transpose(-2, -1)).float().mul_(scaling)
            if group.padding is not None:
                scores.masked_fill_(group.padding[:, None, None, :], -torch.inf)
            weights = scores.softmax(-1).to(value.dtype)
            mask = _dropout_mask(group, weights, rate) if rate > 0 else None
            group.put(out, (weights if mask is None else weights * mask) @ group.take(value))
            if any(ctx.needs_input_grad):
                kept += [weights, mask]
        ctx.save_for_backward(query, key, value, *kept)
        ctx.packing, ctx.scaling = packing, scaling
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of query, key and value, (tokens, heads, width) each."""
        query, key, value, *kept = ctx.saved_tensors
        parts = tuple(torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(3))
        for index, group in enumerate(ctx.packing.groups):
            weights, mask = kept[2 * index], kept[2 * index + 1]
            coming = group.take(grad)  # (n, heads, longest, width)
            if group.padding is not None:  # it repeats a real token's row, which must not count twice
                coming = coming.masked_fill(group.padding[:, None, :, None], 0)
            dropped = weights if mask is None else weights * mask
            group.put(parts[2], dropped.transpose(-2, -1) @ coming)
            back = coming @ group.take(value).transpose(-2, -1)  # (n, heads, longest, longest)
            back = (back if mask is None else back.mul_(mask)).float()
            # d softmax: weights * (back - sum(back * weights))
            scores = torch._softmax_backward_data(back, weights.float(), -1, torch.float32).mul_(ctx.scaling)
            scores = scores.to(value.dtype)
            group.put(parts[0], scores @ group.take(key))
            group.put(parts[1], scores.transpose(-2, -1) @ group.take(query))
        return (*parts, None, None, None)


def _dropout_mask(group: Group, weights: torch.Tensor, rate: float) -> torch.Tensor:
    """(n, heads, longest, longest) 0 or 1/(1-rate)."""
    mode = SeededDropout.active()
    if mode is not None:
        return mode.attention_mask(weights, group.sequences, group.lengths, rate)
    return torch.nn.functional.dropout(torch.ones_like(weights), rate)
