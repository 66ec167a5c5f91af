"""KorSTS translates STSb row by row: the readers that put both together, as parallel sentences and as mixed pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xbench.api import DataError, Row, read_lines

from .readers import KORSTS_HEADER, read_korsts, read_mini, read_stsb

SIDES = ("sentence1", "sentence2")


def read_translations(paths: Sequence[Path]) -> Iterator[Row]:
    """Each sentence of STSb with its translation, once; without what stands in splits that are held out.

    Args:
        paths: STSb's and KorSTS's file of one split, then both files of each split to keep clear of.

    Yields:
        Rows of ``parallel``, English first; the id is the row's number in STSb and which of its sentences it is.

    Raises:
        DataError: The files are not translations of each other.
    """
    held_out: list[set[str]] = [set(), set()]
    for pair in zip(paths[2::2], paths[3::2], strict=True):
        for _, english, korean in _sentences(*pair):
            held_out[0].add(english)
            held_out[1].add(korean)
    seen: set[tuple[str, str]] = set()
    for name, english, korean in _sentences(*paths[:2]):
        known = english in held_out[0] or korean in held_out[1] or (english, korean) in seen
        if english and korean and not known:
            seen.add((english, korean))
            yield {"id": name, "sentence1": english, "sentence2": korean}


def read_mixed_pairs(paths: Sequence[Path]) -> Iterator[Row]:
    """STSb's pairs with the second sentence in Korean.

    Args:
        paths: STSb's and KorSTS's file of one split.

    Yields:
        Rows of ``pair-score``: an English sentence, a Korean one, and the pair's gold score.

    Raises:
        DataError: The files are not translations of each other.
    """
    for english, korean in _matched(*paths):
        yield {**english, "sentence2": korean["sentence2"]}


def read_mini_translations(paths: Sequence[Path], languages: tuple[str, str]) -> Iterator[Row]:
    """The sentences of the small corpus in two languages, each once.

    Args:
        paths: One file.
        languages: The source's and the target's.

    Yields:
        Rows of ``parallel``.
    """
    seen: set[tuple[str, str]] = set()
    sides = [read_mini(paths, language) for language in languages]
    for left, right in zip(*sides, strict=True):
        for number, side in enumerate(SIDES, 1):
            if (left[side], right[side]) not in seen:
                seen.add((left[side], right[side]))
                yield {"id": f"{left['id']}-{number}", "sentence1": left[side], "sentence2": right[side]}


def _sentences(stsb: Path, korsts: Path) -> Iterator[tuple[str, str, str]]:
    """An id, the English sentence and the Korean one."""
    for english, korean in _matched(stsb, korsts):
        for number, side in enumerate(SIDES, 1):
            yield f"{english['id']}-{number}", english[side], korean[side]


def _matched(stsb: Path, korsts: Path) -> Iterator[tuple[Row, Row]]:
    """Rows of the same genre, file, year, id and score."""
    left, right = _origins(stsb, 0), _origins(korsts, 1)
    rows = zip(read_stsb([stsb]), read_korsts([korsts]), left, right, strict=False)
    for english, korean, one, other in rows:
        if one != other or english["score"] != korean["score"]:
            raise DataError(f"{korsts}, row {english['id']}: not a translation of that row of {stsb.name}")
        yield english, korean
    if next(left, None) is not None or next(right, None) is not None:
        raise DataError(f"{korsts} and {stsb.name} do not have the same number of rows")


def _origins(path: Path, header: int) -> Iterator[list[str]]:
    """Genre, file, year and id of each row."""
    width = KORSTS_HEADER.index("score")
    for number, line in read_lines(path):
        if number > header:
            yield line.split("\t")[:width]
