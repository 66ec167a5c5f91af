"""A real encoder on real rows: how the work is done moves losses and scores by rounding, and bf16 by no more than said.

Dropout is off. `tests/unit/test_invariance.py` says the same of more encoders and heads, to the last weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import spearmanr

from tests.real.rows import prepared
from tests.ways import KEYS, Way, done
from xbench.heads.blocks import HeadModule
from xbench.models.encoder import load_tokenizer, table_name, table_size
from xbench.models.resolve import LocalModel
from xbench.models.vocabulary import Vocabulary, full_vocabulary
from xbench.recipe import Recipe, build_recipe
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.training.examples import ExampleTable, build_examples
from xbench.training.loop import train
from xbench.training.predict import Predictor
from xbench.training.stage import used_vocabulary
from xbench.training.weights import build_module
from xbench.types import HeadContext

PLAIN = Way(part=True)  # the whole table takes 384 MB, and as much again for each example's gradient
USUAL = Way(budget=0, packed=True, part=True)
TRAINING = {
    "padded, all at once": replace(PLAIN, budget=1_000_000),
    "packed, two threads": replace(USUAL, threads=2),
    "packed, some at once, with the whole vocabulary": replace(USUAL, budget=100, part=False),
}
SCORING = {
    "padded, all at once": replace(PLAIN, budget=1_000_000),
    "packed, some at once": replace(USUAL, budget=300),
    "packed, two threads": replace(USUAL, threads=2),
}
# AdamW, since RAdam's first five steps hardly move a weight: in two epochs of four steps the loss falls to a third.
RECIPE = {"optimizer": "adamw", "lr": 1e-4, "epochs": 2, "batch_size": 6, "max_length": 128}
Losses = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A head and some rows.

    Attributes:
        table: The rows' examples.
        gold: (examples,) Their gold scores.
        recipe: The recipe.
        build: Gives encoder and head for the embedding rows to hold.
        whole: All of them.
    """

    table: ExampleTable
    gold: npt.NDArray[np.float64]
    recipe: Recipe
    build: Callable[[Vocabulary], HeadModule]
    whole: Vocabulary

    def vocabulary(self, way: Way) -> Vocabulary:
        """The embedding rows that a way holds."""
        return used_vocabulary([self.table], len(self.whole.ids), 1) if way.part else self.whole

    def learn(self, way: Way) -> tuple[HeadModule, Losses]:
        """Train in a way, without dropout."""
        vocabulary = self.vocabulary(way)
        module = self.build(vocabulary)
        for layer in module.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        recipe = replace(self.recipe, precision=way.precision, micro_batch_tokens=way.budget)
        with done(way):
            result = train(module, [self.table], recipe, 0, vocabulary, 1)
        return module, np.array(result.losses)

    def score(self, way: Way) -> npt.NDArray[np.float32]:
        """(examples,) The frozen encoder's cosines."""
        vocabulary = self.vocabulary(way)
        with done(way):
            predictor = Predictor(self.build(vocabulary), way.precision, way.budget, vocabulary, 1)
            return np.asarray(predictor.predict(self.table))


@pytest.fixture(scope="module")
def task(e5: LocalModel, registry: Registry, settings: Settings) -> Callable[[str, str, str, int], Task]:
    """Puts a head on the first rows of a split."""
    tokenizer, whole = load_tokenizer(e5.folder), full_vocabulary(table_size(e5.folder))

    def put(name: str, dataset: str, split: str, count: int) -> Task:
        published = prepared(dataset, split, registry, settings).open()
        rows = [published[index] for index in range(count)]
        head = registry.heads.get(name)
        context = HeadContext(build_recipe(RECIPE, "test", head.options), e5.prompts, (), (0.0, 5.0))
        table = build_examples(settings.cache / f"{name}-{dataset}-{count}", rows, head, tokenizer, context)
        gold = np.array([row["score"] for row in rows])
        build = partial(build_module, e5, head, context, seed=0, stage=None)
        return Task(table, gold, context.recipe, build, whole)

    return put


Put = Callable[[str, str, str, int], Task]
Learned = tuple[HeadModule, Losses]


@pytest.fixture(scope="module")
def stsb(task: Put) -> Task:
    return task("cross-encoder", "stsb", "train", 24)


@pytest.fixture(scope="module")
def korsts(task: Put) -> Task:
    return task("siamese", "korsts", "test", 200)


@pytest.fixture(scope="module")
def plainly_learned(stsb: Task) -> Learned:
    return stsb.learn(PLAIN)


@pytest.fixture(scope="module")
def plain_scores(korsts: Task) -> npt.NDArray[np.float32]:
    return korsts.score(PLAIN)


@pytest.mark.parametrize("way", TRAINING.values(), ids=TRAINING)
def test_training_comes_to_the_same_losses_and_weights(stsb: Task, plainly_learned: Learned, way: Way) -> None:
    """Measured on a Zen 4: losses differ by 3.3e-7 of themselves, weights by 4e-6, of the 8e-4 that they can move."""
    (plain, expected), (module, losses) = plainly_learned, stsb.learn(way)
    assert losses[4:].mean() < losses[:4].mean() / 2
    np.testing.assert_allclose(losses, expected, rtol=5e-6)
    table, state = f"encoder.{table_name(module.encoder)}", module.state_dict()
    if not way.part:
        state[table] = state[table][stsb.vocabulary(PLAIN).ids]
    for name, weight in plain.state_dict().items():
        if not name.endswith(KEYS):
            torch.testing.assert_close(state[name], weight, atol=4e-5, rtol=0, msg=name)


def spearman(cosines: npt.NDArray[np.float32], task: Task) -> float:
    """Of the gold scores, x 100."""
    return 100 * float(spearmanr(cosines, task.gold).statistic)


@pytest.mark.parametrize("way", SCORING.values(), ids=SCORING)
def test_prediction_comes_to_the_same_scores(korsts: Task, plain_scores: npt.NDArray[np.float32], way: Way) -> None:
    """Measured on a Zen 4: cosines differ by 3e-7, Spearman not at all."""
    found = korsts.score(way)
    np.testing.assert_allclose(found, plain_scores, atol=2e-6, rtol=0)
    assert spearman(found, korsts) == pytest.approx(spearman(plain_scores, korsts), abs=0.01)
    assert spearman(found, korsts) > 70


def test_bf16_moves_the_frozen_encoders_scores_by_less_than_a_tenth_of_their_spread(
    korsts: Task, plain_scores: npt.NDArray[np.float32]
) -> None:
    """Measured on a Zen 4, and there with AVX2 alone: cosines 8e-4 (1.1e-3 on STSb's test rows), Spearman 0.06."""
    found = korsts.score(replace(USUAL, precision="bf16"))
    assert 0 < np.abs(found - plain_scores).max() < 3e-3 < plain_scores.std() / 10
    assert spearman(found, korsts) == pytest.approx(spearman(plain_scores, korsts), abs=0.3)


def test_bf16_trains_to_nearly_the_same_losses(stsb: Task, plainly_learned: Learned) -> None:
    """Measured as the most of 32 steps, on four sets of rows: 0.95% on a Zen 4, 0.53% there with AVX2 alone."""
    _, found = stsb.learn(replace(USUAL, precision="bf16"))
    np.testing.assert_allclose(found, plainly_learned[1], rtol=0.04)
    assert (found != plainly_learned[1]).all()
