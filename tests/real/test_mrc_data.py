"""The published MRC files give the rows that the declarations promise, read here a second time by other code.

And what is not such a file is refused in one line that names it.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import gzip
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xbench_plugins.mrc.datasets import DATASETS

from tests.loopback import Site
from xbench.data.rows import RowSet, prepare
from xbench.errors import DataError
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Files, Packaged, Row

# data set and split: (file, rows)
FILES = {
    ("squad", "dev"): ("squad-v1.1/dev-v1.1.json", 10570),
    ("squad-44", "train"): ("squad-v1.1/du2017-split/test-v1.1.json", 11877),
    ("korquad", "dev"): ("korquad-v1.0/KorQuAD_v1.0_dev.json", 5774),
    ("squad-es-small", "dev"): ("squad-es/dev-v1.1-es_small.json", 6583),
    ("xquad-en", "dev"): ("xquad/xquad.en.json", 1190),
    ("xquad-es", "dev"): ("xquad/xquad.es.json", 1190),
    ("xquad-ar", "dev"): ("xquad/xquad.ar.json", 1190),
    ("tydiqa-en", "train"): ("tydiqa-goldp/tydiqa.goldp.en.train.json", 3696),
    ("tydiqa-ko", "train"): ("tydiqa-goldp/tydiqa.goldp.ko.train.json", 1625),
}
TYDIQA = {"tydiqa-en": "english", "tydiqa-ko": "korean"}
MLQA = "mlqa-en-en", "mlqa/dev/dev-context-en-question-en.json"  # rows that nobody has pinned: the reader is alone
XQUAD = "xquad-en", "xquad/xquad.en.json"
TYDIQA_DEV = "tydiqa-ko", "tydiqa-goldp/tydiqa-goldp-v1.1-dev.json"
Json = dict[str, Any]
Damage = Callable[[Json], object]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def ready(name: str, split: str, registry: Registry, settings: Settings) -> RowSet:
    dataset = registry.datasets.get(name)
    return prepare(dataset, split, registry.schemas.get(dataset.schema), settings)


@functools.cache
def articles(path: Path) -> list[Json]:
    """What a file holds; not to be changed."""
    found: list[Json] = json.loads(path.read_text(encoding="utf-8"))["data"]
    return found


def raw(path: Path) -> Iterator[tuple[Json, Json]]:
    """Each question with its paragraph, straight from the file."""
    for article in articles(path):
        for paragraph in article["paragraphs"]:
            yield from ((paragraph, question) for question in paragraph["qas"])


def published(name: str, split: str, data_root: Path) -> list[Json]:
    """The rows, as the declaration describes them."""
    rows = []
    for index, (paragraph, question) in enumerate(raw(data_root / FILES[name, split][0])):
        answers = [{"start": max(0, answer["answer_start"]), "text": answer["text"]} for answer in question["answers"]]
        row_id = f"{TYDIQA[name]}-{index}" if name in TYDIQA else question["id"]
        row = {"answers": answers, "context": paragraph["context"], "id": row_id, "question": question["question"]}
        rows.append(row)
    return rows


@pytest.mark.parametrize(("name", "split"), FILES)
def test_rows_are_as_many_as_published_and_are_the_pinned_ones(
    name: str, split: str, registry: Registry, data_root: Path, cache: Path
) -> None:
    found = ready(name, split, registry, Settings(cache=cache, data=data_root, offline=True))
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
    rows = ready(name, split, registry, Settings(cache=cache, data=data_root, offline=True)).open()
    columns: dict[str, list[Any]] = {column: list(rows[column]) for column in ("context", "answers")}  # type: ignore[call-overload]
    other_units = 0
    for context, answers in zip(columns["context"], columns["answers"], strict=True):
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


def renamed(article: Json, start: str) -> Json:
    """The article under ids such as ``korean-123-0``."""
    paragraphs = [
        {**paragraph, "qas": [{**question, "id": f"{start}-{question['id']}"} for question in paragraph["qas"]]}
        for paragraph in article["paragraphs"]
    ]
    return {**article, "paragraphs": paragraphs}


def tydiqa(name: str, data_root: Path) -> list[Json]:
    """The articles of one language under ids as they are published."""
    found = articles(data_root / FILES[name, "train"][0])
    return [renamed(article, f"{TYDIQA[name]}-{7919 * index}") for index, article in enumerate(found)]


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
        own = ready(name, "train", registry, Settings(cache=cache, data=data_root, offline=True))
        whole = ready(name, "train", registry, Settings(cache=tmp_path / "cache", data=tmp_path, offline=True))
        assert (whole.rows, whole.rows_sha256, whole.pinned) == (own.rows, own.rows_sha256, True)
        assert whole.folder != own.folder
        for column in ("id", "context", "question", "answers"):
            assert list(whole.open()[column]) == list(own.open()[column])  # type: ignore[call-overload]


def test_tydiqa_in_another_order_is_another_data_set(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    content = all_languages(data_root)
    path = put(tmp_path, "tydiqa-goldp/tydiqa-goldp-v1.1-train.json", {**content, "data": content["data"][::-1]})
    assert "holds other rows than the published ones" in refusal("tydiqa-ko", "train", registry, tmp_path, path)


# What is not the published file.


def put(root: Path, path: str, content: Json | bytes) -> Path:
    """Write a file under a data root."""
    target = root.joinpath(*path.split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return target


def some(data_root: Path, count: int = 2) -> Json:
    """A small file in SQuAD's format: XQuAD's first articles, to be changed at will."""
    return {"version": "1.1", "data": copy.deepcopy(articles(data_root / XQUAD[1])[:count])}


def refusal(name: str, split: str, registry: Registry, root: Path, path: Path | None = None) -> str:
    """The message for a data root's file, which is one line and names the file."""
    with pytest.raises(DataError) as caught:
        ready(name, split, registry, Settings(cache=root / "cache", data=root, offline=True))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert path is None or str(path) in message
    assert not list((root / "cache").glob("datasets/*"))
    return message


