"""A BERT-shaped layer on packed sequences with torch's attention for sequences of varying length: for GPUs.

torch lays sequences end to end in a nested tensor and picks the kernel: in bf16 that of FlashAttention (Dao, 2023),
which takes such a layout as it is, dropout included. The layer's own parts do the rest, and autograd derives it all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional


@dataclass(frozen=True)
class Jagged:
    """Sequences laid end to end.

    Attributes:
        where: (tokens,) The place of each real token in the flattened rectangle.
        first: (some,) Which token is the first of each sequence that is not empty.
        filled: (some,) Which sequences these are.
        offsets: (sequences + 1,) Where each sequence that is not empty begins, and where the last one ends.
        shortest: Tokens of the shortest sequence.
        longest: Tokens of the longest.
    """

    where: torch.Tensor
    first: torch.Tensor
    filled: torch.Tensor
    offsets: torch.Tensor
    shortest: int
    longest: int


def lay_out(lengths: npt.NDArray[np.int64], width: int, device: torch.device) -> Jagged:
    """Find where the real tokens of a padded batch lie, on the host: the device is not asked, and so not waited for.

    Args:
        lengths: (sequences,) Real tokens of each; padding at the ends.
        width: Of the padded rectangle.
        device: Where the encoder runs.
    """
    real = np.arange(width) < lengths[:, None]  # (sequences, width)
    some = lengths[lengths > 0]  # the kernels take no empty sequence
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(some)])
    arrays = (np.flatnonzero(real), ends[:-1], np.flatnonzero(lengths), ends)
    where, first, filled, offsets = (_send(torch.from_numpy(array), device) for array in arrays)
    return Jagged(where, first, filled, offsets, int(some.min()), int(some.max()))


def _send(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)


def run_jagged(hidden: torch.Tensor, layer: Any, layout: Jagged, only: torch.Tensor | None = None) -> torch.Tensor:
    """One layer of the encoder.

    Args:
        hidden: (tokens, hidden)
        layer: transformers' layer of a BERT, RoBERTa or XLM-R.
        layout: Which tokens are a sequence.
        only: (some,) The tokens whose output is wanted; None wants all.

    Returns:
        (tokens, hidden) or (some, hidden)
    """
    own = layer.attention.self
    query, key, value = (_nest(part(hidden), own, layout) for part in (own.query, own.key, own.value))
    rate = own.dropout.p if own.dropout.training else 0.0
    mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=rate, scale=own.scaling)
    flat = mixed.transpose(1, 2).values().reshape(hidden.shape[0], -1)  # (tokens, heads, width) -> (tokens, hidden)
    if only is not None:
        flat, hidden = flat[only], hidden[only]  # (some, hidden)
    attended = layer.attention.output(flat, hidden)
    out: torch.Tensor = layer.output(layer.intermediate(attended), attended)
    return out


def _nest(projected: torch.Tensor, own: Any, layout: Jagged) -> torch.Tensor:
    """(tokens, hidden) -> (sequences, heads, the sequence's tokens, width)."""
    heads = projected.view(projected.shape[0], own.num_attention_heads, -1)  # (tokens, heads, width)
    nested: torch.Tensor = torch.nested.nested_tensor_from_jagged(
        heads, layout.offsets, min_seqlen=layout.shortest, max_seqlen=layout.longest
    )
    return nested.transpose(1, 2)
