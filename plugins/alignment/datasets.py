"""Tatoeba's parallel sentences, as LASER's authors put them together and XTREME uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from xbench.api import DataError, Dataset, Files, Row, SourceFile, Split, language_name, read_lines

ADDRESS = (
    "https://raw.githubusercontent.com/facebookresearch/LASER/fec5c7d63daa2bea9d127e8252b10e87278586c0/data/tatoeba/v1/"
)
LANGUAGES = {"ko": "kor", "es": "spa", "ar": "ara"}


def read_both(paths: Sequence[Path]) -> Iterator[Row]:
    """Two files of which one is the translation of the other, line by line.

    Args:
        paths: Both files.

    Yields:
        Rows of ``parallel``; the id is the line's number.

    Raises:
        DataError: One has more lines than the other.
    """
    for left, right in zip_longest(*map(read_lines, paths)):
        if left is None or right is None:
            shorter, longer = (paths[0], paths[1]) if left is None else (paths[1], paths[0])
            raise DataError(f"{shorter} has fewer lines than {longer.name}: one of them is not whole")
        yield {"id": str(left[0]), "sentence1": left[1], "sentence2": right[1]}


def _tatoeba(language: str, code: str) -> Dataset:
    names = [f"tatoeba.{code}-eng.{side}" for side in (code, "eng")]
    files = tuple(SourceFile(f"tatoeba/{name}", None, ADDRESS + name) for name in names)
    return Dataset(
        name=f"tatoeba-{language}-en",
        languages=(language, "en"),
        schema="parallel",
        splits={"test": Split((Files(files, read_both),))},
        licence="CC BY 2.0 FR",
        citation="Artetxe and Schwenk (2019), Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual "
        "Transfer and Beyond",
        homepage="https://github.com/facebookresearch/LASER/tree/main/data/tatoeba/v1",
        not_on_hub="the hub's copy (mteb/tatoeba-bitext-mining) has not been held against these rows",
        description=f"Tatoeba: up to 1,000 sentences in {language_name(language)} with their English translations",
    )


DATASETS = [_tatoeba(language, code) for language, code in LANGUAGES.items()]