@pytest.mark.parametrize("where", [XQUAD, MLQA], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("kept", [0, 1, 1000, -1, -2])
def test_a_truncated_file_is_one_line(
    registry: Registry, data_root: Path, tmp_path: Path, where: tuple[str, str], kept: int
) -> None:
    body = (data_root / XQUAD[1]).read_bytes().rstrip()[:kept]
    message = refusal(where[0], "dev", registry, tmp_path, put(tmp_path, where[1], body))
    assert "not SQuAD JSON (JSONDecodeError" in message
    assert ("get it again from https://" in message) == (where == XQUAD)


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{}", b"null", b"7", b'"data"', b'{"data": null}', b'{"data": 7}', b'{"data": [7]}',
        b'{"data": ["a"]}', b'{"data": {"paragraphs": []}}', b'{"data": [{"paragraphs": {"qas": []}}]}',
        b'{"data": [{"paragraphs": [[]]}]}',
        b'{"data": [{"paragraphs": [{"qas": 7}]}]}', b'{"data": [{"paragraphs": [{"qas": ["a"]}]}]}',
        b'{"data": [{"paragraphs": [{"qas": [null]}]}]}', b'{"rows": [{"id": "1", "context": "a", "question": "b"}]}',
        b"<html>Please log in</html>", "{\"data\": \"한국\"}".encode("cp949"), gzip.compress(b'{"data": []}'),
        b"[" * 100_000,
    ],
    ids=range(20),
)  # fmt: skip
def test_a_file_that_is_something_else_is_one_line(registry: Registry, tmp_path: Path, body: bytes) -> None:
    refusal(MLQA[0], "dev", registry, tmp_path, put(tmp_path, MLQA[1], body))


def question_of(content: Json) -> Json:
    """The second question of the second article."""
    question: Json = content["data"][1]["paragraphs"][0]["qas"][1]
    return question


def answer_of(content: Json) -> Json:
    answer: Json = question_of(content)["answers"][0]
    return answer


