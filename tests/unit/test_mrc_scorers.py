"""SQuAD's, KorQuAD's and MLQA's scorers give, to the last digit, what a second and plainer implementation gives."""

from __future__ import annotations

import functools
import json
import random
import string
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xbench_plugins.mrc.metrics import scorer_of

from tests.naive_scorers import ARTICLES, KORQUAD_MARKS, naive_scores, words_of
from xbench.errors import UserError
from xbench.measures import MetricContext
from xbench.registry import Registry
from xbench.types import Dataset

Question = tuple[str | None, list[str]]
"""A prediction and its references."""

MLQA_LANGUAGES = ("en", "es", "hi", "vi", "de", "ar", "zh")
SCORERS = [("squad", "en"), ("korquad", "ko"), *(("mlqa", language) for language in MLQA_LANGUAGES)]
EACH_SCORER = pytest.mark.parametrize(
    ("metric", "language"), SCORERS, ids=[f"{metric}-{language}" for metric, language in SCORERS]
)
A_FEW = pytest.mark.parametrize(("metric", "language"), [("squad", "en"), ("korquad", "ko"), ("mlqa", "zh")])

SPACES = [" ", " ", " ", *"\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2002\u200a\u2028\u2029\u202f\u205f\u3000"]
NO_SPACES = ["\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "\ufeff", "\u180e"]
MARKS = [*string.punctuation, *KORQUAD_MARKS, *"。、，！？：；「」『』【】（）＜＞＇＂＿…—–‐・·¿¡«»“”„‹›؟،؛۔।॥‿⁀〜"]
SYMBOLS = [*"＋￥€₩°©§¶†‰′″×÷→◆♥`´¨", "👩‍👩‍👧", "🇰🇷"]
COMBINING = ["\u0301", "\u0303", "\u0327", "\u0308", "\u064e", "\u0651", "\u0640", "\u094d", "\u3099", "\ufe0f"]
NUMBERS = ["7", "1,000", "3.14", "²", "½", "Ⅷ", "٣", "१", "㉠", "一", "〇"]
# Letters whose lower case is longer, or depends on what stands beside them.
CASES = ["Σ", "ΑΣ", "ΑΣ-Α", "ΑΣ'Α", "ΑΣ·Α", "İ", "ẞ", "ß", "ǅ", "\u212a", "Œ"]
HANGUL = ["조선", "왕조", "세종대왕", "이", "은", "각", "\u1100\u1161\u11a8", "ㄱ", "ﾡ"]
HAN = ["北京", "大学", "\u4e00", "\u9fa5", "\u9fa6", "\u3400", "\uf900", "𠀀", "々", "の", "ン"]
ARABIC = ["ا", "ل", "ال", "البيت", "والبيت", "بيت", "اللّه", "سال", "أل", "لا", "\ufefb", "آل"]
WORDS = [
    "Denver", "broncos", "la casa", "El Niño", "niño", "der Hund", "hund", "größe", "tôi", "thea", "an_a", "A.", "a's",
]  # fmt: skip
# Words that only look like articles, or are articles of none of the languages.
NO_ARTICLES = [
    "ana", "this", "and", "lo", "al", "uno", "am", "im", "kein", "deren", "các", "một", "nhung", "एक", "le", "的",
]  # fmt: skip
ALL_ARTICLES = [article for articles in ARTICLES.values() for article in articles]
PIECES = [
    *SPACES, *NO_SPACES, *MARKS, *SYMBOLS, *COMBINING, *NUMBERS, *CASES, *HANGUL, *HAN, *ARABIC, *WORDS,
    *NO_ARTICLES, *ALL_ARTICLES, *(article.title() for article in ALL_ARTICLES),
    *(unicodedata.normalize("NFD", word) for word in ARTICLES["vi"]),
]  # fmt: skip


def about(language: str, *more: str) -> MetricContext:
    return MetricContext(Dataset("made-up", (language, *more), "span", {}, "CC0", "nobody", "", ""), ())


def scores(registry: Registry, metric: str, language: str, questions: Sequence[Question]) -> dict[str, float]:
    predictions, references = zip(*questions, strict=True)
    return dict(registry.metrics.get(metric).compute(predictions, references, about(language)))


def plainly(metric: str, language: str, questions: Sequence[Question]) -> dict[str, float]:
    predictions, references = zip(*questions, strict=True)
    return naive_scores(metric, language, predictions, references)


def differences(registry: Registry, metric: str, language: str, questions: Sequence[Question]) -> list[Any]:
    """The first questions that the two implementations score differently, and the whole if their means differ."""
    found: list[Any] = []
    for question in questions:
        one, other = scores(registry, metric, language, [question]), plainly(metric, language, [question])
        if one != other:
            found.append((question, one, other))
    one, other = scores(registry, metric, language, questions), plainly(metric, language, questions)
    if one != other:
        found.append((f"all {len(questions)}", one, other))
    return found[:3]


def joined(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(pieces, max_size=6).map("".join)


@st.composite
def question_lists(draw: st.DrawFn) -> list[Question]:
    """Questions; the texts of one are made of the same few pieces, so that they overlap."""
    questions: list[Question] = []
    for _ in range(draw(st.integers(1, 6))):
        pool = draw(st.lists(st.sampled_from(PIECES) | st.text(max_size=2), min_size=1, max_size=4))
        text = joined(st.sampled_from([*pool, " "]))
        questions.append((draw(st.none() | text | joined(st.text(max_size=2))), draw(st.lists(text, max_size=3))))
    return questions


def drawn_questions(count: int) -> list[Question]:
    """Many questions, the same in every run."""
    draw = random.Random(7)
    questions: list[Question] = []
    for _ in range(count):
        pool = draw.choices(PIECES, k=draw.randint(2, 7))
        pool = [*pool, *(f"{piece} " for piece in pool)]
        texts = ["".join(draw.choices(pool, k=draw.randint(0, 9))) for _ in range(draw.randint(2, 4))]
        questions.append((None if draw.random() < 0.05 else texts[0], texts[1:]))
    return questions


@EACH_SCORER
@given(questions=question_lists())
def test_any_texts_score_as_the_plain_implementation_says(
    registry: Registry, metric: str, language: str, questions: list[Question]
) -> None:
    assert differences(registry, metric, language, questions) == []


@EACH_SCORER
def test_thousands_of_drawn_texts_score_as_the_plain_implementation_says(
    registry: Registry, metric: str, language: str
) -> None:
    questions = drawn_questions(2000)
    assert differences(registry, metric, language, questions) == []
    single = [plainly(metric, language, [question]) for question in questions]
    assert len({one["f1"] for one in single}) > 20
    assert sum(one["exact_match"] == 100 for one in single) > 100
    assert sum(one["exact_match"] == 100 and one["f1"] == 0 for one in single) > 10  # both sides empty


@functools.cache
def all_kinds_of_characters() -> list[str]:
    """All of Unicode, but of letters without case (most of them Han and Hangul) and of unassigned places only some."""
    return [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in ("Lo", "Cn", "Co", "Cs") or (code % 200 == 0 and code < 0x30000)
        if not 0xD800 <= code < 0xE000
    ]


@pytest.mark.parametrize(("metric", "language"), [("squad", "en"), ("korquad", "ko"), ("mlqa", "en"), ("mlqa", "zh")])
def test_every_character_is_kept_dropped_or_a_space_as_the_plain_implementation_says(
    metric: str, language: str
) -> None:
    normalise, words = scorer_of(metric, about(language)).normalise, words_of(metric, language)
    characters = all_kinds_of_characters()
    assert len(characters) > 10_000
    for start in range(0, len(characters), 500):
        # Between letters, beside an article, and on its own.
        texts = [f"x{character}x a{character} {character}" for character in characters[start : start + 500]]
        assert normalise(" ".join(texts)) == " ".join(words(" ".join(texts)))


FILES = {
    "squad dev": ("squad-v1.1/dev-v1.1.json", 5),
    "korquad dev": ("korquad-v1.0/KorQuAD_v1.0_dev.json", 4),
    "squad-es small": ("squad-es/dev-v1.1-es_small.json", 5),
    "xquad ar": ("xquad/xquad.ar.json", 1),
}
REAL = [
    ("squad dev", "squad", "en"),
    ("squad dev", "mlqa", "en"),
    ("korquad dev", "korquad", "ko"),
    ("korquad dev", "squad", "ko"),
    ("squad-es small", "squad", "es"),
    ("squad-es small", "mlqa", "es"),
    ("xquad ar", "squad", "ar"),
    ("xquad ar", "mlqa", "ar"),
]


def perturbed(text: str, start: int, context: str, other: str, way: int) -> str | None:
    """A prediction that is right, nearly right or wrong."""
    words, end = text.split(), start + len(text)
    ways: list[str | None] = [
        text,
        text[: len(text) // 2],
        text[:-1],
        text[1:],
        " ".join(words[1:]),
        " ".join(reversed(words)),
        context[max(0, start - 12) : end],
        context[start : end + 12],
        context[max(0, start - 30) : end + 30],
        text.upper(),
        text.swapcase(),
        text.title(),
        text.replace(" ", ""),
        f"  {text}\u3000\n",
        f"«{text}».",
        f"The {text} / la {text}",
        unicodedata.normalize("NFD", text),
        other,
        f"{other} {text}",
        "",
        None,
    ]
    return ways[way % len(ways)]


@functools.cache
def real_questions(path: Path, step: int) -> list[Question]:
    """Some questions of a published file, with predictions made from its own answers and passages."""
    found = [
        (answer["text"], answer["answer_start"], paragraph["context"], [one["text"] for one in question["answers"]])
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
        for answer in question["answers"][:1]
    ][::step]
    return [
        (perturbed(text, start, context, found[index - 1][0], index), references)
        for index, (text, start, context, references) in enumerate(found)
    ]


@pytest.mark.parametrize(("name", "metric", "language"), REAL)
def test_published_answers_cut_extended_and_exchanged_score_as_the_plain_implementation_says(
    registry: Registry, data_root: Path, name: str, metric: str, language: str
) -> None:
    path, step = FILES[name]
    questions = real_questions(data_root / path, step)
    assert len(questions) > 1000
    assert differences(registry, metric, language, questions) == []
    whole = scores(registry, metric, language, questions)
    assert 20 < whole["exact_match"] < whole["f1"] < 90


THIRD, HALF, TWO_THIRDS = 100 / 3, 50.0, 200 / 3  # x100
BY_HAND = [
    # metric, language, prediction, references, F1, exact match
    ("squad", "en", "The Eiffel Tower!", ["an Eiffel  tower"], 100.0, 100.0),
    ("squad", "en", "in the year 1066", ["1066"], HALF, 0.0),  # in, year, 1066: precision 1/3, recall 1
    ("squad", "en", "New York, New York", ["New York"], TWO_THIRDS, 0.0),  # 2 of 4, 2 of 2
    ("squad", "en", "New York", ["New York, New York"], TWO_THIRDS, 0.0),
    ("squad", "en", "York New", ["New York"], 100.0, 0.0),
    ("squad", "en", "U.S. $5", ["us 5"], 100.0, 100.0),
    ("squad", "en", "well-known", ["well known"], 0.0, 0.0),  # wellknown is another word
    ("squad", "en", "theatre", ["atre"], 0.0, 0.0),  # an article is a whole word
    ("squad", "en", "the", ["A!"], 0.0, 100.0),  # nothing is left of either: equal, but nothing in common
    ("squad", "en", "", [""], 0.0, 100.0),
    ("squad", "en", "Paris。", ["Paris"], 0.0, 0.0),  # only ASCII's punctuation goes
    ("squad", "en", "blue car", ["red car", "blue"], TWO_THIRDS, 0.0),  # 1 of 2 and 1 of 2; 1 of 2 and 1 of 1
    ("squad", "en", "Denver", ["Broncos", "denver", "Denver Broncos"], 100.0, 100.0),
    ("squad", "en", "Denver", [], 0.0, 0.0),
    ("squad", "en", None, ["Denver"], 0.0, 0.0),
    ("squad", "en", "ΑΣ-Α", ["αςα"], 100.0, 100.0),  # in lower case first: a sigma before a hyphen ends a word
    ("squad", "es", "la Casa", ["casa"], TWO_THIRDS, 0.0),  # no Spanish articles
    ("korquad", "ko", "《삼국지》", ["'삼국지'"], 100.0, 100.0),
    ("korquad", "ko", "조선 시대", ["조선시대"], 100.0, 0.0),  # F1 sees no spaces
    ("korquad", "ko", "세종대왕이", ["세종대왕"], 800 / 9, 0.0),  # 4 of 5, 4 of 4
    ("korquad", "ko", "김(金)", ["김 金"], 100.0, 100.0),  # a bracket is a space
    ("korquad", "ko", "1,000명", ["1000명"], 100.0, 100.0),  # a comma is nothing
    ("korquad", "ko", "“삼국지”", ["삼국지"], 75.0, 0.0),  # double curly quotes stay: 3 of 5, 3 of 3
    ("korquad", "ko", "the KBS", ["kbs"], TWO_THIRDS, 0.0),  # English articles stay: 3 of 6, 3 of 3
    ("korquad", "ko", "()", ["'"], 0.0, 100.0),
    ("korquad", "ko", "ΑΣ'Α", ["ας α"], 100.0, 100.0),  # quotes to spaces first
    ("mlqa", "en", "“The” Tower—", ["tower"], 100.0, 100.0),
    ("mlqa", "en", "ΑΣ-Α", ["αςα"], 100.0, 100.0),
    ("mlqa", "en", "5€", ["5"], 0.0, 0.0),  # a symbol is no punctuation
    ("mlqa", "en", "$5`", ["5"], 100.0, 100.0),  # but ASCII's are
    ("mlqa", "es", "¿La Casa Blanca?", ["casa blanca"], 100.0, 100.0),
    ("mlqa", "es", "the casa", ["casa"], TWO_THIRDS, 0.0),
    ("mlqa", "de", "den großen Hund", ["Großen des Hund"], 100.0, 100.0),
    ("mlqa", "vi", "Của tôi là", ["tôi"], 100.0, 100.0),
    ("mlqa", "hi", "द बिल्ली।", ["द बिल्ली"], 100.0, 100.0),
    ("mlqa", "ar", "البيت الكبير", ["بيت كبير"], 100.0, 100.0),
    ("mlqa", "ar", "والبيت", ["بيت"], TWO_THIRDS, 0.0),  # also inside a word: و and بيت
    ("mlqa", "zh", "北京大学", ["北京"], TWO_THIRDS, 0.0),  # 2 of 4, 2 of 2
    ("mlqa", "zh", "《ABC公司》", ["abc 公司"], 100.0, 100.0),
    ("mlqa", "zh", "\u9fa6\u9fa6", ["\u9fa6"], 0.0, 0.0),  # beyond U+9FA5 a word is a word
]


@pytest.mark.parametrize(("metric", "language", "prediction", "references", "f1", "exact_match"), BY_HAND)
def test_examples_computed_by_hand(
    registry: Registry, metric: str, language: str, prediction: str | None, references: list[str], f1: float,
    exact_match: float,
) -> None:  # fmt: skip
    question = (prediction, references)
    assert scores(registry, metric, language, [question]) == {
        "f1": pytest.approx(f1, abs=1e-12), "exact_match": exact_match,
    }  # fmt: skip
    if references:
        assert plainly(metric, language, [question])["f1"] == pytest.approx(f1, abs=1e-12)


def test_the_score_is_the_mean_over_all_questions_also_those_without_a_prediction(registry: Registry) -> None:
    questions: list[Question] = [
        ("in the year 1066", ["1066"]),  # 1/2 and 0
        ("Normans", ["the Normans", "Norman"]),  # 1 and 1
        (None, ["Hastings"]),  # 0 and 0
        ("red", ["blue"]),  # 0 and 0
    ]
    assert scores(registry, "squad", "en", questions) == {"f1": 37.5, "exact_match": 25.0}


def test_f1_and_exact_match_may_come_from_different_references(registry: Registry) -> None:
    assert scores(registry, "squad", "en", [("the", ["a", "the cat"])]) == {"f1": 0.0, "exact_match": 100.0}
    assert scores(registry, "korquad", "ko", [("가 나", ["나가", "다"])]) == {"f1": 100.0, "exact_match": 0.0}


@A_FEW
@settings(max_examples=20)
@given(questions=question_lists(), data=st.data())
def test_the_order_of_rows_and_of_references_is_no_matter(
    registry: Registry, metric: str, language: str, questions: list[Question], data: st.DataObject
) -> None:
    mixed = [(prediction, data.draw(st.permutations(references))) for prediction, references in questions]
    shuffled = data.draw(st.permutations(mixed))
    expected = scores(registry, metric, language, questions)
    assert scores(registry, metric, language, shuffled) == pytest.approx(expected, abs=1e-9)


@A_FEW
@settings(max_examples=20)
@given(questions=question_lists())
def test_a_perfect_prediction_scores_what_the_metric_says_is_best_and_nothing_scores_more(
    registry: Registry, metric: str, language: str, questions: list[Question]
) -> None:
    best = dict(registry.metrics.get(metric).best)
    found = scores(registry, metric, language, questions)
    assert found.keys() == best.keys()
    assert all(0 <= found[name] <= best[name] for name in best)
    # Nothing at all is left of some references: equal, but with nothing in common.
    perfect: list[Question] = [
        (reference, references)
        for _, references in questions
        for reference in references
        if plainly(metric, language, [(reference, [reference])])["f1"]
    ]
    assume(perfect)
    assert scores(registry, metric, language, perfect) == best


@pytest.mark.parametrize(("name", "metric", "language"), REAL)
def test_published_answers_score_what_the_metric_says_is_best(
    registry: Registry, data_root: Path, name: str, metric: str, language: str
) -> None:
    path, step = FILES[name]
    perfect: list[Question] = []
    for _, references in real_questions(data_root / path, step):
        longest = max(references, key=len)
        # Some answers are nothing but punctuation or an article, which no prediction can have in common.
        if plainly(metric, language, [(longest, [longest])])["f1"]:
            perfect.append((longest, references))
    assert len(perfect) > 1000
    assert scores(registry, metric, language, perfect) == registry.metrics.get(metric).best


@pytest.mark.parametrize("language", ["ko", "ru", "multilingual", "EN", ""])
def test_mlqas_scorer_refuses_a_language_that_it_does_not_know(registry: Registry, language: str) -> None:
    made_up = Dataset("my-questions", (language,), "span", {}, "CC0", "nobody", "", "")
    with pytest.raises(UserError) as caught:
        registry.metrics.get("mlqa").compute(["one"], [["one"]], MetricContext(made_up, ()))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"mlqa does not know the language {language} of my-questions" in message
    assert all(known in message for known in MLQA_LANGUAGES)


def test_no_dataset_asks_mlqas_scorer_for_a_language_that_it_does_not_know(registry: Registry) -> None:
    asked = {dataset.name: dataset.languages[0] for dataset in registry.datasets if "mlqa" in dataset.official}
    assert set(asked.values()) == set(MLQA_LANGUAGES)
    assert {"mlqa-de-en", "xquad-zh", "squad-es-small"} <= asked.keys()


def test_the_language_of_the_passages_decides_not_that_of_the_questions(registry: Registry) -> None:
    compute = registry.metrics.get("mlqa").compute
    assert compute(["der Hund"], [["Hund"]], about("de", "en"))["exact_match"] == 100.0
    assert compute(["der Hund"], [["Hund"]], about("en", "de"))["exact_match"] == 0.0


@pytest.mark.parametrize("metric", ["squad", "korquad"])
@settings(max_examples=20)
@given(questions=question_lists(), language=st.sampled_from(["en", "ko", "ar", "zh", "tlh"]))
def test_the_other_scorers_treat_all_languages_alike(
    registry: Registry, metric: str, questions: list[Question], language: str
) -> None:
    assert scores(registry, metric, language, questions) == scores(registry, metric, "en", questions)


@A_FEW
def test_every_question_needs_its_place(registry: Registry, metric: str, language: str) -> None:
    with pytest.raises(ValueError, match="argument"):
        registry.metrics.get(metric).compute(["one", "two"], [["one"]], about(language))
