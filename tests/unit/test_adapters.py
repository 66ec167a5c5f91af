"""LoRA: only the adapter and the head learn, by the gradients of peft's own layers, and peft reads what is kept."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModel, PreTrainedModel

from tests.tiny import WORDS, TinyRun, tiny_rows
from tests.unit.test_packing import LENGTHS, batch_of, encode_padded, passes
from xbench.errors import UserError
from xbench.models.adapters import (
    CONFIG,
    NAME,
    WEIGHTS,
    add_adapter,
    find_targets,
    has_adapter,
    load_adapter,
    merge_adapter,
    save_adapter,
    trained_weights,
)
from xbench.models.encoder import load_encoder
from xbench.models.low_rank import take_apart
from xbench.models.packing import encode_first, encode_packed
from xbench.models.resolve import LocalModel, resolve_model
from xbench.recipe import Recipe, build_recipe
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.training.device import autocast
from xbench.training.loop import train
from xbench.training.optimizer import make_optimizer
from xbench.training.weights import TABLE_IDS, build_mean, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")
Make = Callable[..., TinyRun]
MODEL = LocalModel("tiny/base", "abc", Path(), "", "", "", 0)
TARGETS = ["auto", "all-linear", "key", "intermediate.dense,query"]


def lora(**settings: object) -> Recipe:
    return build_recipe({"tuning": "lora", "lora_rank": 3, "lora_alpha": 5, **settings}, "test", {})


def adapted(folder: Path, seed: int = 0, **settings: object) -> PreTrainedModel:
    """An encoder with an adapter that has learned something: B is no longer 0."""
    encoder = load_encoder(folder)
    add_adapter(encoder, lora(**settings), seed, MODEL)
    stir(encoder)
    return encoder


def stir(encoder: PreTrainedModel) -> None:
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))


@pytest.fixture
def make(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> Make:
    """Puts a run with an adapter together from a shape, rows and settings."""

    def run(
        shape: str = "xlm-roberta", head: str = "cross-encoder", rows: int = 24, seed: int = 0, dropout: float = 0.1,
        words: tuple[str, ...] = WORDS[:90], **settings: object,
    ) -> TinyRun:  # fmt: skip
        work = tmp_path / str(len(list(tmp_path.iterdir())))
        work.mkdir()
        settings = {"tuning": "lora", "lora_rank": 3, **settings}
        return TinyRun(tiny(shape, dropout), registry.heads.get(head), [tiny_rows(rows, seed, words)], work, settings)

    return run


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in module.state_dict().items()}


# The layer derived by hand


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_without_padding_outputs_and_gradients_are_those_of_pefts_own_layers(
    tiny: Callable[..., Path], shape: str, rate: float, targets: str
) -> None:
    """Encoder dropout and the adapters' drop alike in both: the masks belong to the sequences."""
    encoder = adapted(tiny(shape, 0.2), lora_dropout=rate, lora_targets=targets).train()
    for lengths in (LENGTHS["very unequal"], LENGTHS["falling"]):
        batch = batch_of(encoder, lengths, segments=shape == "bert")
        ours, gradients = passes(encode_packed, encoder, batch)
        expected, theirs = passes(encode_padded, encoder, batch)
        torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
        assert gradients.keys() == theirs.keys() == {name for name, _ in encoder.named_parameters() if "lora_" in name}
        largest = max(float(gradient.abs().max()) for gradient in theirs.values())
        for name, gradient in theirs.items():
            assert float(gradient.abs().max()) > 1e-4 * largest, name
            torch.testing.assert_close(gradients[name], gradient, atol=1e-5 * largest, rtol=0)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_first_tokens_alone_too(tiny: Callable[..., Path], rate: float) -> None:
    encoder = adapted(tiny("xlm-roberta", 0.2), lora_dropout=rate, lora_targets="all-linear").train()
    batch = batch_of(encoder, LENGTHS["very unequal"])
    ours, gradients = passes(encode_first, encoder, batch)
    expected, theirs = passes(lambda *given: encode_padded(*given)[:, 0], encoder, batch)
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in theirs.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5 * largest, rtol=0)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_as_on_a_gpu_they_are_too(tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setattr("xbench.models.packing.by_hand", lambda device: False)
    encoder = adapted(tiny(shape, 0.0), lora_targets="all-linear").train()
    batch = batch_of(encoder, LENGTHS["very unequal"])
    ours, gradients = passes(encode_packed, encoder, batch)
    expected, theirs = passes(encode_padded, encoder, batch)
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
    assert gradients.keys() == theirs.keys()
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in theirs.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5 * largest, rtol=0)