MISSING: dict[str, Damage] = {
    "paragraphs": lambda content: content["data"][1].pop("paragraphs"),
    "qas": lambda content: content["data"][1]["paragraphs"][0].pop("qas"),
    "context": lambda content: content["data"][1]["paragraphs"][0].pop("context"),
    "id": lambda content: question_of(content).pop("id"),
    "question": lambda content: question_of(content).pop("question"),
    "answers": lambda content: question_of(content).pop("answers"),
    "text": lambda content: answer_of(content).pop("text"),
    "answer_start": lambda content: answer_of(content).pop("answer_start"),
}


@pytest.mark.parametrize("key", MISSING)
def test_a_missing_key_is_one_line_that_names_it(registry: Registry, data_root: Path, tmp_path: Path, key: str) -> None:
    content = some(data_root)
    MISSING[key](content)
    assert repr(key) in refusal(MLQA[0], "dev", registry, tmp_path, put(tmp_path, MLQA[1], content))


def move(answer: Json, places: int) -> None:
    answer["answer_start"] += places


WRONG: dict[str, Damage] = {
    "a start off by one": lambda content: move(answer_of(content), 1),
    "a start off by one the other way": lambda content: move(answer_of(content), -1),
    "a start from the end": lambda content: answer_of(content).update(answer_start=-5),
    "a start beyond": lambda content: answer_of(content).update(answer_start=10**6),
    "a start as a text": lambda content: answer_of(content).update(answer_start="7"),
    "a start as a fraction": lambda content: answer_of(content).update(answer_start=7.0),
    "an answer that is null": lambda content: answer_of(content).update(text=None),
    "an answer that is a number": lambda content: answer_of(content).update(text=308),
    "answers that are null": lambda content: question_of(content).update(answers=None),
    "a question that is null": lambda content: question_of(content).update(question=None),
    "a context that is a list": lambda content: content["data"][1]["paragraphs"][0].update(context=["a"]),
    "an id that stands twice": lambda content: question_of(content).update(
        id=content["data"][0]["paragraphs"][0]["qas"][0]["id"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_row_that_is_wrong_is_one_line(registry: Registry, data_root: Path, tmp_path: Path, what: str) -> None:
    content = some(data_root)
    WRONG[what](content)
    message = refusal(MLQA[0], "dev", registry, tmp_path, put(tmp_path, MLQA[1], content))
    if "off by one" in what:
        assert "does not stand at code point" in message
    if "twice" in what:
        assert "the same id" in message


def drop_last(content: Json) -> None:
    content["data"][-1]["paragraphs"][-1]["qas"].pop()


SUBTLE: dict[str, tuple[Damage, str]] = {
    "a letter of a question": (lambda content: question_of(content).update(question="Who?"), "holds other rows"),
    "an id": (lambda content: question_of(content).update(id="other"), "holds other rows"),
    "two answers of one text": (lambda content: question_of(content)["answers"].append(answer_of(content)), "other"),
    "the last question gone": (drop_last, "holds 1189 rows, not 1190"),
}


@pytest.mark.parametrize("what", SUBTLE)
def test_a_published_file_that_was_altered_is_refused(
    registry: Registry, data_root: Path, tmp_path: Path, what: str
) -> None:
    content, (damage, words) = some(data_root, 48), SUBTLE[what]
    damage(content)
    message = refusal(XQUAD[0], "dev", registry, tmp_path, put(tmp_path, XQUAD[1], content))
    assert words in message
    assert "get it again from https://" in message


def test_the_same_rows_in_other_bytes_are_the_same_rows(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    text = json.dumps(some(data_root, 48), ensure_ascii=False, indent=3)
    put(tmp_path, XQUAD[1], b"\xef\xbb\xbf" + text.encode())
    assert ready(XQUAD[0], "dev", registry, Settings(cache=tmp_path / "cache", data=tmp_path)).rows == 1190


def tydiqa_dev(data_root: Path) -> Json:
    """A few Korean and English questions of the dev part, as it is published."""
    return {"data": [article for name in ("tydiqa-ko", "tydiqa-en") for article in tydiqa(name, data_root)[:4]]}


def test_tydiqas_dev_part_goes_by_the_publishers_ids(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    put(tmp_path, TYDIQA_DEV[1], tydiqa_dev(data_root))
    settings = Settings(cache=tmp_path / "cache", data=tmp_path, offline=True)
    korean, english = (ready(name, "dev", registry, settings) for name in ("tydiqa-ko", "tydiqa-en"))
    questions = [question["question"] for _, question in raw(data_root / FILES["tydiqa-ko", "train"][0])]
    assert [row["question"] for row in korean.open()] == questions[:4]
    for rows, language in ((korean, "korean"), (english, "english")):
        expected = [f"{language}-{7919 * index}" for index in range(4)]
        assert [row["id"].rpartition("-")[0] for row in rows.open()] == expected
    assert not korean.pinned


@pytest.mark.parametrize("blank", [[], [{"text": "", "answer_start": 0}], [{"text": "", "answer_start": -1}] * 2])
def test_a_tydiqa_dev_copy_with_blanked_answers_is_refused(
    registry: Registry, data_root: Path, tmp_path: Path, blank: list[Json]
) -> None:
    content = tydiqa_dev(data_root)
    content["data"][2]["paragraphs"][0]["qas"][0]["answers"] = blank
    message = refusal(TYDIQA_DEV[0], "dev", registry, tmp_path, put(tmp_path, TYDIQA_DEV[1], content))
    assert "question korean-15838-" in message
    assert "answers were blanked" in message


def test_a_tydiqa_dev_copy_whose_ids_lost_their_language_is_refused(
    registry: Registry, data_root: Path, tmp_path: Path
) -> None:
    content = {"data": articles(data_root / FILES["tydiqa-ko", "train"][0])[:4]}
    message = refusal(TYDIQA_DEV[0], "dev", registry, tmp_path, put(tmp_path, TYDIQA_DEV[1], content))
    assert "has no language: this is not the published file" in message


# What is not there.


@pytest.mark.parametrize(
    ("name", "split", "file", "address", "stand_ins"),
    [
        ("squad", "train", "train-v1.1.json", "https://rajpurkar.github.io/", ("squad-44", "tydiqa-en")),
        ("squad-es", "dev", "dev-v1.1-es.json", "https://raw.githubusercontent.com/ccasimiro88/", ("squad-es-small",)),
        ("korquad", "train", "KorQuAD_v1.0_train.json", "https://korquad.github.io/dataset/", ("tydiqa-ko",)),
        ("squad-44", "train", "test-v1.1.json", "https://github.com/xinyadu/nqg", ("squad", "tydiqa-en")),
        ("tydiqa-ko", "train", "tydiqa.goldp.ko.train.json", "https://storage.googleapis.com/tydiqa/v1.1/", ()),
        ("mlqa-de-zh", "test", "test-context-de-question-zh.json", "https://dl.fbaipublicfiles.com/MLQA/", ()),
    ],
)
def test_a_split_that_is_not_there_is_one_line_with_its_file_its_address_and_what_can_stand_in(
    registry: Registry, tmp_path: Path, name: str, split: str, file: str, address: str, stand_ins: tuple[str, ...]
) -> None:
    declared = registry.datasets.get(name).splits[split].sources[0]
    assert isinstance(declared, Files)
    path = tmp_path.joinpath(*declared.files[0].path.split("/"))
    message = refusal(name, split, registry, tmp_path, path)
    assert path.name == file
    assert message.startswith(f"dataset {name}, split {split}: {path} is not there")
    assert address in message
    assert message.endswith(f"{' or '.join(stand_ins)} can stand in") == bool(stand_ins)
    assert ("can stand in" in message) == bool(stand_ins)


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
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS) == 5 + 12 + 49 + 9 + 4
    for dataset in DATASETS:
        assert registry.datasets.get(dataset.name) is dataset
        texts = (dataset.licence, dataset.citation, dataset.homepage, dataset.description)
        assert all(text.strip() and len(text.splitlines()) == 1 for text in texts), dataset.name
        assert dataset.sample or dataset.homepage.startswith("https://"), dataset.name
        assert dataset.schema == "span"
        assert dataset.official
        for name in dataset.official:
            registry.metrics.get(name)


def test_every_address_is_https_and_every_file_has_its_own_place() -> None:
    places = Counter[tuple[str, str | None, str | None]]()
    for dataset in DATASETS:
        for declared in dataset.splits.values():
            for source in declared.sources:
                assert isinstance(source, Packaged if dataset.sample else Files)
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


# MLQA: one archive, read member by member.


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


@pytest.fixture
def archive(data_root: Path) -> dict[str, bytes]:
    """A small MLQA: one article of XQuAD a member, each another one."""
    parts = {"dev-context-en-question-en": 0, "test-context-en-question-en": 1, "dev-context-es-question-ar": 2}
    members = {
        f"MLQA_V1/{name.partition('-')[0]}/{name}.json": json.dumps({"data": [articles(data_root / XQUAD[1])[index]]})
        for name, index in parts.items()
    }
    return {"MLQA_V1/README.md": b"about it", **{name: body.encode() for name, body in members.items()}}


def prepare_mlqa(name: str, split: str, url: str, registry: Registry, settings: Settings) -> RowSet:
    """From an archive at another address."""
    dataset = registry.datasets.get(name)
    (source,) = dataset.splits[split].sources
    assert isinstance(source, Files)
    files = tuple(dataclasses.replace(file, url=url) for file in source.files)
    moved = dataclasses.replace(dataset.splits[split], sources=(dataclasses.replace(source, files=files),))
    dataset = dataclasses.replace(dataset, splits={**dataset.splits, split: moved})
    return prepare(dataset, split, registry.schemas.get(dataset.schema), settings)


def test_mlqas_archive_is_fetched_once_and_read_member_by_member(
    site: Site, registry: Registry, data_root: Path, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    for index, (name, split) in enumerate([("mlqa-en-en", "dev"), ("mlqa-en-en", "test"), ("mlqa-es-ar", "dev")]):
        found = prepare_mlqa(name, split, url, registry, settings)
        expected = [q for part in articles(data_root / XQUAD[1])[index]["paragraphs"] for q in part["qas"]]
        rows: list[Row] = list(found.open())
        assert [row["id"] for row in rows] == [question["id"] for question in expected]
        assert (found.source, found.pinned) == ("url", False)
    assert site.asked == ["/MLQA_V1.zip"]
    offline = dataclasses.replace(settings, offline=True)
    assert prepare_mlqa("mlqa-es-ar", "dev", url, registry, offline).source == "url"


def test_a_member_not_asked_for_before_is_read_offline_from_the_archive(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    prepare_mlqa("mlqa-en-en", "dev", url, registry, settings)
    offline = dataclasses.replace(settings, offline=True)
    assert prepare_mlqa("mlqa-es-ar", "dev", url, registry, offline).rows > 0
    assert len(site.asked) == 1


def test_a_member_that_the_archive_lacks_is_one_line(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        prepare_mlqa("mlqa-zh-vi", "test", url, registry, settings)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "the archive does not hold MLQA_V1/test/test-context-zh-question-vi.json" in message
    assert "published at https://github.com/facebookresearch/MLQA" in message


def test_offline_a_member_that_the_archive_lacks_does_not_cost_the_archive(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    """What cannot be fetched again is not thrown away."""
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    prepare_mlqa("mlqa-en-en", "dev", url, registry, settings)
    offline = dataclasses.replace(settings, offline=True)
    with pytest.raises(DataError, match="does not hold"):
        prepare_mlqa("mlqa-zh-vi", "test", url, registry, offline)
    assert prepare_mlqa("mlqa-es-ar", "dev", url, registry, offline).rows > 0


def test_a_file_of_mlqa_under_the_data_root_needs_no_archive(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    put(tmp_path, MLQA[1], archive["MLQA_V1/dev/dev-context-en-question-en.json"])
    settings = Settings(cache=tmp_path / "cache", data=tmp_path)
    found = prepare_mlqa(MLQA[0], "dev", site.address + "/MLQA_V1.zip", registry, settings)
    assert (found.source, site.asked) == ("data root", [])
