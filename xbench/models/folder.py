"""What a transformers folder says of itself in its JSON files, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError

TOKENIZER_CONFIG = "tokenizer_config.json"
VOCABULARIES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model",
)  # fmt: skip
TOKENIZER_FILES = (
    *VOCABULARIES, TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "merges.txt",
)  # fmt: skip
OFFSET_POSITIONS = {
    "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
"""Model types whose first position is that of the padding id plus one: RoBERTa's heritage."""
LARGEST_LIMIT = 1_000_000
"""Tokenizers without a limit say so with a number above this one."""


def read_json(path: Path) -> Mapping[str, Any]:
    """An object from a JSON file of a model.

    Raises:
        UserError: The file holds something else, or is cut off.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); get it again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object; get it again")
    return values


def missing_shards(folder: Path) -> list[str]:
    """The weight files that an index in the folder names and that are not there.

    Raises:
        UserError: The index is damaged.
    """
    if (folder / "model.safetensors").is_file():
        return []
    named: set[str] = set()
    for index in folder.glob("*.safetensors.index.json"):
        shards = read_json(index).get("weight_map")
        if not isinstance(shards, dict):
            raise UserError(f"{index} names no weight files; get it again")
        named.update(map(str, shards.values()))
    return sorted(name for name in named if not (folder / name).is_file())


def code_files(folder: Path) -> list[str]:
    """The model's own Python files, where its configuration or its tokenizer's refers to such."""
    configs = [folder / "config.json", folder / TOKENIZER_CONFIG]
    if not any("auto_map" in read_json(path) for path in configs if path.is_file()):
        return []
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))


def most_tokens(folder: Path) -> int | None:
    """How long a sequence may be, special tokens included.

    Args:
        folder: A transformers folder.

    Returns:
        The smaller of what the encoder's positions and what the tokenizer allow; None where neither sets a limit.

    Raises:
        UserError: A configuration is damaged.
    """
    limits = [_positions(read_json(folder / "config.json"))]
    if (folder / TOKENIZER_CONFIG).is_file():
        limits.append(_whole(read_json(folder / TOKENIZER_CONFIG).get("model_max_length")))
    return min((limit for limit in limits if limit is not None), default=None)


def _positions(config: Mapping[str, Any]) -> int | None:
    """The number of positions that an encoder tells apart; None where they are relative or rotary."""
    inner = config.get("text_config")
    if isinstance(inner, dict):
        config = inner
    kind, positions = config.get("model_type"), _whole(config.get("max_position_embeddings"))
    absolute = config.get("position_biased_input", True) and config.get("position_embedding_type") != "rotary"
    if positions is None or not absolute:
        return None
    if kind in OFFSET_POSITIONS:
        padding = config.get("pad_token_id")
        return _whole(positions - 1 - (padding if type(padding) is int else 1))
    return positions


def _whole(value: object) -> int | None:
    """A limit, if it is a number that somebody meant as one."""
    return value if type(value) is int and 0 < value < LARGEST_LIMIT else None
