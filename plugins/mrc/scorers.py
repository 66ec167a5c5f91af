"""The publishers' scorers: how an answer is normalised, and how two answers are compared.

Sources: SQuAD v1.1 ``evaluate-v1.1.py`` (Rajpurkar et al., 2016), KorQuAD v1.0 ``evaluate-v1.0.py`` (Lim et al., 2019)
and ``mlqa_evaluation_v1.py`` (Lewis et al., 2020), reimplemented from what they compute.
"""

from __future__ import annotations

import functools
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
# KorQuAD's marks: straight quotes, book brackets in full and half width, angle and round brackets, curly single quotes.
_KORQUAD_MARKS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
_ENGLISH = re.compile(r"\b(a|an|the)\b")
_MLQA_ARTICLES = {
    "en": _ENGLISH,
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    # The published pattern also has an alternative that can never match; what is left is the article everywhere.
    "ar": re.compile("ال"),
}
MLQA_LANGUAGES = ("en", "es", "hi", "vi", "de", "ar", "zh")
"""What the MLQA scorer knows; Hindi and Chinese have no articles, and Chinese is cut into characters."""
_HAN = re.compile("[\u4e00-\u9fa5]")


@dataclass(frozen=True)
class Scorer:
    """One publisher's way to compare answers.

    Attributes:
        normalise: Brings a text to the form in which exact match compares.
        units: Cuts a normalised text into what F1 counts: words, or characters.
    """

    normalise: Callable[[str], str]
    units: Callable[[str], Iterable[str]] = str.split

    def exact(self, prediction: str, reference: str) -> float:
        """1 where the normalised texts are equal, else 0."""
        return float(self.normalise(prediction) == self.normalise(reference))

    def f1(self, prediction: str, reference: str) -> float:
        """F1 of the units, 0 where the texts share none (also when both are empty)."""
        return unit_f1(list(self.units(self.normalise(prediction))), list(self.units(self.normalise(reference))))

    def best(self, prediction: str, references: Sequence[str]) -> tuple[float, float]:
        """The highest F1 and the highest exact match over the references, 0 where there are none."""
        return (
            max((self.f1(prediction, reference) for reference in references), default=0.0),
            max((self.exact(prediction, reference) for reference in references), default=0.0),
        )


def unit_f1(predicted: Sequence[str], expected: Sequence[str]) -> float:
    """F1 of two multisets, by the operations of the published scripts in their order: the same digits to the last."""
    return counted_f1((Counter(predicted) & Counter(expected)).total(), len(predicted), len(expected))


def counted_f1(common: int, predicted: int, expected: int) -> float:
    """F1 from the numbers of common, predicted and expected units; 0 where none is common."""
    if common == 0:
        return 0.0
    precision, recall = common / predicted, common / expected
    return 2 * precision * recall / (precision + recall)


@functools.lru_cache(1 << 16)
def normalise_squad(text: str) -> str:
    """Lower case, no ASCII punctuation, English articles to a space, single spaces."""
    return " ".join(_ENGLISH.sub(" ", text.lower().translate(_ASCII_PUNCTUATION)).split())


@functools.lru_cache(1 << 16)
def normalise_korquad(text: str) -> str:
    """Quotes and brackets to a space, lower case, no ASCII punctuation, single spaces."""
    return " ".join(text.translate(_KORQUAD_MARKS).lower().translate(_ASCII_PUNCTUATION).split())


def characters(text: str) -> Iterable[str]:
    """The characters of all words: what KorQuAD's F1 counts."""
    return text.replace(" ", "")  # a normalised text has no other white space


@functools.cache
def _all_punctuation() -> dict[int, None]:
    """Unicode's punctuation and ASCII's, which has a few symbols more."""
    marks = {code for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P")}
    return dict.fromkeys(marks | set(map(ord, string.punctuation)))


@functools.lru_cache(1 << 16)
def normalise_mlqa(text: str, language: str) -> str:
    """Lower case, no punctuation of any script, a space for the language's articles, Chinese by character.

    Args:
        text: An answer.
        language: Of the context, one of `MLQA_LANGUAGES`.
    """
    text = text.lower().translate(_all_punctuation())
    articles = _MLQA_ARTICLES.get(language)
    if articles is not None:
        text = articles.sub(" ", text)
    if language == "zh":
        text = _HAN.sub(r" \g<0> ", text)
    return " ".join(text.split())


SQUAD = Scorer(normalise_squad)
KORQUAD = Scorer(normalise_korquad, characters)


@functools.cache
def mlqa(language: str) -> Scorer:
    """MLQA's scorer for one language.

    Raises:
        KeyError: The scorer does not know the language.
    """
    if language not in MLQA_LANGUAGES:
        raise KeyError(language)
    return Scorer(functools.partial(normalise_mlqa, language=language))
