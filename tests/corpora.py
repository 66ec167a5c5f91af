"""What the tests of the small corpora share: the languages, and how texts are compared and looked at."""

from __future__ import annotations

import re
import unicodedata

LANGUAGES = ("en", "ko", "es", "ar")
SCRIPTS = {"en": "LATIN", "ko": "HANGUL", "es": "LATIN", "ar": "ARABIC"}


def plain(text: str) -> str:
    """A text without what does not make it another one: case, accents, punctuation, spacing."""
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\w+", letters.casefold()))


def alike(first: str, second: str) -> float:
    """Shared words, as a part of all."""
    one, other = set(plain(first).split()), set(plain(second).split())
    return len(one & other) / len(one | other)


def in_script(text: str, language: str) -> float:
    """The share of a text's letters that are of its language's script."""
    letters = [unicodedata.name(letter) for letter in text if letter.isalpha()]
    return sum(name.startswith(SCRIPTS[language]) for name in letters) / len(letters)


def check_composed_and_spaced_once(text: str) -> None:
    """A text is not empty, composed, on one line, and has no white space but single spaces inside."""
    assert text
    assert text == text.strip() == unicodedata.normalize("NFC", text)
    assert not re.search(r"\s\s|[^\S ]", text), text
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn") for letter in text), text
