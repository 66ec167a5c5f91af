"""The scorers of reading comprehension a second time, slow and obvious: by character, by word, by question."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

ARTICLES = {
    "en": ("a", "an", "the"),
    "es": ("un", "una", "unos", "unas", "el", "la", "los", "las"),
    "vi": ("của", "là", "cái", "chiếc", "những"),
    "de": ("ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"),
}
KORQUAD_MARKS = ("'", '"', "《", "》", "<", ">", "〈", "〉", "(", ")", "‘", "’")
ALEF, LAM = "\u0627", "\u0644"

Words = Callable[[str], list[str]]


def words_of(metric: str, language: str) -> Words:
    """How a metric cuts an answer: ``squad``, ``korquad``, or ``mlqa`` in a language."""
    own: dict[str, Words] = {"squad": squad_words, "korquad": korquad_words}
    return own.get(metric, lambda text: mlqa_words(text, language))


def squad_words(text: str) -> list[str]:
    """The words of an answer as SQuAD v1.1 compares them."""
    return split(without_articles(without(text.lower(), is_ascii_punctuation), ARTICLES["en"]))


def korquad_words(text: str) -> list[str]:
    """The words of an answer as KorQuAD v1.0 compares them."""
    spaced = "".join(" " if character in KORQUAD_MARKS else character for character in text)
    return split(without(spaced.lower(), is_ascii_punctuation))


def mlqa_words(text: str, language: str) -> list[str]:
    """The words of an answer as MLQA compares them; in Chinese every Han character is a word."""
    text = without_articles(without(text.lower(), is_any_punctuation), ARTICLES.get(language, ()))
    if language == "ar":
        text = without_al(text)
    if language == "zh":
        text = "".join(f" {character} " if 0x4E00 <= ord(character) <= 0x9FA5 else character for character in text)
    return split(text)


def without(text: str, unwanted: Callable[[str], bool]) -> str:
    """A text without some characters."""
    return "".join(character for character in text if not unwanted(character))


def is_ascii_punctuation(character: str) -> bool:
    """Whether a character is one of ASCII's 32 marks."""
    return character in string.punctuation


def is_any_punctuation(character: str) -> bool:
    """Whether a character is punctuation to Unicode, or one of ASCII's 32 marks."""
    return unicodedata.category(character).startswith("P") or is_ascii_punctuation(character)


def without_articles(text: str, articles: Iterable[str]) -> str:
    """A text with a space for each article that is a whole run of letters, digits and underscores."""
    runs = ("".join(run) for _, run in groupby(text, lambda character: character.isalnum() or character == "_"))
    return "".join(" " if run in articles else run for run in runs)


def without_al(text: str) -> str:
    """A text with a space for each alef and lam that follow each other, anywhere."""
    kept: list[str] = []
    for character in text:
        if character == LAM and kept and kept[-1] == ALEF:
            kept[-1] = " "
        else:
            kept.append(character)
    return "".join(kept)


def split(text: str) -> list[str]:
    """The runs of characters that are not white space."""
    return ["".join(run) for blank, run in groupby(text, str.isspace) if not blank]


def overlap(predicted: Sequence[str], expected: Sequence[str]) -> float:
    """F1: every unit of the one side is matched with at most one equal unit of the other."""
    left = list(expected)
    for unit in predicted:
        if unit in left:
            left.remove(unit)
    common = len(expected) - len(left)
    if common == 0:
        return 0.0
    precision = common / len(predicted)
    recall = common / len(expected)
    return 2 * precision * recall / (precision + recall)


def compare(prediction: str | None, references: Sequence[str], words: Words, by_character: bool) -> tuple[float, float]:
    """F1 and exact match, 0 to 1, of one question: each the best over its references."""
    f1 = exact = 0.0
    if prediction is None:
        return f1, exact
    predicted = words(prediction)
    for reference in references:
        expected = words(reference)
        exact = max(exact, 1.0 if " ".join(predicted) == " ".join(expected) else 0.0)
        if by_character:
            f1 = max(f1, overlap("".join(predicted), "".join(expected)))
        else:
            f1 = max(f1, overlap(predicted, expected))
    return f1, exact


def naive_scores(
    metric: str, language: str, predictions: Sequence[str | None], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Mean F1 and exact match x100.

    Args:
        metric: ``squad``, ``korquad`` or ``mlqa``.
        language: For ``mlqa``.
        predictions: One a question; None where there is none.
        references: One list a question.
    """

    words = words_of(metric, language)
    f1 = exact = 0.0
    for prediction, texts in zip(predictions, references, strict=True):
        one_f1, one_exact = compare(prediction, texts, words, by_character=metric == "korquad")
        f1 += one_f1
        exact += one_exact
    return {"f1": 100.0 * f1 / len(references), "exact_match": 100.0 * exact / len(references)}
