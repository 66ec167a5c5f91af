"""The span head: its logits and its loss computed a second way, padding that changes nothing, and rows learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoModel

from tests.tiny import SHAPES, WORDS, TinyRun
from xbench.registry import Registry
from xbench.training.device import autocast
from xbench.training.feeding import host_batch
from xbench.training.predict import Predictor
from xbench.types import Batch, Dataset, Decoding, Row

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
DATASET = Dataset("made-up", ("en",), "span", {}, "CC0", "nobody", "", "")
WINDOWS = {"max_length": 32, "stride": 6, "max_question": 8}
Logits = list[npt.NDArray[np.float32]]


def span_rows(count: int, seed: int = 0, longest: int = 60) -> list[dict[str, Any]]:
    """Rows of ``span`` of many lengths: an answer of one to four words, a question that holds the word before it."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        words = [str(word) for word in generator.choice(WORDS, int(generator.integers(8, longest)), replace=False)]
        first = int(generator.integers(1, len(words)))
        text = " ".join(words[first : first + int(generator.integers(1, 5))])
        start = len(" ".join([*words[:first], ""]))
        question = [*(str(word) for word in generator.choice(WORDS, int(generator.integers(0, 6)))), words[first - 1]]
        answers = [{"text": text, "start": start}]
        rows.append({"id": str(index), "context": " ".join(words), "question": " ".join(question), "answers": answers})
    return rows


ROWS = span_rows(12)


@pytest.fixture
def make(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> Callable[..., TinyRun]:
    """Puts the head on a tiny model."""

    def run(shape: str, rows: Sequence[Row] = ROWS, dropout: float = 0.1, **settings: object) -> TinyRun:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return TinyRun(tiny(shape, dropout), registry.heads.get("span"), [rows], folder, {**WINDOWS, **settings})

    return run


def whole_batch(run: TinyRun) -> Batch:
    return host_batch(run.tables[0], np.arange(run.tables[0].count), run.whole(), run.pad_id)


def logits(run: TinyRun, budget: int = 0, module: Any = None) -> Logits:
    vocabulary = run.vocabulary()[0]
    module = module or run.build(vocabulary)
    return Predictor(module, "fp32", budget, vocabulary, run.pad_id).predict(run.tables[0])


def assert_alike(found: Logits, expected: Logits, atol: float) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


def test_the_rows_are_cut_into_windows_some_of_which_hold_no_answer(make: Callable[..., TinyRun]) -> None:
    """What the tests below rely on."""
    table = make("xlm-roberta").tables[0]
    assert max(np.bincount(table.row_of)) > 2
    without = (table.targets == 0).all(1)
    assert 0 < without.sum() < table.count - len(ROWS) / 2
    assert table.lengths.max() == 32 > table.lengths.min()


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_one_linear_layer_on_what_the_encoder_gives_without_padding(
    make: Callable[..., TinyRun], shape: str
) -> None:
    run = make(shape)
    module, plain = run.build(), AutoModel.from_pretrained(run.folder).eval()
    weight, bias = (
        value.detach().double().numpy() for name, value in module.named_parameters() if name.startswith("pointer.")
    )
    expected = []
    for index in range(run.tables[0].count):
        batch = host_batch(run.tables[0], np.array([index]), run.whole(), run.pad_id)
        types = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
        with torch.no_grad():
            hidden = plain(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **types).last_hidden_state
        expected.append((hidden[0].double().numpy() @ weight.T + bias).T.astype(np.float32))
    assert_alike(logits(run), expected, atol=1e-4)
    assert np.concatenate(expected, 1).std() > 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_at_padding_are_minus_infinity_and_are_cut_off(make: Callable[..., TinyRun], shape: str) -> None:
    run = make(shape)
    batch, module = whole_batch(run), run.build()
    with torch.no_grad():
        found = module(batch)
    assert found.shape == (run.tables[0].count, 2, 32)
    assert found.dtype == torch.float32
    padding = (batch.attention_mask == 0)[:, None].expand(found.shape)
    assert padding.any()
    assert (found[padding] == -torch.inf).all()
    assert found[~padding].isfinite().all()
    predicted = logits(run)
    assert [one.shape for one in predicted] == [(2, length) for length in run.tables[0].lengths[:, 0]]
    assert all(np.isfinite(one).all() for one in predicted)


@pytest.mark.parametrize("shape", ["xlm-roberta", "modernbert"])
def test_logits_are_fp32_in_bf16_too(make: Callable[..., TinyRun], shape: str) -> None:
    run = make(shape)
    batch, module = whole_batch(run), run.build()
    with torch.no_grad(), autocast("bf16", CPU):
        found = module(batch)
    assert found.dtype == torch.float32
    assert (found.isinf() == (batch.attention_mask == 0)[:, None]).all()
    with torch.no_grad():
        real = batch.attention_mask[:, None].expand(found.shape).bool()
        assert 0 < (found - module(batch))[real].abs().max() < 0.1


def cross_entropy(row: npt.NDArray[np.float64], target: int) -> float:
    """By the definition: minus the logarithm of the target's share."""
    finite = row[np.isfinite(row)]
    return float(np.log(np.exp(finite - finite.max()).sum()) + finite.max() - row[target])


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "modernbert"])
def test_the_loss_is_the_mean_of_the_two_cross_entropies(make: Callable[..., TinyRun], shape: str) -> None:
    run = make(shape)
    batch, module = whole_batch(run), run.build()
    with torch.no_grad():
        outputs = 5 * module(batch)  # far from uniform
        found = module.loss(outputs, batch)
    expected = [
        np.mean([cross_entropy(outputs[index, side].double().numpy(), int(target[side])) for side in (0, 1)])
        for index, target in enumerate(run.tables[0].targets)
    ]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert max(expected) > 2 * min(expected)


