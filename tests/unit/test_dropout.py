"""Dropout by masks from a fast generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from xbench.training.dropout import SeededDropout

attention = functional.scaled_dot_product_attention


def heads(seed: int = 0, length: int = 7, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Query, key and value of 3 sequences and 4 attention heads."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 4, length, 8, generator=generator).to(dtype) for _ in range(3)]


def weights_of(p: float, length: int, seed: int) -> torch.Tensor:
    """The attention weights after dropout: value is the identity, so that the output is the weights themselves."""
    query, key, _ = heads(length=length)
    with SeededDropout(seed):
        return attention(query, key, torch.eye(length).expand(3, 4, length, length), dropout_p=p)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_the_rate_and_the_scale_are_those_of_dropout(p: float) -> None:
    count = 400_000
    with SeededDropout(1):
        dropped = functional.dropout(torch.ones(count), p)
    kept = dropped[dropped != 0]
    deviation = (p * (1 - p) / count) ** 0.5
    assert abs(1 - len(kept) / count - p) < 5 * deviation + 1e-5
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=2e-4, atol=0)
    assert abs(float(dropped.mean()) - 1) < 5 * deviation / (1 - p) + 1e-5


def test_neighbouring_elements_are_dropped_independently() -> None:
    with SeededDropout(2):
        dropped = (functional.dropout(torch.ones(400_000), 0.5) == 0).float()
    for lag in (1, 2, 3, 4, 8):  # four masks come out of one 64-bit number
        agree = float((dropped[lag:] == dropped[:-lag]).float().mean())
        assert abs(agree - 0.5) < 5 * 0.5 / 400_000**0.5


def test_the_same_seed_gives_the_same_masks_and_another_seed_others() -> None:
    def masks(seed: int) -> torch.Tensor:
        with SeededDropout(seed):
            return torch.stack([functional.dropout(torch.ones(50, 40), 0.3) for _ in range(3)])

    torch.manual_seed(1)
    first = masks(7)
    torch.manual_seed(2)  # torch's own generator is none of its business
    assert torch.equal(first, masks(7))
    assert not torch.equal(first, masks(8))
    assert not torch.equal(first[0], first[1])


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero() -> None:
    layer, values = nn.Dropout(0.5).eval(), torch.randn(9, 9)
    with SeededDropout(0):
        assert torch.equal(layer(values), values)
        assert torch.equal(functional.dropout(values, 0.5, training=False), values)
        assert torch.equal(functional.dropout(values, 0.0), values)


def test_a_dropout_layer_in_training_goes_through_the_mode() -> None:
    layer, values = nn.Dropout(0.5).train(), torch.ones(1000)
    with SeededDropout(3):
        inside = layer(values)
    with SeededDropout(3):
        assert torch.equal(inside, functional.dropout(values, 0.5))


@pytest.mark.parametrize("layer", [nn.Dropout(0.5, inplace=True), nn.Dropout(1.0)])
def test_what_torch_allows_is_allowed(layer: nn.Dropout) -> None:
    """In place the given tensor itself changes; a rate of 1 leaves only zeros."""
    values = torch.ones(1000)
    with SeededDropout(3):
        out = layer.train()(values)
    assert set(out.unique().tolist()) == ({0.0, 2.0} if layer.p == 0.5 else {0.0})
    assert torch.equal(values, out) == layer.inplace


def test_the_gradient_flows_like_the_mask() -> None:
    values = torch.randn(40, 30, requires_grad=True)
    coefficients = torch.randn(40, 30)
    with SeededDropout(4):
        dropped = functional.dropout(values, 0.25)
    (dropped * coefficients).sum().backward()
    mask = (dropped != 0).float() * 4 / 3
    torch.testing.assert_close(values.grad, coefficients * mask, rtol=2e-4, atol=0)
    torch.testing.assert_close(dropped, values * mask, rtol=2e-4, atol=0)


@pytest.mark.parametrize("kind", ["none", "boolean", "additive"])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_at_a_vanishing_rate_is_torchs(kind: str, scale: float | None) -> None:
    real = torch.arange(7)[None, :] < torch.tensor([7, 4, 1])[:, None]  # (sequences, length)
    boolean = real[:, None, None, :].expand(3, 1, 7, 7)
    additive = torch.zeros(3, 1, 7, 7).masked_fill(~boolean, torch.finfo(torch.float32).min)
    mask = {"none": None, "boolean": boolean, "additive": additive}[kind]
    query, key, value = heads()
    with SeededDropout(0):
        ours = attention(query, key, value, mask, 1e-9, False, scale=scale)
    torch.testing.assert_close(ours, attention(query, key, value, mask, scale=scale), rtol=1e-5, atol=1e-6)


def test_attention_drops_weights_at_its_rate_and_scale() -> None:
    length, p = 24, 0.3
    query, key, _ = heads(length=length)
    whole = (query @ key.transpose(-2, -1) / 8**0.5).softmax(-1)
    kept = 0
    for seed in range(20):
        ours = weights_of(p, length, seed)
        torch.testing.assert_close(ours, whole * (ours != 0) / (1 - p), rtol=2e-4, atol=1e-7)
        kept += int((ours != 0).sum())
    count = 20 * whole.numel()
    assert abs(1 - kept / count - p) < 5 * (p * (1 - p) / count) ** 0.5


def test_attentions_gradient_is_that_of_the_masked_weights() -> None:
    p, length = 0.3, 7
    kept = (weights_of(p, length, seed=9) != 0).float() / (1 - p)
    ours, explicit = heads(), heads()
    for tensor in [*ours, *explicit]:
        tensor.requires_grad_()
    with SeededDropout(9):
        out = attention(*ours, dropout_p=p)
    weights = (explicit[0] @ explicit[1].transpose(-2, -1) / 8**0.5).softmax(-1)
    expected = (weights * kept) @ explicit[2]
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-4)
    direction = torch.randn_like(out)
    out.backward(direction)
    expected.backward(direction)
    for one, other in zip(ours, explicit, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["boolean", "additive"])
def test_a_position_with_nothing_to_look_at_gives_no_nan(kind: str) -> None:
    """Such as padding outside every window of local attention: one NaN there would spoil the whole gradient."""
    boolean = torch.ones(3, 1, 7, 7, dtype=torch.bool)
    boolean[:, :, 6] = False
    additive = torch.zeros(3, 1, 7, 7).masked_fill(~boolean, -torch.inf)
    inputs = [tensor.requires_grad_() for tensor in heads()]
    with SeededDropout(0):
        out = attention(*inputs, attn_mask=boolean if kind == "boolean" else additive, dropout_p=0.1)
    out[:, :, :6].sum().backward()
    assert out.isfinite().all()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in inputs)


def test_attention_keeps_the_type_of_its_inputs() -> None:
    with SeededDropout(0):
        assert attention(*heads(dtype=torch.bfloat16), dropout_p=0.1).dtype == torch.bfloat16


def test_attention_without_dropout_is_left_to_torch() -> None:
    with SeededDropout(0):
        inside = attention(*heads(), dropout_p=0.0)
    assert torch.equal(inside, attention(*heads()))


def test_attention_may_be_called_with_names_alone() -> None:
    query, key, value = heads()
    with SeededDropout(5):
        named = attention(query=query, key=key, value=value, dropout_p=0.2)
    with SeededDropout(5):
        assert torch.equal(named, attention(query, key, value, dropout_p=0.2))


def test_dropout_is_torchs_own_again_after_the_mode() -> None:
    with SeededDropout(0):
        pass
    torch.manual_seed(5)
    first = functional.dropout(torch.ones(500), 0.5)
    torch.manual_seed(5)
    assert torch.equal(first, functional.dropout(torch.ones(500), 0.5))
