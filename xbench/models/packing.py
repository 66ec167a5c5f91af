"""Runs an encoder without padding: all real tokens of a batch as one row, and attention inside each sequence.

Every matrix product then sees real tokens only, in one piece. The result is that of the padded batch to rounding.

This serves the encoders whose position embeddings are looked up by number and whose layers are BERT's (BERT, RoBERTa,
XLM-R and their like). On the CPU their layers are run by `layers`, and attention alone is padded, within groups of
sequences of like length, where the padding costs little. On a GPU they are run by `jagged`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from ..training.batching import cut_sorted
from ..types import Batch
from .jagged import lay_out, run_jagged
from .layers import LayerWeights, look_up, run_layer

FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})
GROUP_COST = 10000
"""What one more group costs, as the number of attention weights of one head that would take as long."""
LARGEST_GROUP = 1 << 22
"""Attention weights of one head in a group, at most; a group has at least one sequence."""


@dataclass(frozen=True)
class Group:
    """Sequences of like length, whose attention is computed together.

    Attributes:
        sequences: (n,) Their places in the batch.
        lengths: (n,) Their tokens, falling.
        rows: (n, longest) Where each token stands in the pack; padding repeats a sequence's first token.
        padding: (n, longest) True for padding; None when there is none.
    """

    sequences: tuple[int, ...]
    lengths: tuple[int, ...]
    rows: torch.Tensor
    padding: torch.Tensor | None


@dataclass(frozen=True)
class Packing:
    """How a padded batch lies in a pack.

    Attributes:
        where: (tokens,) The place of each real token in the flattened rectangle.
        groups: Every sequence is in one.
    """

    where: torch.Tensor
    groups: tuple[Group, ...]
    _places: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def split(self, packed: torch.Tensor, heads: int, parts: int) -> list[torch.Tensor]:
        """Lay a pack out for attention, in one go.

        Args:
            packed: (tokens, parts * hidden)
            heads: Of the attention.
            parts: 3 for query, key and value.

        Returns:
            (parts, n * heads, longest, width) for each group.
        """
        small = packed.view(-1, packed.shape[1] // (parts * heads))  # (tokens * parts * heads, width)
        return self.views(small.index_select(0, self._indices(heads, parts)[0]), heads, parts)

    def empty(self, like: torch.Tensor, heads: int, parts: int, width: int) -> torch.Tensor:
        """Room for what `split` gives, to be filled through `views`: (cells, width)."""
        return like.new_empty(parts * heads * sum(group.rows.numel() for group in self.groups), width)

    def views(self, flat: torch.Tensor, heads: int, parts: int) -> list[torch.Tensor]:
        """(cells, width) -> (parts, n * heads, longest, width) for each group."""
        sizes = [parts * heads * group.rows.numel() for group in self.groups]
        shapes = [(parts, len(group.lengths) * heads, group.rows.shape[1], flat.shape[1]) for group in self.groups]
        return [part.view(shape) for part, shape in zip(torch.split(flat, sizes), shapes, strict=True)]

    def join(self, flat: torch.Tensor, heads: int, parts: int) -> torch.Tensor:
        """The way back from `split`: (cells, width) -> (tokens, parts * hidden); padding is left out."""
        back = self._indices(heads, parts)[1]
        return flat.index_select(0, back).view(-1, parts * heads * flat.shape[1])

    def _indices(self, heads: int, parts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(cells,) which row of (tokens * parts * heads, width) a cell holds, and (tokens * parts * heads,) back."""
        if (heads, parts) not in self._places:
            inner = (
                torch.arange(parts)[:, None, None, None] * heads + torch.arange(heads)[:, None]
            )  # (parts, 1, heads, 1)
            there = [inner + parts * heads * group.rows[:, None] for group in self.groups]  # (parts, n, heads, longest)
            real = [
                torch.ones_like(cells, dtype=torch.bool)
                if group.padding is None
                else ~group.padding[:, None].expand_as(cells)
                for cells, group in zip(there, self.groups, strict=True)
            ]
            flat, kept = (torch.cat([one.reshape(-1) for one in some]) for some in (there, real))
            back = flat.new_empty(self.where.shape[0] * parts * heads)
            back[flat[kept]] = kept.nonzero()[:, 0]
            self._places[heads, parts] = flat, back
        return self._places[heads, parts]


