"""The layer that is derived by hand: its attention beside autograd's, its weights' casts and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from tests.unit.test_packing import LENGTHS, UNEQUAL, batch_of, packing_of
from xbench.models.attention import LONG, attend, attend_back
from xbench.models.encoder import load_encoder
from xbench.models.layer_weights import PROJECTION, LayerWeights
from xbench.models.packing import encode_packed
from xbench.recipe import build_recipe
from xbench.training.batching import packed_size
from xbench.training.dropout import SeededDropout, kept_scale
from xbench.training.optimizer import BlockedOptimizer

pytestmark = pytest.mark.usefixtures("one_thread")
HEADS, WIDTH = 3, 8


def plain_attention(projected: torch.Tensor, lengths: Sequence[int], rate: float) -> torch.Tensor:
    """The definition, one sequence after the other: (tokens, 3 * hidden) -> (tokens, hidden)."""
    outs, start = [], 0
    for at, length in enumerate(lengths):
        rows = projected[start : start + length].view(length, 3, HEADS, WIDTH)
        query, key, value = rows.permute(1, 2, 0, 3)  # (heads, length, width) each
        weights = (query @ key.transpose(-2, -1)).softmax(-1)  # (heads, length, length)
        mode = SeededDropout.active()
        if rate and mode is not None:
            marked = torch.ones_like(weights)[None]
            mode.mark_dropped(marked, [at], [length], rate)
            weights = weights * marked[0].clamp(min=0) * kept_scale(rate)
        outs.append((weights @ value).transpose(0, 1).reshape(length, HEADS * WIDTH))
        start += length
    return torch.cat(outs)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("lengths", [*LENGTHS.values(), (LONG + 9, 3, LONG)], ids=[*LENGTHS, "long"])
def test_the_gradient_derived_by_hand_is_autograds(lengths: tuple[int, ...], rate: float) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens, size = sum(lengths), packed_size(sum(lengths))
    projected = torch.randn(size, 3 * HEADS * WIDTH, generator=generator, dtype=torch.float64)
    coming = torch.randn(size, HEADS * WIDTH, generator=generator, dtype=torch.float64)
    coming[tokens:] = 0
    beside = projected[:tokens].clone().requires_grad_()
    sizes, packing = np.array(lengths)[:, None], packing_of(lengths)
    with SeededDropout(4) as mode:
        mode.next_piece(0, np.arange(len(lengths)), sizes)
        out, kept = attend(projected, HEADS, rate, packing)
        mode.next_piece(0, np.arange(len(lengths)), sizes)
        expected = plain_attention(beside, lengths, rate)
    scale = kept_scale(rate)  # it belongs in the value
    torch.testing.assert_close(out[:tokens] * scale, expected.detach(), atol=1e-12, rtol=1e-12)
    expected.backward(coming[:tokens])
    back = attend_back(coming * scale, HEADS, rate, kept, packing)
    torch.testing.assert_close(back[:tokens], beside.grad, atol=1e-12, rtol=0)
    assert not back[tokens:].any()


def test_without_the_mode_attention_drops_at_its_rate_and_scale() -> None:
    length, rate = 200, 0.3
    projected = torch.zeros(packed_size(length), 3, HEADS, length)  # every weight is 1/length
    projected[:length, 2] = kept_scale(rate) * torch.eye(length)[:, None]
    torch.manual_seed(0)
    kept = attend(projected.flatten(1), HEADS, rate, packing_of([length]))[0][:length] * length
    share = float((kept != 0).float().mean())
    assert abs(1 - share - rate) < 5 * (rate * (1 - rate) / kept.numel()) ** 0.5
    torch.testing.assert_close(kept, (kept != 0) / (1 - rate), atol=1e-5, rtol=0)


@pytest.fixture
def encoder(tiny: Callable[..., Path]) -> PreTrainedModel:
    return load_encoder(tiny("xlm-roberta"))


@torch.no_grad()
@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_product_is_that_of_the_cast_and_scaled_weights(
    encoder: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, kind: torch.dtype, trained: bool, packs: bool
) -> None:
    """Whether or not oneDNN has laid them out, for however many tokens."""
    if not packs:
        monkeypatch.setattr("xbench.models.layer_weights.can_pack_weights", lambda kind: False)
    weights, rate = LayerWeights(encoder.encoder.layer[0]), 0.25
    own = encoder.encoder.layer[0].attention.self
    scales = zip((own.query, own.key, own.value), (own.scaling, 1.0, 1 / (1 - rate)), strict=True)
    projection = [(part.weight * scale, part.bias * scale) for part, scale in scales]
    expected = {
        name: (getattr(weights, name).weight, getattr(weights, name).bias) for name in ("mix", "wide", "narrow")
    }
    expected[PROJECTION] = (
        torch.cat([weight for weight, _ in projection]),
        torch.cat([bias for _, bias in projection]),
    )
    for tokens in (32, 1, 7, 320):
        for name, (weight, bias) in expected.items():
            given = torch.randn(tokens, weight.shape[1], generator=torch.Generator().manual_seed(tokens)).to(kind)
            product = weights.multiply(name, given, rate, trained)
            assert product.dtype == kind
            exact = given.double() @ weight.to(kind).double().t() + bias.to(kind).double()
            tolerance = 1e-5 if kind == torch.float32 else 2**-7
            torch.testing.assert_close(product.double(), exact, atol=tolerance, rtol=tolerance)


def test_gradients_of_several_passes_add_up(encoder: PreTrainedModel) -> None:
    batches = [batch_of(encoder, UNEQUAL), batch_of(encoder, (5, 4))]
    apart = []
    for batch in batches:
        encoder.zero_grad()
        encode_packed(encoder, batch).square().sum().backward()
        apart.append([weight.grad.clone() for weight in encoder.parameters() if weight.grad is not None])
    encoder.zero_grad()
    for batch in batches:
        encode_packed(encoder, batch).square().sum().backward()
    together = [weight.grad for weight in encoder.parameters() if weight.grad is not None]
    for both, first, second in zip(together, *apart, strict=True):
        torch.testing.assert_close(both, first + second)


def test_a_frozen_weight_gets_no_gradient(encoder: PreTrainedModel) -> None:
    frozen = encoder.encoder.layer[0].attention.self.query
    frozen.weight.requires_grad_(False)
    encode_packed(encoder, batch_of(encoder, UNEQUAL)).sum().backward()
    assert frozen.weight.grad is None
    assert frozen.bias.grad is not None


def test_layers_learn_above_frozen_embeddings(encoder: PreTrainedModel) -> None:
    for weight in encoder.embeddings.parameters():
        weight.requires_grad_(False)
    encode_packed(encoder, batch_of(encoder, UNEQUAL)).square().sum().backward()
    assert all(weight.grad is None for weight in encoder.embeddings.parameters())
    assert all(weight.grad is not None for weight in encoder.encoder.parameters())


@pytest.mark.parametrize("how", ["optimizer", "load", "data"])
def test_a_changed_weight_is_cast_anew(encoder: PreTrainedModel, how: str) -> None:
    def passed() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return encode_packed(encoder, batch_of(encoder, UNEQUAL))

    before = passed()
    before.square().sum().backward()
    assert torch.equal(passed(), before)
    if how == "optimizer":
        layers = list(encoder.encoder.layer.parameters())
        BlockedOptimizer(layers, build_recipe({}, "test", {})).step(1e-2)
    elif how == "load":
        encoder.load_state_dict({name: 1.1 * value for name, value in encoder.state_dict().items()})
    else:
        for weight in encoder.encoder.layer.parameters():
            weight.data = 1.1 * weight.data
    changed = passed()
    assert not torch.equal(changed, before)
    fresh = type(encoder)(encoder.config)
    fresh.load_state_dict(encoder.state_dict(), strict=False)
    fresh.eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encode_packed(fresh, batch_of(fresh, UNEQUAL)), changed)
