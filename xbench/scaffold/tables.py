"""Reads a table of one's own: CSV, TSV or JSON lines, each line with its number."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..data.text import read_lines
from ..errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl")
DELIMITERS = ",;\t"
"""What may stand between the columns of a CSV file; its first line says which."""
LONGEST = 2**31 - 1
"""Letters of one CSV field: passages are longer than the csv module allows by itself."""


def read_table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file.

    Args:
        path: ``.csv`` (quotes as spreadsheets write them; commas, semicolons or tabs), ``.tsv`` (a line is a row,
            quotes are text), or ``.jsonl`` (an object a line).

    Yields:
        The line's number, and the row by column name.

    Raises:
        UserError: It is none of these, cannot be read, is not UTF-8, or a row does not fit its header.
    """
    check_file(path)
    try:
        yield from {".csv": _csv, ".tsv": _tsv, ".jsonl": _jsonl}[path.suffix.lower()](path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def check_file(path: Path) -> None:
    """See that there is a file of a kind that can be read.

    Raises:
        UserError: There is none.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: a file of rows ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(LONGEST)
    lines = (text + "\n" for _, text in read_lines(path))
    first = next(lines, "")
    delimiter = max(DELIMITERS, key=first.count)  # of equally many, the first
    reader = csv.reader(_chain(first, lines), delimiter=delimiter, strict=True)
    try:
        header = _header(path, next(reader, []))
        for values in reader:
            if values:
                yield reader.line_num, _row(path, reader.line_num, header, values)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _tsv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    header: list[str] = []
    for number, line in read_lines(path):
        if number == 1:
            header = _header(path, line.split("\t"))
        elif line.strip():
            yield number, _row(path, number, header, line.split("\t"))


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: not a JSON object")
        yield number, row


def _header(path: Path, names: list[str]) -> list[str]:
    header = [name.strip() for name in names]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: the column {twice!r:.100} stands twice in the first line")
    return header


def _row(path: Path, number: int, header: list[str], values: list[str]) -> dict[str, Any]:
    if len(values) != len(header):
        raise UserError(f"{path}, line {number}: {len(values)} columns, and the first line names {len(header)}")
    return dict(zip(header, values, strict=True))
