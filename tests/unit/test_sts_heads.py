"""The heads of the STS plugin: what they tokenise, what they compute, and what padding must not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from tests.tiny import SHAPES, TinyRun, tiny_rows
from xbench.errors import UserError
from xbench.models.encoder import table_size
from xbench.registry import Registry
from xbench.training.batching import packed_size
from xbench.training.examples import ExampleTable
from xbench.training.feeding import host_batch
from xbench.training.predict import Predictor
from xbench.training.stage import used_vocabulary
from xbench.types import Dataset, Decoding, Row

PROMPTS = {"sentence": "bado dodo: "}
ROWS = tiny_rows(30, seed=4)
DATASET = Dataset("made-up", ("en",), "pair-score", {}, "CC0", "nobody", "", "")


@pytest.fixture
def make(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> Callable[..., TinyRun]:
    """Puts a head on a tiny model."""

    def run(
        shape: str, head: str, rows: Sequence[Row] = ROWS, prompts: dict[str, str] | None = None, **settings: object
    ) -> TinyRun:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return TinyRun(tiny(shape), registry.heads.get(head), [rows], folder, settings, prompts or {})

    return run


def sequences(table: ExampleTable, example: int) -> list[tuple[list[int], list[int] | None]]:
    """The ids and segment ids of each sequence of one example, without padding."""
    ids, mask, types = table.pad(np.array([example]), np.arange(1000, dtype=np.int32), 0)
    real = mask.astype(bool)
    return [
        (ids[at][real[at]].tolist(), None if types is None else types[at][real[at]].tolist()) for at in range(len(ids))
    ]


def outputs(run: TinyRun, budget: int = 0) -> np.ndarray:
    vocabulary = run.vocabulary()[0]
    return np.asarray(Predictor(run.build(vocabulary), "fp32", budget, vocabulary, run.pad_id).predict(run.tables[0]))


@pytest.mark.parametrize("max_length", [8, 11, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pair_is_what_the_tokenizer_makes_of_it(make: Callable[..., TinyRun], shape: str, max_length: int) -> None:
    run = make(shape, "cross-encoder", max_length=max_length)
    for index, row in enumerate(ROWS):
        expected = run.tokenizer(row["sentence1"], row["sentence2"], truncation="longest_first", max_length=max_length)
        assert sequences(run.tables[0], index) == [(expected["input_ids"], expected.get("token_type_ids"))]
        assert run.tables[0].targets[index].tolist() == [np.float32(row["score"])]


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_the_longer_sentence_is_cut_first_and_the_row_says_so(make: Callable[..., TinyRun], shape: str) -> None:
    texts = [("bado " * 12, "fefe"), ("fefe", "bado " * 12), ("bado " * 3, "fefe"), ("bado " * 9, "fefe " * 9)]
    rows = [{"id": "x", "sentence1": one.strip(), "sentence2": two.strip(), "score": 1.0} for one, two in texts]
    run = make(shape, "cross-encoder", rows, max_length=11)
    special = 3 if shape == "bert" else 4
    long, short = run.tokenizer.convert_tokens_to_ids(["bado", "fefe"] if shape == "bert" else ["▁bado", "▁fefe"])
    words = [sequences(run.tables[0], index)[0][0] for index in range(4)]
    room = 11 - special
    assert [(ids.count(long), ids.count(short)) for ids in words[:3]] == [(room - 1, 1), (room - 1, 1), (3, 1)]
    assert abs(words[3].count(long) - words[3].count(short)) <= 1
    assert run.tables[0].truncated.tolist() == [True, True, False, True]


@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
@pytest.mark.parametrize("shape", SHAPES)
def test_segment_ids_are_passed_where_the_tokenizer_gives_them(
    make: Callable[..., TinyRun], shape: str, head: str
) -> None:
    run = make(shape, head)
    batch = host_batch(run.tables[0], np.arange(4), run.whole(), run.pad_id)
    if not shape.startswith("bert"):
        assert batch.token_type_ids is None
        return
    assert batch.token_type_ids is not None
    assert bool(batch.token_type_ids.any()) == (head == "cross-encoder")
    seen: list[torch.Tensor | None] = []
    module = run.build()
    module.encoder.embeddings.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs.get("token_type_ids")), with_kwargs=True
    )
    module(batch)
    assert seen[0] is not None
    real = batch.token_type_ids[batch.attention_mask.bool()]
    assert torch.equal(seen[0][0][: len(real)], real)  # in one row, without padding
    assert len(seen[0][0]) == packed_size(len(real))


@pytest.mark.parametrize("shape", SHAPES)
def test_siamese_is_the_cosine_of_mean_pooled_sentences_with_their_prompt(
    make: Callable[..., TinyRun], shape: str
) -> None:
    run = make(shape, "siamese", prompts=PROMPTS)
    model = AutoModel.from_pretrained(run.folder).eval()

    def embed(text: str) -> np.ndarray:
        """One sentence at a time, so that there is no padding at all."""
        batch = run.tokenizer(PROMPTS["sentence"] + text, return_tensors="pt", truncation=True, max_length=32)
        with torch.no_grad():
            return model(**batch).last_hidden_state[0].double().numpy().mean(0)

    expected = []
    for row in ROWS:
        one, two = embed(row["sentence1"]), embed(row["sentence2"])
        expected.append(one @ two / np.linalg.norm(one) / np.linalg.norm(two))
    np.testing.assert_allclose(outputs(run), expected, atol=1e-5)
    assert np.abs(outputs(run) - outputs(make(shape, "siamese"))).max() > 1e-3  # without the prompt


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_a_pair_in_one_sequence_takes_no_prompt(make: Callable[..., TinyRun], shape: str) -> None:
    with_prompt, without = make(shape, "cross-encoder", prompts=PROMPTS), make(shape, "cross-encoder")
    np.testing.assert_array_equal(outputs(with_prompt), outputs(without))


@pytest.mark.parametrize("side", [0, 1])
def test_a_siamese_row_is_truncated_when_either_sentence_is(make: Callable[..., TinyRun], side: int) -> None:
    texts = ["bado fefe", "bado fefe"]
    whole = {"id": "0", "sentence1": texts[0], "sentence2": texts[1], "score": 1.0}
    texts[side] = "bado " * 20
    cut = {"id": "1", "sentence1": texts[0].strip(), "sentence2": texts[1].strip(), "score": 1.0}
    run = make("xlm-roberta", "siamese", [whole, cut], max_length=12)
    assert run.tables[0].truncated.tolist() == [False, True]
    assert run.tables[0].lengths.max() == 12


@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_changes_no_output(make: Callable[..., TinyRun], shape: str, head: str) -> None:
    run = make(shape, head)
    table = run.tables[0]
    vocabulary = used_vocabulary(run.tables, table_size(run.folder), run.pad_id)
    module = run.build(vocabulary)

    def forward(chosen: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(host_batch(table, chosen, vocabulary, run.pad_id)).numpy()

    alone = np.concatenate([forward(np.array([index])) for index in range(table.count)])
    for size in (2, 3, 7, table.count):
        cuts = [np.arange(start, min(start + size, table.count)) for start in range(0, table.count, size)]
        np.testing.assert_allclose(np.concatenate([forward(cut) for cut in cuts]), alone, atol=1e-5)
    for budget in (1, 100, 100_000):
        np.testing.assert_allclose(outputs(run, budget), alone, atol=1e-5)


def test_the_heads_first_weights_come_from_its_seed_alone(make: Callable[..., TinyRun]) -> None:
    run = make("xlm-roberta", "cross-encoder")
    blocks = []
    for noise, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(noise)
        blocks.append(run.build(seed=seed).block.state_dict())
    assert all(torch.equal(blocks[0][name], blocks[1][name]) for name in blocks[0])
    assert not torch.equal(blocks[0]["1.weight"], blocks[2]["1.weight"])
    assert abs(float(blocks[0]["1.weight"].std()) - 0.1) < 0.01  # the encoder's own initializer_range
    assert not blocks[0]["1.bias"].any()


@pytest.mark.parametrize(("scale", "expected"), [("raw", [2.0, 4.5]), ("unit", [0.4, 0.9])])
def test_the_loss_is_the_squared_error_on_the_scale_asked_for(
    make: Callable[..., TinyRun], scale: str, expected: list[float]
) -> None:
    rows = [{**row, "score": score} for row, score in zip(ROWS, (2.0, 4.5), strict=False)]
    run = make("xlm-roberta", "cross-encoder", rows, score_scale=scale)
    module = run.build()
    batch = host_batch(run.tables[0], np.arange(2), run.whole(), run.pad_id)
    torch.testing.assert_close(module.loss(torch.tensor(expected), batch), torch.zeros(2), atol=1e-6, rtol=0)
    away = module.loss(torch.tensor(expected) + torch.tensor([0.5, -2.0]), batch)
    torch.testing.assert_close(away, torch.tensor([0.25, 4.0]), atol=1e-5, rtol=0)


def test_siamese_learns_the_score_on_the_scale_of_a_cosine(make: Callable[..., TinyRun]) -> None:
    rows = [{**row, "score": score} for row, score in zip(ROWS, (0.0, 5.0), strict=False)]
    run = make("xlm-roberta", "siamese", rows)
    batch = host_batch(run.tables[0], np.arange(2), run.whole(), run.pad_id)
    torch.testing.assert_close(run.build().loss(torch.tensor([0.0, 1.0]), batch), torch.zeros(2))


def test_an_unknown_scale_is_the_users_error(make: Callable[..., TinyRun]) -> None:
    with pytest.raises(UserError, match=r"score_scale = 'percent' is not one of unit, raw"):
        make("xlm-roberta", "cross-encoder", score_scale="percent").build()


@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
def test_a_prediction_is_a_plain_number_a_row(make: Callable[..., TinyRun], head: str) -> None:
    run = make("xlm-roberta", head)
    raw: Any = list(outputs(run))
    decoded = run.head.decode(Decoding(ROWS, run.tables[0].row_of, raw, {}, run.context, "default", DATASET))
    assert [type(value) for value in decoded] == [float] * len(ROWS)
    assert decoded == [float(value) for value in raw]
