"""Reads the STS files exactly as their publishers released them. Quotes are text; a line is a row."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xbench.api import DataError, Row, read_lines

KORSTS_HEADER = ["genre", "filename", "year", "id", "score", "sentence1", "sentence2"]

LONGEST = 1 << 20
"""Letters of a line that is unpacked, at most."""


def read_stsb(paths: Sequence[Path]) -> Iterator[Row]:
    """STS Benchmark: no header; score in column 5, sentences in 6 and 7, at times two more columns.

    Args:
        paths: One file.

    Yields:
        Rows of ``pair-score``; the id is the row's number, since the published ids repeat.

    Raises:
        DataError: A line does not have these columns.
    """
    for number, line in read_lines(paths[0]):
        yield _pair(paths[0], number, line.split("\t"), columns=(7, 9))


def read_korsts(paths: Sequence[Path]) -> Iterator[Row]:
    """KorSTS: STSb's columns under a header.

    Args:
        paths: One file.

    Yields:
        Rows of ``pair-score``, numbered as STSb's, of which they are translations.

    Raises:
        DataError: The header or a line does not have these columns.
    """
    for number, line in read_lines(paths[0]):
        fields = line.split("\t")
        if number > 1:
            yield _pair(paths[0], number, fields, columns=(7, 7), first=2)
        elif fields != KORSTS_HEADER:
            raise DataError(f"{paths[0]}, line 1: the header is not {' '.join(KORSTS_HEADER)}")


def _pair(path: Path, number: int, fields: list[str], columns: tuple[int, int], first: int = 1) -> Row:
    if not columns[0] <= len(fields) <= columns[1]:
        raise DataError(f"{path}, line {number}: {len(fields)} columns, expected {columns[0]}: the file is damaged")
    return {
        "id": str(number - first),
        "sentence1": fields[5].strip(),
        "sentence2": fields[6].strip(),
        "score": _score(path, number, fields[4]),
    }


def read_sts17(paths: Sequence[Path]) -> Iterator[Row]:
    """SemEval-2017 task 1: two sentences a line in one file, one gold score a line in another.

    Args:
        paths: The input file, then the gold file.

    Yields:
        Rows of ``pair-score``.

    Raises:
        DataError: A line is malformed, or the files are not of the same length.
    """
    gold = read_lines(paths[1])
    for number, line in read_lines(paths[0]):
        fields = line.split("\t")
        if len(fields) < 2:
            raise DataError(f"{paths[0]}, line {number}: one column, expected two sentences")
        _, score = next(gold, (0, None))
        if score is None:
            raise DataError(f"{paths[1]} ends before line {number}: fewer gold scores than pairs")
        yield {
            "id": str(number - 1),
            "sentence1": fields[0].strip(),
            "sentence2": fields[1].strip(),
            "score": _score(paths[1], number, score),
        }
    if next(gold, None) is not None:
        raise DataError(f"{paths[1]} has more gold scores than {paths[0].name} has pairs")


def read_hub_json(paths: Sequence[Path]) -> Iterator[Row]:
    """Pairs as JSON lines, gzipped, with the fields sentence1, sentence2 and score.

    Args:
        paths: One file.

    Yields:
        Rows of ``pair-score``.

    Raises:
        DataError: A line is not such an object.
    """
    index = 0
    try:
        with gzip.open(paths[0], "rt", encoding="utf-8", newline="\n") as lines:
            while line := lines.readline(LONGEST):
                if len(line) == LONGEST:
                    raise ValueError
                yield _hub_row(index, json.loads(line))
                index += 1
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{paths[0]}: damaged, delete it and get it again ({error})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise DataError(f"{paths[0]}, line {index + 1}: not a pair with a score") from None


def read_hub_parquet(paths: Sequence[Path]) -> Iterator[Row]:
    """Pairs as parquet, with the columns sentence1, sentence2 and score.

    Args:
        paths: One file.

    Yields:
        Rows of ``pair-score``.

    Raises:
        DataError: A column is missing.
    """
    import pyarrow.parquet

    index = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(paths[0]).iter_batches(1000):
            for item in batch.to_pylist():
                yield _hub_row(index, item)
                index += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{paths[0]}: damaged, delete it and get it again ({error})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise DataError(f"{paths[0]}, row {index}: not a pair with a score") from None


def _hub_row(index: int, item: dict[str, Any]) -> Row:
    return {
        "id": str(index),
        "sentence1": item["sentence1"].strip(),
        "sentence2": item["sentence2"].strip(),
        "score": float(item["score"]),
    }


def read_mini(paths: Sequence[Path], language: str) -> Iterator[Row]:
    """The small corpus: a header, then one pair a line in four languages.

    Args:
        paths: One file.
        language: Which of them.

    Yields:
        Rows of ``pair-score``.

    Raises:
        DataError: A line does not have the corpus's columns.
    """
    header: list[str] = []
    for number, line in read_lines(paths[0]):
        fields = line.split("\t")
        if number == 1:
            header = fields
            continue
        row = dict(zip(header, fields, strict=False))
        if len(fields) != len(header) or not {"id", "score", f"{language}_1", f"{language}_2"} <= row.keys():
            raise DataError(f"{paths[0]}, line {number}: not the columns of the corpus: the file is damaged")
        yield {
            "id": row["id"],
            "sentence1": row[f"{language}_1"],
            "sentence2": row[f"{language}_2"],
            "score": _score(paths[0], number, row["score"]),
        }


def _score(path: Path, number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}, line {number}: {text!r:.40} is not a score") from None
