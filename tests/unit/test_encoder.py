"""Loading an encoder with the whole embedding table or a part of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from tests.tiny import HIDDEN, SHAPES, WORDS, tiny_model
from xbench.errors import UserError
from xbench.models.encoder import load_encoder, load_tokenizer, table_name, table_size
from xbench.models.resolve import identify
from xbench.models.vocabulary import Vocabulary, full_vocabulary, restricted_vocabulary
from xbench.settings import Settings

TEXTS = [" ".join(WORDS[start : start + length]) for start, length in ((3, 9), (40, 1), (60, 14), (100, 4))]


def inputs(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_tokenizer(folder)(TEXTS, TEXTS[::-1], padding=True, return_tensors="pt"))


def part(folder: Path) -> Vocabulary:
    used = np.zeros(table_size(folder), np.bool_)
    used[np.unique(inputs(folder)["input_ids"].numpy())] = True
    vocabulary = restricted_vocabulary(used, load_tokenizer(folder).pad_token_id)
    assert not vocabulary.full
    return vocabulary


def reference(folder: Path) -> torch.Tensor:
    """What transformers itself computes from the folder."""
    with torch.no_grad():
        return AutoModel.from_pretrained(folder, dtype=torch.float32).eval()(**inputs(folder)).last_hidden_state


def restricted(folder: Path) -> torch.Tensor:
    vocabulary, batch = part(folder), inputs(folder)
    batch["input_ids"] = torch.from_numpy(vocabulary.place.astype(np.int64))[batch["input_ids"]]
    with torch.no_grad():
        return load_encoder(folder, vocabulary)(**batch).last_hidden_state


def agree(folder: Path) -> None:
    real = inputs(folder)["attention_mask"].bool()
    torch.testing.assert_close(restricted(folder)[real], reference(folder)[real], atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_part_of_the_table_gives_the_hidden_states_of_the_whole(tiny: Callable[..., Path], shape: str) -> None:
    agree(tiny(shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pretraining_checkpoint_with_prefixed_names_loads_alike(tmp_path: Path, shape: str) -> None:
    agree(tiny_model(tmp_path / "model", shape, masked_lm=True))


@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_sharded_weights_load_alike(tmp_path: Path, shape: str) -> None:
    folder = tiny_model(tmp_path / "model", shape, shard="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    agree(folder)


def test_old_names_of_layer_norm_weights_load_alike(tmp_path: Path) -> None:
    """Multilingual BERT is published with gamma and beta, which transformers renames as it loads."""
    folder = tiny_model(tmp_path / "model", "bert")
    old = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    before = reference(folder)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(reference(folder), before)  # the fixture is what it claims to be
    agree(folder)


def test_half_precision_weights_are_computed_with_in_fp32(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", "bert")
    halved = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    assert {weight.dtype for weight in load_encoder(folder, part(folder)).parameters()} == {torch.float32}
    assert {weight.dtype for weight in load_encoder(folder).parameters()} == {torch.float32}
    agree(folder)


@pytest.mark.parametrize("changes", [{"intermediate_size": 261}, {"max_position_embeddings": 261}])
def test_a_weight_as_long_as_the_vocabulary_is_still_loaded(tmp_path: Path, changes: dict[str, int]) -> None:
    """A length alone does not make it the output layer of a masked-language model."""
    folder = tiny_model(tmp_path / "model", "bert", **changes)
    assert table_size(folder) == 261
    agree(folder)


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_held_rows_are_in_the_table(tiny: Callable[..., Path], shape: str) -> None:
    folder = tiny(shape)
    vocabulary = part(folder)
    whole, some = load_encoder(folder), load_encoder(folder, vocabulary)
    assert table_name(whole) == table_name(some)
    table = dict(some.named_parameters())[table_name(some)]
    assert table.shape == (len(vocabulary.ids), HIDDEN)
    torch.testing.assert_close(table, whole.get_input_embeddings().weight[vocabulary.ids], atol=0, rtol=0)


@pytest.mark.parametrize("whole", [True, False], ids=["whole table", "part of the table"])
def test_missing_weights_are_the_users_error_and_never_made_up(tmp_path: Path, whole: bool) -> None:
    folder = tiny_model(tmp_path / "model", "bert")
    vocabulary = full_vocabulary(table_size(folder)) if whole else part(folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"layer\.1\.output\.dense\.weight"):
        load_encoder(folder, vocabulary)


@pytest.mark.parametrize("whole", [True, False], ids=["whole table", "part of the table"])
def test_weights_of_another_width_are_the_users_error(tmp_path: Path, whole: bool) -> None:
    folder = tiny_model(tmp_path / "model", "bert")
    vocabulary = full_vocabulary(table_size(folder)) if whole else part(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 40}))
    with pytest.raises(UserError, match="do not fit"):
        load_encoder(folder, vocabulary)


def test_a_pooler_that_was_never_saved_is_no_matter(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", "xlm-roberta")
    weights = {n: w for n, w in load_file(folder / "model.safetensors").items() if not n.startswith("pooler.")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert not any("pooler" in name for name in load_encoder(folder, part(folder)).state_dict())
    agree(folder)


class Explodes:
    """Writes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.proof,))


@pytest.mark.parametrize("keep", [True, False], ids=["beside safetensors", "alone"])
def test_no_pickle_is_ever_loaded(tmp_path: Path, keep: bool) -> None:
    folder, proof = tiny_model(tmp_path / "model", "bert"), tmp_path / "unpickled"
    vocabulary = part(folder)
    for name in ("pytorch_model.bin", "model.bin", "weights.pt"):
        (folder / name).write_bytes(pickle.dumps(Explodes(proof)))
    if keep:
        load_encoder(folder, vocabulary)
        load_encoder(folder)
    else:
        (folder / "model.safetensors").unlink()
        with pytest.raises(UserError, match="pickles are never loaded"):
            identify("tiny", "", folder, {}, Settings(cache=tmp_path / "cache"))
    assert not proof.exists()


def test_a_tokenizer_without_padding_is_the_users_error(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", "bert")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "pad_token"}))
    with pytest.raises(UserError, match="no padding token"):
        load_tokenizer(folder)


def test_the_identity_covers_weights_configuration_tokenizer_and_prompts(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    folder = tiny_model(tmp_path / "model", "bert")
    first = identify("a", "", folder, {}, settings)
    assert identify("another name", "", folder, {}, settings).identity == first.identity
    assert first.parameters == sum(weight.numel() for weight in load_file(folder / "model.safetensors").values())
    seen = {first.identity, identify("a", "", folder, {"sentence": "query: "}, settings).identity}
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text((folder / name).read_text() + " ")
        seen.add(identify("a", "", folder, {}, settings).identity)
    tiny_model(folder, "bert", seed=1)
    seen.add(identify("a", "", folder, {}, settings).identity)
    assert len(seen) == 5
