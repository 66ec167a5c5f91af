"""Encoders that run without padding give what the padded ones give."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel, PreTrainedModel

from tests.tiny import HIDDEN, fill, tiny_config
from xbench.models.encoder import load_encoder
from xbench.models.packing import (
    FAMILIES,
    LARGEST_GROUP,
    Packing,
    can_pack,
    encode_first,
    encode_packed,
    pack,
)
from xbench.training.batching import packed_size
from xbench.training.dropout import SeededDropout
from xbench.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")
Gradients = dict[str, torch.Tensor]
Encode = Callable[[PreTrainedModel, Batch], torch.Tensor]

CPU = torch.device("cpu")
KINDS = ["bert", "bert with segments", "bert-pad-1", "xlm-roberta"]
UNEQUAL = (60, 1, 3, 59, 1, 1, 2, 1, 1, 17)
LENGTHS = {
    "very unequal": UNEQUAL,
    "falling": (21, 20, 12, 4),
    "all equal": (9, 9, 9, 9),
    "one sequence": (13,),
    "one token": (1,),
    "one token each": (1, 1, 1),
    "some empty": (0, 6, 3, 0, 1, 0),  # a tokenizer need not add special tokens
}


def mask_of(lengths: Sequence[int]) -> torch.Tensor:
    """(sequences, length)"""
    return (torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]).long()


def packing_of(lengths: Sequence[int]) -> Packing:
    return pack(np.array(lengths, np.int64), max(lengths))


def batch_of(encoder: PreTrainedModel, lengths: Sequence[int], segments: bool = False) -> Batch:
    """Random texts of the given lengths; the second half of each is its second segment, if it has any."""
    mask = mask_of(lengths)
    generator = torch.Generator().manual_seed(len(lengths))
    ids = torch.randint(5, encoder.config.vocab_size, mask.shape, generator=generator)
    types = (2 * torch.arange(mask.shape[1])[None, :] >= torch.tensor(lengths)[:, None]).long() * mask
    return Batch(
        input_ids=ids.masked_fill(mask == 0, encoder.config.pad_token_id),
        attention_mask=mask,
        token_type_ids=types if segments else None,
        targets=torch.zeros(len(lengths), 1),
    )


def encode_padded(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    types = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
    output = encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **types)
    hidden: torch.Tensor = output.last_hidden_state
    return hidden


def passes(encode: Encode, encoder: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, Gradients]:
    """The hidden states of the real or the first tokens, and each weight's gradient for some random loss of them."""
    lengths = batch.attention_mask.sum(1).numpy()[:, None]  # (sequences, 1)
    encoder.zero_grad()
    with SeededDropout(5) as dropout:
        dropout.next_piece(3, np.arange(len(lengths)), lengths)
        hidden = encode(encoder, batch).float()
    if hidden.ndim == 3:
        hidden = hidden[batch.attention_mask.bool()]  # (tokens, hidden)
    (hidden * torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    gradients = {name: w.grad.clone() for name, w in encoder.named_parameters() if w.grad is not None}
    return hidden.detach(), gradients


def distance(one: Gradients, other: Gradients) -> float:
    """The norm of the difference, as a part of the norm."""
    difference = sum(float((one[name] - other[name]).square().sum()) for name in other)
    return float((difference / sum(float(weight.square().sum()) for weight in other.values())) ** 0.5)


def assert_same(encoder: PreTrainedModel, batch: Batch, one: Encode, other: Encode) -> None:
    ours, gradients = passes(one, encoder, batch)
    expected, theirs = passes(other, encoder, batch)
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
    assert gradients.keys() == theirs.keys()
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in theirs.items():
        torch.testing.assert_close(
            gradients[name], gradient, atol=1e-5 * largest, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def assert_packing_changes_nothing(encoder: PreTrainedModel, batch: Batch) -> None:
    assert_same(encoder, batch, encode_packed, encode_padded)


@pytest.fixture
def encoder(tiny: Callable[..., Path], kind: str) -> PreTrainedModel:
    return load_encoder(tiny(kind.removesuffix(" with segments"), 0.2))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_packing_changes_neither_hidden_states_nor_gradients(
    encoder: PreTrainedModel, kind: str, lengths: tuple[int, ...], training: bool
) -> None:
    batch = batch_of(encoder, lengths, segments=kind.endswith("segments"))
    encoder.train(training)
    assert_packing_changes_nothing(encoder, batch)
    dropped = not torch.equal(passes(encode_packed, encoder, batch)[0], passes(encode_packed, encoder.eval(), batch)[0])
    assert dropped == training


def encode_first_of_all(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    return encode_packed(encoder, batch)[:, 0]


def assert_the_first_alone_are_as_among_all(encoder: PreTrainedModel, batch: Batch) -> None:
    assert_same(encoder, batch, encode_first, encode_first_of_all)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_tokens_alone_are_as_among_all(encoder: PreTrainedModel, kind: str, lengths: tuple[int, ...]) -> None:
    batch = batch_of(encoder, lengths, segments=kind.endswith("segments"))
    assert_the_first_alone_are_as_among_all(encoder.eval(), batch)
    assert not encode_first(encoder, batch)[torch.tensor(lengths) == 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_at_the_first_tokens_alone_is_as_among_all(encoder: PreTrainedModel, kind: str) -> None:
    """And which others are in the piece changes nothing."""
    batch = batch_of(encoder, UNEQUAL, segments=kind.endswith("segments"))
    encoder.train()

    def run(chosen: list[int], encode: Encode = encode_first) -> torch.Tensor:
        types = None if batch.token_type_ids is None else batch.token_type_ids[chosen]
        some = Batch(batch.input_ids[chosen], batch.attention_mask[chosen], types, batch.targets[chosen])
        with SeededDropout(5) as dropout:
            dropout.next_piece(3, np.array(chosen), np.array(UNEQUAL)[chosen][:, None])
            return encode(encoder, some)

    whole = run(list(range(len(UNEQUAL))))
    torch.testing.assert_close(run(list(range(len(UNEQUAL))), encode_first_of_all), whole, atol=2e-5, rtol=0)
    assert (whole - encode_first(encoder.eval(), batch)).abs().max() > 0.01
    encoder.train()
    for chosen in ([3, 0], [5], [9, 8, 7, 1]):
        torch.testing.assert_close(run(chosen), whole[chosen], atol=2e-5, rtol=0)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers by torch's attention for varying lengths, which runs on the CPU too."""
    monkeypatch.setattr("xbench.models.packing.by_hand", lambda device: False)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_way_of_gpus_changes_neither_hidden_states_nor_gradients(
    encoder: PreTrainedModel, kind: str, lengths: tuple[int, ...]
) -> None:
    batch = batch_of(encoder, lengths, segments=kind.endswith("segments"))
    assert_packing_changes_nothing(encoder.eval(), batch)
    assert_the_first_alone_are_as_among_all(encoder, batch)
    counted = dataclasses.replace(batch, lengths=np.array(lengths))
    assert torch.equal(encode_packed(encoder, counted), encode_packed(encoder, batch))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_that_is_packed_may_be(family: str) -> None:
    settings = tiny_config("xlm-roberta", 300, 0.2).to_dict()
    config = AutoConfig.for_model(family, **{name: value for name, value in settings.items() if name != "model_type"})
    encoder = AutoModel.from_config(config, add_pooling_layer=False).train()
    fill(encoder, seed=0)
    assert can_pack(encoder, CPU)
    assert_packing_changes_nothing(encoder, batch_of(encoder, UNEQUAL))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("kind", ["xlm-roberta"])
def test_the_padding_id_inside_a_text_is_counted_as_the_model_counts(encoder: PreTrainedModel, training: bool) -> None:
    batch = batch_of(encoder, (12, 7, 30))
    pad = encoder.config.pad_token_id
    batch.input_ids[0, 4] = batch.input_ids[2, 0] = batch.input_ids[2, 28] = pad
    straight = torch.arange(30).expand(3, 30) + pad + 1
    with torch.no_grad():
        counted = encoder(batch.input_ids, batch.attention_mask, position_ids=straight).last_hidden_state
        assert (encode_padded(encoder, batch) - counted)[0, 5].abs().max() > 0.01  # the model itself counts otherwise
    encoder.train(training)
    assert_packing_changes_nothing(encoder, batch)


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_as_near_to_fp32_packed_as_padded(encoder: PreTrainedModel, kind: str, training: bool) -> None:
    """A bf16 number is right to 1/256 and hidden states are of the order of 1: five roundings of it are allowed."""
    batch = batch_of(encoder, UNEQUAL, segments=kind.endswith("segments"))
    encoder.train(training)
    expected, exact = passes(encode_padded, encoder, batch)
    with torch.autocast("cpu", torch.bfloat16):
        packed, ours = passes(encode_packed, encoder, batch)
        padded, theirs = passes(encode_padded, encoder, batch)
    torch.testing.assert_close(packed, expected, atol=0.02, rtol=0)
    assert (packed - expected).square().mean() < 1.2**2 * (padded - expected).square().mean()
    assert 0 < distance(ours, exact) < 1.2 * distance(theirs, exact)


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_sees_the_real_tokens_as_one_row(encoder: PreTrainedModel, kind: str) -> None:
    batch = batch_of(encoder, UNEQUAL)
    seen: list[torch.Tensor] = []
    encoder.embeddings.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    hidden = encode_packed(encoder, batch)
    table = encoder.get_input_embeddings().weight
    tokens = sum(UNEQUAL)
    assert seen[0].shape == (1, packed_size(tokens), HIDDEN)
    assert torch.equal(seen[0][:, :tokens], table[batch.input_ids[batch.attention_mask.bool()]][None])
    assert hidden.shape == (len(UNEQUAL), max(UNEQUAL), HIDDEN)
    assert not hidden[batch.attention_mask == 0].any()


@pytest.mark.parametrize(("shape", "packed"), [
    ("bert", True), ("bert-pad-1", True), ("xlm-roberta", True), ("modernbert", False), ("deberta-v2", False),
    ("distilbert", False),
])  # fmt: skip
def test_only_encoders_known_to_allow_it_are_packed(tiny: Callable[..., Path], shape: str, packed: bool) -> None:
    encoder = load_encoder(tiny(shape))
    assert can_pack(encoder, CPU) == packed
    assert can_pack(encoder, torch.device("cuda")) == packed
    assert not can_pack(encoder, torch.device("mps"))


@pytest.mark.parametrize("change", [
    {"position_embedding_type": "relative_key"}, {"hidden_act": "relu"}, {"is_decoder": True},
    {"auto_map": {"AutoModel": "own.Model"}},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["bert"])
def test_an_unusual_variant_is_not_packed(encoder: PreTrainedModel, change: dict[str, object]) -> None:
    assert can_pack(encoder, CPU)
    for name, value in change.items():
        setattr(encoder.config, name, value)
    assert not can_pack(encoder, CPU)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_the_encoder_is_as_it_was_afterwards_even_after_an_error(encoder: PreTrainedModel) -> None:
    before, batch = encoder.config._attn_implementation, batch_of(encoder, UNEQUAL)
    expected = encode_padded(encoder, batch)
    encode_packed(encoder, batch)
    assert encoder.config._attn_implementation == before
    broken = batch_of(encoder, UNEQUAL)
    broken.input_ids[0, 0] = encoder.config.vocab_size
    with pytest.raises(IndexError):
        encode_packed(encoder, broken)
    assert encoder.config._attn_implementation == before
    assert torch.equal(encode_padded(encoder, batch), expected)


@given(st.lists(st.integers(0, 70), min_size=1, max_size=30))
def test_every_sequence_is_in_one_group_with_its_own_tokens(lengths: list[int]) -> None:
    packing = packing_of(lengths)
    assert packing.where.tolist() == mask_of(lengths).flatten().nonzero()[:, 0].tolist()
    assert sorted(at for group in packing.groups for at in group.sequences) == list(range(len(lengths)))
    starts = np.cumsum([0, *lengths])
    size = packed_size(sum(lengths))
    assert size > sum(lengths)
    tokens = 100 * torch.arange(size)[:, None] + torch.arange(12)  # (size, 2 parts * 3 heads * 2 numbers)
    split = packing.views(packing.split(tokens, 3, 2), 3, 2)  # (2, n * 3, longest, 2) for each group
    for group, cells in zip(packing.groups, split, strict=True):
        for row, (at, length) in enumerate(zip(group.sequences, group.lengths, strict=True)):
            assert length == lengths[at]
            for part, head in itertools.product(range(2), range(3)):
                numbers = cells[part, 3 * row + head, :length]  # (length, 2)
                assert torch.equal(numbers, tokens[starts[at] : starts[at + 1], 6 * part + 2 * head :][:, :2])
                padding = cells[part, 3 * row + head, length:]
                assert torch.equal(padding, tokens[sum(lengths), 6 * part + 2 * head :][:2].expand_as(padding))
    flat = packing.empty(tokens, 3, 2, 2)
    for target, cells in zip(packing.views(flat, 3, 2), split, strict=True):
        target.copy_(cells)
    joined = packing.join(flat, 3, 2)
    assert torch.equal(joined[: sum(lengths)], tokens[: sum(lengths)])
    assert not joined[sum(lengths) :].any()


def test_sequences_of_very_different_lengths_are_not_grouped() -> None:
    assert [sorted(group.lengths) for group in packing_of(UNEQUAL).groups] == [[59, 60], [1, 1, 1, 1, 1, 2, 3, 17]]


@pytest.mark.parametrize(("length", "count"), [(512, 40), (3000, 2)])
def test_a_group_is_held_within_bounds(length: int, count: int) -> None:
    groups = packing_of([length] * count).groups
    assert len(groups) > 1
    for group in groups:
        assert len(group.sequences) == 1 or len(group.sequences) * length**2 <= LARGEST_GROUP
