"""Weights, archives, parquet and model folders, damaged: one clear error, in a bounded memory."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save
from xbench_plugins.e5_offline.weights import BLOCK_BYTES, FLOAT32, FOUR_BIT, WeightFile, WeightFileError
from xbench_plugins.mrc.readers import read_hub_squad
from xbench_plugins.sts.readers import read_hub_parquet

from tests.fuzz.harness import case, fuzz
from tests.fuzz.mutations import altered, damaged, json_files
from xbench.data.archives import DAMAGED, extract
from xbench.data.schemas import row_error
from xbench.errors import DataError, UserError
from xbench.models.folder import count_weights
from xbench.models.resolve import identify
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import Store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files are written anew for each case."""
    return tmp_path_factory.mktemp("fuzz")


def weight_file() -> bytes:
    """A small file of the embedded model's format, whole in every part."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "가"]
    blob = "".join(pieces).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in pieces)])
    tokenizer = struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, len(blob))
    tokenizer += ends.astype("<u4").tobytes() + np.zeros(len(pieces), "<f4").tobytes() + blob + struct.pack("<iI", 0, 0)
    parts = [("emb.word", FOUR_BIT, 64, 2 * BLOCK_BYTES), ("emb.ln.w", FLOAT32, 32, 128)]
    table, offset = struct.pack("<i", len(parts)), 0
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 1, 2, 64, len(pieces), 8, 2, 1e-12, 32) + tokenizer
    size = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in parts)
    for name, encoding, elements, length in parts:
        table += (
            struct.pack("<H", len(name))
            + name.encode()
            + struct.pack("<BIQQ", encoding, elements, size + offset, length)
        )
        offset += length
    return head + table + bytes(offset)


WEIGHTS = weight_file()


def decode(path: Path) -> int:
    """Everything that a weight file says."""
    file = WeightFile(path)
    assert len(file.pieces) == len(file.scores)
    return sum(file.tensor(name).size for name in file.entries)


def test_the_weight_file_that_is_damaged_is_a_whole_one(place: Path) -> None:
    (place / "e5.bin").write_bytes(WEIGHTS)
    assert decode(place / "e5.bin") == 96


@fuzz(2)
@given(data=damaged(WEIGHTS))
def test_weight_files(place: Path, data: bytes) -> None:
    (place / "e5.bin").write_bytes(data)
    with case("e5 weight file", WeightFileError):
        decode(place / "e5.bin")


SAFE = save({"a": np.ones((3, 4), np.float32), "b": np.arange(6, dtype=np.int64)}, {"format": "pt"})


@fuzz(2)
@given(data=damaged(SAFE))
def test_safetensors(place: Path, data: bytes) -> None:
    path = place / "a.safetensors"
    path.write_bytes(data)
    with case("safetensors header", UserError):
        assert count_weights(path) <= 8 * max(len(data), 1)


@fuzz()
@given(header=st.data())
def test_safetensors_headers(place: Path, header: st.DataObject) -> None:
    size = struct.unpack("<Q", SAFE[:8])[0]
    text = header.draw(json_files(json.loads(SAFE[8 : 8 + size])))
    path = place / "b.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + SAFE[8 + size :])
    with case("safetensors header", UserError):
        count_weights(path)


# Parquet


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


PAIRS = parquet(sentence1=["a"] * 40, sentence2=["b"] * 40, score=[1.0] * 40)
SPANS = parquet(
    id=["1", "2"], context=["a b", "c"], question=["?", "!"],
    answers=[{"text": ["b"], "answer_start": [2]}, {"text": ["c"], "answer_start": [0]}],
)  # fmt: skip


@pytest.mark.parametrize("kind", ["pairs", "spans"])
@fuzz()
@given(data=st.data())
def test_parquet(place: Path, registry: Registry, kind: str, data: st.DataObject) -> None:
    read, seed, name = (read_hub_parquet, PAIRS, "stsb") if kind == "pairs" else (read_hub_squad, SPANS, "squad")
    path = place / "a.parquet"
    path.write_bytes(data.draw(damaged(seed, PAIRS, SPANS)))
    dataset = registry.datasets.get(name)
    schema = registry.schemas.get(dataset.schema)
    with case(f"parquet: {kind}", DataError):
        for row in read([path]):
            row_error(row, schema, dataset)


@fuzz()
@given(data=st.data())
def test_kept_predictions(place: Path, data: st.DataObject) -> None:
    store = Store(Settings(cache=place / "cache", out=place / "out"))
    key = "a" * 64
    checksum = store.save_predictions(key, ["1", "2"], [0.5, {"text": "x"}], [None, "y"])
    whole = store.predictions_path(key).read_bytes()
    store.predictions_path(key).write_bytes(data.draw(damaged(whole)))
    with case("kept predictions"):
        found = store.predictions({"key": key, "predictions_sha256": checksum})
        assert found is None or found.ids == ["1", "2"]


# Archives


def archives() -> list[bytes]:
    made = []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a/b.txt", b"text " * 50)
        zipped.writestr("../c.txt", b"no")
    made.append(buffer.getvalue())
    for mode in ("w", "w:gz", "w:xz", "w:bz2"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
            for name in ("a/b.txt", "x" * 150, "../c.txt"):
                entry = tarfile.TarInfo(name)
                entry.size, entry.pax_headers = 5, {"é": "ü"}
                tar.addfile(entry, io.BytesIO(b"12345"))
        made.append(buffer.getvalue())
    return made


@fuzz(2)
@given(data=damaged(*archives()))
def test_archives(place: Path, data: bytes) -> None:
    path, target = place / "archive", place / "inner" / "out.txt"
    target.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with case("archive", *DAMAGED):
        extract(path, "a/b.txt", target)
    assert {one.name for one in target.parent.iterdir()} <= {"out.txt"}
    assert not (place / "c.txt").exists()


# Model folders


@pytest.fixture(scope="module")
def folder(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in the layout of sentence-transformers."""
    from xbench.models.layout_writer import write_layout
    from xbench.models.sentences import SentenceLayout

    target = tmp_path_factory.mktemp("model") / "m"
    shutil.copytree(tiny("bert"), target)
    write_layout(target, SentenceLayout(target, pooling=("cls",), prompt="query: ", width=16), 32)
    return target


