"""Dropout by masks from a fast generator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from xbench.training.dropout import LEVELS, SeededDropout, _bounds

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


@pytest.mark.parametrize("p", [1 / 65536, 0.001, 0.1, 0.3, 0.5, 0.7, 0.999, 65535 / 65536])
def test_each_numbers_rate_is_exact_though_a_byte_decides(p: float) -> None:
    """Wherever its bound is taken from, and over any 256 neighbours."""
    level = min(round(p * LEVELS), LEVELS - round(p * LEVELS))
    bounds = _bounds(level, 3).astype(int)
    assert len(bounds) == 4 * 256
    windows = np.lib.stride_tricks.sliding_window_view(bounds, 256)
    assert (windows.sum(1) == level).all()  # 256 numbers, 256 values of a byte
    assert bounds.max() - bounds.min() <= 1
    for width in (16, 32, 64):  # neighbours share what is above: no block has many more large bounds than another
        shares = np.lib.stride_tricks.sliding_window_view(bounds, width).sum(1)
        assert shares.max() - shares.min() <= 4


def test_neighbouring_elements_are_dropped_independently() -> None:
    with SeededDropout(2):
        dropped = (functional.dropout(torch.ones(400_000), 0.5) == 0).float()
    for lag in (1, 2, 3, 4, 7, 8, 16, 256):  # eight come out of one 64-bit number
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


Masks = list[list[torch.Tensor]]
"""Of each sequence: what is kept of its tokens' numbers, of its attention weights and of its numbers after pooling."""
Draw = Callable[[SeededDropout, Sequence[int]], Masks]


def parts(tokens: torch.Tensor, weights: torch.Tensor, pooled: torch.Tensor, lengths: Sequence[int]) -> Masks:
    """Cut (n, longest, numbers), (n, heads, longest, longest) and (n, numbers) to the real tokens."""
    return [
        [tokens[at, :length] != 0, weights[at, :, :length, :length] != 0, pooled[at] != 0]
        for at, length in enumerate(lengths)
    ]


def padded(mode: SeededDropout, lengths: Sequence[int]) -> Masks:
    """As an encoder draws that computes its attention by itself."""
    count, longest = len(lengths), max(lengths)
    shapes = (count, longest, 6), (count, 4, longest, longest), (count, 50)
    return parts(*(functional.dropout(torch.ones(shape), 0.5) for shape in shapes), lengths)


def padded_with_torchs_attention(mode: SeededDropout, lengths: Sequence[int]) -> Masks:
    """Query and key are 0, so that attention is even; value is the identity, so that the output is the weights."""
    count, longest = len(lengths), max(lengths)
    real = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]  # (n, longest)
    tokens = functional.dropout(torch.ones(count, longest, 6), 0.5)
    query, value = torch.zeros(count, 4, longest, 8), torch.eye(longest).expand(count, 4, longest, longest)
    weights = attention(query, query, value, real[:, None, None, :], 0.5)
    return parts(tokens, weights, functional.dropout(torch.ones(count, 50), 0.5), lengths)


def packed(mode: SeededDropout, lengths: Sequence[int]) -> Masks:
    """Tokens in one row; attention in two groups, each with more padding than it needs."""
    tokens = functional.dropout(torch.ones(1, sum(lengths), 6), 0.5)[0].split(list(lengths))
    weights: dict[int, torch.Tensor] = {}
    for group in (range(1, len(lengths), 2), range(0, len(lengths), 2)):
        marked = torch.ones(len(group), 4, max(lengths) + 3, max(lengths) + 3)
        mode.mark_dropped(marked, group, [lengths[at] for at in group], 0.5)
        for at, one in zip(group, marked, strict=True):
            weights[at] = one[:, : lengths[at], : lengths[at]].clamp(min=0)
    pooled = functional.dropout(torch.ones(len(lengths), 50), 0.5)
    return [[tokens[at] != 0, weights[at] != 0, pooled[at] != 0] for at in range(len(lengths))]


DRAWS: tuple[Draw, ...] = (padded, padded_with_torchs_attention, packed)


def draw(
    how: Draw, lengths: np.ndarray, positions: Sequence[int], step: int = 2, seed: int = 1
) -> dict[tuple[int, int], list[torch.Tensor]]:
    """The masks of a piece, by the example's place in the effective batch and the sequence's in the example."""
    with SeededDropout(seed) as mode:
        mode.next_piece(step, np.array(positions), lengths)
        drawn = how(mode, lengths.T.reshape(-1).tolist())
    names = [(at, side) for side in range(lengths.shape[1]) for at in positions]
    return dict(zip(names, drawn, strict=True))


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


