"""Scored sentence pairs of one's own, from CSV files, for the heads and metrics that xbench has."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from xbench.api import Dataset, Packaged, Row, Split, hookimpl

HERE = Path(__file__).parent


def read_pairs(paths: Sequence[Path]) -> Iterator[Row]:
    """Read a CSV with the columns sentence1, sentence2 and score.

    Args:
        paths: One file.

    Yields:
        Rows of the schema ``pair-score``; a row's id is its number.
    """
    with paths[0].open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.DictReader(file)):
            yield {
                "id": str(number),
                "sentence1": line["sentence1"],
                "sentence2": line["sentence2"],
                "score": float(line["score"]),
            }


PINNED = {  # how many rows there are, and their sha256: other rows are an error
    "train-en": (24, "d5945c372f7ae70dd5e7f0a10abc57c9dc5cd3f9e2bb9e04129ae4e68c6a1854"),
    "test-en": (12, "7d8f9a982405c1d44d0e7c2970b940d1e0b3298d1a0315a804e40575dcf55b6d"),
    "test-es": (12, "1256d936218b70ff9f7e3ad6ab42a1271b81c34ddfa1154809db2cac41406120"),
}


def rows_of(name: str) -> Split:
    """The pairs of one file."""
    return Split((Packaged((HERE / "rows" / f"{name}.csv",), read_pairs),), *PINNED[name])


def pairs(language: str, *splits: str) -> Dataset:
    """The pairs of one language."""
    return Dataset(
        name=f"own-pairs-{language}",
        languages=(language,),
        schema="pair-score",
        splits={split: rows_of(f"{split}-{language}") for split in splits},
        licence="Apache-2.0",
        citation="written for this example",
        homepage="docs/examples/own-pairs",
        description="Sentence pairs scored from 0 (nothing in common) to 5 (the same)",
        sample=True,
        score_range=(0.0, 5.0),
        translation_of="" if language == "en" else "own-pairs-en",
    )


@hookimpl
def xbench_datasets() -> Iterable[Dataset]:
    """English to train on, English and Spanish to test on."""
    return [pairs("en", "train", "test"), pairs("es", "test")]


@hookimpl
def xbench_tasks() -> Iterable[Path]:
    """``own-pairs``."""
    return [HERE / "own-pairs.toml"]
