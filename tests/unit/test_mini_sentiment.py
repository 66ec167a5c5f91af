"""The small sentiment corpora keep their guideline: parallel, balanced, nothing twice, each in its language."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.corpora import LANGUAGES, alike, check_composed_and_spaced_once, in_script, plain
from xbench.data.rows import prepare
from xbench.registry import Registry
from xbench.settings import Settings

FOLDER = Path(__file__).parents[2] / "plugins" / "sentiment" / "mini"
REVIEWS = {"train": 210, "test": 112}
IN_BOTH = [(split, language) for split in REVIEWS for language in LANGUAGES]


@cache
def reviews(split: str) -> tuple[dict[str, Any], ...]:
    """The file, read by its description in GUIDELINE.md."""
    return tuple(json.loads((FOLDER / f"{split}.json").read_bytes().decode("utf-8")))


def texts(split: str, language: str) -> list[str]:
    return [review["text"][language] for review in reviews(split)]


@pytest.mark.parametrize("split", REVIEWS)
def test_there_are_as_many_reviews_as_the_guideline_says_half_of_each_label(split: str) -> None:
    guideline = (FOLDER / "GUIDELINE.md").read_text(encoding="utf-8")
    assert f"`{split}.json` ({REVIEWS[split]}" in guideline
    labels = Counter(review["label"] for review in reviews(split))
    assert labels == {"positive": REVIEWS[split] // 2, "negative": REVIEWS[split] // 2}
    assert all(set(review["text"]) == set(LANGUAGES) for review in reviews(split))


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_rows_are_the_pinned_ones_and_say_the_files_words(
    split: str, language: str, registry: Registry, tmp_path: Path
) -> None:
    dataset = registry.datasets.get(f"mini-sentiment-{language}")
    rows = prepare(dataset, split, registry.schemas.get("text-label"), Settings(cache=tmp_path))
    assert rows.pinned
    assert dataset.labels == ("negative", "positive")
    read = [(row["id"], row["text"], dataset.labels[row["label"]]) for row in rows.open()]
    assert read == [(one["id"], one["text"][language], one["label"]) for one in reviews(split)]
    lines = (json.dumps(dict(row), sort_keys=True, ensure_ascii=False) for row in rows.open())
    assert len({hashlib.sha256(line.encode()).digest() for line in lines}) == REVIEWS[split]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_review_stands_twice_anywhere(language: str) -> None:
    everything = Counter(plain(text) for split in REVIEWS for text in texts(split, language))
    assert [text for text, count in everything.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_test_review_is_a_train_review_in_other_words(language: str) -> None:
    for text in texts("test", language):
        nearest = max(texts("train", language), key=lambda other: alike(text, other))
        assert alike(text, nearest) < 0.34, (text, nearest)


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_texts_are_in_their_languages_script(split: str, language: str) -> None:
    for text in texts(split, language):
        share = in_script(text, language)
        assert share == 1 if language == "ar" else share > 0.9, text


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_texts_are_composed_and_spaced_once(split: str, language: str) -> None:
    for text in texts(split, language):
        check_composed_and_spaced_once(text)


@pytest.mark.parametrize("split", REVIEWS)
def test_english_reviews_have_the_guidelines_length(split: str) -> None:
    assert all(12 <= len(text.split()) <= 60 for text in texts(split, "en"))


def test_no_single_word_gives_the_label_away() -> None:
    """No English word splits the reviews well by itself: the best one tells less than a seventh of them apart."""
    labels = [review["label"] == "positive" for split in REVIEWS for review in reviews(split)]
    words = [set(plain(text).split()) for split in REVIEWS for text in texts(split, "en")]
    lead = {
        word: abs(sum((word in own) * (1 if label else -1) for own, label in zip(words, labels, strict=True)))
        for word in set().union(*words)
    }
    assert max(lead.values()) < len(labels) / 7
