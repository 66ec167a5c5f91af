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

from ..training.batching import cut_sorted, packed_size
from ..types import Batch
from .jagged import Jagged, lay_out, run_jagged
from .layer_weights import LayerWeights
from .layers import look_up, run_layer

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
        rows: (n, longest) Where each token stands in the pack; padding is the first spare row.
    """

    sequences: tuple[int, ...]
    lengths: tuple[int, ...]
    rows: torch.Tensor


@dataclass(frozen=True)
class Packing:
    """How a padded batch lies in a pack: its real tokens, then spare rows.

    Spare rows repeat a token. No sequence attends to them and nothing reads what comes of them, so that their gradient
    is 0 throughout. They bring the pack to a size that is fast to multiply, and attention takes its padding from them.

    Attributes:
        where: (tokens,) The place of each real token in the flattened rectangle.
        sources: (size,) The place of what each row of the pack begins as.
        first: (some,) The row of the first token of each sequence that is not empty.
        filled: (some,) Which sequences these are.
        groups: Every sequence is in one.
    """

    where: torch.Tensor
    sources: torch.Tensor
    first: torch.Tensor
    filled: torch.Tensor
    groups: tuple[Group, ...]
    _places: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def split(self, packed: torch.Tensor, heads: int, parts: int) -> torch.Tensor:
        """Lay a pack out for attention, in one go; `views` are what it consists of.

        Args:
            packed: (size, parts * hidden)
            heads: Of the attention.
            parts: 3 for query, key and value.

        Returns:
            (cells, width)
        """
        small = packed.view(-1, packed.shape[1] // (parts * heads))  # (size * parts * heads, width)
        return small.index_select(0, self._indices(heads, parts)[0])

    def empty(self, like: torch.Tensor, heads: int, parts: int, width: int) -> torch.Tensor:
        """Room for what `split` gives, to be filled through `views`, and a row of zeros: (cells + 1, width)."""
        room = like.new_empty(self._indices(heads, parts)[0].shape[0] + 1, width)
        room[-1].zero_()
        return room

    def views(self, flat: torch.Tensor, heads: int, parts: int) -> list[torch.Tensor]:
        """(cells or cells + 1, width) -> (parts, n * heads, longest, width) for each group."""
        sizes = [parts * heads * group.rows.numel() for group in self.groups]
        shapes = [(parts, len(group.lengths) * heads, group.rows.shape[1], flat.shape[1]) for group in self.groups]
        cells = torch.split(flat[: sum(sizes)], sizes)
        return [part.view(shape) for part, shape in zip(cells, shapes, strict=True)]

    def join(self, room: torch.Tensor, heads: int, parts: int) -> torch.Tensor:
        """The way back from `split`: (cells + 1, width) -> (size, parts * hidden); 0 in spare rows."""
        back = self._indices(heads, parts)[1]
        return room.index_select(0, back).view(-1, parts * heads * room.shape[1])

    def _indices(self, heads: int, parts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(cells,) which row of (size * parts * heads, width) a cell holds, and (size * parts * heads,) back."""
        if (heads, parts) not in self._places:
            inner = (
                torch.arange(parts)[:, None, None, None] * heads + torch.arange(heads)[:, None]
            )  # (parts, 1, heads, 1)
            there = torch.cat(
                [(inner + parts * heads * group.rows[:, None]).reshape(-1) for group in self.groups]
            )  # each (parts, n, heads, longest)
            back = there.new_full((self.sources.shape[0] * parts * heads,), there.shape[0])
            real = there < self.where.shape[0] * parts * heads
            back[there[real]] = real.nonzero()[:, 0]
            self._places[heads, parts] = there, back
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
    layout = _layout(batch)
    hidden = _run(encoder, batch, layout, first_only=False)[: layout.where.shape[0]]  # (tokens, hidden)
    sequences, length = batch.input_ids.shape
    flat = hidden.new_zeros(sequences * length, hidden.shape[-1]).index_copy(0, layout.where, hidden)
    return flat.view(sequences, length, hidden.shape[-1])


