"""The worked plugins of docs/examples, as a reader would run them: loaded, planned, trained and scored."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans import forget_plugin_files
from tests.tiny import Bench, TinyRun
from xbench.measures import MetricContext
from xbench.registry import Registry, load_registry, owners_of
from xbench.types import Dataset, Decoding, HeadContext

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PROJECTS = {path.parent.name: path.parent / path.parent.name.replace("-", "_") for path in EXAMPLES.glob("*/README.md")}
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.fixture(scope="module")
def every() -> Iterator[Registry]:
    """All of the examples beside the installed plugins."""
    yield load_registry(sorted(folder / "__init__.py" for folder in PROJECTS.values()))
    forget_plugin_files()


@pytest.fixture(scope="module")
def entities() -> Iterator[ModuleType]:
    """The package of the named entities."""
    sys.path.insert(0, str(PROJECTS["named-entities"].parent))
    yield importlib.import_module("named_entities.metrics")
    sys.path.pop(0)


def test_each_project_declares_itself_to_pip_and_to_xbench(every: Registry) -> None:
    assert len(PROJECTS) == 3
    assert every.problems() == []
    for name, folder in PROJECTS.items():
        project = tomllib.loads((folder.parent / "pyproject.toml").read_text(encoding="utf-8"))
        assert project["project"]["entry-points"]["xbench"] == {folder.name: folder.name}
        patterns = project["tool"]["setuptools"]["package-data"][folder.name]
        packaged = {path for pattern in patterns for path in folder.glob(pattern)}
        python = set(folder.glob("*.py"))
        assert {path for path in folder.rglob("*.*") if "__pycache__" not in path.parts} == packaged | python
        assert f"task {name}" in owners_of(every)[str(folder / "__init__.py")]


def test_they_import_nothing_of_xbench_but_its_api() -> None:
    imports = re.compile(r"^\s*(?:from|import)\s+(xbench\S*)", re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for folder in PROJECTS.values() for path in folder.glob("*.py")]
    used = {name for text in texts for name in imports.findall(text)}
    assert used == {"xbench.api"}


@pytest.mark.parametrize("project", PROJECTS)
def test_each_is_trained_and_scored(project: str, every: Registry, tiny: Callable[..., Path], tmp_path: Path) -> None:
    """With the task's own recipe, but for one epoch: a tiny encoder, whose scores say nothing."""
    bench = Bench(tmp_path, str(tiny("xlm-roberta")), every)
    task = every.tasks.get(project)
    outcome, heard = bench.run(task=project, overrides={"epochs": 1, "max_length": 48}, limit_eval=30)
    assert not heard.failures, heard.failures
    assert len(outcome.records) == len(task.curricula) * len(task.eval)
    for record in outcome.records:
        assert record["scores"].keys() >= {record["primary"]}
        assert record["sampling"]["draws"] == 1000
        assert record["sample"]
        assert all(found["rows"] == 0 for found in record["overlap"])  # no test row stands in training


def test_the_scripts_score_is_the_metrics_of_its_name(every: Registry) -> None:
    task, dataset = every.tasks.get("own-metric"), every.datasets.get("mini-sentiment-en")
    metric = every.metrics.get(task.metrics[0])
    assert metric.name == "evaluate-weighted_accuracy-negative-5"
    about = MetricContext(dataset, [{}] * 3)
    assert metric.compute([0, 0, 1], [0, 1, 1], about) == pytest.approx({"weighted_accuracy": 100 * 6 / 7})
    assert metric.compute([1, 1, 1], [0, 1, 1], about) == pytest.approx({"weighted_accuracy": 100 * 2 / 7})


def test_the_real_encoder_learns_to_tag(every: Registry, tmp_path: Path) -> None:
    """A few steps of e5-small-q4 on sentences of which it shall know the tags."""
    bench = Bench(tmp_path, "e5-small-q4", every)
    outcome, heard = bench.run(
        "entities-en", task="named-entities", datasets=("entities-en/train", "entities-ko"), limit_train=12,
        limit_eval=12, overrides={"epochs": 12, "lr": 5e-4, "optimizer": "adamw", "batch_size": 4},
    )  # fmt: skip
    assert not heard.failures, heard.failures
    known, korean = outcome.records
    assert known["scores"]["entity_f1"] > 20
    assert [found["rows"] for found in known["overlap"]] == [12]  # its words are found again in what was trained on
    assert (known["transfer"], korean["transfer"]) == ("in-language", "zero-shot")
    assert 0 <= korean["scores"]["entity_f1"] <= 100


def chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities by conlleval's own two rules, asked at every border between words; written without the plugin."""

    def ends(before: str, after: str) -> bool:
        if before == "O":
            return False
        return after == "O" or after[0] == "B" or before[2:] != after[2:]

    def starts(before: str, after: str) -> bool:
        if after == "O":
            return False
        return after[0] == "B" or before == "O" or before[2:] != after[2:]

    borders = ["O", *tags, "O"]
    firsts = [place for place in range(len(tags)) if starts(borders[place], borders[place + 1])]
    lasts = [place for place in range(1, len(tags) + 1) if ends(borders[place], borders[place + 1])]
    return {(tags[first][2:], first, last) for first, last in zip(firsts, lasts, strict=True)}


tagged = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=6)
"""A sentence: what is said of each word, and what it is."""


