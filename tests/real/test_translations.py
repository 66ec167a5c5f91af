"""STSb and KorSTS put together: every sentence with its translation, and no sentence of a held-out split in another."""

from __future__ import annotations

from pathlib import Path

import pytest
from xbench_plugins.sts.translations import read_translations

from tests.real.rows import ready
from xbench.errors import DataError
from xbench.registry import Registry

ROWS = {"train": 9999, "dev": 2810, "test": 2552}


def columns(path: Path, first: int) -> list[list[str]]:
    return [line.split("\t") for line in path.read_bytes().decode().rstrip("\n").split("\n")[first:]]


@pytest.mark.parametrize("split", ROWS)
def test_each_sentence_is_beside_its_translation(split: str, registry: Registry, data_root: Path, cache: Path) -> None:
    english = columns(data_root / "stsbenchmark" / f"sts-{split}.csv", 0)
    korean = columns(data_root / "korsts" / f"sts-{split}.tsv", 1)
    rows = ready("stsb-korsts", split, registry, data_root, cache)
    assert (rows.rows, rows.pinned, rows.dataset.languages) == (ROWS[split], True, ("en", "ko"))
    for row in rows.open():
        at, side = (int(part) for part in row["id"].split("-"))
        assert english[at][:4] == korean[at][:4]
        assert (row["sentence1"], row["sentence2"]) == (english[at][4 + side].strip(), korean[at][4 + side].strip())


def test_no_sentence_of_a_split_stands_in_one_that_is_fitted_on(
    registry: Registry, data_root: Path, cache: Path
) -> None:
    sides = {
        (split, side): [row[side] for row in ready("stsb-korsts", split, registry, data_root, cache).open()]
        for split in ROWS
        for side in ("sentence1", "sentence2")
    }
    for side in ("sentence1", "sentence2"):
        train, dev, test = (set(sides[split, side]) for split in ROWS)
        assert not train & dev
        assert not train & test
        assert not dev & test
    for split in ROWS:
        pairs = list(zip(sides[split, "sentence1"], sides[split, "sentence2"], strict=True))
        assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize(("split", "count"), [("train", 5749), ("dev", 1500), ("test", 1379)])
def test_mixed_pairs_are_stsbs_with_the_second_sentence_in_korean(
    split: str, count: int, registry: Registry, data_root: Path, cache: Path
) -> None:
    mixed, english, korean = (
        ready(name, split, registry, data_root, cache).open() for name in ("stsb-korsts-sts", "stsb", "korsts")
    )
    assert len(mixed) == len(english) == len(korean) == count
    for row, one, other in zip(mixed, english, korean, strict=True):
        assert row == {**one, "sentence2": other["sentence2"]}


def test_files_that_are_no_translations_are_refused(data_root: Path, tmp_path: Path) -> None:
    english, korean = data_root / "stsbenchmark" / "sts-dev.csv", data_root / "korsts" / "sts-dev.tsv"
    with pytest.raises(DataError, match="not a translation of that row"):
        list(read_translations([english, data_root / "korsts" / "sts-test.tsv"]))
    short = tmp_path / "sts-dev.tsv"
    short.write_bytes(b"\n".join(korean.read_bytes().split(b"\n")[:100]))
    with pytest.raises(DataError, match="do not have the same number of rows"):
        list(read_translations([english, short]))
