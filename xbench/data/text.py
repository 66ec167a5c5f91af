"""Reads published text files line by line, exactly as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""The lines of a UTF-8 file. Only ``\n`` and ``\r\n`` end a line: NEL, line separators and quotes are text.

    Args:
        path: An existing file. A byte-order mark at its start is dropped.

    Yields:
        The line's number from 1, and its text without the line's end.

    Raises:
        DataError: A line is not UTF-8.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: not UTF-8 (byte {error.start}): get the file again as it was "
                    "published; one of your own, save as UTF-8"
                ) from None
