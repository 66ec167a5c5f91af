"""Rows that show what rows look like: taken from the sample corpora that come with xbench."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..errors import UserError
from ..languages import language_name
from ..registry import Registry
from ..types import Dataset, Packaged, Row
from .follow import comes_with_xbench
from .own_rows import Collected

COUNTS = {"train": ("train", 0, 64), "dev": ("train", 64, 80), "test": ("test", 0, 32)}
"""Split: the corpus's split, and which of its rows. Sixteen make four whole passages of four questions each."""
SAME, DIFFERENT = 4.0, 2.0
"""From this score on two sentences say the same, up to that one they do not."""
SAME_LABELS = ("different", "same")
ORIGIN = {"pair-label": "pair-score", "parallel": "pair-score"}
"""Schemas whose rows are made of another's."""


def sample_rows(registry: Registry, schema: str, languages: Sequence[str]) -> Collected:
    """Sample rows in some languages, the same ones in all.

    Args:
        registry: Of the installed plugins.
        schema: The schema.
        languages: Codes, or pairs such as ``en-ko``.

    Returns:
        The rows. A language of which there is no sample gets rows of one that has some, and a note says so.

    Raises:
        UserError: No sample corpus has such a schema.
    """
    corpora = _corpora(registry, ORIGIN.get(schema, schema))
    if not corpora:
        raise UserError(f"xbench has no sample rows for the schema {schema}: give rows of your own with --data")
    some = next(iter(corpora.values()))
    collected = Collected({}, tuple(languages), sample=True)
    for language in languages:
        sides = [corpora.get(code, some) for code in language.split("-")]
        absent = [code for code in language.split("-") if code not in corpora]
        if absent:
            collected.notes.append(
                f"there are no sample rows in {' and '.join(map(language_name, absent))}: in {language}, "
                f"{language_name(some.language)} ones stand in for them until you put your own"
            )
        for split in COUNTS:
            collected.rows[split, language] = _rows(schema, split, sides)
    collected.labels = SAME_LABELS if schema == "pair-label" else some.labels
    collected.score_range = some.score_range if schema == "pair-score" else None
    return collected


def _corpora(registry: Registry, schema: str) -> dict[str, Dataset]:
    """By language, the corpora in one language that come with xbench."""
    return {
        dataset.language: dataset
        for dataset in registry.datasets
        if dataset.sample
        and dataset.schema == schema
        and len(dataset.languages) == 1
        and comes_with_xbench(registry.datasets, dataset.name)
    }


def _rows(schema: str, split: str, sides: Sequence[Dataset]) -> list[dict[str, Any]]:
    """The rows of one split, in one language or with a side in each of two."""
    origin, first, last = COUNTS[split]
    make = _MADE.get(schema, _mixed)
    return [dict(row) for row in islice(make(*(_read(side, origin) for side in sides)), first, last)]


def _read(dataset: Dataset, split: str) -> Iterator[Row]:
    (source,) = dataset.splits[split].sources
    assert isinstance(source, Packaged)
    return source.read(source.files)


def _mixed(left: Iterator[Row], right: Iterator[Row] | None = None) -> Iterator[Row]:
    """Rows as they are, or with what the reader is asked in a second language."""
    for row in left:
        other = row if right is None else next(right)
        yield {**row, **{name: other[name] for name in ("sentence2", "question") if name in row}}


def _labelled(*sides: Iterator[Row]) -> Iterator[Row]:
    """Pairs that clearly say the same, or clearly do not."""
    for row in _mixed(*sides):
        if row["score"] >= SAME or row["score"] <= DIFFERENT:
            kept = {name: row[name] for name in ("id", "sentence1", "sentence2")}
            yield {**kept, "label": int(row["score"] >= SAME)}


def _translated(left: Iterator[Row], right: Iterator[Row]) -> Iterator[Row]:
    """Each first sentence with its translation."""
    for one, other in zip(left, right, strict=True):
        yield {"id": one["id"], "sentence1": one["sentence1"], "sentence2": other["sentence1"]}


_MADE: Mapping[str, Callable[..., Iterator[Row]]] = {"pair-label": _labelled, "parallel": _translated}
