"""Dropout whose masks belong to the sequences, from a fast generator.

On the CPU torch draws dropout masks one number after the other, which takes a fifth of a training step, and the masks
depend on how a batch was cut into pieces and padded. Here every sequence of an effective batch has a stream of its own,
seeded by run, step and place in the batch, and draws masks for its real tokens alone: cutting the batch differently
leaves every mask as it was. One byte of numpy's SFC64 decides on each number, seven times as fast as torch; what a byte
cannot tell apart is dithered, so that each number's rate is exact to 1/65536. The mode catches both ways in which a
model drops: ``dropout`` itself and the dropout inside ``scaled_dot_product_attention``. On a GPU torch's own kernels
are the fast ones, and the mode leaves them alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .batching import packed_size

LEVELS = 1 << 16
BYTE = 1 << 8
_STRIDE = 159
"""Odd, so that its multiples go through all bytes; near 256 over the golden ratio, so that they do so evenly."""
WHOLE = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers of as many bytes."""
SHARED = 2**63
"""Where the stream that all sequences share stands: beyond every place in a batch."""
Place: TypeAlias = tuple[slice | int, ...]
"""An index into a mask."""


class SeededDropout(TorchFunctionMode):
    """Replaces dropout on CPU tensors while the mode is active.

    Args:
        seed: The same seed gives the same masks, in the order in which they are asked for.
    """

    _active: ClassVar[list[SeededDropout]] = []

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._shared = np.random.SFC64(seed)
        self._streams: list[np.random.SFC64] = []
        self._lengths: list[int] = []
        self._examples = 0

    def next_piece(self, step: int, positions: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> None:
        """Say which sequences the tensors hold from now on, until the next call.

        Args:
            step: The optimizer step.
            positions: (examples,) The examples' places in the effective batch.
            lengths: (examples, sequences) Their real tokens; a batch holds all first sequences before all second ones.
        """
        # What belongs to no sequence is drawn alike for every piece: DeBERTa drops from a table of relative positions.
        self._shared = np.random.SFC64([self._seed, step, SHARED])
        sides = range(lengths.shape[1])
        self._streams = [np.random.SFC64([self._seed, step, int(at), side]) for side in sides for at in positions]
        self._examples = len(positions)
        self._lengths = lengths.T.reshape(-1).tolist()  # (sequences * examples,)

    @classmethod
    def active(cls) -> SeededDropout | None:
        """The innermost mode that is on, if any is."""
        return cls._active[-1] if cls._active else None

    def __enter__(self) -> SeededDropout:
        super().__enter__()  # type: ignore[no-untyped-call]
        self._active.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        self._active.remove(self)
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def mark_dropped(self, weights: torch.Tensor, sequences: Sequence[int], lengths: Sequence[int], p: float) -> None:
        """Make those of some sequences' attention weights negative, in place, that are dropped or padding.

        Args:
            weights: (n, heads, longest, longest), contiguous, none negative.
            sequences: (n,) Their places among the sequences of the piece.
            lengths: (n,) Their real tokens.
            p: The rate.
        """
        if round(p * LEVELS) in (0, LEVELS):
            weights.mul_(-1 if round(p * LEVELS) else 1)
            return
        known = all(
            at < len(self._lengths) and self._lengths[at] == count for at, count in zip(sequences, lengths, strict=True)
        )
        streams = [self._streams[at] if known else self._shared for at in sequences]
        # Nothing reads the signs of padding, so that they may be any.
        dropped = np.empty(tuple(weights.shape), np.uint8)
        _throw(dropped, p, False, list(zip(_attention_places(lengths), streams, strict=True)))
        whole = WHOLE[weights.dtype.itemsize]
        sign = torch.from_numpy(dropped).to(whole).bitwise_left_shift_(8 * weights.dtype.itemsize - 1)
        weights.view(whole).bitwise_or_(sign)

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
        mask = self.mask(input, p)
        return input.mul_(mask) if inplace else input * mask

    def mask(self, like: torch.Tensor, p: float) -> torch.Tensor:
        """0 with probability p, else 1/(1-p); the shape and type of ``like``; 0 at padding."""
        return self._draw(like, p, self._places(tuple(like.shape)))

    def _draw(self, like: torch.Tensor, p: float, places: Sequence[tuple[Place, np.random.SFC64]]) -> torch.Tensor:
        if round(p * LEVELS) in (0, LEVELS):
            return torch.full_like(like, 1 if round(p * LEVELS) == 0 else 0)
        # Multiplied as whole numbers with the scale's bits: comparing and converting take ten times as long.
        whole = WHOLE[like.dtype.itemsize]
        bits = torch.tensor(kept_scale(p), dtype=like.dtype).view(whole)
        kept = np.zeros(tuple(like.shape), np.uint8)  # padding is dropped
        _throw(kept, p, True, places)
        return torch.from_numpy(kept).to(whole).mul_(bits).view(like.dtype)

    def _places(self, shape: tuple[int, ...]) -> list[tuple[Place, np.random.SFC64]]:
        """The parts of a mask and the stream that draws each.

        Known are (sequences, length, numbers), (sequences, heads, length, length), (1, tokens, numbers) of sequences
        laid end to end, with a pack's spare tokens or without, and, after pooling, (sequences or examples, numbers).
        Any other is drawn whole, from a stream that all share.
        """
        count, longest, lengths = len(self._streams), max(self._lengths, default=0), self._lengths
        tokens = sum(lengths)
        places: list[Place] = []
        if len(shape) == 2 and count and shape[0] in (count, self._examples):
            places = [(row,) for row in range(shape[0])]
        elif len(shape) == 3 and shape[:2] in ((1, tokens), (1, packed_size(tokens))):
            ends = np.cumsum(lengths).tolist()
            places = [(0, slice(end - length, end)) for end, length in zip(ends, lengths, strict=True)]
        elif len(shape) == 3 and shape[:2] == (count, longest):
            places = [(row, slice(length)) for row, length in enumerate(lengths)]
        elif len(shape) == 4 and shape[0] == count and shape[2:] == (longest, longest):
            places = _attention_places(lengths)
        if not places:
            return [((slice(None),), self._shared)]
        return list(zip(places, self._streams[: len(places)], strict=True))

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
        scores = ((query * factor) @ key.transpose(-2, -1)).float()  # (sequences, heads, length, length)
        if attn_mask is not None:
            # A row of padding may have nothing to look at: the lowest number instead of -inf keeps it from being NaN.
            lowest = torch.finfo(scores.dtype).min
            if attn_mask.dtype == torch.bool:
                scores = scores.masked_fill_(~attn_mask, lowest)
            else:
                scores = (scores + attn_mask).clamp_(min=lowest)
        weights = scores.softmax(-1).to(query.dtype)
        return (weights * self.mask(weights, dropout_p)) @ value


def _throw(out: npt.NDArray[np.uint8], p: float, kept: bool, places: Sequence[tuple[Place, np.random.SFC64]]) -> None:
    """Write 1 where a number is kept, or else where it is dropped, and 0 where not, into the given places."""
    rarer = min(round(p * LEVELS), LEVELS - round(p * LEVELS))  # what a byte below its bound stands for
    compare = np.less if kept == (p > 0.5) else np.greater_equal
    for place, stream in places:
        part = out[place]
        raw = stream.random_raw(1 + -(-part.size // 8))
        start = int(raw[0]) % BYTE
        bounds = _bounds(rarer, -(-part.shape[-1] // BYTE))[start : start + part.shape[-1]]  # (numbers,)
        compare(raw[1:].view(np.uint8)[: part.size].reshape(part.shape), bounds, out=part.view(np.bool_))


@functools.lru_cache(maxsize=64)
def _bounds(level: int, blocks: int) -> npt.NDArray[np.uint8]:
    """A byte below its bound has a probability of level/65536, if the bound is taken at a random place.

    Of 256 bounds in a row as many are the larger of two as makes their mean right.
    """
    phases = np.arange((blocks + 1) * BYTE) * _STRIDE % BYTE
    return (level // BYTE + (phases < level % BYTE)).astype(np.uint8)


def kept_scale(p: float) -> float:
    """What is kept is multiplied with this, so that the mean stays."""
    return LEVELS / max(1, LEVELS - round(p * LEVELS))


def _attention_places(lengths: Sequence[int]) -> list[Place]:
    """The real part of each sequence's attention weights, (heads, length, length) within (heads, longest, longest)."""
    real = [slice(length) for length in lengths]
    return [(row, slice(None), part, part) for row, part in enumerate(real)]


def _drops_on_cpu(
    query: torch.Tensor, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, *_: Any, **__: Any
) -> bool:
    """Whether a call of ``scaled_dot_product_attention`` drops anything, and does so on the CPU."""
    return dropout_p > 0 and query.device.type == "cpu"
