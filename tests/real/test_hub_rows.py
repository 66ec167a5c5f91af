"""The hub's files give the very rows of the publishers' files, or are refused: real rows, from a hub's endpoints."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.hub_site import HubSite, hub_site, use_hub
from tests.real.squad_files import FILES, raw
from xbench.data.rows import RowSet, prepare
from xbench.errors import DataError
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Dataset, Files, Hub, Split

ANSWERS = pyarrow.struct([("text", pyarrow.list_(pyarrow.string())), ("answer_start", pyarrow.list_(pyarrow.int32()))])
SQUAD = pyarrow.schema([
    ("id", pyarrow.string()), ("title", pyarrow.string()), ("context", pyarrow.string()),
    ("question", pyarrow.string()), ("answers", ANSWERS),
])  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSite]:
    with hub_site() as served:
        use_hub(served.site.address, tmp_path / "hub", monkeypatch)
        yield served


def parquet(rows: Iterable[Mapping[str, Any]], schema: pyarrow.Schema | None = None) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), buffer)
    return buffer.getvalue()


def squad_table(path: Path, strip: bool = False) -> bytes:
    """SQuAD JSON as the hub's builders make a table of it; some strip white space and leave the offsets."""
    clean = str.strip if strip else str
    return parquet(
        (
            {
                "id": question["id"], "title": "", "context": clean(paragraph["context"]),
                "question": clean(question["question"]),
                "answers": {
                    "text": [clean(answer["text"]) for answer in question["answers"]],
                    "answer_start": [answer["answer_start"] for answer in question["answers"]],
                },
            }
            for paragraph, question in raw(path)
        ),
        SQUAD,
    )  # fmt: skip


def hub_source(dataset: Dataset, split: str) -> Hub:
    (found,) = [source for source in dataset.splits[split].sources if isinstance(source, Hub)]
    return found


def from_hub(hub: HubSite, name: str, split: str, bodies: Iterable[bytes], registry: Registry, folder: Path) -> RowSet:
    """The rows of a declared split, of which only the hub has files."""
    dataset = registry.datasets.get(name)
    source = hub_source(dataset, split)
    hub.publish(source.repository, source.revision, dict(zip(source.files, bodies, strict=True)), large=source.files)
    away = replace(dataset, splits={split: replace(dataset.splits[split], sources=(source,))})
    found = prepare(away, split, registry.schemas.get(dataset.schema), Settings(cache=folder / "cache"))
    assert (found.pinned, found.source) == (True, f"hub:{source.repository}@{source.revision}")
    assert found.rows_sha256 == dataset.splits[split].rows_sha256
    return found


def test_squad_from_the_hub_is_squad(hub: HubSite, registry: Registry, data_root: Path, tmp_path: Path) -> None:
    body = squad_table(data_root / FILES["squad", "dev"][0])
    assert from_hub(hub, "squad", "dev", [body], registry, tmp_path).rows == 10570


def stsb_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().decode("utf-8").rstrip("\n").split("\n"):
        fields = line.split("\t")
        yield {"sentence1": fields[5], "sentence2": fields[6].rstrip("\r"), "score": float(fields[4])}


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_stsb_from_the_hub_is_stsb(
    hub: HubSite, registry: Registry, data_root: Path, tmp_path: Path, split: str
) -> None:
    rows = stsb_lines(data_root / f"stsbenchmark/sts-{split}.csv")
    body = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    from_hub(hub, "stsb", split, [body], registry, tmp_path)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_korsts_from_the_hub_is_korsts(
    hub: HubSite, registry: Registry, data_root: Path, tmp_path: Path, split: str
) -> None:
    lines = (data_root / f"korsts/sts-{split}.tsv").read_bytes().decode("utf-8").rstrip("\n").split("\n")[1:]
    fields = [line.rstrip("\r").split("\t") for line in lines]
    body = parquet({"sentence1": one[5], "sentence2": one[6], "score": float(one[4])} for one in fields)
    from_hub(hub, "korsts", split, [body], registry, tmp_path)


