"""The published STS files give the rows that the declarations promise, read here a second time by other code."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import pytest
from xbench_plugins.sts.readers import read_sts17

from tests.real.rows import ready
from xbench.errors import DataError
from xbench.registry import Registry
from xbench.types import Files

STSB = {"train": 5749, "dev": 1500, "test": 1379}
NINE_COLUMNS = {"train": 197, "dev": 22, "test": 284}
# data set: (track, languages in the file's order)
TRACKS = {
    "sts17-ar": ("1.ar-ar", ("ar",)),
    "sts17-ar-en": ("2.ar-en", ("en", "ar")),
    "sts17-es": ("3.es-es", ("es",)),
    "sts17-es-en": ("4a.es-en", ("es", "en")),
    "sts17-es-en-wmt": ("4b.es-en", ("en", "es")),
    "sts17-en": ("5.en-en", ("en",)),
}
SPLITS = [(name, split) for name in ("stsb", "korsts") for split in STSB] + [(name, "test") for name in TRACKS]
# A few of the commonest words of each language, none of which is a word of the other.
COMMON = {
    "en": {"the", "a", "is", "are", "on", "of", "and", "with", "to", "for"},
    "es": {"el", "la", "un", "una", "está", "están", "en", "de", "con", "los", "y", "que"},
}


def lines(path: Path) -> list[str]:
    """A file's lines by bytes: what ends a line is a newline."""
    return [line.decode().removesuffix("\r") for line in path.read_bytes().removesuffix(b"\n").split(b"\n")]


def table(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in lines(path)]


def sts_folder(data_root: Path) -> Path:
    return data_root / "sts2017"


def pairs(name: str, split: str, data_root: Path) -> list[tuple[str, str, str]]:
    """First sentence, second sentence and score, straight from the files."""
    if name == "stsb":
        return [(row[5], row[6], row[4]) for row in table(data_root / "stsbenchmark" / f"sts-{split}.csv")]
    if name == "korsts":
        return [(row[5], row[6], row[4]) for row in table(data_root / "korsts" / f"sts-{split}.tsv")[1:]]
    folder, track = sts_folder(data_root), TRACKS[name][0]
    gold = lines(folder / "STS2017.gs" / f"STS.gs.track{track}.txt")
    texts = table(folder / "STS2017.eval.v1.1" / f"STS.input.track{track}.txt")
    return [(first, second, score) for (first, second), score in zip(texts, gold, strict=True)]


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_rows_are_as_many_as_published_and_are_the_pinned_ones(
    name: str, split: str, registry: Registry, data_root: Path, cache: Path
) -> None:
    rows = ready(name, split, registry, data_root, cache)
    raw = pairs(name, split, data_root)
    assert rows.rows == len(raw) == STSB.get(split if name in ("stsb", "korsts") else "", 250)
    digest = hashlib.sha256()
    for index, (first, second, score) in enumerate(raw):
        row = {"id": str(index), "score": float(score), "sentence1": first.strip(), "sentence2": second.strip()}
        digest.update((json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
    declared = registry.datasets.get(name).splits[split]
    assert rows.rows_sha256 == digest.hexdigest() == declared.rows_sha256
    assert (rows.pinned, rows.source) == (True, "data root")


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_declared_checksums_are_the_published_files(name: str, split: str, registry: Registry, data_root: Path) -> None:
    source = registry.datasets.get(name).splits[split].sources[0]
    assert isinstance(source, Files)
    for file in source.files:
        assert hashlib.sha256((data_root / file.path).read_bytes()).hexdigest() == file.sha256


@pytest.mark.parametrize("split", STSB)
def test_stsb_has_lines_with_nine_columns_and_they_are_read(split: str, data_root: Path) -> None:
    widths = [len(row) for row in table(data_root / "stsbenchmark" / f"sts-{split}.csv")]
    assert widths.count(9) == NINE_COLUMNS[split]
    assert widths.count(7) == STSB[split] - NINE_COLUMNS[split]


@pytest.mark.parametrize("split", STSB)
def test_korsts_is_stsb_row_by_row(split: str, registry: Registry, data_root: Path, cache: Path) -> None:
    english = table(data_root / "stsbenchmark" / f"sts-{split}.csv")
    korean = table(data_root / "korsts" / f"sts-{split}.tsv")[1:]
    keys = [[(*row[:4], float(row[4])) for row in rows] for rows in (english, korean)]
    assert keys[0] == keys[1]
    ready_rows = [ready(name, split, registry, data_root, cache).open() for name in ("stsb", "korsts")]
    scores = [[(row["id"], row["score"]) for row in rows] for rows in ready_rows]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("split", STSB)
def test_every_row_has_two_sentences_and_a_score_in_range(
    split: str, registry: Registry, data_root: Path, cache: Path
) -> None:
    for name in ("stsb", "korsts"):
        rows = ready(name, split, registry, data_root, cache).open()
        assert all(row["sentence1"] and row["sentence2"] for row in rows)
        assert all(0 <= row["score"] <= 5 for row in rows)


def speaks(text: str) -> str:
    """The language of some text among Arabic, English, Spanish and Korean: by script, else by common words."""
    names = [unicodedata.name(letter, "") for letter in text if letter.isalpha()]
    for language, script in (("ar", "ARABIC"), ("ko", "HANGUL")):
        if sum(name.startswith(script) for name in names) > len(names) / 2:
            return language
    words = text.lower().split()
    return max(COMMON, key=lambda language: sum(word in COMMON[language] for word in words))


@pytest.mark.parametrize("name", ["stsb", "korsts", *TRACKS])
def test_languages_are_declared_in_the_order_of_the_columns(
    name: str, registry: Registry, data_root: Path, cache: Path
) -> None:
    declared: tuple[str, ...] = registry.datasets.get(name).languages
    if name in TRACKS:
        assert declared == TRACKS[name][1]
    rows = ready(name, "test", registry, data_root, cache).open()
    spoken = tuple(speaks(" ".join(row[column] for row in rows)) for column in ("sentence1", "sentence2"))
    assert spoken == (declared if len(declared) == 2 else declared * 2)


def test_the_track_with_twice_as_many_inputs_as_gold_scores_is_refused(data_root: Path) -> None:
    folder = sts_folder(data_root)
    texts = folder / "STS2017.eval.v1.1" / "STS.input.track6.tr-en.txt"
    gold = folder / "STS2017.gs" / "STS.gs.track6.tr-en.txt"
    assert (len(lines(texts)), len(lines(gold))) == (500, 250)
    with pytest.raises(DataError, match="fewer gold scores than pairs"):
        list(read_sts17([texts, gold]))


def test_a_csv_readers_quoting_would_lose_rows_that_are_kept(data_root: Path) -> None:
    """The trap that the reader avoids is really in the files."""
    import csv

    for split, kept in {"train": 5711, "dev": 1470, "test": 1119}.items():
        with (data_root / "stsbenchmark" / f"sts-{split}.csv").open(encoding="utf-8", newline="") as file:
            assert sum(1 for _ in csv.reader(file, delimiter="\t")) == kept < STSB[split]