def test_in_bf16_it_is_as_near_to_fp32_as_pefts_layers_are(tiny: Callable[..., Path]) -> None:
    encoder = adapted(tiny("xlm-roberta", 0.0), lora_targets="all-linear").train()
    batch = batch_of(encoder, LENGTHS["very unequal"])
    exact, exact_gradients = passes(encode_padded, encoder, batch)
    errors = []
    for encode in (encode_packed, encode_padded):
        with autocast("bf16", torch.device("cpu")):
            hidden, gradients = passes(encode, encoder, batch)
        off = [float((hidden - exact).norm() / exact.norm())]
        pairs = [(gradients[name], exact_gradients[name]) for name in exact_gradients]
        errors.append((*off, float(sum((one - other).norm() for one, other in pairs))))
    ours, theirs = errors
    assert 0 < ours[0] < 1.5 * theirs[0]
    assert 0 < ours[1] < 1.5 * theirs[1]


def test_an_adapter_that_came_after_a_pass_is_not_passed_over(tiny: Callable[..., Path]) -> None:
    encoder = load_encoder(tiny("bert", 0.0))
    batch = batch_of(encoder, LENGTHS["falling"])
    before = encode_packed(encoder, batch)
    add_adapter(encoder, lora(), 0, MODEL)
    assert torch.equal(encode_packed(encoder, batch), before)  # B is 0
    stir(encoder)
    changed = encode_packed(encoder, batch)
    assert not torch.allclose(changed, before, atol=1e-2)
    merge_adapter(encoder)
    torch.testing.assert_close(encode_packed(encoder, batch), changed, atol=2e-5, rtol=0)
    assert not any("lora" in name or "base_layer" in name for name, _ in encoder.named_modules())
    assert not has_adapter(encoder)


def test_an_adapter_of_another_kind_is_no_silent_loss(tiny: Callable[..., Path]) -> None:
    encoder = AutoModel.from_pretrained(tiny("bert", 0.0))
    get_peft_model(encoder, LoraConfig(target_modules=["query"], use_dora=True))
    with pytest.raises(TypeError, match="plain LoRA adapter"):
        take_apart(encoder.encoder.layer[0].attention.self.query)
    with pytest.raises(TypeError, match="plain LoRA adapter"):
        take_apart(torch.nn.Tanh())


# What learns


@pytest.mark.parametrize("targets", ["auto", "all-linear"])
@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
@pytest.mark.parametrize("shape", ["bert", "xlm-roberta", "deberta-v2"])
def test_only_the_adapter_and_the_head_learn(make: Make, shape: str, head: str, targets: str) -> None:
    run = make(shape, head, lora_targets=targets, weight_decay=0.1)
    vocabulary, why = run.vocabulary()
    assert not vocabulary.full  # the table is frozen: weight decay needs no more of it
    assert why == ""
    before: dict[str, torch.Tensor] = {}
    module, result = run.train(vocabulary, watch=lambda module: before.update(state(module)))
    learned = {name for name, weight in state(module).items() if not torch.equal(weight, before[name])}
    own = {name for name in before if "lora_" in name or not name.startswith("encoder.")}
    assert learned == own
    assert {name for name, weight in module.named_parameters() if weight.requires_grad} == own
    assert trained_weights(module) == sum(before[name].numel() for name in own)
    assert result.losses[-1] != result.losses[0]


def test_moments_are_kept_of_what_learns_alone(make: Make) -> None:
    module = make().build(trains=True)
    optimizer = make_optimizer(module, make().recipe, torch.device("cpu"))
    held = sum(block.first.numel() for block in optimizer._blocks)  # type: ignore[attr-defined]
    assert held == trained_weights(module) < 0.2 * sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("rate", [0.0, 0.2])
@pytest.mark.parametrize("shape", ["xlm-roberta", "deberta-v2"])
def test_neither_pieces_nor_padding_nor_the_vocabulary_change_what_is_learned(
    make: Make, monkeypatch: pytest.MonkeyPatch, shape: str, rate: float
) -> None:
    settings = {"lora_dropout": rate, "lora_targets": "all-linear", "epochs": 1}
    run = make(shape, **settings)
    reference, result = run.train()
    # Pieces of two and more: one sequence as long as DeBERTa's table of positions would pass for that table.
    others = [make(shape, micro_batch_tokens=60, **settings).train(run.vocabulary()[0])]
    monkeypatch.setattr("xbench.heads.blocks.can_pack", lambda *_: False)
    others.append(make(shape, **settings).train())
    for module, other in others:
        np.testing.assert_allclose(other.losses, result.losses, atol=1e-4, rtol=0)
        for name, weight in state(module).items():
            if "lora_" in name or not name.startswith("encoder."):
                torch.testing.assert_close(weight, state(reference)[name], atol=2e-4, rtol=0)


