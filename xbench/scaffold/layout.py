"""Which column of a file holds what: the schema's fields, the split, the language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..languages import code_error, code_hint
from .forms import FORMS, columns_of, plain

SPLITS = ("train", "dev", "test")
SPLIT_WORDS = {
    "train": "train", "training": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test",
}  # fmt: skip
LANGUAGE = re.compile("[a-z]{2,3}(-[a-z]{2,3})?")
"""ISO 639 codes: one, or those of a pair."""


@dataclass(frozen=True)
class Layout:
    """What a file's name and its first line say of its rows.

    Attributes:
        fields: Column by field of the schema.
        split: The split of all rows; empty where it is not said.
        split_column: The column that holds it instead.
        language: The language of all rows, or a pair; empty where it is not said.
        language_column: The column that holds it instead.
        languages: Those that may occur; none where all may.
    """

    fields: Mapping[str, str]
    split: str
    split_column: str | None
    language: str
    language_column: str | None
    languages: tuple[str, ...]

    def columns(self) -> list[str]:
        """All columns that are read."""
        said = (self.split_column, self.language_column)
        return [*self.fields.values(), *(column for column in said if column is not None)]

    def split_of(self, row: Mapping[str, Any]) -> str:
        """The split of a row; empty where nothing says it.

        Raises:
            UserError: Its column holds something else.
        """
        if self.split_column is None:
            return self.split
        word = str(row[self.split_column]).strip().casefold()
        if word not in SPLIT_WORDS:
            raise UserError(f"{row[self.split_column]!r:.60} is no split; there are {', '.join(SPLITS)}")
        return SPLIT_WORDS[word]

    def language_of(self, row: Mapping[str, Any]) -> str:
        """The language of a row.

        Raises:
            UserError: Nothing says it, or it is not among those asked for.
        """
        column = self.language_column
        language = self.language if column is None else str(row[column]).strip().casefold()
        if not language:
            raise UserError(
                "in which language is it? name one with --language, or write a column 'language'; where there are "
                "several, the code may also stand in the file's name, such as train.en.csv"
            )
        if not LANGUAGE.fullmatch(language):
            raise UserError(f"{language!r:.60} is no language code, such as en or ko{code_hint(language)}")
        if self.languages and language not in self.languages:
            raise UserError(
                f"the language {language:.60} is not among those of --language: {', '.join(self.languages)}"
            )
        return language


def read_layout(path: Path, header: Sequence[str], schema: str, languages: Sequence[str]) -> Layout:
    """Look at a file's name and its columns.

    Args:
        path: The file.
        header: Its column names.
        schema: One of `FORMS`.
        languages: Those asked for; none where the file shall say it.

    Raises:
        UserError: A field has no column, or the name says two splits.
    """
    columns = {plain(column): column for column in header}
    words = re.split("[^a-z0-9]+", path.stem.casefold())
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    if len(splits) > 1:
        raise UserError(f"{path}: its name says {' and '.join(sorted(splits))}, and can say one of them")
    named = [one for one in languages if f"-{one}-" in f"-{'-'.join(words)}-"]
    said = languages[0] if len(languages) == 1 else named[0] if len(named) == 1 else ""
    if not languages:
        said = _last_part(path)
    codes: dict[str, tuple[str, ...]] = {}
    if schema == "parallel":
        said = said or _pair(header, languages)
        if said and set(said.split("-")) <= columns.keys():  # the columns are called as the languages are
            codes = {f"sentence{side}": (code,) for side, code in enumerate(said.split("-"), 1)}
    fields = columns_of(FORMS[schema], list(header), str(path), codes)

    def free(*names: str) -> str | None:
        found = (columns[name] for name in names if name in columns)
        return next((column for column in found if column not in fields.values()), None)

    return Layout(
        fields, next(iter(splits), ""), free("split", "subset", "partition"), said,
        free("language", "lang", "locale"), tuple(languages),
    )  # fmt: skip


def _last_part(path: Path) -> str:
    """The language, or the pair, that ends a name such as ``train.en.csv``; three letters may be any word."""
    last = path.stem.casefold().rpartition(".")[2] if "." in path.stem else ""
    known = re.fullmatch("[a-z]{2}(-[a-z]{2})?", last) and not any(map(code_error, last.split("-")))
    return last if known else ""


def _pair(header: Sequence[str], languages: Sequence[str]) -> str:
    """The pair of languages that two columns are called after, in the order of the columns."""
    codes = [column for column in header if column != "id"]  # which is a code as well, but rarely meant as one
    pairs = [f"{first}-{second}" for at, first in enumerate(codes) for second in codes[at + 1 :]]
    if languages:
        pairs = [language for language in languages if set(language.split("-")) <= set(codes)]
    fit = [pair for pair in pairs if re.fullmatch("[a-z]{2,3}-[a-z]{2,3}" if languages else "[a-z]{2}-[a-z]{2}", pair)]
    return fit[0] if len(fit) == 1 else ""
