"""The published MRC files give the rows that the declarations promise, read here a second time by other code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from xbench_plugins.mrc.datasets import DATASETS

from tests.real.rows import ready
from tests.real.squad_files import (
    FILES,
    TYDIQA,
    Json,
    articles,
    published,
    put,
    raw,
    refusal,
    renamed,
    tydiqa,
)
from xbench.registry import Registry
from xbench.types import Files, Hub, Packaged


@pytest.mark.parametrize(("name", "split"), FILES)
def test_rows_are_as_many_as_published_and_are_the_pinned_ones(
    name: str, split: str, registry: Registry, data_root: Path, cache: Path
) -> None:
    found = ready(name, split, registry, data_root, cache)
    rows = published(name, split, data_root)
    assert found.rows == len(rows) == FILES[name, split][1]
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    declared = registry.datasets.get(name).splits[split]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == found.rows_sha256 == declared.rows_sha256
    assert (found.pinned, found.source, declared.rows) == (True, "data root", len(rows))
    opened = found.open()
    assert [opened[index] for index in (0, -1)] == [rows[0], rows[-1]]


@pytest.mark.parametrize(("name", "split"), FILES)
def test_declared_checksums_are_the_published_files(name: str, split: str, registry: Registry, data_root: Path) -> None:
    source = registry.datasets.get(name).splits[split].sources[0]
    assert isinstance(source, Files)
    (file,) = source.files
    assert file.path == FILES[name, split][0]
    assert hashlib.sha256((data_root / file.path).read_bytes()).hexdigest() == file.sha256


@pytest.mark.parametrize(("name", "split"), FILES)
def test_ids_are_unique_and_are_the_publishers_where_those_are(name: str, split: str, data_root: Path) -> None:
    ids = [row["id"] for row in published(name, split, data_root)]
    own = [question["id"] for _, question in raw(data_root / FILES[name, split][0])]
    assert len(set(ids)) == len(ids)
    if name in TYDIQA:
        assert len(set(own)) < 100  # 0 to 99, again and again
    else:
        assert ids == own


@pytest.mark.parametrize(("name", "split"), FILES)
def test_every_answer_stands_where_its_row_says_counted_in_code_points(
    name: str, split: str, data_root: Path, cache: Path, registry: Registry
) -> None:
    rows = ready(name, split, registry, data_root, cache).open()
    other_units = 0
    for row in rows:
        context, answers = row["context"], row["answers"]
        assert answers
        for answer in answers:
            start, text = answer["start"], answer["text"]
            assert context[start : start + len(text)] == text
            other_units += context[:start].encode("utf-16-le") != context.encode("utf-16-le")[: 2 * start]
    # Letters beyond the first 65536 stand before these answers: counted in UTF-16 units they would be missed.
    assert (other_units > 0) == (name == "tydiqa-en")


@pytest.mark.parametrize(
    ("name", "split", "count"),
    [("korquad", "dev", 3), ("squad-es-small", "dev", 14), ("tydiqa-en", "train", 12), ("squad", "dev", 0)],
)
def test_white_space_around_answers_is_kept_as_published(
    name: str, split: str, count: int, registry: Registry, data_root: Path
) -> None:
    source = registry.datasets.get(name).splits[split].sources[0]
    assert isinstance(source, Files)
    path = data_root / FILES[name, split][0]
    read = [answer["text"] for row in source.read([path]) for answer in row["answers"]]
    assert read == [answer["text"] for _, question in raw(path) for answer in question["answers"]]
    assert sum(text != text.strip() for text in read) == count


def test_references_that_the_spanish_translation_lost_are_kept_as_blanks(data_root: Path) -> None:
    lost = [
        answer
        for _, question in raw(data_root / FILES["squad-es-small", "dev"][0])
        for answer in question["answers"]
        if not answer["text"]
    ]
    assert Counter(answer["answer_start"] for answer in lost) == {-1: 4080}
    rows = published("squad-es-small", "dev", data_root)  # whose identity is the pinned one, as is tested above
    blanks = [answer for row in rows for answer in row["answers"] if not answer["text"]]
    assert blanks == [{"start": 0, "text": ""}] * 4080
    assert all(any(answer["text"] for answer in row["answers"]) for row in rows)


def test_the_44_articles_are_those_of_the_list_and_none_is_in_the_dev_set(data_root: Path) -> None:
    ours, dev = (data_root / FILES[name][0] for name in (("squad-44", "train"), ("squad", "dev")))
    titles, others = ({article["title"] for article in articles(path)} for path in (ours, dev))
    listed = (data_root / "squad-v1.1" / "du2017-split" / "doclist-test.txt").read_text(encoding="utf-8").split("\n")
    assert titles == set(listed) - {""}
    assert (len(titles), len(others), titles & others) == (44, 48, set())
    ids, other_ids = ({question["id"] for _, question in raw(path)} for path in (ours, dev))
    assert not ids & other_ids
    contexts, other_contexts = ({paragraph["context"] for paragraph, _ in raw(path)} for path in (ours, dev))
    assert not contexts & other_contexts


def test_xquad_is_a_part_of_squads_dev_set_question_by_question_in_every_language(data_root: Path) -> None:
    dev = {row["id"]: row for row in published("squad", "dev", data_root)}
    english, *others = (published(f"xquad-{language}", "dev", data_root) for language in ("en", "es", "ar"))
    for row in english:
        whole = dev[row["id"]]
        assert (row["context"], row["question"]) == (whole["context"], whole["question"])
        assert row["answers"][0] in whole["answers"]
    for rows in others:
        assert [row["id"] for row in rows] == [row["id"] for row in english]
    assert {row["id"] for row in published("squad-es-small", "dev", data_root)} < set(dev)


def all_languages(data_root: Path) -> Json:
    """TyDiQA's training part as it is published: every language in one file, told apart by the ids' first part."""
    english, korean = (tydiqa(name, data_root) for name in ("tydiqa-en", "tydiqa-ko"))
    finnish = [renamed(articles(data_root / FILES["tydiqa-en", "train"][0])[0], "finnish-1")]
    mixed = [*english[:9], *finnish, *korean[:700], *english[9:2000], *korean[700:], *finnish, *english[2000:]]
    return {"version": "1.1", "data": mixed}


def test_tydiqa_is_the_same_from_the_file_of_all_languages_as_from_one_languages(
    registry: Registry, data_root: Path, cache: Path, tmp_path: Path
) -> None:
    put(tmp_path, "tydiqa-goldp/tydiqa-goldp-v1.1-train.json", all_languages(data_root))
    for name in TYDIQA:
        own = ready(name, "train", registry, data_root, cache)
        whole = ready(name, "train", registry, tmp_path, tmp_path / "cache")
        assert (whole.rows, whole.rows_sha256, whole.pinned) == (own.rows, own.rows_sha256, True)
        assert whole.folder != own.folder
        assert list(whole.open()) == list(own.open())


def test_tydiqa_in_another_order_is_another_data_set(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    content = all_languages(data_root)
    path = put(tmp_path, "tydiqa-goldp/tydiqa-goldp-v1.1-train.json", {**content, "data": content["data"][::-1]})
    assert "holds other rows than the published ones" in refusal("tydiqa-ko", "train", registry, tmp_path, path)


def test_what_can_stand_in_is_there_in_the_same_language(registry: Registry) -> None:
    named = 0
    for dataset in DATASETS:
        for split, declared in dataset.splits.items():
            for name in declared.stand_ins:
                other = registry.datasets.get(name)
                assert split in other.splits
                assert (other.languages, other.schema) == (dataset.languages, dataset.schema)
                named += 1
    assert named == 6


def test_every_data_set_says_whose_it_is_and_how_it_is_scored(registry: Registry) -> None:
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS) == 5 + 12 + 49 + 9 + 4 + 2
    for dataset in DATASETS:
        assert registry.datasets.get(dataset.name) is dataset
        texts = (dataset.licence, dataset.citation, dataset.homepage, dataset.description)
        assert all(text.strip() and len(text.splitlines()) == 1 for text in texts), dataset.name
        assert dataset.sample or dataset.homepage.startswith("https://"), dataset.name
        assert dataset.schema == ("parallel" if dataset.name.startswith("xquad-questions-") else "span")
        assert bool(dataset.official) == (dataset.schema == "span")
        for name in dataset.official:
            registry.metrics.get(name)


def test_every_address_is_https_and_every_file_has_its_own_place() -> None:
    places = Counter[tuple[str, str | None, str | None]]()
    for dataset in [one for one in DATASETS if one.schema == "span"]:  # the others put files of these together
        for declared in dataset.splits.values():
            for source in declared.sources:
                assert isinstance(source, Packaged if dataset.sample else (Files, Hub))
                files = source.files if isinstance(source, Files) else ()
                places.update((file.path, file.url, file.member) for file in files)
    assert all(url is None or url.startswith("https://") for _, url, _ in places)
    assert all(".." not in path and not path.startswith("/") for path, _, _ in places)
    shared = {path for (path, _, _), count in places.items() if count > 1}
    assert shared == {"tydiqa-goldp/tydiqa-goldp-v1.1-train.json", "tydiqa-goldp/tydiqa-goldp-v1.1-dev.json"}
    assert len({path for path, _, _ in places}) == len(places)
    members = [member for _, url, member in places if url is not None and url.endswith(".zip")]
    assert len(set(members)) == len(members) == 2 * 49
    assert "MLQA_V1/test/test-context-ar-question-vi.json" in members


@pytest.mark.parametrize(("first", "second", "count"), [("es", "en", 1186), ("en", "ar", 1187)])
def test_xquads_questions_are_translations_of_each_other(
    first: str, second: str, count: int, registry: Registry, data_root: Path, tmp_path: Path
) -> None:
    rows = ready(f"xquad-questions-{first}-{second}", "train", registry, data_root, tmp_path)
    assert (rows.rows, rows.pinned) == (count, True)
    sides = []
    for language in (first, second):
        articles = json.loads((data_root / "xquad" / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
        questions = [one for article in articles for paragraph in article["paragraphs"] for one in paragraph["qas"]]
        sides.append({question["id"]: question["question"].strip() for question in questions})
    found = {row["id"]: (row["sentence1"], row["sentence2"]) for row in rows.open()}
    assert all(found[name] == (sides[0][name], sides[1][name]) for name in found)
    assert set(found.values()) == {(sides[0][name], sides[1][name]) for name in sides[0]}
