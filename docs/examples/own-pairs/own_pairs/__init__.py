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


def pairs(language: str, *splits: str) -> Dataset:
    """The pairs of one language."""
    return Dataset(
        name=f"own-pairs-{language}",
        languages=(language,),
        schema="pair-score",
        splits={
            split: Split((Packaged((HERE / "rows" / f"{split}-{language}.csv",), read_pairs),)) for split in splits
        },
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