def test_the_seed_decides_on_the_adapter_and_torchs_generator_does_not(make: Make) -> None:
    run = make()
    encoder = load_encoder(run.folder)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    add_adapter(encoder, lora(), 0, MODEL)
    assert torch.equal(torch.rand(1), expected)  # nothing was drawn from it
    one = state(run.build(trains=True, seed=3))
    again, other = state(run.build(trains=True, seed=3)), state(run.build(trains=True, seed=4))
    downs = [name for name in one if "lora_A" in name]
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in downs)
    assert len({float(one[name][0, 0]) for name in downs}) == len(downs)
    for name in downs:  # Kaiming's rule with a = sqrt(5): up to 1 / sqrt(in)
        assert 0.8 < float(one[name].abs().max()) * one[name].shape[1] ** 0.5 <= 1
    frozen = state(run.build(seed=3))  # the head is that of full fine-tuning
    assert all(torch.equal(weight, one[name]) for name, weight in frozen.items() if not name.startswith("encoder"))


def test_the_same_seed_gives_the_same_bits(make: Make) -> None:
    first, second = (state(make(lora_dropout=0.1, epochs=1).train(seed=2)[0]) for _ in range(2))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


# What is kept


@pytest.mark.parametrize(
    ("shape", "targets"),
    [
        *((shape, targets) for shape in ("bert", "xlm-roberta") for targets in (*TARGETS, "dense")),
        ("distilbert", "all-linear"), ("distilbert", "q_lin,lin1"), ("modernbert", "all-linear"),
        ("modernbert", "Wqkv"), ("deberta-v2", "auto"), ("deberta-v2", "all-linear"),
    ],
)  # fmt: skip
def test_peft_loads_what_is_kept_and_gives_our_hidden_states(
    tiny: Callable[..., Path], tmp_path: Path, shape: str, targets: str
) -> None:
    """On transformers' own encoder, pooler and all."""
    encoder = adapted(tiny(shape, 0.0), lora_targets=targets)
    save_adapter(encoder, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, CONFIG}
    config = json.loads((tmp_path / CONFIG).read_text())
    assert (config["peft_type"], config["task_type"]) == ("LORA", "FEATURE_EXTRACTION")
    assert (config["base_model_name_or_path"], config["revision"]) == ("tiny/base", "abc")
    assert (config["r"], config["lora_alpha"], config["bias"]) == (3, 5, "none")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of keys that are missing, for one
        theirs = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny(shape, 0.0)), str(tmp_path)).eval()
    stored = load_file(tmp_path / WEIGHTS)
    theirs_own = {name for name, _ in theirs.named_parameters() if "lora_" in name}
    assert {name.replace(f".{NAME}.", ".") for name in theirs_own} == stored.keys()
    batch = batch_of(encoder, LENGTHS["very unequal"])
    real = batch.attention_mask.bool()
    encode = encode_packed if shape in ("bert", "xlm-roberta") else encode_padded
    with torch.no_grad():
        expected = theirs(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state[real]
        torch.testing.assert_close(encode(encoder, batch)[real], expected, atol=1e-5, rtol=0)
        base = load_encoder(tiny(shape, 0.0))
        assert not torch.allclose(encode(base, batch)[real], expected, atol=1e-2)
        load_adapter(base, tmp_path)
        assert torch.equal(encode(base, batch)[real], encode(encoder, batch)[real])
        merge_adapter(base)
        torch.testing.assert_close(encode(base, batch)[real], expected, atol=1e-5, rtol=0)
    base.save_pretrained(tmp_path / "merged")  # an ordinary encoder again
    merged = AutoModel.from_pretrained(tmp_path / "merged").eval()
    with torch.no_grad():
        again = merged(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state[real]
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=0)


def test_what_is_kept_is_the_same_bytes_each_time(tiny: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_adapter(adapted(tiny("bert"), lora_targets="all-linear"), tmp_path / name)
    for name in (WEIGHTS, CONFIG):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
def test_a_stage_is_read_merged_and_trained_on_apart(make: Make, tmp_path: Path, head: str) -> None:
    run = make(head=head)
    vocabulary, _ = run.vocabulary()
    module, _ = run.train(vocabulary)
    path = tmp_path / "stage" / "weights.safetensors"
    path.parent.mkdir()
    save_weights(module, vocabulary, None, path)
    stored = load_file(path)
    assert TABLE_IDS not in stored
    assert stored.keys() == {name for name in module.state_dict() if not name.startswith("encoder.")}
    apart, read = run.build(vocabulary, path, seed=9, trains=True), run.build(None, path, seed=9)
    assert all(torch.equal(weight, state(module)[name]) for name, weight in state(apart).items())
    assert not has_adapter(read.encoder)
    assert not has_adapter(run.build().encoder)  # nothing has been learned: nothing to carry
    own = dict(module.encoder.named_modules())
    for name, weight in state(read.encoder).items():
        layer = own.get(name.removesuffix(".weight"))
        if layer is not None and hasattr(layer, "lora_A"):
            delta = (layer.lora_B[NAME].weight @ layer.lora_A[NAME].weight * (16 / 3)).detach()
            assert float(delta.abs().max()) > 1e-5
            torch.testing.assert_close(weight, layer.base_layer.weight + delta, atol=1e-7, rtol=0)


def test_a_second_stage_trains_the_first_ones_adapter_on(make: Make, tmp_path: Path) -> None:
    first, second = make(words=WORDS[:60]), make(seed=1, words=WORDS[40:110])
    whole, _ = first.train()
    train(whole, second.tables, second.recipe, 0, second.whole(), second.pad_id)  # in one process
    parent: Path | None = None
    for name, run in (("a", first), ("b", second)):
        vocabulary, _ = run.vocabulary()
        module, _ = run.train(vocabulary, stage=parent)
        path = tmp_path / name / "weights.safetensors"
        path.parent.mkdir()
        save_weights(module, vocabulary, parent, path)
        parent = path
    for path in (tmp_path / "a").iterdir():
        path.unlink()  # the second stage holds all
    merge_adapter(whole.encoder)
    chained = state(second.build(None, parent))
    for name, weight in state(whole).items():
        torch.testing.assert_close(chained[name], weight, atol=1e-5, rtol=0)


def test_the_mean_of_checkpoints_is_of_merged_weights(make: Make, tmp_path: Path) -> None:
    """The mean of A times the mean of B would be another product."""
    paths = []
    for name, seed in (("a", 0), ("b", 1)):
        run = make(seed=seed)
        vocabulary, _ = run.vocabulary()
        paths.append(tmp_path / f"stage-{name}" / "weights.safetensors")
        paths[-1].parent.mkdir()
        save_weights(run.train(vocabulary)[0], vocabulary, None, paths[-1])
    one, other = (state(run.build(None, path)) for path in paths)
    mean = state(build_mean(run.model, run.head, run.context, run.whole(), 0, paths))
    assert mean.keys() == one.keys()
    for name, weight in mean.items():
        torch.testing.assert_close(weight, (one[name] + other[name]) / 2, atol=1e-6, rtol=0)


def test_an_adapter_that_lacks_a_weight_is_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_adapter(adapted(tiny("bert")), tmp_path)
    stored = load_file(tmp_path / WEIGHTS)
    stored.popitem()
    save_file(stored, tmp_path / WEIGHTS)
    with pytest.raises(RuntimeError, match="does not fit"):
        load_adapter(load_encoder(tiny("bert")), tmp_path)


# Mistakes


@pytest.mark.parametrize(
    ("shape", "targets", "said"),
    [
        ("bert", "query,valeu", "'valeu' (did you mean 'value'?)"),
        ("bert", "query,", "''"),
        ("bert", "word_embeddings", "no linear layer's name ends with 'word_embeddings'"),
        ("bert", "LayerNorm", "there are dense, key, query, value"),
        ("modernbert", "auto", "peft has no choice for modernbert"),
    ],
)
def test_targets_that_are_none_are_named(tiny: Callable[..., Path], shape: str, targets: str, said: str) -> None:
    with pytest.raises(UserError, match=r"recipe\.lora_targets") as caught:
        find_targets(load_encoder(tiny(shape)), targets)
    assert said in str(caught.value)


def test_spaces_between_targets_do_not_matter(tiny: Callable[..., Path]) -> None:
    assert find_targets(load_encoder(tiny("bert")), "value, query") == ["query", "value"]


def test_without_peft_the_message_says_what_to_install(
    tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'xbench\[lora\]'"):
        add_adapter(load_encoder(tiny("bert")), lora(), 0, MODEL)


@pytest.mark.parametrize("whole", [True, False])
def test_an_adapter_in_a_models_folder_is_not_silently_put_in(
    tiny: Callable[..., Path], registry: Registry, tmp_path: Path, whole: bool
) -> None:
    """transformers would do so where peft is installed, and only in a table that is held whole."""
    folder = tmp_path / "model"
    if whole:
        shutil.copytree(tiny("bert"), folder)
    else:
        folder.mkdir()
    save_adapter(adapted(tiny("bert")), folder)
    with pytest.raises(UserError, match=r"holds an adapter \(adapter_config.json\): merge it into its base model"):
        resolve_model(str(folder), registry, Settings(cache=tmp_path / "cache", offline=True))
