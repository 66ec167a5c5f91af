"""TOML read strictly: an unknown key, or a value of the wrong kind, is one line that says which and what to do."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from .errors import UserError, did_you_mean

Kind: TypeAlias = tuple[str, Callable[[Any], bool]]
"""What a key takes, in words, and whether a value is that."""
LARGEST = 1e300


def is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


LIST: Kind = (
    "a list of texts", lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value)
)  # fmt: skip
TEXT: Kind = ("a text", lambda value: isinstance(value, str))
FLAG: Kind = ("true or false", lambda value: isinstance(value, bool))
NUMBER: Kind = ("a number", is_number)
WHOLE: Kind = ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
WHOLES: Kind = (
    "a list of whole numbers", lambda value: isinstance(value, list) and all(type(item) is int for item in value)
)  # fmt: skip
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
        return tomllib.loads(source.read_text(encoding="utf-8") if isinstance(source, Path) else source)
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: not TOML: {error}") from None


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
            raise UserError(f"{where}: unknown key {key!r}{did_you_mean(key, kinds)}")
        words, holds = kinds[key]
        if not holds(value):
            raise UserError(f"{where}: {key} takes {words}, not {value!r}")
    for key in required:
        if not values.get(key):
            raise UserError(f"{where}: the key {key!r} is missing or empty")
