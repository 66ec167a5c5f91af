"""The alignment head: embeddings of both sides, maps fitted on other pairs, and what is said of each pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel
from xbench_plugins.alignment.decode import DRAWN, decode
from xbench_plugins.alignment.heads import BACK, MAPS
from xbench_plugins.alignment.maps import FittedMap
from xbench_plugins.alignment.metrics import METRICS

from tests.tiny import SHAPES, TinyRun, tiny_rows
from xbench.errors import UserError
from xbench.heads.parallel import derangement
from xbench.measures import MetricContext
from xbench.registry import Registry
from xbench.training.feeding import host_batch
from xbench.training.predict import Predictor
from xbench.types import Dataset, Decoding, Fitting, Row

ROWS = tiny_rows(14, seed=2)
PARALLEL: list[Row] = [{name: row[name] for name in ("id", "sentence1", "sentence2")} for row in ROWS]


def dataset(schema: str, languages: tuple[str, str] = ("en", "ko")) -> Dataset:
    return Dataset("made-up", languages, schema, {}, "CC0", "nobody", "", "")


@pytest.fixture
def make(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> Callable[..., TinyRun]:
    """Puts the head on a tiny model."""

    def run(shape: str, rows: Sequence[Row] = ROWS, **settings: object) -> TinyRun:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        prompts = {"sentence": "bado: "}
        return TinyRun(tiny(shape), registry.heads.get("alignment"), [rows], folder, settings, prompts)

    return run


def outputs(run: TinyRun) -> np.ndarray:
    """(rows, 2, hidden)"""
    return np.stack(Predictor(run.build(), "fp32", 0, run.whole(), run.pad_id).predict(run.tables[0]))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_embedding_is_the_mean_of_the_tokens_of_prompt_and_sentence(
    make: Callable[..., TinyRun], shape: str
) -> None:
    run = make(shape, PARALLEL)
    found = outputs(run)
    encoder = AutoModel.from_pretrained(run.folder).eval()
    for index, row in enumerate(PARALLEL):
        for side, name in enumerate(("sentence1", "sentence2")):
            encoded = run.tokenizer("bado: " + row[name], return_tensors="pt")
            with torch.no_grad():
                hidden = encoder(**encoded).last_hidden_state[0]  # (length, hidden)
            np.testing.assert_allclose(found[index, side], hidden.mean(0).numpy(), atol=1e-5)


def test_training_brings_the_cosine_to_the_score(make: Callable[..., TinyRun]) -> None:
    run = make("bert")
    module = run.build().eval()
    batch = host_batch(run.tables[0], np.arange(len(ROWS)), run.whole(), run.pad_id)
    with torch.no_grad():
        both = module(batch)
        loss = module.loss(both, batch)
    assert both.shape == (len(ROWS), 2, 32)
    cosines = torch.nn.functional.cosine_similarity(both[:, 0], both[:, 1])
    expected = (cosines - torch.tensor([row["score"] / 5 for row in ROWS])) ** 2
    torch.testing.assert_close(loss, expected.float())


def test_pairs_without_scores_are_no_training_data(make: Callable[..., TinyRun]) -> None:
    run = make("bert", PARALLEL)
    object.__setattr__(run.context, "score_range", None)
    module = run.build()
    batch = host_batch(run.tables[0], np.arange(4), run.whole(), run.pad_id)
    with pytest.raises(UserError, match="scored pairs"):
        module.loss(module(batch), batch)


def said(
    run: TinyRun, both: np.ndarray, of: Dataset, reading: str, fitted: FittedMap | None, kept: dict[str, Any]
) -> list[Any]:
    return run.head.decode(
        Decoding(run.rows[0], np.arange(len(both)), both, {}, run.context, reading, of, fitted, kept.__setitem__)
    )


@pytest.mark.parametrize("reading", ["identity", *MAPS, *(f"{kind}{BACK}" for kind in MAPS)])
def test_a_reading_is_the_cosine_after_its_map(make: Callable[..., TinyRun], reading: str) -> None:
    run = make("bert", PARALLEL, net_epochs=3)
    both, kept = outputs(run), {}
    own = next(one for one in run.head.readings if one.name == reading)
    fitting = Fitting(PARALLEL, np.arange(len(both)), both, dataset("parallel"), run.context, 0)
    fitted = None if own.fit is None else own.fit(fitting)
    back = reading.endswith(BACK)
    source, target = both[:, int(back)], both[:, 1 - int(back)]
    moved = source if fitted is None else source @ fitted.map.matrix + fitted.map.offset
    cosines = [
        float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        for one, other in zip(moved, target, strict=True)
    ]
    scored = said(run, both, dataset("pair-score"), reading, fitted, kept)
    assert scored == pytest.approx(cosines, abs=1e-5)
    mappings = said(run, both, dataset("parallel"), reading, fitted, kept)
    assert [one["cosine"] for one in mappings] == pytest.approx(cosines, abs=1e-5)
    np.testing.assert_allclose(kept["mapped"], moved, atol=1e-5)
    np.testing.assert_array_equal(kept["source"], source)
    np.testing.assert_array_equal(kept["target"], target)


def test_least_squares_is_nearest_on_the_pairs_that_it_was_fitted_on(make: Callable[..., TinyRun]) -> None:
    run = make("bert", PARALLEL)
    both = outputs(run)
    fitting = Fitting(PARALLEL, np.arange(len(both)), both, dataset("parallel"), run.context, 0)
    errors = {}
    for kind in ("least-squares", "procrustes"):
        own = next(one for one in run.head.readings if one.name == kind)
        assert own.fit is not None
        errors[kind] = np.square(own.fit(fitting).map(both[:, 0]) - both[:, 1]).sum()
    errors["identity"] = np.square(both[:, 0] - both[:, 1]).sum()
    assert errors["least-squares"] < errors["procrustes"] < errors["identity"]


def test_the_scores_are_means_of_what_is_said_of_the_pairs(make: Callable[..., TinyRun]) -> None:
    run = make("bert", PARALLEL)
    both = outputs(run)
    both[:, 1] = both[:, 0]  # exact translations
    both[3:5] = both[3:4]  # the same one twice
    mappings = said(run, both, dataset("parallel"), "identity", None, {})
    about = MetricContext(dataset("parallel"), PARALLEL)
    scores: dict[str, float] = {}
    for metric in METRICS:
        scores |= metric.compute(mappings, [None] * len(both), about)
    assert scores["mean_cosine"] == pytest.approx(1)
    assert {scores[name] for name in scores if "p_at_1" in name} == {100.0}
    order = derangement(len(both))
    strangers = [float(both[i, 0] @ both[j, 0] / np.linalg.norm(both[i, 0]) / np.linalg.norm(both[j, 0]))
                 for i, j in enumerate(order)]  # fmt: skip
    assert scores["shuffled_cosine"] == pytest.approx(np.mean(strangers), abs=1e-5)


@pytest.mark.parametrize("count", [2, 3, 10, 257])
def test_shuffling_leaves_no_pair_together(count: int) -> None:
    order = derangement(count)
    assert sorted(order.tolist()) == list(range(count))
    assert not (order == np.arange(count)).any()


@pytest.mark.parametrize("kind", MAPS)
def test_the_map_moves_the_side_in_its_own_language(make: Callable[..., TinyRun], kind: str) -> None:
    """Rows with the languages the other way round: the same map, the same sentences, and so the same cosines."""
    run = make("bert", PARALLEL, net_epochs=3)
    both, kept, turned_kept = outputs(run), {}, {}
    own = next(one for one in run.head.readings if one.name == kind)
    assert own.fit is not None
    fitted = own.fit(Fitting(PARALLEL, np.arange(len(both)), both, dataset("parallel"), run.context, 0))
    plain = said(run, both, dataset("parallel"), kind, fitted, kept)
    turned = said(run, both[:, ::-1], dataset("parallel", ("ko", "en")), kind, fitted, turned_kept)
    for name in ("cosine", "shuffled"):
        assert [one[name] for one in plain] == pytest.approx([one[name] for one in turned], abs=1e-6)
    # From a row's first sentence to its second: the first one is now the other language's.
    for name, other in (("forward", "backward"), ("csls_forward", "csls_backward")):
        assert [one[name] for one in plain] == [one[other] for one in turned]
    for name, array in kept.items():
        np.testing.assert_array_equal(array, turned_kept[name])


@pytest.mark.parametrize("back", [False, True])
def test_a_map_within_one_language_moves_its_own_side(make: Callable[..., TinyRun], back: bool) -> None:
    run = make("bert", PARALLEL)
    both, kept, of = outputs(run), {}, dataset("parallel", ("en", "en"))
    own = next(one for one in run.head.readings if one.name == f"procrustes{BACK * back}")
    assert own.fit is not None
    fitted = own.fit(Fitting(PARALLEL, np.arange(len(both)), both, of, run.context, 0))
    said(run, both, of, own.name, fitted, kept)
    np.testing.assert_array_equal(kept["source"], both[:, int(back)])


def test_a_map_between_other_languages_is_refused(make: Callable[..., TinyRun]) -> None:
    run = make("bert", PARALLEL)
    both = outputs(run)
    own = next(one for one in run.head.readings if one.name == f"procrustes{BACK}")
    assert own.fit is not None
    fitted = own.fit(Fitting(PARALLEL, np.arange(len(both)), both, dataset("parallel"), run.context, 0))
    with pytest.raises(UserError, match="from Korean to English says nothing of made-up, which pairs Spanish and Eng"):
        said(run, both, dataset("parallel", ("es", "en")), own.name, fitted, {})


def test_a_figure_gets_a_sample_that_is_always_the_same(make: Callable[..., TinyRun]) -> None:
    run = make("bert", PARALLEL)
    both = np.random.default_rng(0).standard_normal((DRAWN + 70, 2, 32)).astype(np.float32)
    first, second = {}, {}
    for kept in (first, second):
        said(run, both, dataset("parallel"), "identity", None, kept)
    assert {name: array.shape for name, array in first.items()} == dict.fromkeys(
        ("source", "mapped", "target"), (DRAWN, 32)
    )
    places = [int(np.flatnonzero((both[:, 0] == vector).all(1))[0]) for vector in first["source"]]
    assert places == sorted(set(places))
    np.testing.assert_array_equal(first["target"], both[places, 1])
    np.testing.assert_array_equal(first["source"], second["source"])


def test_decode_takes_arrays_one_by_one_as_a_pass_gives_them(make: Callable[..., TinyRun]) -> None:
    run = make("bert")
    both = outputs(run)
    of = dataset("pair-score")
    one_by_one = Decoding(run.rows[0], np.arange(len(both)), list(both), {}, run.context, "identity", of)
    assert decode(one_by_one) == said(run, both, of, "identity", None, {})
