"""A task of our own whose rows come from an address, and a tiny encoder: all that a run does, in a few seconds."""

from __future__ import annotations

import csv
import hashlib
import io
import random
from dataclasses import dataclass
from pathlib import Path

from tests.loopback import Site
from tests.tiny import WORDS, tiny_model

TRAIN_ROWS, EVAL_ROWS = 960, 300
EPOCHS, BATCH = 2, 16
PLUGIN = '''"""Scored pairs that are fetched."""

import csv
from pathlib import Path

from xbench.api import Dataset, Files, SourceFile, Split, hookimpl

FILES = {files!r}


def read(paths):
    with paths[0].open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.DictReader(file)):
            pair = {{"sentence1": line["one"], "sentence2": line["other"]}}
            yield {{"id": str(number), **pair, "score": float(line["score"])}}


def split(name):
    path, sha256, url = FILES[name]
    return Split((Files((SourceFile(path, sha256, url),), read),))


def dataset(language, *splits):
    return Dataset(
        name=f"fetched-{{language}}", languages=(language,), schema="pair-score",
        splits={{name: split(f"{{name}}-{{language}}") for name in splits}}, licence="CC0-1.0", citation="none",
        homepage="https://example.org", description="Random words", score_range=(0.0, 5.0),
    )


@hookimpl
def xbench_datasets():
    return [dataset("en", "train", "test"), dataset("ko", "train", "test")]


@hookimpl
def xbench_tasks():
    return [Path(__file__).with_name("fetched.toml")]
'''
TASK = f"""name = "fetched"
title = "Fetched pairs"
version = 1
description = "Random words"
train = ["fetched-en", "fetched-ko"]
eval = ["fetched-en", "fetched-ko"]
curricula = ["none", "fetched-en", "fetched-en:fetched-ko"]
heads = ["siamese"]
metrics = ["spearman", "pearson"]

[recipe]
lr = 1e-3
epochs = {EPOCHS}
batch_size = {BATCH}
max_length = 64
"""


@dataclass(frozen=True)
class Shop:
    """What the runs need.

    Attributes:
        site: Serves the rows.
        folder: The plugin, its task and the model.
        bodies: What is served, by path.
    """

    site: Site
    folder: Path
    bodies: dict[str, bytes]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the command line: six cells of three curricula, with two stages one after the other."""
        plugin, model = self.folder / "fetched.py", self.folder / "model"
        return ("eval", "--plugin", str(plugin), "--model", str(model), "--tasks", "fetched", "--device", "cpu")

    def break_off(self) -> None:
        """From now on the first answer for each file breaks off half way."""
        for path, body in self.bodies.items():
            self.site.serve_ranges(path, body, (len(body) // 2,), ETag='"1"')


def open_shop(site: Site, folder: Path) -> Shop:
    """Write the plugin and the model, and serve the rows."""
    bodies = {
        f"/{split}-{language}.csv": _rows(rows, f"{split} {language}")
        for language in ("en", "ko")
        for split, rows in (("train", TRAIN_ROWS), ("test", EVAL_ROWS))
    }
    files = {}
    for path, body in bodies.items():
        url = site.serve_ranges(path, body, ETag='"1"')
        files[path[1:-4]] = (f"fetched{path}", hashlib.sha256(body).hexdigest(), url)
    tiny_model(folder / "model", "bert")
    (folder / "fetched.py").write_text(PLUGIN.format(files=files), encoding="utf-8")
    (folder / "fetched.toml").write_text(TASK, encoding="utf-8")
    return Shop(site, folder, bodies)


def _rows(count: int, seed: str) -> bytes:
    """Pairs of random words; the score is how many of the first sentence's stand in the second."""
    draw, text = random.Random(seed), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["one", "other", "score"])
    for _ in range(count):
        one = draw.choices(WORDS, k=draw.randint(4, 24))
        shared = draw.randint(0, len(one))
        other = [*one[:shared], *draw.choices(WORDS, k=len(one) - shared)]
        draw.shuffle(other)
        writer.writerow([" ".join(one), " ".join(other), round(5 * shared / len(one), 2)])
    return text.getvalue().encode()
