"""Tiny random encoders as ordinary transformers folders, made on the spot: nothing is downloaded."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

SHAPES = ("bert", "bert-pad-1", "xlm-roberta", "modernbert", "distilbert", "deberta-v2")
"""Families of encoders that differ in what a head can stumble over: segment ids, the padding id, positions."""
HIDDEN = 32
SPARE = 12
"""Positions beyond the tokenizer's longest sequence: XLM-R's begin behind the padding id."""


def byte_tokenizer(longest: int = 512) -> PreTrainedTokenizerFast:
    """A tokenizer that reads any text in any language: its tokens are the bytes of UTF-8, as in ByT5.

    Args:
        longest: Tokens of a sequence, special tokens included.
    """
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<mask>"]
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(ids, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special = {
        "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "mask_token": "<mask>",
    }  # fmt: skip
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=longest, model_input_names=["input_ids", "attention_mask"],
        **special,
    )  # fmt: skip


def tiny_config(shape: str, vocabulary: int, dropout: float, positions: int = 140) -> Any:
    """The configuration of a tiny encoder: two layers of `HIDDEN` numbers.

    Args:
        shape: One of `SHAPES`, or ``roberta``.
        vocabulary: Rows of its embedding table.
        dropout: Every rate.
        positions: Rows of its table of positions.
    """
    common: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48, "max_position_embeddings": positions, "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout, "initializer_range": 0.1,
    }  # fmt: skip
    roberta = {**common, "pad_token_id": 1, "type_vocab_size": 1, "bos_token_id": 0, "eos_token_id": 2}
    own: dict[str, Any] = {
        "roberta": roberta,
        "bert": {**common, "pad_token_id": 0},
        "bert-pad-1": {**common, "pad_token_id": 1},
        "xlm-roberta": roberta,
        "modernbert": {
            **common, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3,
            "global_attn_every_n_layers": 2, "local_attention": 8, "attention_dropout": dropout,
            "mlp_dropout": dropout, "embedding_dropout": dropout,
        },
        "distilbert": {
            "vocab_size": vocabulary, "dim": HIDDEN, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "pad_token_id": 0,
            "max_position_embeddings": positions, "dropout": dropout, "attention_dropout": dropout,
            "initializer_range": 0.1,
        },
        "deberta-v2": {
            **common, "pad_token_id": 0, "type_vocab_size": 0, "relative_attention": True, "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm", "share_att_key": True,
            "position_biased_input": False, "pooler_hidden_size": HIDDEN,
        },
    }[shape]  # fmt: skip
    return AutoConfig.for_model(shape.removesuffix("-pad-1"), **own)


def fill(model: PreTrainedModel, seed: int) -> None:
    """Give every weight a value that depends on its name, its shape and the seed alone, not on torch's generator.

    Args:
        model: Changed in place.
        seed: Of the values.
    """
    with torch.no_grad():
        for name, weight in model.named_parameters():
            drawn = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(weight.shape)
            scale, offset = (
                (0.1, 0.0) if weight.ndim > 1 else (0.05, float("norm" in name.lower() and "bias" not in name))
            )
            weight.copy_(torch.from_numpy(offset + scale * drawn))


def tiny_encoder(
    folder: Path, shape: str = "xlm-roberta", seed: int = 0, dropout: float = 0.0,
    tokenizer: PreTrainedTokenizerFast | None = None, masked_lm: bool = False, shard: str = "1GB", **changes: object,
) -> Path:  # fmt: skip
    """Write a tiny random encoder and its tokenizer.

    Args:
        folder: Where to.
        shape: One of `SHAPES`, or ``roberta``.
        seed: Of the weights.
        dropout: Every rate of the encoder.
        tokenizer: Another one than `byte_tokenizer`, whose ids are those of ``xlm-roberta``.
        masked_lm: Save it under its pretraining head, with the prefix that this gives the names.
        shard: The most that one weight file may hold.
        changes: To the configuration.

    Returns:
        The folder, for ``--model``.
    """
    tokenizer = tokenizer or byte_tokenizer()
    config = tiny_config(shape, len(tokenizer), dropout, tokenizer.model_max_length + SPARE)
    for name, value in changes.items():
        setattr(config, name, value)
    model = (AutoModelForMaskedLM if masked_lm else AutoModel).from_config(config)  # type: ignore[no-untyped-call]
    fill(model, seed)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    return folder
