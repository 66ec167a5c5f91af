"""Floors on the published data: what is known of the rows without them is what they score."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from xbench_plugins.floors import words

from tests.real.rows import ready
from xbench.measures import MetricContext
from xbench.registry import Registry
from xbench.types import Prediction, Row


def predicted(floor: str, rows: Sequence[Row], dataset: str, registry: Registry) -> Sequence[Prediction]:
    return registry.floors.get(floor).predict(rows, registry.datasets.get(dataset))


def scored(
    metric: str, rows: Sequence[Row], predictions: Sequence[Prediction], dataset: str, registry: Registry
) -> dict[str, float]:
    declared = registry.datasets.get(dataset)
    references = [registry.schemas.get(declared.schema).reference(row) for row in rows]
    return dict(registry.metrics.get(metric).compute(predictions, references, MetricContext(declared, rows)))


def questions(path: Path) -> list[list[str]]:
    """The gold answers of each question, straight from the file."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    every = [question for article in articles for part in article["paragraphs"] for question in part["qas"]]
    return [[answer["text"] for answer in question["answers"]] for question in every]


@pytest.mark.parametrize(
    ("dataset", "least", "most"),
    [("stsb", 65, 72), ("korsts", 53, 60), ("sts17-es", 74, 82), ("sts17-ar", 66, 75), ("stsb-korsts-sts", 5, 20)],
)
def test_spelling_tells_much_within_a_language_and_little_across(
    dataset: str, least: float, most: float, registry: Registry, data_root: Path, cache: Path
) -> None:
    rows = ready(dataset, "test", registry, data_root, cache).open()
    said = predicted("lexical-overlap", rows, dataset, registry)
    assert least < scored("spearman", rows, said, dataset, registry)["spearman"] < most


@pytest.mark.parametrize("dataset", ["sts17-es", "sts17-ar", "sts17-en"])
def test_pieces_of_words_tell_more_than_words(dataset: str, registry: Registry, data_root: Path, cache: Path) -> None:
    """Than the baseline of SemEval's STS tasks, the cosine of two sentences' sets of words."""
    rows = ready(dataset, "test", registry, data_root, cache).open()
    gold, by_words = [], []
    for row in rows:
        first, second = ({word.text for word in words(row[side])} for side in ("sentence1", "sentence2"))
        gold.append(row["score"])
        by_words.append(len(first & second) / (len(first) * len(second)) ** 0.5)
    said = predicted("lexical-overlap", rows, dataset, registry)
    baseline = 100 * float(pearsonr(by_words, gold).statistic)
    assert 60 < baseline < scored("pearson", rows, said, dataset, registry)["pearson"]


def test_no_script_in_common_is_no_overlap(registry: Registry, data_root: Path, cache: Path) -> None:
    rows = ready("sts17-ar-en", "test", registry, data_root, cache).open()
    assert set(predicted("lexical-overlap", rows, "sts17-ar-en", registry)) == {0.0}


def test_retrieval_among_all_real_pairs(registry: Registry, data_root: Path, cache: Path) -> None:
    rows = ready("stsb-korsts", "test", registry, data_root, cache).open()
    chance = scored("retrieval", rows, predicted("constant", rows, "stsb-korsts", registry), "stsb-korsts", registry)
    assert chance == pytest.approx(dict.fromkeys(chance, 100 / 2552))
    said = predicted("lexical-overlap", rows, "stsb-korsts", registry)
    found = scored("retrieval", rows, said, "stsb-korsts", registry)
    assert all(4 < score < 12 for score in found.values())  # numbers and names in Latin letters
    told = [one["cosine"] > 0 for one in said]
    assert 0.05 < sum(told) / len(told) < 0.2
    lost = [one["forward"] for one, shares in zip(said, told, strict=True) if not shares]
    assert max(lost) <= 0.01  # what shares nothing with its translation is found by a draw among many, if at all


@pytest.mark.parametrize(("dataset", "accuracy"), [("lmrd", 50.0), ("nsmc", 50.346)])
def test_constant_has_the_share_of_the_most_frequent_label(
    dataset: str, accuracy: float, registry: Registry, data_root: Path, cache: Path
) -> None:
    rows = ready(dataset, "test", registry, data_root, cache).open()
    said = predicted("constant", rows, dataset, registry)
    assert scored("accuracy", rows, said, dataset, registry)["accuracy"] == pytest.approx(accuracy)
    assert scored("matthews", rows, said, dataset, registry)["matthews"] == 0.0


@pytest.mark.parametrize(
    ("dataset", "file"),
    [("squad", "squad-v1.1/dev-v1.1.json"), ("squad-es-small", "squad-es/dev-v1.1-es_small.json")],
)
def test_no_answer_is_exactly_right_where_the_gold_one_is_blank_to_the_scorer(
    dataset: str, file: str, registry: Registry, data_root: Path, cache: Path
) -> None:
    """More than a third of the small Spanish set's answers are empty texts; of SQuAD's, a few are nothing but "a"."""

    def blank(text: str) -> bool:
        letters = "".join(one for one in text.lower() if one not in string.punctuation)
        return not re.sub(r"\b(a|an|the)\b", " ", letters).split()

    gold = questions(data_root / file)
    share = 100 * sum(any(map(blank, texts)) for texts in gold) / len(gold)
    rows = ready(dataset, "dev", registry, data_root, cache).open()
    scores = scored("squad", rows, predicted("constant", rows, dataset, registry), dataset, registry)
    assert scores == {"f1": 0.0, "exact_match": pytest.approx(share)}
    assert {"squad": 0 < share < 0.1, "squad-es-small": 35 < share < 37}[dataset]


@pytest.mark.parametrize(("dataset", "metric", "least"), [("xquad-ar", "squad", 11), ("korquad", "korquad", 15)])
def test_an_answer_from_the_window_is_a_piece_of_the_passage(
    dataset: str, metric: str, least: float, registry: Registry, data_root: Path, cache: Path
) -> None:
    rows = ready(dataset, "dev", registry, data_root, cache).open().select(np.arange(1000))
    said = predicted("lexical-overlap", rows, dataset, registry)
    assert all(answer and answer in row["context"] for answer, row in zip(said, rows, strict=True))
    assert least < scored(metric, rows, said, dataset, registry)["f1"] < 25