def test_a_perfect_pointer_loses_nothing_and_either_end_costs_the_same(make: Callable[..., TinyRun]) -> None:
    run = make("xlm-roberta")
    batch, module = whole_batch(run), run.build()
    sure = torch.full((run.tables[0].count, 2, 32), -40.0)
    sure.masked_fill_(batch.attention_mask[:, None] == 0, -torch.inf)
    sure.scatter_(2, batch.targets.long()[..., None], 0.0)
    assert module.loss(sure, batch).max() < 1e-6
    for side in (0, 1):
        wrong = sure.clone()
        wrong[:, side] = torch.where(batch.attention_mask == 0, -torch.inf, 0.0)  # all tokens alike
        expected = batch.attention_mask.sum(1).log() / 2
        torch.testing.assert_close(module.loss(wrong, batch), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "modernbert"])
def test_padding_neither_takes_nor_gives_a_gradient(make: Callable[..., TinyRun], shape: str) -> None:
    run = make(shape)

    def gradients(pieces: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        module = run.build()
        for piece in pieces:
            batch = host_batch(run.tables[0], np.array(piece), run.whole(), run.pad_id)
            module.loss(module(batch), batch).sum().backward()  # type: ignore[no-untyped-call]
        return {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}

    count = run.tables[0].count
    together, alone = gradients([range(count)]), gradients([[index] for index in range(count)])
    assert together.keys() == alone.keys()
    assert {"pointer.weight", "pointer.bias"} < together.keys()
    for name, gradient in together.items():
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient, alone[name], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "packed"), [("bert", True), ("xlm-roberta", True), ("modernbert", False), ("distilbert", False)]
)
def test_logits_are_the_same_at_any_budget_and_number_of_threads(
    make: Callable[..., TinyRun], shape: str, packed: bool
) -> None:
    run = make(shape)
    module = run.build(run.vocabulary()[0])
    assert module.packs() == packed
    expected = logits(run, 1, module)  # a budget of 1 token runs each window alone
    for budget in (70, 300, 100_000):
        assert_alike(logits(run, budget, module), expected, atol=1e-4)
    torch.set_num_threads(2)
    for budget in (70, 100_000):
        assert_alike(logits(run, budget, module), expected, atol=1e-4)


def test_the_heads_first_weights_come_from_its_seed_alone(make: Callable[..., TinyRun]) -> None:
    run = make("xlm-roberta")
    pointers = []
    for noise, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(noise)
        module: Any = run.build(seed=seed)
        pointers.append(module.pointer)
    assert torch.equal(pointers[0].weight, pointers[1].weight)
    assert not torch.equal(pointers[0].weight, pointers[2].weight)
    assert (
        abs(float(pointers[0].weight.detach().std()) - 0.1) < 0.03
    )  # the encoder's own initializer_range, of 64 draws
    assert not pointers[0].bias.any()


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "modernbert"])
def test_a_tiny_encoder_learns_eight_rows_to_exact_answers(make: Callable[..., TinyRun], shape: str) -> None:
    rows = span_rows(8, seed=3)
    run = make(shape, rows, dropout=0.0, optimizer="adamw", lr=1e-2, epochs=40, batch_size=24, schedule="linear")
    vocabulary = run.vocabulary()[0]

    def answers(module: Any) -> list[str]:
        found = Predictor(module, "fp32", 0, vocabulary, run.pad_id).predict(run.tables[0])
        table = run.tables[0]
        decoding = Decoding(rows, table.row_of, found, table.extra(), run.context, "default", DATASET)
        return [str(text) for text in run.head.decode(decoding)]

    gold = [row["answers"][0]["text"] for row in rows]
    assert sum(one == other for one, other in zip(answers(run.build(vocabulary)), gold, strict=True)) < 4
    module, result = run.train(vocabulary)
    assert answers(module) == gold
    assert result.losses[-1] < 0.1 < 1 < result.losses[0]
