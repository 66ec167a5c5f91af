"""The classification head: what it reads, what it computes, and that it learns any number of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import SHAPES, WORDS, TinyRun
from xbench.errors import UserError
from xbench.registry import Registry
from xbench.training.feeding import host_batch
from xbench.training.predict import Predictor
from xbench.types import Dataset, Decoding, Row

DATASET = Dataset("made-up", ("en",), "text-label", {}, "CC0", "nobody", "", "")


def rows(count: int, labels: int = 2, seed: int = 0) -> list[Row]:
    """Texts of many lengths, one of them empty; the label is told by a word of its own, anywhere in the text."""
    generator = np.random.default_rng(seed)
    found: list[Row] = [{"id": "empty", "text": "", "label": 0}]
    for index in range(1, count):
        label = index % labels
        words = [str(word) for word in generator.choice(WORDS[10:90], int(generator.integers(0, 9)))]
        words.insert(int(generator.integers(0, len(words) + 1)), WORDS[label])
        found.append({"id": str(index), "text": " ".join(words), "label": label})
    return found


@pytest.fixture
def make(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> Callable[..., TinyRun]:
    """Puts the head on a tiny model."""

    def run(shape: str, some: Sequence[Row], labels: int = 2, **settings: object) -> TinyRun:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        names = tuple(f"label {index}" for index in range(labels))
        return TinyRun(tiny(shape), registry.heads.get("classification"), [some], folder, settings, {}, names)

    return run


def decoded(run: TinyRun, outputs: Sequence[np.ndarray]) -> list[int]:
    (some,) = run.rows
    return run.head.decode(Decoding(some, np.arange(len(some)), outputs, {}, run.context, "default", DATASET))


@pytest.mark.parametrize("max_length", [8, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_is_what_the_tokenizer_makes_of_it_cut_at_its_end(
    make: Callable[..., TinyRun], shape: str, max_length: int
) -> None:
    some = rows(20)
    run = make(shape, some, max_length=max_length)
    table = run.tables[0]
    for index, row in enumerate(some):
        ids, mask, _ = table.pad(np.array([index]), np.arange(1000, dtype=np.int32), 0)
        expected = run.tokenizer(row["text"], truncation=True, max_length=max_length)["input_ids"]
        assert ids[mask.astype(bool)].tolist() == expected
        assert bool(table.truncated[index]) == (len(run.tokenizer(row["text"])["input_ids"]) > max_length)
        assert table.targets[index].tolist() == [row["label"]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pair_is_what_the_tokenizer_makes_of_both_the_longer_one_cut_first(
    make: Callable[..., TinyRun], shape: str
) -> None:
    some = [
        {"id": str(index), "sentence1": row["text"], "sentence2": "bado fela", "label": row["label"]}
        for index, row in enumerate(rows(12))
    ]
    run = make(shape, some, max_length=9)
    table = run.tables[0]
    for index, row in enumerate(some):
        ids, mask, _ = table.pad(np.array([index]), np.arange(1000, dtype=np.int32), 0)
        both = (row["sentence1"], row["sentence2"])
        cut = run.tokenizer(*both, truncation="longest_first", max_length=9)["input_ids"]
        assert ids[mask.astype(bool)].tolist() == cut
        assert bool(table.truncated[index]) == (len(run.tokenizer(*both)["input_ids"]) > 9)
        assert table.targets[index].tolist() == [row["label"]]
    assert 0 < sum(table.truncated) < len(some)


def test_line_breaks_stay_unless_the_recipe_says_otherwise(make: Callable[..., TinyRun]) -> None:
    some = [{"id": "0", "text": "bado<br /><br />fela", "label": 1}]
    kept, spaced = (make("bert", some, line_breaks=choice).tables[0] for choice in ("keep", "space"))
    plain = make("bert", [{"id": "0", "text": "bado  fela", "label": 1}]).tables[0]
    assert kept.lengths[0, 0] > spaced.lengths[0, 0] == plain.lengths[0, 0] == 4


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "modernbert"])
def test_logits_come_from_the_first_token_and_the_loss_is_their_cross_entropy(
    make: Callable[..., TinyRun], shape: str, labels: int
) -> None:
    run = make(shape, rows(12, labels), labels)
    module = run.build().eval()
    batch = host_batch(run.tables[0], np.arange(12), run.whole(), run.pad_id)
    with torch.no_grad():
        logits = module(batch)
        first = module.encode(batch)[:, 0]
        block = [layer for layer in module.block if not isinstance(layer, torch.nn.Dropout)]  # type: ignore[union-attr]
        expected = block[2](torch.tanh(block[0](first)))
    assert logits.shape == (12, labels)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected)
    shares = torch.log_softmax(logits, -1)
    gold = torch.tensor([row["label"] for row in run.rows[0]])
    torch.testing.assert_close(module.loss(logits, batch), -shares[torch.arange(12), gold])


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "modernbert"])
def test_logits_are_the_same_at_any_budget(make: Callable[..., TinyRun], shape: str) -> None:
    run = make(shape, rows(40))
    module, vocabulary = run.build(), run.whole()
    one, other = (
        np.stack(Predictor(module, "fp32", budget, vocabulary, run.pad_id).predict(run.tables[0]))
        for budget in (1, 4096)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_highest_logit_is_the_label_and_of_equal_ones_the_first(make: Callable[..., TinyRun]) -> None:
    run = make("bert", rows(3, 3), 3)
    outputs = [np.array(logits, np.float32) for logits in ([0.1, 0.3, 0.2], [1.0, 1.0, 0.0], [-3.0, -2.0, -1.0])]
    assert decoded(run, outputs) == [1, 0, 2]


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_a_tiny_encoder_learns_which_word_tells_the_label(
    make: Callable[..., TinyRun], shape: str, labels: int
) -> None:
    some = rows(60, labels)
    run = make(shape, some, labels, epochs=30, lr=5e-3)
    module, _ = run.train()
    outputs = Predictor(module, "fp32", 0, run.whole(), run.pad_id).predict(run.tables[0])
    said = decoded(run, outputs)
    assert sum(one == row["label"] for one, row in zip(said, some, strict=True)) >= len(some) - 2


@pytest.mark.parametrize("labels", [0, 1])
def test_a_dataset_without_labels_to_choose_from_is_refused(make: Callable[..., TinyRun], labels: int) -> None:
    with pytest.raises(UserError, match="at least two labels"):
        make("bert", rows(3), labels).build()