def can_pack(encoder: PreTrainedModel, device: torch.device) -> bool:
    """Whether `encode_packed` serves an encoder on a device."""
    config = encoder.config
    absolute = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return (
        device.type in ("cpu", "cuda")
        and config.model_type in FAMILIES
        and (not by_hand(device) or config.hidden_act == "gelu")
        and absolute
        and not getattr(config, "is_decoder", False)
        and getattr(config, "auto_map", None) is None
    )


def by_hand(device: torch.device) -> bool:
    """Whether layers are run by `layers`, which knows the derivative of one activation, or by torch's autograd."""
    return device.type == "cpu"


def encode_packed(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Run an encoder on the real tokens of a batch.

    Args:
        encoder: One that `can_pack`.
        batch: Sequences padded at their ends.

    Returns:
        (sequences, length, hidden) the last layer's output, 0 at padding.
    """
    sequences, length = batch.input_ids.shape
    device = batch.input_ids.device
    lengths = batch.attention_mask.sum(1).cpu().numpy() if batch.lengths is None else batch.lengths
    layout = pack(lengths, length) if by_hand(device) else lay_out(lengths, length, device)
    where = layout.where
    types = {} if batch.token_type_ids is None else {"token_type_ids": _take(batch.token_type_ids, where)}
    modules: Any = encoder
    rows = look_up(modules.get_input_embeddings(), _take(batch.input_ids, where)[0])  # (tokens, hidden)
    embedded = modules.embeddings(
        inputs_embeds=rows[None], position_ids=_take(_positions(encoder, batch), where), **types
    )
    hidden: torch.Tensor = embedded[0].float()  # (tokens, hidden)
    for layer in modules.encoder.layer:
        if isinstance(layout, Packing):
            hidden = run_layer(hidden, _weights(layer), layout)
        else:
            hidden = run_jagged(hidden, layer, layout)
    flat = hidden.new_zeros(sequences * length, hidden.shape[-1]).index_copy(0, where, hidden.float())
    return flat.view(sequences, length, hidden.shape[-1])


def pack(lengths: npt.NDArray[np.int64], width: int) -> Packing:
    """Find the real tokens and group the sequences.

    Args:
        lengths: (sequences,) Real tokens of each; padding at the ends.
        width: Of the padded rectangle.
    """
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
                tuple(some.tolist()), tuple(lengths[some].tolist()), torch.from_numpy(rows),
                None if real.all() else torch.from_numpy(~real),
            )
        )  # fmt: skip
    real = np.arange(width) < lengths[:, None]  # (sequences, width)
    return Packing(torch.from_numpy(np.flatnonzero(real)), tuple(groups))


_KNOWN: WeakKeyDictionary[torch.nn.Module, LayerWeights] = WeakKeyDictionary()
"""Layers that were run, with the casts of their weights."""


def _weights(layer: torch.nn.Module) -> LayerWeights:
    if layer not in _KNOWN:
        _KNOWN[layer] = LayerWeights(layer)
    return _KNOWN[layer]


def _take(padded: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """(sequences, length) -> (1, tokens)."""
    return padded.reshape(-1)[where][None]


def _positions(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """(sequences, length) The position of each token, as the encoder itself counts them."""
    embeddings: Any = encoder.embeddings
    count = getattr(embeddings, "create_position_ids_from_input_ids", None)
    if count is not None:  # RoBERTa and its like count from the padding id
        positions: torch.Tensor = count(batch.input_ids, embeddings.padding_idx)
        return positions
    return torch.arange(batch.input_ids.shape[1]).expand_as(batch.input_ids)
