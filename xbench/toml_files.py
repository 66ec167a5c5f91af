"""TOML read strictly: an unknown key, or a value of the wrong kind, is one line that says which and what to do."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from .errors import UserError, did_you_mean

Kind: TypeAlias = tuple[str, Callable[[Any], bool]]
"""What a key takes, in words, and whether a value is that."""
LARGEST = 1e300
WIDEST = 2**63
"""Whole numbers of TOML lie below it; what a file writes beyond it, no checksum could hold."""
MOST_BYTES = 1_000_000
"""Of a file; the largest that comes with xbench has 20,000."""
SHOWN = 60
"""Characters of a wrong value that a message shows."""
_TOO_MANY_DOTS = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""A key of tables within tables: Python's reader takes time by the square of their number."""


def is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


LIST: Kind = (
    "a list of texts", lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value)
)  # fmt: skip
TEXT: Kind = ("a text", lambda value: isinstance(value, str))
FLAG: Kind = ("true or false", lambda value: isinstance(value, bool))
NUMBER: Kind = ("a number", is_number)


def is_whole(value: object) -> bool:
    """Whether a value is a whole number of 64 bits; true and false are none."""
    return type(value) is int and -WIDEST <= value < WIDEST


WHOLE: Kind = ("a whole number", is_whole)
WHOLES: Kind = ("a list of whole numbers", lambda value: isinstance(value, list) and all(map(is_whole, value)))
TABLE: Kind = ("a table", lambda value: isinstance(value, dict))
TABLES: Kind = (
    "a list of tables", lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value)
)  # fmt: skip
TEXTS: Kind = (
    "a table of texts", lambda value: isinstance(value, dict) and all(type(item) is str for item in value.values())
)  # fmt: skip
NUMBERS: Kind = (
    "a table of numbers", lambda value: isinstance(value, dict) and all(map(is_number, value.values()))
)  # fmt: skip


def read_toml(source: Path | str, where: str) -> dict[str, Any]:
    """Read TOML.

    Args:
        source: The path of a file, or TOML text itself.
        where: What to call it in a message.

    Raises:
        UserError: It cannot be read, or is not TOML.
    """
    try:
        text = _read(source, where) if isinstance(source, Path) else source
        if len(text) > MOST_BYTES:
            raise UserError(f"{where}: longer than {MOST_BYTES:,} bytes: not a file for xbench")
        if _TOO_MANY_DOTS.search(text):
            raise UserError(f"{where}: not TOML for xbench: a key of more than 30 parts")
        return tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{where}: not TOML for xbench: lists or tables within each other too often") from None
    except ValueError as error:  # a TOMLDecodeError, a UnicodeDecodeError, or a number with thousands of digits
        raise UserError(f"{where}: not TOML: {error}") from None


def _read(path: Path, where: str) -> str:
    """A file's text, or as much of it as is needed to see that it is too long."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    return data.decode("utf-8", "strict" if len(data) <= MOST_BYTES else "replace").replace("\r\n", "\n")


def brief(value: object) -> str:
    """A wrong value for a message: the beginning of it, where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of lists in lists
        text = f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def check_values(
    values: Mapping[str, Any], kinds: Mapping[str, Kind], required: Collection[str], where: str
) -> None:  # fmt: skip
    """See that a table has the keys that it may and must have, each with a value of its kind.

    Args:
        values: The table.
        kinds: What each key takes.
        required: Keys that must be there and not empty.
        where: The file, and the table in it, for the message.

    Raises:
        UserError: A key is unknown or missing, or a value is of the wrong kind.
    """
    for key, value in values.items():
        if key not in kinds:
            near = did_you_mean(key, kinds) if len(key) <= SHOWN else ""
            raise UserError(f"{where}: unknown key {brief(key)}{near}")
        words, holds = kinds[key]
        if not holds(value):
            raise UserError(f"{where}: {key} takes {words}, not {brief(value)}")
    for key in required:
        if not values.get(key):
            raise UserError(f"{where}: the key {key!r} is missing or empty")
