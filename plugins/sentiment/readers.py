"""Reads reviews exactly as their publishers released them: an empty one is a row, and only a newline ends a line."""

from __future__ import annotations

import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from xbench.api import DataError, Row, open_tar, read_lines

LABELS = ("negative", "positive")
NSMC_HEADER = ["id", "document", "label"]
_REVIEW = re.compile(r"aclImdb/(train|test)/(neg|pos)/([0-9]{1,9})_([0-9]{1,9})\.txt")
_SIDES = ("neg", "pos")
LONGEST = 16 << 20
"""Bytes of a review, at most; the longest published one has 13,000."""


def read_nsmc(paths: Sequence[Path]) -> Iterator[Row]:
    """NSMC: id, document and label under a header; quotes are text, and a document may be empty.

    Args:
        paths: One file.

    Yields:
        Rows of ``text-label``.

    Raises:
        DataError: The header or a line does not have these columns.
    """
    for number, line in read_lines(paths[0]):
        fields = line.split("\t")
        if number == 1:
            if fields != NSMC_HEADER:
                raise DataError(f"{paths[0]}, line 1: the header is not {' '.join(NSMC_HEADER)}")
            continue
        if len(fields) != 3 or fields[2] not in ("0", "1"):
            raise DataError(f"{paths[0]}, line {number}: expected id, document and a label of 0 or 1")
        yield {"id": fields[0], "text": fields[1], "label": int(fields[2])}


def read_lmrd(paths: Sequence[Path], split: str) -> Iterator[Row]:
    """LMRD from its archive: the publisher's whole one, or one with the labelled reviews alone.

    Args:
        paths: One tar, compressed or not; its order of files does not matter.
        split: ``train`` or ``test``.

    Yields:
        Rows of ``text-label``, negative ones first, each side by number; the id is the review's place, such as
        ``neg/0_2``: its number, and its rating from 1 to 10.

    Raises:
        DataError: It is no tar or damaged, a review is not UTF-8, or none is there.
    """
    found: dict[tuple[int, int], tuple[str, bytes]] = {}
    try:
        with open_tar(paths[0]) as tar:
            for member in tar:
                match = _REVIEW.fullmatch(member.name.removeprefix("./"))
                ours = match and match[1] == split and member.isreg() and not member.issparse()
                if ours and member.size > LONGEST:
                    raise tarfile.ReadError(f"a review of {member.size:,} bytes")
                content = tar.extractfile(member) if ours else None
                if match and content is not None:
                    key = _SIDES.index(match[2]), int(match[3])
                    found[key] = f"{match[2]}/{match[3]}_{match[4]}", content.read()
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError) as error:
        line = " ".join(str(error).split())
        raise DataError(
            f"{paths[0]}: not a whole tar ({type(error).__name__}: {line:.200}); get the file again"
        ) from None
    yield from _reviews(paths[0], found)


def read_lmrd_folder(paths: Sequence[Path], split: str) -> Iterator[Row]:
    """LMRD from its extracted folder.

    Args:
        paths: The folder ``aclImdb``.
        split: ``train`` or ``test``.

    Yields:
        The very rows of `read_lmrd`.

    Raises:
        DataError: A review is not UTF-8, or none is there.
    """
    found: dict[tuple[int, int], tuple[str, bytes]] = {}
    for index, side in enumerate(_SIDES):
        for path in (paths[0] / split / side).glob("*.txt"):
            match = _REVIEW.fullmatch(f"aclImdb/{split}/{side}/{path.name}")
            if match:
                found[index, int(match[3])] = f"{side}/{match[3]}_{match[4]}", path.read_bytes()
    yield from _reviews(paths[0], found)


def _reviews(path: Path, found: dict[tuple[int, int], tuple[str, bytes]]) -> Iterator[Row]:
    for label, number in sorted(found):
        name, content = found[label, number]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: review {name} is not UTF-8 (byte {error.start}); get the file again") from None
        yield {"id": name, "text": text, "label": label}


def read_mini(paths: Sequence[Path], language: str) -> Iterator[Row]:
    """Our own reviews, one language of them.

    Args:
        paths: One file: a list of reviews, each with its label and its text by language.
        language: Which.

    Yields:
        Rows of ``text-label``.
    """
    for review in json.loads(paths[0].read_text(encoding="utf-8")):
        yield {"id": review["id"], "text": review["text"][language], "label": LABELS.index(review["label"])}
