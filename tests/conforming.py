"""A plugin of one file that passes every check, and ways to break it: each makes one check fail, and no other."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xbench.keys import rows_sha256

GOOD = '''
import csv
from functools import partial
from pathlib import Path

from xbench.api import (
    Dataset, Diagnostic, Example, Figure, Floor, Head, Metric, Model, Packaged, Schema, Split, hookimpl, tokenize,
)

HERE = Path(__file__).parent
ROWS = {ROWS}
SHA256 = {SHA256}


def read(paths, language):
    with paths[0].open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["language"] == language:
                yield {"id": row["id"], "review": row["review"], "stars": int(row["stars"])}


def dataset(name, language):
    splits = {
        split: Split(
            (Packaged((HERE / f"{split}.csv",), partial(read, language=language)),),
            rows=ROWS[split],
            rows_sha256=SHA256[split, language],
        )
        for split in ("train", "test")
    }
    return Dataset(
        name,
        (language,),
        "star-review",
        splits,
        licence="CC BY 4.0",
        citation="Me (2026), My reviews",
        homepage="https://example.org/reviews",
        description="Reviews with stars",
        official=("stars-near",),
    )


@hookimpl
def xbench_schemas():
    fields = {"id": "string", "review": "string", "stars": "int64"}
    def check(row, dataset):
        return None if 1 <= row["stars"] <= 5 else f"{row['stars']} stars are not 1 to 5"
    return [
        Schema("star-review", fields, lambda row: float(row["stars"]), (1,), check, prediction="float64",
               texts=("review",))
    ]


@hookimpl
def xbench_datasets():
    return [dataset("my-reviews-en", "en"), dataset("my-reviews-de", "de")]


def near(predictions, references, about):
    values = distances(predictions, references)
    return {"near": sum(values) / len(values)}


def distances(predictions, references):
    pairs = zip(predictions, references, strict=True)
    return [0.0 if said is None else 100 - 25 * min(4, abs(said - gold)) for said, gold in pairs]


def draws(predictions, references, about):
    from xbench.api import resample_means
    return resample_means({"near": distances(predictions, references)})


@hookimpl
def xbench_metrics():
    return [
        Metric("stars-near", 1, near, "How near the stars are, in percent.", {"near": 100.0}, {"near": 0.0},
               unanswered=True, schemas=("star-review",), titles={"near": "Near"}, resample=draws,
               chance=lambda references, about: {"near": 50.0})
    ]


def examples(rows, first, tokenizer, context):
    sequences = tokenize(tokenizer, context.recipe.max_length, [row["review"] for row in rows])
    for index, (row, (tokens, lost)) in enumerate(zip(rows, sequences, strict=True), first):
        yield Example(index, (tokens,), (float(row["stars"]),), truncated=lost)


def module(encoder, context, generator):
    import torch
    from xbench.api import HeadModule, mean_pool

    class Stars(HeadModule):
        def __init__(self):
            super().__init__(encoder, context)
            self.last = torch.nn.Linear(encoder.config.hidden_size, 1)
            torch.nn.init.normal_(self.last.weight, std=0.02, generator=generator)
            torch.nn.init.zeros_(self.last.bias)

        def forward(self, batch):
            return 3 + 2 * self.last(mean_pool(self.encode(batch), batch.attention_mask)).squeeze(-1)

        def loss(self, outputs, batch):
            return (outputs - batch.targets[:, 0]).square()

    return Stars()


@hookimpl
def xbench_heads():
    return [
        Head("stars-head", 1, ("star-review",), "Stars by regression from the mean", examples, module,
             lambda decoding: [float(one) for one in decoding.outputs], options={"my_option": ("a", "b")})
    ]


@hookimpl
def xbench_floors():
    return [Floor("three-stars", 1, ("star-review",), lambda rows, dataset: [3.0] * len(rows), "Always three stars")]


@hookimpl
def xbench_diagnostics():
    return [Diagnostic("long-reviews", lambda about: {"rows": len(about.rows)}, "How many rows there are")]


@hookimpl
def xbench_figures():
    return [Figure("no-picture", lambda about: [], "Draws nothing")]


@hookimpl
def xbench_models():
    return [
        Model("my-encoder", ("en", "de"), "MIT", "https://example.org/encoder", "An encoder",
              hub=("me/encoder", "0123456789abcdef0123456789abcdef01234567"))
    ]


@hookimpl
def xbench_tasks():
    return [
        """
name = "my-reviews"
title = "My reviews"
description = "Stars of reviews"
version = 1
train = ["my-reviews-en", "my-reviews-de"]
eval = ["my-reviews-en", "my-reviews-de"]
curricula = ["my-reviews-en", "my-reviews-de", "my-reviews-en:my-reviews-de"]
heads = ["stars-head"]
metrics = ["official"]
diagnostics = ["long-reviews", "truncated-rows"]
figures = ["no-picture"]
recipe = { epochs = 1, batch_size = 8, max_length = 64 }
[baselines]
my-reviews-en = "my-reviews-en"
"""
    ]
'''
WORDS = {
    "en": ("dreadful", "poor", "middling", "good", "splendid"),
    "de": ("grauenhaft", "schwach", "mittel", "gut", "famos"),
}  # fmt: skip
ON_THE_HUB = (
    ('Packaged((HERE / f"{split}.csv",), partial', "Hub('a/b', '0' * 40, ('x',), partial"),
    ("    Dataset, Diagnostic", "    Hub, Dataset, Diagnostic"),
)
"""Edits that take the data elsewhere."""
COUNTS = {"train": 40, "test": 30}


class Broken(NamedTuple):
    """A way to break the plugin.

    Attributes:
        check: The check that fails.
        says: What it says, as a regular expression.
        edits: What stands in `GOOD`, and what is written in its place.
        data: The same for the test split's file.
        repin: Whether the declaration is of the altered rows.
    """

    check: str
    says: str
    edits: Sequence[tuple[str, str]] = ()
    data: Sequence[tuple[str, str]] = ()
    repin: bool = False


def write_plugin(folder: Path, broken: Broken | None = None) -> Path:
    """Write the plugin and its data.

    Args:
        folder: Where to.
        broken: How it is broken; None leaves it whole.

    Returns:
        Its file.
    """
    pins: dict[tuple[str, str], str] = {}
    for split, count in COUNTS.items():
        whole = "id,language,review,stars\n" + "".join(_line(split, language, place) for language in WORDS
                                                       for place in range(count))  # fmt: skip
        altered = replaced(whole, broken.data) if broken is not None and split == "test" else whole
        (folder / f"{split}.csv").write_text(altered, encoding="utf-8")
        rows = list(csv.DictReader((altered if broken is not None and broken.repin else whole).splitlines()))
        for language in WORDS:
            pins[split, language] = rows_sha256(
                {"id": row["id"], "review": row["review"], "stars": int(row["stars"])}
                for row in rows if row["language"] == language
            )  # fmt: skip
    source = replaced(GOOD, broken.edits if broken is not None else ())
    path = folder / "my_reviews.py"
    path.write_text(source.replace("{ROWS}", repr(COUNTS)).replace("{SHA256}", repr(pins)), encoding="utf-8")
    return path


def replaced(text: str, edits: Sequence[tuple[str, str]]) -> str:
    """A text with some of it written anew; all that is replaced is there."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def _line(split: str, language: str, place: int) -> str:
    stars = place * 7 % 5 + 1
    text = f"{WORDS[language][stars - 1]} " * (place % 3 + 1) + f"{split} {place}"
    return f"{language}{place},{language},{text},{stars}\n"
