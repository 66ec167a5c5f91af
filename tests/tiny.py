"""Tiny random encoders with real tokenizers, as ordinary transformers folders, and small data sets to train them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xbench.testing.encoders import HIDDEN, SHAPES, fill, tiny_config, tiny_encoder
from xbench.testing.runs import Bench, HeadRun, Listener

__all__ = [
    "HIDDEN", "SHAPES", "SYLLABLES", "WORDS", "Bench", "Listener", "TinyRun", "fill", "tiny_config", "tiny_model",
    "tiny_rows",
]  # fmt: skip
SYLLABLES = ("ba", "do", "fe", "gi", "ku", "la", "mo", "ne", "pi", "ru", "sa", "te", "vo", "xi", "zu", "ha")
WORDS = tuple(first + second for first in SYLLABLES for second in SYLLABLES)  # 256


def _bert_tokenizer(pad_id: int) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    special.insert(pad_id, special.pop(0))
    ids = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=128, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def _xlmr_tokenizer() -> PreTrainedTokenizerFast:
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -6.0 - index / 100) for index, word in enumerate(WORDS)]
    pieces += [(syllable, -9.0 - index / 100) for index, syllable in enumerate(SYLLABLES)] + [("▁", -10.0)]
    tokenizer = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def tiny_model(
    folder: Path, shape: str, seed: int = 0, dropout: float = 0.1, masked_lm: bool = False, shard: str = "1GB",
    **changes: object,
) -> Path:  # fmt: skip
    """Write a tiny model and its tokenizer.

    Args:
        folder: Where to.
        shape: One of `SHAPES`, or ``roberta``.
        seed: Of the weights.
        dropout: Every rate of the encoder.
        masked_lm: Save it under its pretraining head, with the prefix that this gives the names.
        shard: The most that one weight file may hold.
        changes: To the configuration.
    """
    has_types = shape in ("bert", "bert-pad-1")
    tokenizer = _xlmr_tokenizer() if shape.endswith("roberta") else _bert_tokenizer(int(shape == "bert-pad-1"))
    if not has_types:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tiny_encoder(folder, shape, seed, dropout, tokenizer, masked_lm, shard, **changes)


def tiny_rows(count: int, seed: int = 0, words: Sequence[str] = WORDS[:90], longest: int = 9) -> list[dict[str, Any]]:
    """Rows of ``pair-score`` of many lengths; sentences that share more words have a higher score."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        first = [str(word) for word in generator.choice(words, int(generator.integers(1, longest + 1)))]
        second = [word if generator.random() < 0.5 else str(generator.choice(words)) for word in first]
        second += [str(word) for word in generator.choice(words, int(generator.integers(0, 4)))]
        score = 5 * len(set(first) & set(second)) / len(set(first))
        rows.append({"id": str(index), "sentence1": " ".join(first), "sentence2": " ".join(second), "score": score})
    return rows


@dataclass
class TinyRun(HeadRun):
    """A run over `tiny_rows`."""

    score_range: tuple[float, float] | None = (0.0, 5.0)
