"""How the work is done changes nothing: not the losses, the weights and the scores, nor which rows share a step.

A plain way of doing it, one example at a time, padded, on one thread and with the whole embedding table, is what every
other way is held against. Cross-encoder and siamese with dropout are in `test_training`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.tiny import TinyRun, tiny_rows
from tests.unit.test_classification_head import rows as label_rows
from tests.unit.test_mrc_head import span_rows
from tests.ways import KEYS, Way, done
from xbench.heads.blocks import HeadModule
from xbench.models.encoder import table_name
from xbench.models.vocabulary import Vocabulary
from xbench.registry import Registry
from xbench.training.loop import train
from xbench.training.predict import Predictor
from xbench.training.stage import used_vocabulary
from xbench.training.weights import save_weights
from xbench.types import Batch, Row

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
Weights = dict[str, torch.Tensor]
Text = tuple[tuple[int, ...], ...]
"""An example by what it says: the token ids of each of its sequences, those of the model's whole vocabulary."""


PLAIN = Way()
PADDED = {
    "some at once": Way(budget=50),
    "all at once": Way(budget=1_000_000),
    "a part of the vocabulary": Way(part=True),
    "as users run it": Way(budget=0, packed=True, part=True),
}
PACKED = {
    "packed, some at once": Way(budget=50, packed=True),
    "packed, all at once": Way(budget=1_000_000, packed=True),
    "packed as on a GPU": Way(budget=50, packed=True, jagged=True),
}
CASES = [
    ("cross-encoder", "bert"), ("cross-encoder", "deberta-v2"), ("siamese", "xlm-roberta"), ("siamese", "modernbert"),
    ("classification", "bert-pad-1"), ("classification", "distilbert"), ("span", "xlm-roberta"), ("span", "modernbert"),
]  # fmt: skip
CAN_PACK = ("bert", "bert-pad-1", "xlm-roberta")
# A mixture of two data sets, so that a step holds rows of both.
ROWS: Mapping[str, list[Sequence[Row]]] = {
    "cross-encoder": [tiny_rows(26), tiny_rows(14, seed=1)],
    "siamese": [tiny_rows(26), tiny_rows(14, seed=1)],
    "classification": [label_rows(26, 3), label_rows(14, 3, seed=1)],
    "span": [span_rows(14, longest=30), span_rows(8, seed=1, longest=30)],
}
SETTINGS: Mapping[str, dict[str, object]] = {"span": {"max_length": 24, "stride": 6, "max_question": 8}}
# RAdam adapts from its sixth step on, and 12 steps change weights by 1e-3. The most that any way differed by, of these
# and of all other pairs of head and shape, on a Zen 4: losses 1.0e-6 of themselves, weights 2.6e-7, scores 4.2e-7.
# There is room for processors that add in another order.
LOSSES, WEIGHTS, SCORES = 5e-6, 2e-6, 2e-6
SHIFTS = ("pointer.bias", "layer.1.output.LayerNorm.bias")
"""With the span head these move the logits of all tokens alike."""


def ways(cases: Sequence[tuple[str, str]], dropout: bool = False) -> list[Any]:
    """Each pair of head and shape with each way that differs for it; as a GPU drops, the CPU cannot."""
    return [
        pytest.param(head, shape, way, id=f"{head}-{shape}-{name}")
        for head, shape in cases
        for name, way in {**PADDED, **(PACKED if shape in CAN_PACK else {})}.items()
        if not (dropout and way.jagged)
    ]


@dataclass(frozen=True)
class Learned:
    """What became of a run.

    Attributes:
        run: The run.
        module: Trained.
        vocabulary: The embedding rows that it holds.
        losses: Of each step.
        steps: Of each step the pieces whose losses were taken, and of each of those its examples.
    """

    run: TinyRun
    module: HeadModule
    vocabulary: Vocabulary
    losses: list[float]
    steps: list[list[list[Text]]]

    def weights(self) -> Weights:
        """All but those that softmax cancels, so that only rounding moves them; of the table the rows in use."""
        state, table = self.module.state_dict(), f"encoder.{table_name(self.module.encoder)}"
        cancelled = KEYS + (SHIFTS if "pointer.bias" in state else ())
        kept = {name: weight for name, weight in state.items() if not name.endswith(cancelled)}
        rows = self.run.vocabulary()[0].ids
        return {**kept, table: state[table] if len(state[table]) == len(rows) else state[table][rows]}


def texts(batch: Batch, vocabulary: Vocabulary) -> list[Text]:
    """The examples of a batch; all their first sequences stand before all second ones."""
    ids, real, count = vocabulary.ids[batch.input_ids.numpy()], batch.attention_mask.bool().numpy(), len(batch.targets)
    lines = [tuple(line[kept].tolist()) for line, kept in zip(ids, real, strict=True)]
    return [tuple(lines[example::count]) for example in range(count)]


Learn = Callable[..., Learned]


