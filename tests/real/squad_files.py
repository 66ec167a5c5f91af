"""The published MRC files, read by other code than the plugin's, and small ones made of them."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.rows import ready
from xbench.errors import DataError
from xbench.registry import Registry

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
        ready(name, split, registry, root, root / "cache")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert path is None or str(path) in message
    assert not list((root / "cache").glob("datasets/*"))
    return message
