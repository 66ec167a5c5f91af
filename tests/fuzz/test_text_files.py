"""Tasks, project files, anchors, data sets and tables, damaged: one clear error or none."""

from __future__ import annotations

import functools
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.alignment.datasets import read_both
from xbench_plugins.evaluate_metrics.address import Address
from xbench_plugins.mrc import readers as mrc
from xbench_plugins.sentiment import readers as sentiment
from xbench_plugins.sts import readers as sts
from xbench_plugins.sts.translations import read_mixed_pairs, read_translations

from tests.fuzz.harness import case, fuzz
from tests.fuzz.mutations import TOKENS, damaged, json_files
from xbench.cards import merged
from xbench.curriculum import parse_curriculum
from xbench.data.pairs import read_pairs
from xbench.data.schemas import row_error
from xbench.errors import DataError, UserError
from xbench.keys import row_line
from xbench.project import read_project
from xbench.recipe import build_recipe
from xbench.registry import Registry
from xbench.scaffold.own_rows import collect
from xbench.scoring import read_predictions
from xbench.tasks import load_task
from xbench.types import Row
from xbench.verify.anchors import load_anchors
from xbench.verify.findings import load_findings

ROOT = Path(__file__).parents[2]
TASKS = [path.read_bytes() for path in sorted((ROOT / "tasks").glob("*.toml"))]
ANCHORS = [
    path.read_bytes() for path in sorted((ROOT / "leaderboard" / "anchors").glob("*.toml")) if "find" not in path.name
]
FINDINGS = (ROOT / "leaderboard" / "anchors" / "findings.toml").read_bytes()
PROJECT = b"""data = "data"\ncache = "~/cache"\nplugins = ["a.py"]\nmodel = ["./m", "labse"]\ntasks = "sts"\nseeds = [0]
limit_train = 10\nstrict = true\n[recipe]\nepochs = 2\nlearning_rate = 1e-5\n"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files are written anew for each case."""
    return tmp_path_factory.mktemp("fuzz")


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@fuzz()
@given(data=damaged(*TASKS))
def test_tasks(place: Path, data: bytes) -> None:
    with case("task TOML", UserError):
        task = load_task(written(place, "a.toml", data))
        build_recipe(task.recipe, "recipe", {})
        for curriculum in task.curricula:
            parse_curriculum(curriculum)


@fuzz()
@given(data=damaged(PROJECT))
def test_project_files(place: Path, data: bytes) -> None:
    with case("project TOML", UserError):
        read_project(written(place, "xbench.toml", data)).settings()


@fuzz()
@given(data=damaged(*ANCHORS))
def test_anchors(place: Path, data: bytes) -> None:
    with case("anchors TOML", UserError):
        load_anchors(written(place, "a.toml", data))


@fuzz()
@given(data=damaged(FINDINGS))
def test_findings(place: Path, data: bytes) -> None:
    with case("findings TOML", UserError):
        load_findings(written(place, "findings.toml", data))


@fuzz()
@given(text=st.text(max_size=40) | st.sampled_from(TOKENS).map(lambda one: one.decode("utf-8", "replace")))
def test_names(text: str) -> None:
    with case("curricula and addresses", UserError):
        address = Address.parse(text)
        assert len(address.metric_name) < 10_000_000
        parse_curriculum(text)


# Data sets


def lines(path: Path, count: int = 12) -> bytes:
    with path.open("rb") as file:
        return b"".join(file.readline() for _ in range(count))


def squad(path: Path) -> dict[str, Any]:
    """The first questions of a real file."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"][:2]
    for article in articles:
        article["paragraphs"] = article["paragraphs"][:2]
        for paragraph in article["paragraphs"]:
            paragraph["qas"] = paragraph["qas"][:2]
    return {"version": "1", "data": articles}


def reviews() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for split in ("train", "test"):
            for side in ("neg", "pos"):
                entry = tarfile.TarInfo(f"aclImdb/{split}/{side}/0_3.txt")
                entry.size, entry.pax_headers = 4, {"comment": "é"}
                tar.addfile(entry, io.BytesIO(b"good"))
    return buffer.getvalue()


def read_all(read: Callable[[Sequence[Path]], Iterator[Row]], paths: list[Path], name: str, registry: Registry) -> None:
    """What `xbench.data.rows` does with a reader's rows."""
    dataset = registry.datasets.get(name)
    schema = registry.schemas.get(dataset.schema)
    for row in read(paths):
        if row_error(row, schema, dataset) is not None:
            return
        row_line(row)