@given(
    st.integers(1, 2).flatmap(lambda sides: st.lists(st.tuples(*[st.integers(1, 9)] * sides), min_size=1, max_size=6)),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_a_sequences_masks_depend_on_nothing_else_in_the_piece(
    rows: list[tuple[int, ...]], cut: int, random: Random
) -> None:
    """Not on the other sequences, their order or their length, nor on how the piece is laid out."""
    lengths = np.array(rows, np.int64)  # (examples, sequences)
    whole = draw(padded, lengths, range(len(rows)))
    order = list(range(len(rows)))
    random.shuffle(order)
    for how in DRAWS:
        for piece in (order[:cut], order[cut:]):
            if piece:
                for name, masks in draw(how, lengths[piece], piece).items():
                    assert same(masks, whole[name]), (how.__name__, name)


def test_the_numbers_of_an_example_of_two_sequences_are_its_own() -> None:
    """Such as what a head makes of both sentences."""
    lengths = np.array([[3, 4], [5, 6], [2, 2]])

    def pooled(piece: list[int]) -> torch.Tensor:
        with SeededDropout(1) as mode:
            mode.next_piece(0, np.array(piece), lengths[piece])
            return functional.dropout(torch.ones(len(piece), 50), 0.5)

    whole = pooled([0, 1, 2])
    assert torch.equal(pooled([2, 0]), whole[[2, 0]])
    assert torch.equal(pooled([1]), whole[[1]])


@pytest.mark.parametrize("how", DRAWS)
def test_another_sequence_step_or_seed_has_other_masks(how: Draw) -> None:
    lengths = np.full((3, 2), 5)
    drawn = [
        masks
        for step, seed in ((2, 1), (3, 1), (2, 0), (3, 0))
        for masks in draw(how, lengths, (0, 1, 7), step, seed).values()
    ]
    assert len(drawn) == 24
    for one, other in itertools.combinations(drawn, 2):
        assert not any(torch.equal(first, second) for first, second in zip(one, other, strict=True))


def test_what_is_drawn_twice_in_a_pass_differs() -> None:
    """Two layers of an encoder are no more alike than two sequences."""
    with SeededDropout(1) as mode:
        mode.next_piece(0, np.arange(2), np.array([[6], [4]]))
        assert not any(same(one, other) for one, other in zip(padded(mode, (6, 4)), padded(mode, (6, 4)), strict=True))


def test_different_sequences_are_dropped_independently() -> None:
    with SeededDropout(0) as mode:
        mode.next_piece(0, np.arange(3), np.full((3, 1), 400))
        kept = functional.dropout(torch.ones(3, 400, 500), 0.5) != 0
    for one, other in itertools.combinations(kept, 2):
        assert abs(float((one == other).float().mean()) - 0.5) < 5 * 0.5 / 200_000**0.5


def test_padding_is_dropped_whole_and_the_rest_at_the_rate() -> None:
    with SeededDropout(0) as mode:
        mode.next_piece(0, np.arange(2), np.array([[300], [200]]))
        tokens = functional.dropout(torch.ones(2, 300, 100), 0.2) != 0
        weights = functional.dropout(torch.ones(2, 3, 300, 300), 0.2) != 0
    assert not tokens[1, 200:].any()
    assert not weights[1, :, 200:].any()
    assert not weights[1, :, :, 200:].any()
    for kept in (tokens[0], tokens[1, :200], weights[0], weights[1, :, :200, :200]):
        assert abs(float(kept.float().mean()) - 0.8) < 5 * (0.16 / kept.numel()) ** 0.5


@pytest.mark.parametrize("shape", [(40_000,), (7, 9000), (3, 200, 100), (2, 5, 40, 200), (2, 5, 4, 40, 40)])
def test_numbers_of_no_known_sequence_are_dropped_all_the_same(shape: tuple[int, ...]) -> None:
    with SeededDropout(0) as mode:
        mode.next_piece(0, np.arange(2), np.array([[40], [30]]))
        first, second = (functional.dropout(torch.ones(shape), 0.3) != 0 for _ in range(2))
    assert abs(float(first.float().mean()) - 0.7) < 5 * (0.21 / first.numel()) ** 0.5
    assert not torch.equal(first, second)


def test_the_innermost_mode_is_the_active_one() -> None:
    assert SeededDropout.active() is None
    with SeededDropout(0) as outer:
        assert SeededDropout.active() is outer
        with SeededDropout(1) as inner:
            assert SeededDropout.active() is inner
        assert SeededDropout.active() is outer
        with pytest.raises(RuntimeError), SeededDropout(2):
            torch.ones(2) @ torch.ones(3)
        assert SeededDropout.active() is outer
    assert SeededDropout.active() is None
