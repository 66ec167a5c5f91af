"""A task whose model and datasets are on servers: a hub and a publisher's, both on this machine."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow
import pyarrow.parquet

from tests.hub_site import HubSite
from tests.tiny import WORDS, tiny_model

COMMIT = "b" * 40
PLUGIN = '''
from functools import partial

from xbench.api import Dataset, Files, Hub, SourceFile, Split, hookimpl


def read(paths):
    import pyarrow.parquet

    for index, row in enumerate(pyarrow.parquet.read_table(paths[0]).to_pylist()):
        yield {{"id": str(index), "sentence1": row["a"], "sentence2": row["b"], "score": row["score"]}}


def dataset(name, language, sources):
    splits = {{split: Split(tuple(source(split) for source in sources)) for split in ("train", "test")}}
    about = ("none", "none", "none", "none")
    return Dataset(name, (language,), "pair-score", splits, *about, score_range=(0.0, 5.0))


@hookimpl
def xbench_datasets():
    hub = lambda split: Hub("org/pairs", "{commit}", (f"data/{{split}}.parquet",), read)
    url = lambda split: Files((SourceFile(f"{{split}}.parquet", None, f"{site}/{{split}}.parquet"),), read)
    return [dataset("far-en", "en", [hub]), dataset("far-de", "de", [url])]


@hookimpl
def xbench_tasks():
    return ["""
name = "far"
title = "Pairs from elsewhere"
version = 1
train = ["far-en", "far-de"]
eval = ["far-en", "far-de"]
curricula = ["none", "far-en"]
heads = ["siamese"]
metrics = ["spearman"]
recipe = {{ lr = 2e-5, epochs = 1, batch_size = 8, max_length = 16 }}
"""]
'''


def table(seed: int, rows: int = 24, ballast: bytes = b"") -> bytes:
    """Rows of ``pair-score`` as parquet, and something that nobody reads."""
    words = [WORDS[(seed * 31 + place * 7) % len(WORDS)] for place in range(4 * rows)]
    pairs = [
        {
            "a": " ".join(words[4 * row : 4 * row + 2]),
            "b": " ".join(words[4 * row + 1 : 4 * row + 4]),
            "score": row % 6,
            "ballast": b"" if row else ballast,
        }
        for row in range(rows)
    ]
    buffer = io.BytesIO()
    schema = pyarrow.schema(
        [("a", pyarrow.string()), ("b", pyarrow.string()), ("score", pyarrow.float64()), ("ballast", pyarrow.binary())]
    )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(pairs, schema=schema), buffer)
    return buffer.getvalue()


TABLES = {split: table(seed) for seed, split in enumerate(("train", "test"), 1)}


def publish_far(served: HubSite, folder: Path, model: Path) -> None:
    """Let both servers serve all of it, and write the plugin ``far.py``.

    Args:
        served: The hub; its second server is the publisher as well.
        folder: Of the plugin.
        model: A folder that is not there yet.
    """
    source = tiny_model(model, "bert")
    files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    served.publish("org/tiny", COMMIT, files, "model", large=("model.safetensors",))
    served.publish("org/pairs", COMMIT, {f"data/{split}.parquet": body for split, body in TABLES.items()})
    for split, body in TABLES.items():
        served.cdn.serve_ranges(f"/{split}.parquet", body, ETag=f'"{split}"')
    (folder / "far.py").write_text(PLUGIN.format(commit=COMMIT, site=served.cdn.address), encoding="utf-8")
