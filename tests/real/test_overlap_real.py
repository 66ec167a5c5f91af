"""What is really shared between what the tasks train on and what they score on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real.rows import ready
from xbench.overlap import Overlaps
from xbench.registry import Registry
from xbench.settings import Settings


class Counter:
    """Counts between whole splits, written ``dataset/split``."""

    def __init__(self, registry: Registry, data_root: Path, cache: Path) -> None:
        self._place = registry, data_root, cache
        self._overlaps = Overlaps(registry, Settings(cache=cache, data=data_root, offline=True))

    def describe(self, where: str) -> dict[str, Any]:
        name, split = where.split("/")
        return {"dataset": name, "split": split, "rows_sha256": ready(name, split, *self._place).rows_sha256}

    def __call__(self, learned: str, evaluated: str, role: str = "train") -> Mapping[str, Any]:
        split = self.describe(learned)
        record = {
            "train": [{**split, "stage": 0}] if role == "train" else [], "fit": split if role == "fit" else None,
            "eval": self.describe(evaluated), "seed": 0, "limits": {"train": None, "eval": None},
        }  # fmt: skip
        (entry,) = self._overlaps.of_record(record) or []
        return entry


@pytest.fixture(scope="module")
def count(registry: Registry, data_root: Path, cache: Path) -> Counter:
    return Counter(registry, data_root, cache)


def sentences(path: Path, first: int = 0) -> list[tuple[str, str]]:
    """Both sentences of every line, read by hand."""
    lines = path.read_bytes().decode().rstrip("\n").split("\n")[first:]
    return [(columns[5].strip(), columns[6].strip()) for columns in (line.split("\t") for line in lines)]


# learned, evaluated: rows, rows that share a text, and both with translations followed
STS = {
    ("stsb/train", "stsb/test"): (12, 249, 12, 249),
    ("korsts/train", "stsb/test"): (0, 0, 12, 249),
    ("stsb/train", "korsts/test"): (0, 0, 12, 249),
    ("korsts/train", "korsts/test"): (2, 166, 13, 268),
    ("stsb/train", "stsb/dev"): (7, 252, 7, 252),
    ("stsb/train", "stsb-korsts-sts/test"): (0, 159, 12, 249),
    ("stsb/train", "sts17-es/test"): (0, 0, 0, 0),
    ("stsb/train", "sts17-es-en/test"): (0, 3, 0, 3),
    ("korsts/train", "sts17-es-en/test"): (0, 0, 0, 3),
}


@pytest.mark.parametrize(("learned", "evaluated"), STS)
def test_sentences_of_stsb_are_found_in_either_language(count: Counter, learned: str, evaluated: str) -> None:
    entry = count(learned, evaluated)
    found = tuple(entry[name] for name in ("rows", "texts", "translated_rows", "translated_texts"))
    assert found == STS[learned, evaluated]


def test_the_249_rows_are_those_that_a_plain_comparison_finds(count: Counter, data_root: Path) -> None:
    train, test = (sentences(data_root / "stsbenchmark" / f"sts-{split}.csv") for split in ("train", "test"))
    known, pairs = {text for pair in train for text in pair}, {frozenset(pair) for pair in train}
    entry = count("stsb/train", "stsb/test")
    assert entry["texts"] == sum(bool(known & {*pair}) for pair in test) == 249
    assert entry["rows"] == sum(frozenset(pair) in pairs for pair in test) == 12
    assert entry["fields"] == {
        f"sentence{side + 1}": sum(pair[side] in known for pair in test) for side in (0, 1)
    }  # fmt: skip


def test_korean_training_is_held_against_english_rows_by_the_translated_ones(count: Counter, data_root: Path) -> None:
    """KorSTS's rows are STSb's, line by line: through them its training part holds what STSb's does."""
    english = {split: sentences(data_root / "stsbenchmark" / f"sts-{split}.csv") for split in ("train", "test")}
    korean = {split: sentences(data_root / "korsts" / f"sts-{split}.tsv", 1) for split in ("train", "test")}
    known = [{text for pair in side["train"] for text in pair} for side in (english, korean)]
    rows = zip(english["test"], korean["test"], strict=True)
    shared = sum(bool(known[0] & {*one} or known[1] & {*other}) for one, other in rows)
    assert count("korsts/train", "korsts/test")["translated_texts"] == shared == 268


def test_the_maps_are_fitted_on_pairs_that_are_not_scored(count: Counter) -> None:
    whole = count("stsb-korsts/train", "stsb-korsts/train", "fit")
    assert (whole["rows"], whole["texts"]) == (9999, 9999)
    unseen = count("stsb-korsts/train", "stsb-korsts/test", "fit")
    # One sentence, that is, with two spaces where the other has one.
    assert (unseen["rows"], unseen["fields"]) == (0, {"sentence1": 1, "sentence2": 0})
    # What the encoder was fine-tuned on is another matter.
    assert count("stsb/train", "stsb-korsts/test")["fields"] == {"sentence1": 257, "sentence2": 0}


def test_reviews_that_stand_twice(count: Counter, data_root: Path) -> None:
    assert count("lmrd/train", "lmrd/test")["rows"] == 123
    documents = {}
    for split in ("train", "test"):
        lines = (data_root / "nsmc" / f"ratings_{split}.txt").read_bytes().decode().split("\n")[1:-1]
        documents[split] = [line.split("\t")[1].strip() for line in lines]
    known = set(documents["train"])
    assert sum(bool(text) and text in known for text in documents["test"]) == 1568
    entry = count("nsmc/train", "nsmc/test")
    assert entry["rows"] == entry["texts"] == entry["translated_rows"] == 1575  # seven more but for case and spaces
    assert count("nsmc/train", "lmrd/test")["texts"] == count("lmrd/train", "nsmc/test")["texts"] == 0


def test_questions_and_passages(count: Counter) -> None:
    fields = {
        ("squad-44/train", "squad/dev"): (0, 0),
        ("squad-44/train", "squad-es-small/dev"): (0, 0),
        ("tydiqa-en/train", "squad/dev"): (0, 3),
        ("tydiqa-ko/train", "korquad/dev"): (7, 0),
    }
    for (learned, evaluated), (passages, questions) in fields.items():
        assert count(learned, evaluated)["fields"] == {"context": passages, "question": questions}
    translated = count("tydiqa-en/train", "squad-es-small/dev")
    assert translated["fields"] == {"context": 0, "question": 0}
    assert translated["translated_fields"] == {"context": 0, "question": 3}


@pytest.mark.parametrize(
    ("learned", "evaluated", "rows"),
    [
        ("squad/dev", "squad-es-small/dev", 6583),
        ("squad/dev", "xquad-en/dev", 1190),
        ("squad/dev", "xquad-es/dev", 1190),
        ("xquad-es/dev", "xquad-ar/dev", 1190),
        ("squad-es-small/dev", "xquad-ar/dev", 732),
    ],
)
def test_squads_dev_rows_are_known_again_in_every_language(
    count: Counter, learned: str, evaluated: str, rows: int
) -> None:
    assert count(learned, evaluated)["translated_rows"] == rows
