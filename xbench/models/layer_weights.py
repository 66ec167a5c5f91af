"""The weights of a BERT-shaped layer as its products want them: cast, scaled and packed once until they change."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from ..training.dropout import kept_scale
from .low_rank import LowRank, take_apart

Pair = tuple[torch.Tensor, torch.Tensor]
Made = TypeVar("Made")
PROJECTION = "projection"
"""Query, key and value in one."""


class LayerWeights:
    """What a layer of a BERT, RoBERTa or XLM-R holds, ready to be multiplied with.

    Args:
        layer: transformers' layer.
    """

    def __init__(self, layer: Any) -> None:
        own = layer.attention.self
        self.heads: int = own.num_attention_heads
        self.scaling: float = own.scaling
        self._made_of = _linears(layer)
        bare, adapters = zip(*map(take_apart, self._made_of), strict=True)
        self.parts: tuple[torch.nn.Linear, ...] = bare[:3]
        self.mix, self.wide, self.narrow = bare[3:]
        self.adapters: dict[str, tuple[LowRank | None, ...]] = {
            PROJECTION: adapters[:3], "mix": adapters[3:4], "wide": adapters[4:5], "narrow": adapters[5:],
        }  # fmt: skip
        self.norms: tuple[torch.nn.LayerNorm, ...] = (layer.attention.output.LayerNorm, layer.output.LayerNorm)
        self.attention_dropout: torch.nn.Dropout = own.dropout
        self.dropouts: tuple[torch.nn.Dropout, ...] = (layer.attention.output.dropout, layer.output.dropout)
        self._made: dict[tuple[str, str], tuple[tuple[Any, ...], Any]] = {}

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """All of them, those of adapters included."""
        for module in (*self.parts, self.mix, self.wide, self.narrow, *self.norms):
            yield from module.parameters()
        for adapter in itertools.chain(*self.adapters.values()):
            if adapter is not None:
                yield from adapter.parameters()

    def are_of(self, layer: Any) -> bool:
        """Whether the layer still consists of the modules that it had: an adapter may have come or gone."""
        return all(one is other for one, other in zip(self._made_of, _linears(layer), strict=True))

    def linears(self, name: str) -> tuple[torch.nn.Linear, ...]:
        """Those of a map: three make the projection."""
        return self.parts if name == PROJECTION else (getattr(self, name),)

    def learns(self, name: str) -> bool:
        """Whether anything in a map is trained, so that its gradient asks for what went into it."""
        frozen = not any(weight.requires_grad for linear in self.linears(name) for weight in linear.parameters())
        return not frozen or any(adapter is not None for adapter in self.adapters[name])

    def scales(self, rate: float) -> tuple[float, float, float]:
        """What the weights of query, key and value are multiplied with: for the scores, and for dropout at a rate."""
        return self.scaling, 1.0, kept_scale(rate)

    def scales_of(self, name: str, rate: float) -> tuple[float, ...]:
        """What the weights and the adapters of a map's linear layers are multiplied with."""
        return self.scales(rate) if name == PROJECTION else (1.0,)

    def multiply(self, name: str, given: torch.Tensor, rate: float, trained: bool) -> torch.Tensor:
        """A linear map, without its adapters.

        Args:
            name: ``projection`` (query, key and value, scaled), ``mix``, ``wide`` or ``narrow``.
            given: (tokens, in)
            rate: Attention's dropout.
            trained: Whether `plain` is going to be asked for too. In fp32 nothing is packed then: it would be a
                quarter more of all that training holds.

        Returns:
            (tokens, out)
        """
        kind = given.dtype
        if not can_pack_weights(kind) or (trained and kind == torch.float32):
            weight, bias = self.plain(name, kind, rate)
            return torch.addmm(bias, given, weight.t())

        def packed() -> Pair:
            weight, bias = self.plain(name, kind, rate) if trained else self._cast(name, kind, rate)
            return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), given.shape[0]), bias.detach()

        weight, bias = self._keep("packed", name, kind, rate, packed)
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, weight, bias, "none", [], "")
        return product

    def plain(self, name: str, kind: torch.dtype, rate: float) -> Pair:
        """The weight (out, in) and the bias (out,) of a map, in a type; see `multiply`."""
        if kind == torch.float32:
            return self._cast(name, kind, rate)  # not kept: the projection would be a quarter of the weights once more
        return self._keep("plain", name, kind, rate, lambda: self._cast(name, kind, rate))

    def _cast(self, name: str, kind: torch.dtype, rate: float) -> Pair:
        if name != PROJECTION:
            linear = getattr(self, name)
            return linear.weight.to(kind), linear.bias.to(kind)
        hidden, width = self.parts[0].weight.shape
        weight = self.parts[0].weight.new_empty(3 * hidden, width, dtype=kind)
        bias = self.parts[0].bias.new_empty(3 * hidden, dtype=kind)
        rooms = zip(self.parts, weight.chunk(3), bias.chunk(3), self.scales(rate), strict=True)
        for part, room, bias_room, scale in rooms:
            room.copy_(part.weight if scale == 1 else part.weight * scale)
            bias_room.copy_(part.bias * scale)
        return weight, bias

    def _keep(self, how: str, name: str, kind: torch.dtype, rate: float, make: Callable[[], Made]) -> Made:
        """What is made once for as long as the weights stay as they are."""
        weights = (part for linear in self.linears(name) for part in (linear.weight, linear.bias))
        state = (kind, rate, *((weight.data_ptr(), weight._version) for weight in weights))
        found = self._made.get((how, name))
        if found is None or found[0] != state:
            found = self._made[how, name] = (state, make())
        made: Made = found[1]
        return made


def _linears(layer: Any) -> tuple[Any, ...]:
    """Query, key and value, ``mix``, ``wide`` and ``narrow``: linear layers, or peft's around them."""
    own = layer.attention.self
    return own.query, own.key, own.value, layer.attention.output.dense, layer.intermediate.dense, layer.output.dense


@functools.cache
def can_pack_weights(kind: torch.dtype) -> bool:
    """Whether oneDNN multiplies with weights that it has laid out before: 14% faster, if they are used twice."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return kind == torch.float32 or (kind == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