PLAIN: dict[str, tuple[Callable[..., Iterator[Row]], str, tuple[str, ...]]] = {
    "STSb": (sts.read_stsb, "stsb", ("stsbenchmark/sts-test.csv",)),
    "KorSTS": (sts.read_korsts, "korsts", ("korsts/sts-test.tsv",)),
    "mixed pairs": (read_mixed_pairs, "stsb", ("stsbenchmark/sts-test.csv", "korsts/sts-test.tsv")),
    "translations": (
        read_translations, "tatoeba-ko-en",
        ("stsbenchmark/sts-test.csv", "korsts/sts-test.tsv", "stsbenchmark/sts-dev.csv", "korsts/sts-dev.tsv"),
    ),
    "NSMC": (sentiment.read_nsmc, "nsmc", ("nsmc/ratings_test.txt",)),
    "parallel lines": (read_both, "tatoeba-ko-en", ("nsmc/ratings_test.txt", "nsmc/ratings_train.txt")),
    "parallel TSV": (read_pairs, "tatoeba-ko-en", ("korsts/sts-test.tsv",)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
@fuzz(0.5)
@given(data=st.data())
def test_lines(place: Path, data_root: Path, registry: Registry, name: str, data: st.DataObject) -> None:
    read, dataset, files = PLAIN[name]
    seeds = [lines(data_root / file) for file in files]
    which = data.draw(st.integers(0, len(seeds) - 1))
    seeds[which] = data.draw(damaged(seeds[which], *seeds))
    paths = [written(place, f"{number}.txt", seed) for number, seed in enumerate(seeds)]
    with case(f"data set: {name}", DataError):
        read_all(read, paths, dataset, registry)


SQUAD: dict[str, tuple[Callable[..., Iterator[Row]], str, str]] = {
    "KorQuAD": (mrc.read_squad, "korquad", "korquad-v1.0/KorQuAD_v1.0_dev.json"),
    "SQuAD": (mrc.read_squad, "squad", "squad-v1.1/dev-v1.1.json"),
    "TyDiQA": (
        functools.partial(mrc.read_tydiqa, language="korean", keep_ids=False), "korquad",
        "tydiqa-goldp/tydiqa.goldp.ko.train.json",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def questions(data_root: Path) -> dict[str, Any]:
    return {name: squad(data_root / file) for name, (_, _, file) in SQUAD.items()}


@pytest.mark.parametrize("name", SQUAD)
@fuzz()
@given(data=st.data())
def test_questions(place: Path, registry: Registry, questions: dict[str, Any], name: str, data: st.DataObject) -> None:
    read, dataset, _ = SQUAD[name]
    path = written(place, "a.json", data.draw(json_files(questions[name])))
    with case(f"data set: {name}", DataError):
        read_all(read, [path], dataset, registry)


@fuzz(0.5)
@given(data=st.data())
def test_parallel_questions(place: Path, registry: Registry, questions: dict[str, Any], data: st.DataObject) -> None:
    paths = [written(place, f"{name}.json", data.draw(json_files(questions["SQuAD"]))) for name in "ab"]
    with case("data set: parallel questions", DataError):
        read_all(mrc.read_parallel_questions, paths, "tatoeba-ko-en", registry)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
@fuzz()
@given(data=damaged(reviews()))
def test_reviews(place: Path, registry: Registry, pack: Callable[[bytes], bytes], data: bytes) -> None:
    path = written(place, "a.tar.gz", pack(data))
    with case("data set: LMRD", DataError):
        read_all(functools.partial(sentiment.read_lmrd, split="train"), [path], "lmrd", registry)


PAIR = {"sentence1": "a", "sentence2": "b", "score": 1.0}


@fuzz()
@given(content=json_files([PAIR]), packed=damaged(gzip.compress(json.dumps(PAIR).encode())), whole=st.booleans())
def test_packed_lines(place: Path, registry: Registry, content: bytes, packed: bytes, whole: bool) -> None:
    path = written(place, "a.jsonl.gz", gzip.compress(content.strip(b"[]")) if whole else packed)
    with case("data set: gzipped JSON lines", DataError):
        read_all(sts.read_hub_json, [path], "stsb", registry)


# Tables of one's own, predictions, cards

TABLES = {
    ".csv": (b"id,sentence1,sentence2,score,split\n" + b'%d,"a, b",c,%d.5,\n' * 12) % tuple(range(24)),
    ".tsv": (b"id\ttext\tlabel\n" + b"%d\ta\tx\n%d\tb\ty\n" * 8) % tuple(range(16)),
    ".jsonl": b"".join(
        b'{"id": "%d", "context": "a b", "question": "?", "answers": [{"text": "b", "start": 2}]}\n' % number
        for number in range(14)
    ),
}
SCHEMAS = {".csv": "pair-score", ".tsv": "text-label", ".jsonl": "span"}


@pytest.mark.parametrize("suffix", TABLES)
@fuzz()
@given(data=st.data())
def test_tables(place: Path, suffix: str, data: st.DataObject) -> None:
    path = written(place, f"train{suffix}", data.draw(damaged(TABLES[suffix])))
    with case(f"own rows: {suffix}", UserError):
        collect([path], SCHEMAS[suffix], ["en"])


@fuzz()
@given(content=json_files({"a": "x", "b": None, "c": 0.5, "d": 1}), schema=st.sampled_from(["span", "pair-score"]))
def test_predictions(place: Path, registry: Registry, content: bytes, schema: str) -> None:
    with case("predictions JSON", UserError):
        read_predictions(written(place, "p.json", content), registry.schemas.get(schema))


CARD = b"---\nlicense: mit\nmodel-index:\n- name: x\n  results:\n  - task:\n      type: a\n---\n# A card\n"


@fuzz()
@given(data=damaged(CARD))
def test_cards(data: bytes) -> None:
    ours = [{"name": "m", "results": [{"metrics": [], "task": {"type": "x"}, "dataset": {"type": "y", "name": "z"}}]}]
    with case("model cards", UserError):
        merged(data.decode("utf-8", "replace"), ours, "README.md")
