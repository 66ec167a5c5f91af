"""What fuzzing, and reading with its eyes, has found: each case by itself, so that none comes back."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xbench_plugins.e5_offline.weights import WeightFile, WeightFileError
from xbench_plugins.evaluate_metrics.address import Address
from xbench_plugins.mrc.readers import read_parallel_questions, read_squad, read_tydiqa
from xbench_plugins.sts.readers import LONGEST, read_hub_json

from tests.fuzz.test_binary_files import WEIGHTS
from xbench.curriculum import parse_curriculum
from xbench.errors import DataError, UserError
from xbench.files import Digests
from xbench.models.encoder import load_encoder, load_tokenizer, table_size
from xbench.models.folder import most_tokens
from xbench.models.vocabulary import full_vocabulary, restricted_vocabulary
from xbench.scaffold.own_rows import collect
from xbench.settings import Settings
from xbench.store import Store, sign

DEEP = "[" * 100_000


@pytest.mark.parametrize("question", [None, "x", {}, {"id": "1"}, {"question": "?", "answers": []}, 7])
@pytest.mark.parametrize(
    "read",
    [
        read_squad,
        lambda paths: read_tydiqa(paths, "korean", False),
        lambda paths: read_parallel_questions([*paths, *paths]),
    ],
)
def test_a_question_that_is_none(tmp_path: Path, read: Callable[[list[Path]], Any], question: object) -> None:
    data = {"data": [{"paragraphs": [{"context": "a", "qas": [question]}]}]}
    (tmp_path / "a.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(DataError, match="not SQuAD JSON at its start"):
        list(read([tmp_path / "a.json"]))


def test_squad_in_too_many_lists(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(DEEP, encoding="utf-8")
    with pytest.raises(DataError, match="not SQuAD JSON"):
        list(read_squad([tmp_path / "a.json"]))


@pytest.mark.parametrize(
    "line", ["x" * (2 * LONGEST), DEEP, '{"sentence1": "a", "sentence2": "b", "score": 1' + "0" * 400 + "}"]
)
def test_a_packed_line_without_an_end(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(DataError, match="line 1: not a pair"):
        list(read_hub_json([tmp_path / "a.gz"]))


@pytest.mark.parametrize("beside", [None, "x", ["x"], {"\0": "x"}, {"x" * 5000: "x"}])
def test_a_stages_manifest_that_is_signed_and_makes_no_sense(tmp_path: Path, beside: object) -> None:
    folder = tmp_path / "stages" / "k"
    folder.mkdir(parents=True)
    manifest = sign({"key": "k", "weights_sha256": "a", "beside_sha256": beside})
    (folder / "stage.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert Store(Settings(cache=tmp_path, out=tmp_path / "out")).stage("k") is None


def test_a_memory_of_checksums_in_too_many_lists(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    digests = Digests(tmp_path / "digests")
    right = digests.sha256(tmp_path / "file")
    (memory,) = (tmp_path / "digests").iterdir()
    memory.write_text(DEEP, encoding="utf-8")
    assert digests.sha256(tmp_path / "file") == right


def test_a_curriculum_without_an_end_is_a_short_message() -> None:
    with pytest.raises(UserError) as caught:
        parse_curriculum(":" * 1_000_000)
    assert len(str(caught.value)) < 1000


def test_a_metrics_address_in_too_many_lists() -> None:
    assert Address.parse(f"f1?a={DEEP}").options == {"a": DEEP}


def test_a_table_whose_columns_are_called_at_length_is_a_short_message(tmp_path: Path) -> None:
    for header in ("x" * 50_000 + ",score", "x" * 50_000 + "," + "x" * 50_000):
        (tmp_path / "train.csv").write_text(header + "\n1,2\n", encoding="utf-8")
        with pytest.raises(UserError) as caught:
            collect([tmp_path / "train.csv"], "pair-score", ["en"])
        assert len(str(caught.value)) < 1000


def test_a_model_of_a_kind_that_is_no_text_has_no_length(tmp_path: Path) -> None:
    config = {"model_type": ["bert"], "max_position_embeddings": 512}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert most_tokens(tmp_path) == 512


# Weights


def test_pieces_that_lie_over_each_other_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    count, blob = 200_000, 2_000_000  # a file of 4 MB whose pieces would be 200 GB
    ends = np.zeros(count + 1, "<u4")
    ends[1::2] = blob
    data = b"E5S1" + struct.pack("<I7ifi", 1, 32, 1, 2, 64, count, 8, 2, 1e-12, 32)
    data += struct.pack("<5iQ", count, 0, 2, 1, 3, blob) + ends.tobytes() + bytes(4 * count) + b"x" * blob
    (tmp_path / "e5.bin").write_bytes(data)
    with pytest.raises(WeightFileError, match="one behind the other"):
        WeightFile(tmp_path / "e5.bin")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data.replace("가".encode(), b"\xff\xfe\xfd"),
        lambda data: data[:8] + struct.pack("<7i", 0, 1, 2, 64, 6, 8, 2) + data[36:],
        lambda data: data[:8] + struct.pack("<7i", 32, -1, 2, 64, 6, 8, 2) + data[36:],
    ],
    ids=["empty", "not UTF-8", "no width", "fewer than no layers"],
)
def test_a_weight_file_that_is_none(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    (tmp_path / "e5.bin").write_bytes(change(WEIGHTS))
    with pytest.raises(WeightFileError):
        WeightFile(tmp_path / "e5.bin")


def test_a_tensor_that_is_not_there_or_of_an_unknown_kind(tmp_path: Path) -> None:
    at = WEIGHTS.index(b"emb.ln.w") + len("emb.ln.w")
    (tmp_path / "e5.bin").write_bytes(WEIGHTS[:at] + b"\x07" + WEIGHTS[at + 1 :])
    for name in ("emb.ln.w", "l0.q.w"):
        with pytest.raises(WeightFileError, match="no tensor"):
            WeightFile(tmp_path / "e5.bin").tensor(name)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"attention_probs_dropout_prob": -1}), ("config.json", {"hidden_size": 33}),
        ("config.json", {"num_hidden_layers": 900}), ("config.json", {"hidden_act": "none-such"}),
        ("config.json", {"model_type": ["bert"]}), ("config.json", {"position_embedding_type": 5, "vocab_size": "x"}),
        ("tokenizer.json", {"model": {"type": "WordLevel"}}), ("tokenizer.json", {"normalizer": 5}),
        ("tokenizer_config.json", {"pad_token": {"a": []}}),
    ],
)  # fmt: skip
def test_a_models_files_that_make_no_sense_are_one_line(
    tmp_path: Path, tiny: Callable[..., Path], name: str, changes: dict[str, object]
) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny("bert"), tmp_path / "m"))
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")

    def load() -> None:
        load_tokenizer(folder)
        load_encoder(folder, full_vocabulary(table_size(folder)))

    with pytest.raises(UserError) as caught:
        load()
    assert len(str(caught.value)) < 1000
    if name == "config.json" and isinstance(changes.get("vocab_size", 0), int) and "model_type" not in changes:
        with pytest.raises(UserError):
            load_encoder(folder, restricted_vocabulary(np.arange(261) < 9, 0))
