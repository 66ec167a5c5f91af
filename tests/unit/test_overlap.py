"""Rows that stand in training as well are counted: whole, in part, through translations, and only where drawn."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbench.data.rows import RowSet, prepare, select
from xbench.data.schemas import xbench_schemas
from xbench.overlap import Overlaps, overlap_of_record, text_digest, text_digests
from xbench.registry import Plugin, Registry
from xbench.settings import Settings
from xbench.types import Dataset, Packaged, Row, Schema, Split

COUNTS = ("rows", "texts", "fields")
Pairs = Sequence[tuple[str, str]]


def read(paths: Sequence[Path]) -> Iterator[Row]:
    yield from map(json.loads, paths[0].read_text(encoding="utf-8").splitlines())


class World:
    """Datasets made up for a test, and records over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made, self.schemas = folder, dict[str, Dataset](), list(xbench_schemas())
        self.settings = Settings(cache=folder / "cache", offline=True)

    def add(self, name: str, schema: str, translation_of: str = "", **splits: Sequence[Mapping[str, Any]]) -> None:
        sources = {}
        for split, rows in splits.items():
            path = self.folder / f"{name}-{split}.jsonl"
            numbered = ({"id": str(index), **row} for index, row in enumerate(rows))
            path.write_text("".join(json.dumps(row) + "\n" for row in numbered), encoding="utf-8")
            sources[split] = Split((Packaged((path,), read),))
        self.made[name] = Dataset(
            name, ("en", "ko") if schema == "parallel" else ("en",), schema, sources, "none", "none", "", "",
            labels=("bad", "good"), translation_of=translation_of,
        )  # fmt: skip

    def pairs(self, name: str, translation_of: str = "", schema: str = "pair-score", **splits: Pairs) -> None:
        extra = {"score": 1.0} if schema == "pair-score" else {}
        rows = {
            split: [{"sentence1": one, "sentence2": other, **extra} for one, other in pairs]
            for split, pairs in splits.items()
        }
        self.add(name, schema, translation_of, **rows)

    @property
    def registry(self) -> Registry:
        registry, plugin = Registry(), Plugin("own", "own 1")
        for schema in self.schemas:
            registry.schemas.add(schema.name, schema, plugin)
        for dataset in self.made.values():
            registry.datasets.add(dataset.name, dataset, plugin)
        return registry

    def rows(self, name: str, split: str) -> RowSet:
        dataset = self.made[name]
        return prepare(dataset, split, self.registry.schemas.get(dataset.schema), self.settings)

    def describe(self, name: str, split: str) -> dict[str, Any]:
        rows = self.rows(name, split)
        return {"dataset": name, "split": split, "rows": rows.rows, "rows_sha256": rows.rows_sha256}

    def record(self, evaluated: str, *stages: str, fit: str | None = None, **limits: int) -> dict[str, Any]:
        """What a record says of its rows: trained on the stages' datasets (``a+b``), scored on the first one's test."""
        return {
            "train": [
                {**self.describe(name, "train"), "stage": depth}
                for depth, stage in enumerate(stages)
                for name in stage.split("+")
            ],
            "fit": None if fit is None else self.describe(fit, "train"),
            "eval": self.describe(evaluated, "test"), "seed": 3,
            "limits": {"train": limits.get("train"), "eval": limits.get("evaluate")},
        }  # fmt: skip

    def entries(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        found = overlap_of_record(self.record(*args, **kwargs), self.registry, self.settings)
        assert found is not None
        return found

    def counts(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Rows and texts, as they are and translated, of the one entry."""
        (entry,) = self.entries(*args, **kwargs)
        return entry["rows"], entry["texts"], entry["translated_rows"], entry["translated_texts"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


TRAIN = [("A dog runs.", "A dog is running."), ("It rains.", "Rain falls."), ("One", "Two"), ("Three", "Four")]


@pytest.mark.parametrize(
    ("pair", "rows", "texts"),
    [
        (("It rains.", "Rain falls."), 1, 1),
        (("Rain falls.", "It rains."), 1, 1),  # swapped
        (("  it   RAINS.", "Rain\tfalls.\n"), 1, 1),
        (("Ｉｔ rains．", "Rain ﬀalls."), 0, 1),  # full width; a ligature is two letters, and one too many here
        (("It rains.", "It pours."), 0, 1),
        (("It pours.", "It rains."), 0, 1),
        (("One", "Four"), 0, 1),  # both stand there, but not in one row
        (("It rains.", "It rains."), 0, 1),
        (("It rains", "Rain falls"), 0, 0),  # a stop less is another text
        (("It pours.", "Cats fall."), 0, 0),
        (("", "It pours."), 0, 0),
    ],
)
def test_a_pair_is_found_whole_or_in_part(world: World, pair: tuple[str, str], rows: int, texts: int) -> None:
    world.pairs("pairs", train=TRAIN, test=[pair, ("Nothing", "of it")])
    assert world.counts("pairs", "pairs") == (rows, texts, rows, texts)


def test_each_field_has_its_count(world: World) -> None:
    world.pairs("pairs", train=TRAIN, test=[("One", "Two"), ("Two", "x"), ("Three", "y"), ("z", "z")])
    (entry,) = world.entries("pairs", "pairs")
    assert (entry["rows"], entry["texts"], entry["fields"]) == (1, 3, {"sentence1": 3, "sentence2": 1})


def test_empty_texts_are_found_nowhere(world: World) -> None:
    world.add(
        "reviews", "text-label",
        train=[{"text": "", "label": 0}, {"text": "Fine.", "label": 1}],
        test=[{"text": "", "label": 0}, {"text": " \u3000", "label": 1}, {"text": "fine.", "label": 0}],
    )  # fmt: skip
    assert world.counts("reviews", "reviews") == (1, 1, 1, 1)


def test_a_shared_passage_is_told_from_a_shared_question(world: World) -> None:
    def row(context: str, question: str) -> dict[str, Any]:
        return {"context": context, "question": question, "answers": []}

    world.add(
        "qa", "span",
        train=[row("Seoul is large.", "What is large?"), row("Lima is old.", "What is old?")],
        test=[
            row("Seoul is large.", "How large?"), row("Seoul is large.", "What is old?"),
            row("Lima is old.", "What is old?"), row("Rome is older.", "What is old?"), row("Oslo.", "Where?"),
        ],
    )  # fmt: skip
    (entry,) = world.entries("qa", "qa")
    assert [entry[name] for name in COUNTS] == [1, 4, {"context": 3, "question": 3}]


ENGLISH = {"train": TRAIN, "test": [("It rains.", "Rain falls."), ("A dog runs.", "A cat."), ("Five", "Six")]}
KOREAN: dict[str, Pairs] = {
    "train": [("개가 달린다", "개가 달리고 있다"), ("비가 온다", "비가 내린다"), ("하나", "둘"), ("셋", "넷")],
    "test": [("비 온다", "비 내린다"), ("개가 뛴다", "고양이"), ("하나", "여섯")],
}


@pytest.fixture
def two_languages(world: World) -> World:
    world.pairs("english", **ENGLISH)
    world.pairs("korean", translation_of="english", **KOREAN)
    return world


@pytest.mark.parametrize(
    ("trained", "evaluated", "counts"),
    [
        ("english", "english", (1, 2, 1, 2)),
        ("korean", "english", (0, 0, 1, 2)),
        ("english", "korean", (0, 0, 1, 2)),
        ("korean", "korean", (0, 1, 1, 3)),  # two by their origin, the third by its own Korean
    ],
)
def test_translations_are_followed_on_both_sides(
    two_languages: World, trained: str, evaluated: str, counts: tuple[int, ...]
) -> None:
    assert two_languages.counts(evaluated, trained) == counts


def test_two_translations_of_one_origin_meet_in_it(two_languages: World) -> None:
    two_languages.pairs("spanish", translation_of="korean", test=[("Llueve", "Cae"), ("Perro", "Gato"), ("5", "6")])
    assert two_languages.counts("spanish", "english") == (0, 0, 1, 2)  # by way of Korean, of which it is made here
    assert two_languages.counts("spanish", "korean") == (0, 0, 1, 3)


def test_origins_are_found_by_id_and_not_by_place(two_languages: World) -> None:
    rows = [{"id": "2", "sentence1": "하나", "sentence2": "여섯"}, {"id": "0", "sentence1": "비", "sentence2": "빗물"}]
    two_languages.add("part", "pair-score", "english", test=[{**row, "score": 0.0} for row in rows])
    assert two_languages.counts("part", "english") == (0, 0, 1, 1)


def drop_split(world: World) -> None:
    world.pairs("english", train=TRAIN)


def drop_rows(world: World) -> None:
    world.pairs("english", train=TRAIN, test=ENGLISH["test"][:2])


def drop_file(world: World) -> None:
    (world.folder / "english-test.jsonl").unlink()


def drop_dataset(world: World) -> None:
    del world.made["english"]


def other_schema(world: World) -> None:
    world.add("english", "text-label", test=[{"text": one, "label": 0} for one, _ in ENGLISH["test"]])


def break_file(world: World) -> None:
    (world.folder / "english-test.jsonl").write_text("no JSON\n")


@pytest.mark.parametrize("harm", [drop_split, drop_rows, drop_file, drop_dataset, other_schema, break_file])
def test_without_all_of_its_origin_nothing_is_said_of_translations(
    two_languages: World, harm: Callable[[World], None]
) -> None:
    harm(two_languages)
    (entry,) = two_languages.entries("korean", "korean")
    assert [entry[name] for name in COUNTS] == [0, 1, {"sentence1": 1, "sentence2": 0}]
    assert [entry[f"translated_{name}"] for name in COUNTS] == [None, None, None]


def test_nor_without_all_that_the_training_rows_translate(two_languages: World) -> None:
    two_languages.pairs("english", train=TRAIN[:3], test=ENGLISH["test"])
    (entry,) = two_languages.entries("english", "korean")
    assert [entry[f"{prefix}texts"] for prefix in ("", "translated_")] == [0, None]


def test_datasets_that_translate_each_other_end_somewhere(world: World) -> None:
    world.pairs("one", translation_of="other", train=TRAIN, test=[("a", "b")])
    world.pairs("other", translation_of="one", train=[("w", "x")] * 4, test=[("Three", "Four")])
    assert world.counts("one", "one") == (0, 0, 1, 1)


def numbered(start: int, stop: int) -> list[tuple[str, str]]:
    return [(f"first {index}", f"second {index}") for index in range(start, stop)]


def drawn(world: World, name: str, split: str, limit: int | None, seed: int) -> set[str]:
    return {row["sentence1"] for row in select(world.rows(name, split).open(), limit, seed)}


@pytest.mark.parametrize(
    ("limits", "trained", "evaluated"),
    [
        ({}, {"a": None, "b": None}, None),
        ({"train": 20}, {"a": 10, "b": 10}, None),
        ({"train": 90}, {"a": 50, "b": None}, None),
        ({"evaluate": 25}, {"a": None, "b": None}, 25),
        ({"train": 30, "evaluate": 25}, {"a": 15, "b": 15}, 25),
        ({"train": 500, "evaluate": 500}, {"a": None, "b": None}, None),
    ],
)
def test_only_the_rows_that_a_run_draws_are_counted(
    world: World, limits: dict[str, int], trained: dict[str, int | None], evaluated: int | None
) -> None:
    world.pairs("a", train=numbered(0, 60), test=numbered(30, 90))
    world.pairs("b", train=numbered(60, 100))
    entries = world.entries("a", "a+b", fit="b", **limits)
    scored = drawn(world, "a", "test", evaluated, 0)
    expected = [len(scored & drawn(world, name, "train", limit, 3)) for name, limit in trained.items()]
    expected.append(len(scored & drawn(world, "b", "train", limits.get("train"), 3)))
    assert [(entry["rows"], entry["texts"]) for entry in entries] == [(count, count) for count in expected]
    assert min(expected) > 0
    told = [(entry["role"], entry["dataset"], entry["split"], entry["stage"]) for entry in entries]
    assert told == [("train", "a", "train", 0), ("train", "b", "train", 0), ("fit", "b", "train", None)]


def test_a_limited_translation_follows_its_own_rows_alone(world: World) -> None:
    world.pairs("english", train=numbered(0, 60), test=numbered(0, 60))
    world.pairs("korean", translation_of="english", train=[(f"하나 {i}", f"둘 {i}") for i in range(60)])
    assert world.counts("english", "korean", train=12) == (0, 0, 12, 12)


def test_each_stage_has_its_entry_and_a_frozen_encoder_has_none(two_languages: World) -> None:
    entries = two_languages.entries("english", "korean", "english+korean")
    assert [(entry["stage"], entry["dataset"], entry["texts"]) for entry in entries] == [
        (0, "korean", 0), (1, "english", 2), (1, "korean", 0),
    ]  # fmt: skip
    assert two_languages.entries("english") == []


def test_texts_are_found_across_schemas(two_languages: World) -> None:
    two_languages.pairs("parallel", schema="parallel", train=[("It rains.", "비가 온다"), ("Six", "여섯")])
    (entry,) = two_languages.entries("english", fit="parallel")
    assert [entry[name] for name in ("role", *COUNTS)] == ["fit", 0, 2, {"sentence1": 1, "sentence2": 1}]


def test_a_schema_that_names_no_texts_has_nothing_counted(world: World) -> None:
    world.schemas.append(Schema("numbers", {"id": "string", "number": "string"}, str))
    world.add("numbers", "numbers", train=[{"number": "1"}], test=[{"number": "1"}])
    (entry,) = world.entries("numbers", "numbers")
    assert [entry[f"{prefix}{name}"] for prefix in ("", "translated_") for name in COUNTS] == [None] * 6


def test_a_record_of_other_rows_is_not_counted(two_languages: World) -> None:
    record = two_languages.record("english", "korean", fit="english")
    overlaps = Overlaps(two_languages.registry, two_languages.settings)
    assert overlaps.of_record(record) is not None
    for field in ("train", "fit", "eval"):
        for change in ({"rows_sha256": "0" * 64}, {"dataset": "gone"}, {"split": "gone"}):
            part = [{**record[field][0], **change}] if field == "train" else {**record[field], **change}
            assert overlaps.of_record({**record, field: part}) is None


def test_a_split_is_read_once_for_many_records(two_languages: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def counted(rows: Sequence[Row], fields: Sequence[str]) -> Any:
        reads.append(len(rows))
        return text_digests(rows, fields)

    monkeypatch.setattr("xbench.overlap.text_digests", counted)
    overlaps = Overlaps(two_languages.registry, two_languages.settings)
    records = [two_languages.record(*names) for names in itertools.product(["english", "korean"], repeat=2)] * 3
    found = [overlaps.of_record(record) for record in records]
    assert found[:4] == found[4:8] == found[8:]
    assert sorted(reads) == [3, 3, 4, 4]  # train and test of both


def test_a_text_has_one_digest_whatever_its_form() -> None:
    forms = ["Café  au lait", "CAFÉ au LAIT ", "Cafe\u0301\u00a0au\nlait", "Ｃａｆé au lait"]
    assert len({text_digest(form) for form in forms}) == 1
    assert text_digest("") == text_digest("\u2003\x85") == 0
    many = np.array([text_digest(f"text {index}") for index in range(20_000)], np.uint64)
    assert len(np.unique(many)) == len(many)


def test_every_translation_names_a_dataset_of_its_schema_and_splits(registry: Registry) -> None:
    declared = [dataset for dataset in registry.datasets if dataset.translation_of]
    assert {"korsts", "stsb-korsts-sts", "squad-es", "xquad-es", "mini-mrc-ko"} <= {one.name for one in declared}
    for dataset in declared:
        origin = registry.datasets.get(dataset.translation_of)
        assert origin.schema == dataset.schema
        assert dataset.splits.keys() <= origin.splits.keys()


@pytest.mark.parametrize("family", ["sts", "mrc", "sentiment"])
@pytest.mark.parametrize("language", ["ko", "es", "ar"])
def test_the_small_corpora_have_their_origins_and_keep_train_and_test_apart(
    registry: Registry, tmp_path: Path, family: str, language: str
) -> None:
    settings, names = Settings(cache=tmp_path, offline=True), (f"mini-{family}-en", f"mini-{family}-{language}")

    def describe(name: str, split: str) -> dict[str, Any]:
        dataset = registry.datasets.get(name)
        rows = prepare(dataset, split, registry.schemas.get(dataset.schema), settings)
        return {"dataset": name, "split": split, "rows_sha256": rows.rows_sha256}

    def count(trained: Mapping[str, Any], evaluated: Mapping[str, Any]) -> list[Any]:
        record = {
            "train": [{**trained, "stage": 0}], "fit": None, "eval": evaluated, "seed": 0,
            "limits": {"train": None, "eval": None},
        }  # fmt: skip
        (entry,) = Overlaps(registry, settings).of_record(record) or []
        return [entry["rows"], entry["texts"], entry["translated_rows"], entry["translated_texts"]]

    for one, other in itertools.product(names, repeat=2):
        assert count(describe(one, "train"), describe(other, "test")) == [0, 0, 0, 0]
    rows = registry.datasets.get(names[0]).splits["test"].rows
    assert count(describe(names[1], "test"), describe(names[0], "test"))[2:] == [rows, rows]
