"""What a transformers folder says of itself in its JSON files, without torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..forms import ascii_safe
from ..toml_files import brief, is_number

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
MODULES = "modules.json"
"""The list of modules in a folder of the layout of sentence-transformers; the first one is the encoder."""
ADAPTER = "adapter_config.json"
"""What peft's format has in the place of a model's own configuration, or beside it."""
MOST_LAYERS = 1000
MOST_NAMED = {"num_labels": 100_000, "type_vocab_size": 100_000, "max_position_embeddings": 100_000_000}
WEIGHED = {"vocab_size", "hidden_size", "intermediate_size", "d_model", "dim", "hidden_dim", "embedding_size"}
"""Sizes of a weight: none is larger than the number of all weights."""
LARGEST_HEADER = 16_000_000
"""Bytes that say what a weight file holds: enough for 100,000 tensors."""
LARGEST_LIMIT = 1_000_000
"""Tokenizers without a limit say so with a number above this one."""


def read_json(path: Path) -> Mapping[str, Any]:
    """An object from a JSON file of a model.

    Raises:
        UserError: The file holds something else, or is cut off.
    """
    values = _json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object; get it again")
    return values


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error!s:.200}); get it again") from None


def module_list(folder: Path) -> list[Mapping[str, Any]]:
    """The modules of a folder of the layout of sentence-transformers, in order.

    Raises:
        UserError: The list is damaged, or empty.
    """
    modules = _json(folder / MODULES)
    if not isinstance(modules, list) or not modules or not all(isinstance(one, dict) for one in modules):
        raise UserError(f"{folder / MODULES} is not a list of modules; get it again")
    return modules


def module_path(module: Mapping[str, Any]) -> str:
    """Where a module lies below its model's folder.

    Raises:
        UserError: It would lie outside.
    """
    path = module.get("path", "")
    if not isinstance(path, str) or Path(path).is_absolute() or ".." in Path(path).parts:
        raise UserError(f"{MODULES} names the folder {path!r:.60}, which is not below the model's")
    return path


def encoder_folder(folder: Path) -> Path:
    """Where a model's encoder lies: in its folder, or in one below that its list of modules names first."""
    if (folder / "config.json").is_file() or not (folder / MODULES).is_file():
        return folder
    inner = folder / module_path(module_list(folder)[0])
    return inner if (inner / "config.json").is_file() else folder


def check_sizes(folder: Path, parameters: int) -> None:
    """See that a configuration is one of the weights beside it, before anything is made as large as it says.

    Args:
        folder: A transformers folder.
        parameters: Numbers in its weight files.

    Raises:
        UserError: It asks for more than they hold, or for more layers or labels than any encoder has.
    """
    path = folder / "config.json"
    config = read_json(path)
    inner = config.get("text_config")
    for values in (config, inner if isinstance(inner, dict) else {}):
        for name, value in values.items():
            most = parameters if name in WEIGHED else MOST_NAMED.get(name)
            most = MOST_LAYERS if most is None and "layers" in name else most
            if most is not None and is_number(value) and value > most:
                raise UserError(f"{path}: {name:.60} = {brief(value)} does not fit its weights; get it again")


def check_plain(name: str, folder: Path) -> None:
    """See that no adapter lies in a model's folder: transformers would put it in, where peft is installed.

    Args:
        name: The model's, for the message.
        folder: Its folder.

    Raises:
        UserError: There is one.
    """
    if (folder / ADAPTER).is_file():
        raise UserError(
            f"--model {name}: {folder} holds an adapter ({ADAPTER}): merge it into its base model with peft's "
            "merge_and_unload, write that with save_pretrained and pass its folder ('xbench export' does so for a "
            "stage of its own)"
        )


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


def _configurations(folder: Path) -> list[Path]:
    """The files, of those that may name code, that are there."""
    return [path for path in (folder / "config.json", folder / TOKENIZER_CONFIG) if path.is_file()]


def code_names(path: Path) -> Iterator[str]:
    """What a configuration names of Python code, as transformers takes it: ``module.Class``, or ``repository--...``.

    Raises:
        UserError: The file is damaged.
    """
    mapping = read_json(path).get("auto_map")
    values = list(mapping.values()) if isinstance(mapping, dict) else []
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, tuple)):  # a tokenizer's slow and fast class
            values.extend(value)


def other_repositories(folder: Path) -> list[str]:
    """The repositories, other than its own, whose code a model names: transformers asks the hub for it."""
    names = [name.split("--", 1) for path in _configurations(folder) for name in code_names(path)]
    return sorted({name[0] for name in names if len(name) == 2})


def code_files(folder: Path) -> list[str]:
    """The model's own Python files, where its configuration or its tokenizer's refers to such."""
    if not any("auto_map" in read_json(path) for path in _configurations(folder)):
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
    if isinstance(kind, str) and kind in OFFSET_POSITIONS:
        padding = config.get("pad_token_id")
        return _whole(positions - 1 - (padding if type(padding) is int else 1))
    return positions


def _whole(value: object) -> int | None:
    """A limit, if it is a number that somebody meant as one."""
    return value if type(value) is int and 0 < value < LARGEST_LIMIT else None


def count_weights(path: Path) -> int:
    """The number of weights in a safetensors file, from its header.

    Raises:
        UserError: The file is not what its format says, or is cut off.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (header_size,) = struct.unpack("<Q", file.read(8))
            if header_size > min(size, LARGEST_HEADER):
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(header_size))
        entries = [entry for name, entry in header.items() if name != "__metadata__"]
        if 8 + header_size + max((entry["data_offsets"][1] for entry in entries), default=0) != size:
            raise ValueError("the weights are cut off")
        if not all(type(side) is int and 0 <= side <= size for entry in entries for side in entry["shape"]):
            raise ValueError("a shape is none")
        count: int = sum(math.prod(entry["shape"]) for entry in entries)
        if count > 8 * size:
            raise ValueError(f"it says that it holds {count:.3g} weights")
        return count
    except (
        struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError,
    ) as error:  # fmt: skip
        reason = " ".join(ascii_safe(str(error)).split())
        raise UserError(f"{path} is not a whole safetensors file ({reason:.200}); get it again") from None
