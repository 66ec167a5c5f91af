"""Forms of JSON that strangers wrote: each says which values fit it, and names what does not with its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from .errors import did_you_mean
from .toml_files import is_number

Form: TypeAlias = Callable[[Any, str], Iterator[str]]
"""From a value and its place, such as ``scores.spearman``, to what is wrong with it, a line each."""

SHOWN = 60
"""Characters of a wrong value that a message shows."""
MOST = 200
"""Entries of a list or a table, where its form sets no other bound."""
UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of characters that no text here may hold: control characters, halves of pairs, line separators."""
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the text around them, so that it reads as another."""


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line, and without what a terminal would obey."""
    if isinstance(value, (dict, list)):
        return f"a table of {len(value)}" if isinstance(value, dict) else f"a list of {len(value)}"
    return ascii_safe(repr(value[: SHOWN + 1] if isinstance(value, str) else value)[:SHOWN])


def ascii_safe(text: str) -> str:
    """A text, such as a stranger's file name, with an escape for each character that cannot be seen."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def text(most: int = MOST, pattern: re.Pattern[str] | None = None, words: str = "", empty: bool = False) -> Form:
    """A text.

    Args:
        most: Characters, at most.
        pattern: What it matches as a whole.
        words: What that is, for the message.
        empty: Whether it may hold nothing.
    """

    def form(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield f"{place}: {shown(value)} is not a text"
        elif len(value) > most:
            yield f"{place}: a text of {len(value)} characters; at most {most} fit"
        elif not value and not empty:
            yield f"{place}: is empty"
        elif not (value.isascii() and value.isprintable()) and any(map(unseen, value)):
            yield f"{place}: {shown(value)} holds characters that cannot be seen"
        elif value and pattern is not None and not pattern.fullmatch(value):
            yield f"{place}: {shown(value)} is not {words}"

    return form


def unseen(letter: str) -> bool:
    """Whether a character cannot be seen, or turns the text around it."""
    return letter in BIDI or unicodedata.category(letter) in UNSEEN


def one_of(*choices: str) -> Form:
    """One of some texts."""

    def form(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, str) or value not in choices:
            yield f"{place}: {shown(value)} is not {' or '.join(choices)}"

    return form


def whole(low: int, high: int = 2**53) -> Form:
    """A whole number from ``low`` to ``high``."""

    def form(value: Any, place: str) -> Iterator[str]:
        if type(value) is not int:
            yield f"{place}: {shown(value)} is not a whole number"
        elif not low <= value <= high:
            yield f"{place}: {shown(value)} does not lie between {low} and {high}"

    return form


def number(low: float | None = None, high: float | None = None) -> Form:
    """A finite number, of at least ``low`` and at most ``high``."""

    def form(value: Any, place: str) -> Iterator[str]:
        if not is_number(value):
            yield f"{place}: {shown(value)} is not a {'finite ' if isinstance(value, float) else ''}number"
        elif low is not None and value < low:
            yield f"{place}: {shown(value)} is below {low:g}"
        elif high is not None and value > high:
            yield f"{place}: {shown(value)} is above {high:g}"

    return form


def flag(value: Any, place: str) -> Iterator[str]:
    """True or false."""
    if not isinstance(value, bool):
        yield f"{place}: {shown(value)} is not true or false"


def scalar(value: Any, place: str) -> Iterator[str]:
    """A short text, a finite number, or true or false."""
    if isinstance(value, str):
        yield from text(empty=True)(value, place)
    elif not isinstance(value, bool) and not is_number(value):
        yield f"{place}: {shown(value)} is neither a text nor a finite number nor true or false"


def maybe(inner: Form) -> Form:
    """A value or null."""

    def form(value: Any, place: str) -> Iterator[str]:
        if value is not None:
            yield from inner(value, place)

    return form


def each(inner: Form, most: int = MOST) -> Form:
    """A list of values of one form."""

    def form(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{place}: {shown(value)} is not a list"
        elif len(value) > most:
            yield f"{place}: a list of {len(value)}; at most {most} fit"
        else:
            for index, item in enumerate(value):
                yield from inner(item, f"{place}[{index}]")

    return form


def named(inner: Form, name: Form, least: int = 0, most: int = MOST) -> Form:
    """A table from names of one form to values of another."""

    def form(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place}: {shown(value)} is not a table"
        elif not least <= len(value) <= most:
            yield f"{place}: has {len(value)} entries, and not {least} to {most}"
        else:
            for key, item in value.items():
                wrong = list(name(key, f"{place}: a name"))
                yield from wrong or inner(item, _inside(place, key))

    return form


def table(fields: Mapping[str, Form], optional: Collection[str] = ()) -> Form:
    """A table with given fields and no others.

    Args:
        fields: The form of each.
        optional: Those that may be missing.
    """

    def form(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place or 'the file'}: {shown(value)} is not a table"
            return
        for name in fields:
            if name not in value and name not in optional:
                yield f"{_inside(place, name)}: is missing"
        for name, item in value.items():
            if name in fields:
                yield from fields[name](item, _inside(place, name))
            else:
                near = did_you_mean(name, fields) if len(name) <= SHOWN else ""
                yield f"{_inside(place, shown(name))}: is no field of a record{near if near.startswith(' (') else ''}"

    return form


def _inside(place: str, name: str) -> str:
    safe = ascii_safe(name[:SHOWN])  # in a table of any names, they are a stranger's as well
    return f"{place}.{safe}" if place else safe