@pytest.fixture(scope="module")
def learn(tiny: Callable[..., Path], registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Learn:
    """Trains a head on a shape in a way, once."""

    @cache
    def prepared(head: str, shape: str, dropout: float) -> TinyRun:
        work, settings = tmp_path_factory.mktemp("run"), SETTINGS.get(head, {})
        labels = ("one", "two", "three")
        return TinyRun(tiny(shape, dropout), registry.heads.get(head), ROWS[head], work, settings, {}, labels)

    @cache
    def learned(head: str, shape: str, way: Way, dropout: float = 0.0, batch_size: int = 7) -> Learned:
        run = prepared(head, shape, dropout)
        how = {"precision": way.precision, "micro_batch_tokens": way.budget}
        recipe = replace(run.recipe, batch_size=batch_size, **how)  # type: ignore[arg-type]
        vocabulary = run.vocabulary()[0] if way.part else run.whole()
        assert vocabulary.full != way.part
        module = run.build(vocabulary)
        steps: list[list[list[Text]]] = []
        pieces: list[list[Text]] = []
        loss = module.loss

        def watched(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
            pieces.append(texts(batch, vocabulary))
            return loss(outputs, batch)

        def on_step(*_: object) -> None:
            steps.append(pieces.copy())
            pieces.clear()

        with done(way), pytest.MonkeyPatch.context() as patch:
            assert module.packs() == (way.packed and shape in CAN_PACK)
            patch.setattr(module, "loss", watched)
            result = train(module, run.tables, recipe, 0, vocabulary, run.pad_id, on_step)
        return Learned(run, module, vocabulary, result.losses, steps)

    return learned


def assert_same_learned(found: Learned, expected: Learned) -> None:
    np.testing.assert_allclose(found.losses, expected.losses, rtol=LOSSES)
    ours, theirs = found.weights(), expected.weights()
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(
            weight, theirs[name], atol=WEIGHTS, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize(("head", "shape"), CASES)
def test_the_plain_way_learns(learn: Learn, head: str, shape: str) -> None:
    """By far more than the tolerances, on which the tests below rely."""
    plain = learn(head, shape, PLAIN)
    before = plain.run.build().state_dict()
    moved = [float((weight - before[name]).abs().max()) for name, weight in plain.module.state_dict().items()]
    assert np.median(moved) > 100 * WEIGHTS
    assert len(plain.losses) >= 10
    assert np.ptp(plain.losses) > 1000 * LOSSES * max(plain.losses)


@pytest.mark.parametrize(("head", "shape", "way"), ways(CASES))
def test_training_comes_to_the_same_losses_and_weights(learn: Learn, head: str, shape: str, way: Way) -> None:
    assert_same_learned(learn(head, shape, way), learn(head, shape, PLAIN))


@pytest.mark.parametrize(
    ("head", "shape", "way"), ways([case for case in CASES if case[0] in ("classification", "span")], dropout=True)
)
def test_with_dropout_too(learn: Learn, head: str, shape: str, way: Way) -> None:
    """On the CPU a mask belongs to its sequence, wherever that one is computed."""
    plain = learn(head, shape, PLAIN, 0.1)
    assert_same_learned(learn(head, shape, way, 0.1), plain)
    assert np.abs(np.array(plain.losses) / np.array(learn(head, shape, PLAIN).losses) - 1).max() > 1000 * LOSSES


def scores(learned: Learned, way: Way, work: Path) -> list[npt.NDArray[np.float32]]:
    """What a trained stage says of the rows of both its data sets, loaded and run in a way."""
    run, path = learned.run, work / "stage.safetensors"
    save_weights(learned.module, learned.vocabulary, None, path)
    whole = run.whole()
    vocabulary = used_vocabulary(run.tables, len(whole.ids), run.pad_id) if way.part else whole
    with done(way):
        predictor = Predictor(run.build(vocabulary, path), way.precision, way.budget, vocabulary, run.pad_id)
        return [output for table in run.tables for output in predictor.predict(table)]


def assert_same_scores(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=SCORES, rtol=0)
    assert np.concatenate([one.reshape(-1) for one in expected]).std() > 1000 * SCORES


@pytest.mark.parametrize(("head", "shape", "way"), ways(CASES))
def test_prediction_comes_to_the_same_scores(learn: Learn, tmp_path: Path, head: str, shape: str, way: Way) -> None:
    plain = learn(head, shape, PLAIN)
    assert_same_scores(scores(plain, way, tmp_path), scores(plain, PLAIN, tmp_path))


@pytest.mark.parametrize(("head", "shape"), [("span", "xlm-roberta"), ("siamese", "modernbert")])
def test_two_threads_come_to_the_same(learn: Learn, tmp_path: Path, head: str, shape: str) -> None:
    """Few steps: on a busy machine two threads wait for each other at each small operation."""
    two = Way(budget=1_000_000, packed=True, threads=2)
    found, expected = (learn(head, shape, way, batch_size=20) for way in (two, PLAIN))
    assert_same_learned(found, expected)
    assert_same_scores(scores(expected, two, tmp_path), scores(expected, PLAIN, tmp_path))


@pytest.mark.parametrize(("head", "shape"), CASES)
def test_which_rows_share_a_step_does_not_depend_on_how_they_are_run(learn: Learn, head: str, shape: str) -> None:
    def shared(learned: Learned) -> list[list[Text]]:
        return [sorted(itertools.chain(*pieces)) for pieces in learned.steps]

    plain = learn(head, shape, PLAIN)
    expected, epoch = shared(plain), len(plain.steps) // 2
    assert [len(step) for step in expected[: epoch - 1]] == [7] * (epoch - 1)
    assert sorted(itertools.chain(*expected[:epoch])) == sorted(itertools.chain(*expected[epoch:]))  # all, once each
    assert len({tuple(step) for step in expected}) == len(expected)
    others = [*PADDED.values(), *(PACKED.values() if shape in CAN_PACK else ())]
    others.append(replace(PADDED["as users run it"], precision="bf16"))
    for way in others:
        assert shared(learn(head, shape, way)) == expected
    alone, some, together = (sum(map(len, learn(head, shape, way).steps)) for way in (PLAIN, *others[:2]))
    assert alone > 1.5 * some > 1.5 * together  # the pieces do differ
