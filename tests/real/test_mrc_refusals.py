"""A file that is not the published one, or not there, is refused in one line that names it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.real.rows import prepared
from tests.real.squad_files import (
    FILES,
    MLQA,
    TYDIQA_DEV,
    XQUAD,
    Damage,
    Json,
    articles,
    put,
    raw,
    refusal,
    some,
    tydiqa,
)
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Files


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
    assert prepared(XQUAD[0], "dev", registry, Settings(cache=tmp_path / "cache", data=tmp_path)).rows == 1190


def tydiqa_dev(data_root: Path) -> Json:
    """A few Korean and English questions of the dev part, as it is published."""
    return {"data": [article for name in ("tydiqa-ko", "tydiqa-en") for article in tydiqa(name, data_root)[:4]]}


def test_tydiqas_dev_part_goes_by_the_publishers_ids(registry: Registry, data_root: Path, tmp_path: Path) -> None:
    put(tmp_path, TYDIQA_DEV[1], tydiqa_dev(data_root))
    settings = Settings(cache=tmp_path / "cache", data=tmp_path, offline=True)
    korean, english = (prepared(name, "dev", registry, settings) for name in ("tydiqa-ko", "tydiqa-en"))
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