@given(st.lists(tagged, min_size=1, max_size=6))
def test_entity_f1_is_that_of_an_independent_count(
    entities: ModuleType, sentences: list[list[tuple[str, str]]]
) -> None:
    said, gold = ([[pair[side] for pair in one] for one in sentences] for side in (0, 1))
    marked = [{(row, *one) for row, tags in enumerate(side) for one in chunks(tags)} for side in (said, gold)]
    right = len(marked[0] & marked[1])
    precision, recall = (right / len(side) if side else 0.0 for side in marked)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    scores = entities.entity_f1(said, gold, None)
    assert [*scores.values()] == pytest.approx([100 * f1, 100 * precision, 100 * recall])
    weights = np.asarray([[1.0] * len(said), [2.0] + [0.0] * (len(said) - 1)])
    drawn = entities.resample(said, gold, None)(weights)["entity_f1"]
    assert drawn == pytest.approx([scores["entity_f1"], entities.entity_f1(said[:1], gold[:1], None)["entity_f1"]])


def test_every_way_to_tag_three_words_is_read_as_conlleval_reads_it(entities: ModuleType) -> None:
    for tags in itertools.product(TAGS, repeat=3):
        assert entities.entities(tags) == chunks(tags), tags


def _tagger(every: Registry, folder: Path, work: Path, rows: Sequence[Any], **settings: object) -> TinyRun:
    return TinyRun(
        folder, every.heads.get("word-tagger"), [rows], work, {"epochs": 1, **settings},
        labels=every.datasets.get("entities-en").labels,
    )  # fmt: skip


WORDS = [
    {"id": "0", "words": ["bafe", "bado", "xi"], "tags": ["B-PER", "I-PER", "O"]},
    {"id": "1", "words": ["lamo"], "tags": ["B-LOC"]},
    {"id": "2", "words": ["ba", "do", "fefe", "la", "mo", "ne"], "tags": ["O", "O", "B-ORG", "O", "O", "B-LOC"]},
]


def test_the_first_piece_stands_for_its_word_and_a_word_cut_away_is_in_no_entity(
    every: Registry, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    run = _tagger(every, tiny("xlm-roberta"), tmp_path, WORDS, max_length=8)
    head, context = run.head, HeadContext(run.recipe, labels=run.labels)
    examples = list(head.examples(WORDS, 7, run.tokenizer, context))
    pieces = [run.tokenizer.convert_ids_to_tokens(example.sequences[0].ids) for example in examples]
    for row, example, tokens in zip(WORDS, examples, pieces, strict=True):
        assert len(example.target) == 8
        seen = [place for place in example.extra["places"] if place >= 0]
        assert [tokens[place] for place in seen] == [run.tokenizer.tokenize(word)[0] for word in row["words"]][
            : len(seen)
        ]
        assert [run.labels[int(example.target[place])] for place in seen] == row["tags"][: len(seen)]
        assert sum(number >= 0 for number in example.target) == len(seen)
    assert [example.row for example in examples] == [7, 8, 9]
    assert [example.truncated for example in examples] == [False, False, True]
    assert examples[2].extra["places"][-1] == -1
    outputs = [np.zeros((len(run.labels), 8), np.float32) for _ in examples]
    for one in outputs:
        one[1] = 1.0  # B-PER everywhere
    said = head.decode(_decoding(examples, outputs, context, every.datasets.get("entities-en")))
    assert said[0] == ["B-PER"] * 3
    assert said[2][-1] == "O"


def _decoding(examples: Sequence[Any], outputs: Sequence[Any], context: HeadContext, dataset: Dataset) -> Any:
    places = [np.asarray(example.extra["places"], np.int32) for example in examples]
    return Decoding(WORDS, np.arange(3), outputs, {"places": places}, context, "default", dataset)


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "modernbert"])
def test_how_a_batch_is_cut_does_not_change_what_the_tagger_learns(
    shape: str, every: Registry, tiny: Callable[..., Path], tmp_path: Path, one_thread: None
) -> None:
    losses = []
    for tokens in (8, 4096):
        run = _tagger(every, tiny(shape, 0.1), tmp_path / str(tokens), WORDS * 4, micro_batch_tokens=tokens)
        losses.append(run.train()[1].losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"words": ["a"], "tags": ["O", "O"]}, "1 words with 2 tags"),
        ({"words": [], "tags": []}, "0 words with 0 tags"),
        ({"words": ["a"], "tags": ["B-GPE"]}, "the tag 'B-GPE' is none of O, B-PER"),
        ({"words": ["a", "b"], "tags": ["B-PER", "I-LOC"]}, "I-LOC goes on with an entity that does not begin: B-PER"),
        ({"words": ["a"], "tags": ["I-PER"]}, "I-PER goes on with an entity that does not begin: O"),
    ],
)
def test_a_row_that_does_not_fit_together_is_refused(every: Registry, row: dict[str, Any], reason: str) -> None:
    schema, dataset = every.schemas.get("word-tags"), every.datasets.get("entities-en")
    assert reason in (schema.check({"id": "0", **row}, dataset) or "")
    good = {"id": "0", "words": ["a", "b"], "tags": ["B-PER", "I-PER"]}
    assert schema.check(good, dataset) is None


@pytest.mark.parametrize("project", PROJECTS)
def test_its_own_tests_pass(project: str, pytestconfig: pytest.Config) -> None:
    """As the project's author runs them, in a process of their own."""
    folder = EXAMPLES / project
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "tests"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
