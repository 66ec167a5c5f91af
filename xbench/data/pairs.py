"""Parallel sentences of one's own: a two-column file becomes a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import DataError, UserError
from ..types import Dataset, Packaged, Row, Split
from .text import read_lines


def parallel_tsv(
    name: str, languages: tuple[str, str], files: Mapping[str, Path], licence: str, citation: str, homepage: str = "",
    description: str = "",
) -> Dataset:  # fmt: skip
    """A dataset of parallel sentences from files with a pair a line: the sentence, a tab, its translation.

    Args:
        name: What tasks and ``--eval`` call it.
        languages: ISO 639-1 codes, of the first column and of the second.
        files: By split, such as ``{"train": ..., "test": ...}``; UTF-8, without a header.
        licence: Of the sentences.
        citation: Whom to cite.
        homepage: Where they are from.
        description: One line.

    Returns:
        The dataset.

    Raises:
        UserError: There are not two languages, or no files.
    """
    if len(languages) != 2 or not files:
        raise UserError(f"the dataset {name}: two languages and at least one file make parallel sentences")
    about = description or f"Parallel sentences of {' and '.join(path.name for path in files.values())}"
    splits = {split: Split((Packaged((path,), read_pairs),)) for split, path in files.items()}
    return Dataset(name, tuple(languages), "parallel", splits, licence, citation, homepage, about)


def read_pairs(paths: Sequence[Path]) -> Iterator[Row]:
    """The rows of a two-column file.

    Args:
        paths: One file.

    Yields:
        Rows of ``parallel``; the id is the line's number. Lines of white space alone are no rows.

    Raises:
        DataError: A line does not have two columns, or one of them is empty.
    """
    for number, line in read_lines(paths[0]):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) != 2 or not all(column.strip() for column in columns):
            raise DataError(
                f"{paths[0]}, line {number}: a sentence, a tab and its translation are needed; this line has "
                f"{sum(bool(column.strip()) for column in columns)} texts in {len(columns)} columns"
            )
        yield {"id": str(number), "sentence1": columns[0], "sentence2": columns[1]}
