"""Rows of one's own: files with columns become rows of a schema, by split and language."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import UserError
from .forms import SCALES, row_of
from .layout import SPLITS, read_layout
from .tables import read_table

HELD_OUT = 0.1
"""The share of dev, and of test, where no file says which rows they are."""
LEAST = 10
"""Rows that can be divided, at least."""
OFTEN = 5
"""How many times as many rows a label has that another one may be meant for."""


@dataclass
class Collected:
    """The rows of a plugin to be.

    Attributes:
        rows: By split and language; a pair of languages is one text, such as ``en-ko``.
        languages: In order.
        labels: The class names, in order, of schemas with labels.
        score_range: The lowest and the highest score, of schemas with scores.
        notes: What the author should know, one line each.
        sample: Whether these rows only show what rows look like.
    """

    rows: dict[tuple[str, str], list[dict[str, Any]]]
    languages: tuple[str, ...]
    labels: tuple[str, ...] = ()
    score_range: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)
    sample: bool = False

    def having(self, split: str) -> list[str]:
        """The languages with rows in a split."""
        return [language for language in self.languages if self.rows.get((split, language))]


@dataclass(frozen=True)
class _Found:
    """One row and where it belongs.

    Attributes:
        split: Empty where nothing names it.
        language: Its language, or a pair.
        key: What it shares with rows that must be in the same split: its id, else its first text.
        row: In its schema's form, but that its label is a name, and its id empty where the file has none.
    """

    split: str
    language: str
    key: str
    row: dict[str, Any]


def collect(files: Sequence[Path], schema: str, languages: Sequence[str]) -> Collected:
    """Read files.

    Args:
        files: CSV, TSV or JSON lines, with column names.
        schema: One of `FORMS`.
        languages: Those asked for; where there are none, the files say which they hold.

    Returns:
        The rows; those that name no split are divided among train, dev and test.

    Raises:
        UserError: A file cannot be read, or a column, a value, a language or a split is missing or wrong.
    """
    where = ", ".join(map(str, files))
    found = [one for path in files for one in _read(path, schema, languages)]
    if not found:
        raise UserError(f"{where}: no rows")
    collected = Collected({}, tuple(languages) or tuple(dict.fromkeys(one.language for one in found)))
    try:
        places = _divide(found, collected)
        for one in found:
            collected.rows.setdefault((one.split or places[one.key], one.language), []).append(one.row)
        _number(collected)
        _name_labels(collected)
        _find_scale(collected)
        _check(collected)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return collected


def _read(path: Path, schema: str, languages: Sequence[str]) -> Iterator[_Found]:
    layout = None
    for number, values in read_table(path):
        layout = layout or read_layout(path, list(values), schema, languages)
        try:
            missing = next((column for column in layout.columns() if column not in values), None)
            if missing is not None:
                raise UserError(f"no {missing!r:.100}, which the first row has")
            row = row_of(schema, {name: values[column] for name, column in layout.fields.items()})
            split, language = layout.split_of(values), layout.language_of(values)
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        first = next(value for name, value in row.items() if name != "id")
        yield _Found(split, language, row["id"] or first, row)


def _divide(found: Sequence[_Found], collected: Collected) -> dict[str, str]:
    """The split of each key that has none: the same on every machine, and for all languages of an id."""
    keys = sorted({one.key for one in found if not one.split}, key=lambda key: hashlib.sha256(key.encode()).digest())
    if not keys:
        return {}
    if len(keys) < LEAST:
        raise UserError(f"{len(keys)} rows of no split: {LEAST} are needed to divide them; or name the files by split")
    held = max(2, round(len(keys) * HELD_OUT))
    same = "rows of one id" if any(one.row["id"] for one in found) else "rows of one text"
    collected.notes.append(
        f"rows that name no split were divided by a draw, {len(keys) - 2 * held} for train, {held} for dev, {held} for "
        f"test; {same} stay together"
    )
    return {key: "test" if at < held else "dev" if at < 2 * held else "train" for at, key in enumerate(keys)}


def _number(collected: Collected) -> None:
    """Give rows without an id their number in their language's dataset."""
    for language in collected.languages:
        rows = [row for split in SPLITS for row in collected.rows.get((split, language), [])]
        for number, row in enumerate(rows, 1):
            row["id"] = row["id"] or str(number)


def _name_labels(collected: Collected) -> None:
    """Put numbers for labels, in the order of their names."""
    rows = [row for some in collected.rows.values() for row in some if "label" in row]
    if not rows:
        return
    counts = Counter(row["label"] for row in rows)
    names = set(counts)
    if not 2 <= len(names) <= max(20, len(rows) // 5):
        raise UserError(f"{len(names)} labels in {len(rows)} rows: at least two are needed, and far fewer than rows")
    numbers = all(re.fullmatch("[0-9]{1,9}", name) for name in names)
    collected.labels = tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))
    collected.notes.append(_labels_note(collected.labels, counts))
    places = {name: place for place, name in enumerate(collected.labels)}
    for row in rows:
        row["label"] = places[row["label"]]


def _labels_note(labels: Sequence[str], counts: Mapping[str, int]) -> str:
    """Which labels there are, and which of them may be another one misspelt: rare, and spelt nearly the same."""
    note = "labels, with how many rows: " + ", ".join(f"{name:.60} {counts[name]}" for name in labels)
    for name in labels:
        often = [other for other in labels if counts[other] >= OFTEN * counts[name]]
        near = [] if name.isdecimal() else get_close_matches(name, often, 1, cutoff=0.85)
        if near:
            note += f"; is {name!r:.60} a {near[0]!r:.60} misspelt?"
    return note


def _find_scale(collected: Collected) -> None:
    """Take the first usual range that holds all scores, else the one that they span."""
    scores = [row["score"] for rows in collected.rows.values() for row in rows if "score" in row]
    if not scores:
        return
    low, high = min(scores), max(scores)
    if low == high:
        raise UserError(f"every score is {low:g}: there is nothing to learn")
    scale = next((one for one in SCALES if one[0] <= low and high <= one[1]), (low, high))
    collected.score_range = scale
    collected.notes.append(
        f"scores lie between {low:g} and {high:g}; their range was declared as {scale[0]:g} to {scale[1]:g}"
    )


def _check(collected: Collected) -> None:
    """See that there is something to train and to score on, and that ids are unique.

    Raises:
        UserError: There is not, or they are not.
    """
    for split in ("train", "test"):
        if not collected.having(split):
            raise UserError(f"no rows for {split}; call a file {split}.csv, or name no split to have rows divided")
    for language in collected.languages:
        if not any(collected.rows.get((split, language)) for split in SPLITS):
            raise UserError(f"no rows in {language}, which --language names")
    for (split, language), rows in collected.rows.items():
        most, count = Counter(row["id"] for row in rows).most_common(1)[0]
        if count > 1:
            raise UserError(
                f"the id {most!r:.60} stands {count} times in {split}, {language}; ids are unique in a split"
            )
        if split == "test" and len(rows) < 2:
            raise UserError(f"one row for test in {language}; a score needs two at least")