def whole_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


FILES = (
    "config.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json",
    "config_sentence_transformers.json", "1_Pooling/config.json",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@fuzz()
@given(data=st.data())
def test_what_a_model_says_of_itself(place: Path, folder: Path, name: str, data: st.DataObject) -> None:
    whole = (folder / name).read_bytes()
    try:
        (folder / name).write_bytes(data.draw(json_files(json.loads(whole))))
        with case(f"model folder: {name}", UserError):
            model = identify("m", "", folder, {}, Settings(cache=place / "cache", offline=True))
            assert model.embedding
    finally:
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@fuzz(0.5)
@given(data=st.data())
def test_loading_a_model(place: Path, folder: Path, name: str, data: st.DataObject) -> None:
    from xbench.models.encoder import load_encoder, load_tokenizer, table_size
    from xbench.models.vocabulary import full_vocabulary, restricted_vocabulary

    whole = (folder / name).read_bytes()
    value = json.loads(whole)
    try:
        content = data.draw(altered(value))
        (folder / name).write_bytes(json.dumps(content).encode("utf-8", "surrogatepass"))
        with case(f"loading a model: {name}", UserError):
            identify("m", "", folder, {}, Settings(cache=place / "cache", offline=True))
            tokenizer = load_tokenizer(folder)
            rows = table_size(folder)
            some = restricted_vocabulary(np.arange(rows) < 12, keep=0)
            load_encoder(folder, some if data.draw(st.booleans()) else full_vocabulary(rows))
            assert tokenizer.pad_token_id is not None
    finally:
        (folder / name).write_bytes(whole)
