"""The small reading corpora keep their guideline: parallel, each answer once in its passage, nothing in both splits."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.corpora import LANGUAGES, alike, check_composed_and_spaced_once, in_script, plain
from xbench.data.rows import prepare
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Packaged

FOLDER = Path(__file__).parents[2] / "plugins" / "mrc" / "mini"
PASSAGES = {"train": 48, "test": 24}
QUESTIONS = 4  # a passage
SPLITS = tuple(PASSAGES)
IN_BOTH = [(split, language) for split in SPLITS for language in LANGUAGES]
Passage = dict[str, Any]


@cache
def passages(split: str) -> tuple[Passage, ...]:
    """The file, read by its description in GUIDELINE.md."""
    found: list[Passage] = json.loads((FOLDER / f"{split}.json").read_bytes().decode("utf-8"))
    return tuple(found)


def contexts(split: str, language: str) -> list[str]:
    return [passage["context"][language] for passage in passages(split)]


def asked(split: str, language: str) -> list[tuple[str, str, str]]:
    """Context, question and answer of each question."""
    return [
        (passage["context"][language], question["question"][language], question["answer"][language])
        for passage in passages(split)
        for question in passage["questions"]
    ]


def by_passage(split: str, language: str) -> list[list[tuple[str, str, str]]]:
    """The same, passage by passage."""
    rows = asked(split, language)
    return [rows[start : start + QUESTIONS] for start in range(0, len(rows), QUESTIONS)]


def texts(split: str, language: str) -> list[str]:
    """Everything that is written in a language."""
    return [*contexts(split, language), *(text for _, *both in asked(split, language) for text in both)]


def sentence_ends(context: str) -> list[int]:
    """Where the sentences of an English passage end."""
    return [found.end() for found in re.finditer(r"(?<!Mrs)(?<!Mr)(?<!Dr)[.!?][\"”’)]*(?:\s|$)", context)]


@pytest.mark.parametrize("split", SPLITS)
def test_there_are_as_many_passages_and_questions_as_the_guideline_says(split: str) -> None:
    assert len(passages(split)) == PASSAGES[split]
    for passage in passages(split):
        assert list(passage) == ["id", "subject", "context", "questions"]
        assert len(passage["questions"]) == QUESTIONS
        sides = [passage["context"], *(question[side] for question in passage["questions"] for side in question)]
        assert all(set(side) == set(LANGUAGES) for side in sides)
        assert all(list(question) == ["question", "answer"] for question in passage["questions"])


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_rows_are_the_pinned_ones_and_say_the_files_words(
    split: str, language: str, registry: Registry, tmp_path: Path
) -> None:
    dataset = registry.datasets.get(f"mini-mrc-{language}")
    schema = registry.schemas.get(dataset.schema)
    found = prepare(dataset, split, schema, Settings(cache=tmp_path, offline=True))
    wanted = [
        {
            "answers": [{"start": len(context.split(answer)[0]), "text": answer}],
            "context": context,
            "id": f"{passages(split)[index // QUESTIONS]['id']}-{index % QUESTIONS}",
            "question": question,
        }
        for index, (context, question, answer) in enumerate(asked(split, language))
    ]
    form = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in wanted)
    assert found.rows_sha256 == hashlib.sha256(form.encode()).hexdigest() == dataset.splits[split].rows_sha256
    assert (found.rows, found.pinned, found.source) == (PASSAGES[split] * QUESTIONS, True, "package")
    assert dataset.sample
    assert (dataset.languages, dataset.official) == ((language,), ("korquad" if language == "ko" else "squad",))


@pytest.mark.parametrize("split", SPLITS)
def test_the_four_languages_are_one_parallel_corpus(split: str, registry: Registry) -> None:
    seen = set()
    for language in LANGUAGES:
        source = registry.datasets.get(f"mini-mrc-{language}").splits[split].sources[0]
        assert isinstance(source, Packaged)
        seen.add(tuple(row["id"] for row in source.read(source.files)))
    assert len(seen) == 1
    assert len(seen.pop()) == PASSAGES[split] * QUESTIONS


def test_ids_are_unique_across_the_splits() -> None:
    ids = [passage["id"] for split in SPLITS for passage in passages(split)]
    assert len(set(ids)) == len(ids)
    assert all(passage["id"].startswith(f"{split}-") for split in SPLITS for passage in passages(split))


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_each_answer_stands_exactly_once_in_its_passage(split: str, language: str) -> None:
    for context, question, answer in asked(split, language):
        places = [start for start in range(len(context)) if context.startswith(answer, start)]  # overlaps, too
        assert len(places) == 1, (question, answer, places)


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_an_answer_is_short_and_ends_without_its_sentences_mark(split: str, language: str) -> None:
    for context, question, answer in asked(split, language):
        assert 1 <= len(answer) <= min(100, len(context) / 2), (question, answer)
        assert unicodedata.category(answer[-1])[0] in "LMNS" or answer[-1] in '"”»’)', (question, answer)
        assert unicodedata.category(answer[0])[0] not in "MZ", (question, answer)


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_the_questions_of_a_passage_ask_for_different_things(split: str, language: str) -> None:
    for own in by_passage(split, language):
        assert len({plain(question) for _, question, _ in own}) == QUESTIONS
        spans = sorted((context.index(answer), context.index(answer) + len(answer)) for context, _, answer in own)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), own


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_passage_and_no_question_stands_twice_anywhere(language: str) -> None:
    questions = [question for split in SPLITS for _, question, _ in asked(split, language)]
    for written in ([context for split in SPLITS for context in contexts(split, language)], questions):
        everything = Counter(map(plain, written))
        assert [text for text, count in everything.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_test_passage_is_a_train_passage_in_other_words(language: str) -> None:
    for context in contexts("test", language):
        nearest = max(contexts("train", language), key=lambda other: alike(context, other))
        assert alike(context, nearest) < 0.25, (context, nearest)


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_texts_are_in_their_languages_script(split: str, language: str) -> None:
    for text in (*contexts(split, language), *(question for _, question, _ in asked(split, language))):
        assert in_script(text, language) > 0.9, text  # names and units may keep theirs


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_texts_are_composed_and_spaced_once(split: str, language: str) -> None:
    for text in texts(split, language):
        check_composed_and_spaced_once(text)


def test_spanish_and_english_are_not_exchanged() -> None:
    english, spanish = ({"the", "of", "was", "is", "and"}, {"el", "la", "los", "se", "que", "del", "una"})
    for split in SPLITS:
        words = {language: plain(" ".join(texts(split, language))).split() for language in ("en", "es")}
        for language, own, other in (("en", english, spanish), ("es", spanish, english)):
            assert sum(word in own for word in words[language]) > 50 * sum(word in other for word in words[language])


@pytest.mark.parametrize("split", SPLITS)
def test_english_passages_are_paragraphs_of_the_guidelines_length(split: str) -> None:
    guideline = (FOLDER / "GUIDELINE.md").read_text(encoding="utf-8")
    assert "four to six sentences, 50 to 90 words in English" in guideline
    for context in contexts(split, "en"):
        assert 50 <= len(context.split()) <= 90, context
        assert 4 <= len(sentence_ends(context)) <= 6, context


@pytest.mark.parametrize("split", SPLITS)
def test_answers_are_spread_over_the_sentences_and_questions_over_what_can_be_asked(split: str) -> None:
    sentences = [
        len({sum(end <= context.index(answer) for end in sentence_ends(context)) for context, _, answer in own})
        for own in by_passage(split, "en")
    ]
    assert min(sentences) >= 2
    assert sum(sentences) > 3.5 * len(sentences)
    openings = Counter(
        word
        for _, question, _ in asked(split, "en")
        for word in ("who", "what", "when", "where", "how", "why", "which")
        if word in plain(question).split()
    )
    assert len(openings) == 7
    assert max(openings.values()) < 0.5 * PASSAGES[split] * QUESTIONS


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_a_question_rewords_its_passage_and_does_not_say_its_answer(split: str, language: str) -> None:
    for context, question, answer in asked(split, language):
        assert plain(answer) not in plain(question), (question, answer)
        words, passage = plain(question).split(), f" {plain(context)} "
        runs = [words[start : start + 5] for start in range(len(words) - 4)]
        assert not any(f" {' '.join(run)} " in passage for run in runs), (question, context)


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_answers_stand_in_all_parts_of_their_passages(split: str, language: str) -> None:
    thirds = Counter(int(3 * context.index(answer) / len(context)) for context, _, answer in asked(split, language))
    assert all(count > 0.2 * thirds.total() for count in (thirds[third] for third in range(3))), thirds
    assert sum(context.startswith(answer) for context, _, answer in asked(split, language)) < 0.05 * thirds.total()
