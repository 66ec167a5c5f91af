"""Content keys: the same content always hashes to the same key, on every machine."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """Write a value as JSON in the one form that is hashed.

    Args:
        value: Anything made of mappings, sequences, texts, finite numbers, booleans and None.

    Returns:
        JSON with sorted keys, no spaces, and text as it is.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_key(kind: str, content: Mapping[str, Any]) -> str:
    """Hash what a piece of work depends on.

    Args:
        kind: What it is, so that keys of different kinds never meet: ``stage``, ``cell``, ...
        content: Everything that its result depends on.

    Returns:
        64 hexadecimal digits.
    """
    return text_sha256(canonical({"kind": kind, "content": content}))


def text_sha256(text: str) -> str:
    """The sha256 of a text's UTF-8 bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read in pieces.

    Args:
        path: An existing file.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows_sha256(rows: Iterable[Mapping[str, Any]]) -> str:
    """The identity of a split: the sha256 over its canonical rows, one JSON line each, in order.

    Args:
        rows: All rows of the split.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row_line(row))
    return digest.hexdigest()


def row_line(row: Mapping[str, Any]) -> bytes:
    """One row as it enters `rows_sha256`."""
    return canonical(row).encode("utf-8", "surrogatepass") + b"\n"


def finite(value: float) -> float | None:
    """A score as it is stored: None where it is not defined."""
    return float(value) if math.isfinite(value) else None
