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