def encode_first(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """The output at the first token alone: of the last layer only its attention runs on all tokens.

    Args:
        encoder: One that `can_pack`.
        batch: Sequences padded at their ends.

    Returns:
        (sequences, hidden), 0 for an empty sequence.
    """
    layout = _layout(batch)
    hidden = _run(encoder, batch, layout, first_only=True)  # (some, hidden)
    return hidden.new_zeros(batch.input_ids.shape[0], hidden.shape[-1]).index_copy(0, layout.filled, hidden)


def _layout(batch: Batch) -> Packing | Jagged:
    device, width = batch.input_ids.device, batch.input_ids.shape[1]
    lengths = batch.attention_mask.sum(1).cpu().numpy() if batch.lengths is None else batch.lengths
    return pack(lengths, width) if by_hand(device) else lay_out(lengths, width, device)


def _run(encoder: PreTrainedModel, batch: Batch, layout: Packing | Jagged, first_only: bool) -> torch.Tensor:
    """(size, hidden), or with the first tokens alone (some, hidden); float32."""
    modules: Any = encoder
    places = layout.sources if isinstance(layout, Packing) else layout.where  # (size,)
    types = {} if batch.token_type_ids is None else {"token_type_ids": _take(batch.token_type_ids, places)}
    rows = look_up(modules.get_input_embeddings(), _take(batch.input_ids, places)[0])  # (size, hidden)
    embedded = modules.embeddings(
        inputs_embeds=rows[None], position_ids=_take(_positions(encoder, batch), places), **types
    )
    hidden: torch.Tensor = embedded[0].float()  # (size, hidden)
    layers = list(modules.encoder.layer)
    for layer in layers:
        only = layout.first if first_only and layer is layers[-1] else None
        if isinstance(layout, Packing):
            hidden = run_layer(hidden, _weights(layer), layout, only)
        else:
            hidden = run_jagged(hidden, layer, layout, only)
    return hidden.float()


def pack(lengths: npt.NDArray[np.int64], width: int) -> Packing:
    """Find the real tokens and group the sequences.

    Args:
        lengths: (sequences,) Real tokens of each; padding at the ends.
        width: Of the padded rectangle.
    """
    tokens = int(lengths.sum())
    starts = np.cumsum(lengths) - lengths  # where each sequence begins in the pack
    order = np.argsort(-lengths, kind="stable")
    groups = []
    squares = lengths[order] ** 2
    for first, end in cut_sorted(squares, LARGEST_GROUP, GROUP_COST):
        some = order[first:end]
        steps = np.arange(lengths[some[0]])  # (longest,)
        rows = np.where(steps < lengths[some][:, None], starts[some][:, None] + steps, tokens)  # (n, longest)
        groups.append(Group(tuple(some.tolist()), tuple(lengths[some].tolist()), torch.from_numpy(rows)))
    where = np.flatnonzero(np.arange(width) < lengths[:, None])  # (tokens,) of the rectangle (sequences, width)
    sources = np.zeros(packed_size(tokens), np.int64)
    sources[:tokens] = where
    filled = np.flatnonzero(lengths)
    at_where, at_sources, at_first, at_filled = map(torch.from_numpy, (where, sources, starts[filled], filled))
    return Packing(at_where, at_sources, at_first, at_filled, tuple(groups))


_KNOWN: WeakKeyDictionary[torch.nn.Module, LayerWeights] = WeakKeyDictionary()
"""Layers that were run, with the casts of their weights."""


def _weights(layer: torch.nn.Module) -> LayerWeights:
    known = _KNOWN.get(layer)
    if known is None or not known.are_of(layer):
        known = _KNOWN[layer] = LayerWeights(layer)
    return known


def _take(padded: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """(sequences, length) -> (1, size)."""
    return padded.reshape(-1)[where][None]


def _positions(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """(sequences, length) The position of each token, as the encoder itself counts them."""
    embeddings: Any = encoder.embeddings
    count = getattr(embeddings, "create_position_ids_from_input_ids", None)
    if count is not None:  # RoBERTa and its like count from the padding id
        positions: torch.Tensor = count(batch.input_ids, embeddings.padding_idx)
        return positions
    return torch.arange(batch.input_ids.shape[1]).expand_as(batch.input_ids)
