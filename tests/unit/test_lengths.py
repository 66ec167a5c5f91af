"""How long a sequence may be: what the files say is what the encoder can do, and more is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from tests.tiny import SHAPES
from xbench.errors import UserError
from xbench.models.encoder import load_encoder
from xbench.models.folder import OFFSET_POSITIONS, most_tokens
from xbench.models.resolve import check_length, identify, resolve_model
from xbench.registry import Registry
from xbench.settings import Settings

LIMITS = {"bert": 140, "bert-pad-1": 140, "xlm-roberta": 138, "modernbert": 140, "distilbert": 140, "deberta-v2": None}


def fits(encoder: torch.nn.Module, length: int) -> bool:
    """Whether a sequence of this length goes through."""
    ids = torch.full((1, length), 7)
    with torch.no_grad():
        try:
            encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (IndexError, RuntimeError):
            return False
    return True


def described(folder: Path, config: dict[str, Any], limit: object = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if limit is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": limit}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_the_limit_is_the_longest_sequence_that_goes_through(
    shape: str, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny(shape)
    limit = most_tokens(described(tmp_path, json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    assert limit == LIMITS[shape]
    encoder = load_encoder(folder)
    assert fits(encoder, limit or 500)
    if shape not in ("modernbert", "deberta-v2"):  # rotary and relative positions do not end
        assert not fits(encoder, (limit or 0) + 1)


SMALL = {
    "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "max_position_embeddings": 20, "pad_token_id": 1,
}  # fmt: skip
NOT_TEXT_ALONE = {"lilt", "markuplm"}  # these want boxes or paths beside the text
OWN: dict[str, dict[str, Any]] = {
    "esm": {"position_embedding_type": "absolute", "mask_token_id": 3}, "longformer": {"attention_window": [4]},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 8}, "ibert": {"quant_mode": False},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(OFFSET_POSITIONS - NOT_TEXT_ALONE))
@pytest.mark.parametrize("padding", [1, 4])
def test_positions_that_begin_behind_the_padding_id_are_fewer(kind: str, padding: int, tmp_path: Path) -> None:
    padding = 1 if kind == "mpnet" else padding  # it is written into MPNet's code
    config = AutoConfig.for_model(kind, **{**SMALL, **OWN.get(kind, {}), "pad_token_id": padding})
    config.save_pretrained(tmp_path)
    limit = most_tokens(tmp_path)
    assert limit == 20 - 1 - padding
    encoder = AutoModel.from_config(config).eval()
    assert fits(encoder, limit)
    assert not fits(encoder, limit + 1)


@pytest.mark.parametrize(
    ("config", "limit", "expected"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, None, 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, 128, 128),
        ({"model_type": "bert", "max_position_embeddings": 512}, 8192, 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, int(1e30), 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, 1e30, 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, True, 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, "many", 512),
        ({"model_type": "bert", "max_position_embeddings": -1}, 0, None),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, None, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": None}, None, 512),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, None, 8192),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, None, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, 512, 512),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512}, None, 512),
        ({"model_type": "esm", "max_position_embeddings": 1026, "position_embedding_type": "rotary"}, None, None),
        ({"model_type": "t5"}, None, None),
        ({"model_type": "both", "text_config": {"model_type": "bert", "max_position_embeddings": 77}}, None, 77),
        ({}, None, None),
    ],
)  # fmt: skip
def test_the_smaller_of_two_limits_counts(
    config: dict[str, Any], limit: object, expected: int | None, tmp_path: Path
) -> None:
    assert most_tokens(described(tmp_path, config, limit)) == expected


def test_a_sequence_that_is_too_long_is_refused_with_what_to_do(tiny: Callable[..., Path], tmp_path: Path) -> None:
    model = resolve_model(str(tiny("bert")), Registry(), Settings(cache=tmp_path))
    assert model.max_length == 128  # the tokenizer's limit; there are 140 positions
    check_length(model, 128)
    with pytest.raises(UserError) as caught:
        check_length(model, 129)
    assert str(caught.value) == (
        f"recipe.max_length = 129: {model.name} takes at most 128 tokens; use --set recipe.max_length=128"
    )


def test_a_model_without_a_limit_takes_any_length(tiny: Callable[..., Path], tmp_path: Path) -> None:
    folder = Path(tmp_path / "model")
    folder.mkdir()
    for path in tiny("deberta-v2").iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "tokenizer_config.json").unlink()
    model = identify("m", "", folder, {}, Settings(cache=tmp_path / "cache"))
    assert model.max_length is None
    check_length(model, 10**6)


def test_the_embedded_control_takes_512_tokens(registry: Registry, tmp_path: Path) -> None:
    assert resolve_model("all-minilm-l6-v2", registry, Settings(cache=tmp_path, offline=True)).max_length == 512