def test_every_hub_source_is_pinned_to_a_commit_and_to_its_rows(registry: Registry) -> None:
    found = [
        (dataset.name, name, source)
        for dataset in registry.datasets
        for name, split in dataset.splits.items()
        for source in split.sources
        if isinstance(source, Hub)
    ]
    assert {name for name, _, _ in found} >= {"stsb", "korsts", "squad", "sts17-es"}
    for name, split, source in found:
        assert len(source.revision) == 40
        assert int(source.revision, 16)
        declared = registry.datasets.get(name).splits[split]
        assert declared.rows is not None
        assert declared.rows_sha256 is not None or (name, split) == ("squad", "train")


@pytest.mark.parametrize("name", ["sts17-ar", "sts17-ar-en", "sts17-es", "sts17-es-en", "sts17-en"])
def test_sts17_from_the_hub_is_sts17(
    hub: HubSite, registry: Registry, data_root: Path, tmp_path: Path, name: str
) -> None:
    (files,) = [one for one in registry.datasets.get(name).splits["test"].sources if isinstance(one, Files)]
    texts, scores = (
        (data_root / file.path).read_bytes().decode("utf-8").rstrip("\n").split("\n") for file in files.files
    )
    pairs = [line.rstrip("\r").split("\t") for line in texts]
    rows = [
        {"sentence1": a, "sentence2": b, "score": float(score)} for (a, b, *_), score in zip(pairs, scores, strict=True)
    ]
    body = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    from_hub(hub, name, "test", [body], registry, tmp_path)


def test_every_dataset_comes_from_the_hub_or_says_why_not(registry: Registry) -> None:
    assert len([dataset for dataset in registry.datasets if dataset.not_on_hub]) > 10
    for dataset in registry.datasets:
        sources = [source for split in dataset.splits.values() for source in split.sources]
        known = any(isinstance(source, Hub) for source in sources)
        assert known + bool(dataset.not_on_hub) == (not dataset.sample), dataset.name


@pytest.mark.parametrize("name", ["xquad-en", "xquad-es", "xquad-ar"])
def test_a_copy_that_was_stripped_on_its_way_to_the_hub_is_refused(
    hub: HubSite, registry: Registry, data_root: Path, tmp_path: Path, name: str
) -> None:
    dataset = registry.datasets.get(name)
    source = replace(hub_source(registry.datasets.get("squad"), "dev"), repository="org/stripped")
    hub.publish(
        "org/stripped", source.revision, {source.files[0]: squad_table(data_root / FILES[name, "dev"][0], True)}
    )
    declared: Split = replace(dataset.splits["dev"], sources=(source,))
    with pytest.raises(DataError, match=r"does not stand at|holds other rows"):
        prepare(
            replace(dataset, splits={"dev": declared}), "dev", registry.schemas.get("span"),
            Settings(cache=tmp_path / "cache"),
        )  # fmt: skip


def test_korquad_stripped_has_other_questions_and_answers(data_root: Path) -> None:
    questions = [question for _, question in raw(data_root / FILES["korquad", "dev"][0])]
    assert sum(one["question"] != one["question"].strip() for one in questions) == 232
    answers = [[answer["text"] for answer in one["answers"]] for one in questions]
    assert sum(texts != [text.strip() for text in texts] for texts in answers) == 3


@pytest.mark.parametrize(("split", "others"), [("train", 623), ("test", 233)])
def test_nsmc_read_as_a_csv_has_other_texts(registry: Registry, data_root: Path, split: str, others: int) -> None:
    assert [type(source) for source in registry.datasets.get("nsmc").splits[split].sources] == [Files]
    path = data_root / f"nsmc/ratings_{split}.txt"
    with path.open(encoding="utf-8", newline="\n") as file:
        published = [line.rstrip("\n").split("\t") for line in file]
    with path.open(encoding="utf-8") as file:
        read = list(csv.reader(file, delimiter="\t"))
    assert len(read) == len(published)
    assert sum(one != two for one, two in zip(read, published, strict=True)) == others
