"""Small tasks over words that the tiny tokenizers know, one for each head, and stages trained on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import WORDS, Bench, tiny_rows
from xbench.registry import load_registry
from xbench.store import read_record

PLUGIN = '''
import json
from pathlib import Path

from xbench.api import Dataset, Packaged, Split, hookimpl

HERE = Path(__file__).parent
LANGUAGES = {"one": "en", "two": "ko"}


def read(paths):
    yield from json.loads(paths[0].read_text(encoding="utf-8"))


def dataset(kind, name, schema, **more):
    splits = {split: Split((Packaged((HERE / f"{kind}-{name}-{split}.json",), read),)) for split in ("train", "test")}
    return Dataset(f"{kind}-{name}", (LANGUAGES[name],), schema, splits, "CC0", "nobody", "", "words", **more)


@hookimpl
def xbench_datasets():
    for name in LANGUAGES:
        yield dataset("pairs", name, "pair-score", score_range=(0.0, 5.0))
        yield dataset("texts", name, "text-label", labels=("good", "bad", "neither"))
        yield dataset("spans", name, "span")


def task(name, kind, head, metric):
    return f"""
name = "{name}"
title = "{name}"
version = 1
train = ["{kind}-one", "{kind}-two"]
eval = ["{kind}-two"]
curricula = ["{kind}-one"]
heads = ["{head}"]
metrics = ["{metric}"]
{'readings = ["identity"]' if head == "alignment" else ""}
[recipe]
lr = 3e-3
epochs = 2
batch_size = 8
max_length = 24
precision = "fp32"
{"stride = 4" if head == "span" else ""}
{"max_question = 6" if head == "span" else ""}
"""


@hookimpl
def xbench_tasks():
    for head, kind, metric in (
        ("cross-encoder", "pairs", "spearman"), ("siamese", "pairs", "spearman"), ("alignment", "pairs", "spearman"),
        ("classification", "texts", "accuracy"), ("span", "spans", "squad"),
    ):
        yield task(f"my-{head}", kind, head, metric)
'''
HEADS = ("cross-encoder", "siamese", "alignment", "classification", "span")


def make_bench(root: Path, model: Path) -> Bench:
    """A folder with the plugin and its rows; nothing is trained yet."""
    root.mkdir(exist_ok=True)
    for seed, name in enumerate(("one", "two")):
        for split, count in (("train", 24), ("test", 20)):
            draw = np.random.default_rng([seed, count])
            rows = {"pairs": tiny_rows(count, seed + count, longest=14), "texts": _texts(draw, count),
                    "spans": _spans(draw, count)}  # fmt: skip
            for kind, some in rows.items():
                (root / f"{kind}-{name}-{split}.json").write_text(json.dumps(some), encoding="utf-8")
    (root / "plugin.py").write_text(PLUGIN)
    return Bench(root, str(model), load_registry([root / "plugin.py"]))


def _words(draw: np.random.Generator, count: int) -> list[str]:
    return [str(word) for word in draw.choice(WORDS[:120], count)]


def _texts(draw: np.random.Generator, count: int) -> list[dict[str, Any]]:
    return [
        {"id": str(row), "text": " ".join([WORDS[row % 3], *_words(draw, 1 + row)]), "label": row % 3}
        for row in range(count)
    ]  # fmt: skip


def _spans(draw: np.random.Generator, count: int) -> list[dict[str, Any]]:
    rows = []
    for row in range(count):
        words = _words(draw, 6 + 3 * row)
        at = int(draw.integers(0, len(words)))
        start = len(" ".join([*words[:at], ""]))
        answer = {"text": words[at], "start": start}
        question = " ".join([words[at], *_words(draw, 2)])
        rows.append({"id": str(row), "context": " ".join(words), "question": question, "answers": [answer]})
    return rows


def train(bench: Bench, head: str, *curricula: str, **asked: Any) -> list[Mapping[str, Any]]:
    """Fine-tune a head of the plugin's, and score it."""
    outcome, heard = bench.run(*curricula, task=f"my-{head}", **asked)
    assert not heard.failures, heard.failures
    return list(outcome.records)


def record_of(bench: Bench, head: str, curriculum: str = "") -> tuple[Path, Mapping[str, Any]]:
    """A trained head's record, with its file."""
    for path in bench.records():
        record = read_record(path)
        if record is not None and record["head"] == head and curriculum in ("", record["curriculum"]):
            return path, record
    raise AssertionError(f"no record of {head}")
