"""Folders of the layout of sentence-transformers: the library itself writes them, and says what an embedding is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

from tests.tiny import HIDDEN, TinyRun, tiny_rows
from xbench.errors import UserError
from xbench.models.encoder import load_encoder
from xbench.models.hub import FILES, is_whole
from xbench.models.layout_reader import read_layout
from xbench.models.layout_writer import write_layout
from xbench.models.resolve import LocalModel, identify, resolve_model
from xbench.models.sentences import POOLINGS, SentenceLayout
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.training.examples import head_context, table_folder
from xbench.training.predict import Predictor

ROWS = tiny_rows(24, seed=6, longest=14)
MODES = (*POOLINGS.values(), ("lasttoken", "cls"), ("mean", "max", "weightedmean"))
SHAPES = ("bert", "xlm-roberta", "distilbert")
PROMPTS = {"query": "bado fefe ", "other": "ba "}
Made = Callable[..., tuple[Path, SentenceTransformer]]


@pytest.fixture
def library(tiny: Callable[..., Path], tmp_path: Path) -> Made:
    """Lets the library write a folder, and gives the model that it then loads from there."""

    def make(
        shape: str = "bert", mode: Any = "mean", layers: Any = (), include_prompt: bool = True,
        transformer: Mapping[str, Any] | None = None, **settings: Any,
    ) -> tuple[Path, SentenceTransformer]:  # fmt: skip
        folder = tmp_path / f"st{len(list(tmp_path.iterdir()))}"
        torch.manual_seed(3)
        first = Transformer(str(tiny(shape)), **(transformer or {}))
        made = [layer() for layer in layers]
        pooling = Pooling(HIDDEN, mode, include_prompt=include_prompt)
        SentenceTransformer(modules=[first, pooling, *made], **settings).save(str(folder))
        return folder, SentenceTransformer(str(folder), device="cpu")

    return make


@pytest.fixture
def run(registry: Registry, tmp_path: Path) -> Callable[..., TinyRun]:
    """Puts a head on a folder."""

    def make(folder: Path, head: str = "alignment", rows: Any = ROWS, **settings: Any) -> TinyRun:
        work = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
        return TinyRun(folder, registry.heads.get(head), [rows], work, settings)

    return make


def outputs(run: TinyRun) -> np.ndarray:
    """What the head's module gives for all rows, in batches of several."""
    vocabulary = run.vocabulary()[0]
    return np.asarray(Predictor(run.build(vocabulary), "fp32", 0, vocabulary, run.pad_id).predict(run.tables[0]))


def embeddings(model: SentenceTransformer, rows: Any = ROWS) -> np.ndarray:
    """(rows, 2, width) What the library's own ``encode`` gives."""
    sides = [
        model.encode([row[side] for row in rows], batch_size=5, show_progress_bar=False)
        for side in ("sentence1", "sentence2")
    ]  # fmt: skip
    return np.stack(sides, 1)


def alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal to what rounding in float32 leaves; and there is something to tell apart."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=3e-6, rtol=1e-5)
    assert theirs.std() > 1e-3


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_pooling_is_the_librarys(library: Made, run: Callable[..., TinyRun], shape: str, mode: Any) -> None:
    folder, model = library(shape, mode)
    alike(outputs(run(folder)), embeddings(model))


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_prompt_is_put_before_each_sentence_and_pooled_or_not(
    library: Made, run: Callable[..., TinyRun], mode: Any, include_prompt: bool
) -> None:
    folder, model = library("xlm-roberta", mode, (), include_prompt, prompts=PROMPTS, default_prompt_name="query")
    ours, theirs = outputs(run(folder)), embeddings(model)
    alike(ours, theirs)
    assert np.abs(theirs - model.encode([row["sentence1"] for row in ROWS], prompt="")[:, None]).max() > 1e-3


def test_prompts_without_a_default_are_not_used(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, model = library(prompts=PROMPTS)
    assert read_layout(folder) is None  # the mean of the tokens, as of any encoder
    alike(outputs(run(folder)), embeddings(model))


@pytest.mark.parametrize("prompts", [{"query": None}, {"other": "ba "}, {}])
def test_query_and_document_are_prompts_that_the_library_always_has(
    library: Made, run: Callable[..., TinyRun], prompts: dict[str, str | None]
) -> None:
    folder, _ = library()
    edited(folder, "config_sentence_transformers.json", set_in(prompts=prompts, default_prompt_name="query"))
    alike(outputs(run(folder)), embeddings(SentenceTransformer(str(folder), device="cpu")))


def test_a_prompt_that_fills_the_whole_sequence_leaves_its_last_token(
    library: Made, run: Callable[..., TinyRun]
) -> None:
    prompts = {"query": "bado fefe gigi " * 4}
    folder, _ = library(include_prompt=False, prompts=prompts, default_prompt_name="query")
    edited(folder, "sentence_bert_config.json", set_in(max_seq_length=8))
    vectors = embeddings(SentenceTransformer(str(folder), device="cpu"))
    alike(outputs(run(folder)), vectors)
    assert np.abs(vectors).max() > 0.1


def test_settings_that_change_no_embedding_are_no_hindrance(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, model = library(mode="cls")
    given = {"torch_dtype": "float32", "trust_remote_code": True, "attn_implementation": "eager"}
    edited(folder, "sentence_bert_config.json", set_in(model_args=given, tokenizer_args={}, config_args=None))
    assert str(read_layout(folder)) == "cls"
    alike(outputs(run(folder)), embeddings(model))


STACKS: dict[str, tuple[Callable[[], Any], ...]] = {
    "labse": (lambda: Dense(HIDDEN, HIDDEN), Normalize),
    "narrower": (lambda: Dense(HIDDEN, 12, bias=False, activation_function=torch.nn.Identity()),),
    "residual": (
        lambda: Dense(HIDDEN, HIDDEN, activation_function=torch.nn.GELU(), use_residual=True),
        lambda: Dense(HIDDEN, 20, activation_function=torch.nn.ReLU(), use_residual=True),
    ),
    "norms": (lambda: LayerNorm(HIDDEN), Normalize),
    "normalised": (Normalize,),
}


@pytest.mark.parametrize("stack", list(STACKS))
def test_layers_over_the_pooled_vector_are_the_librarys(library: Made, run: Callable[..., TinyRun], stack: str) -> None:
    folder, model = library(mode="cls", layers=STACKS[stack])
    vectors = outputs(run(folder))
    alike(vectors, embeddings(model))
    cosines = [float(model.similarity(*pair)) for pair in embeddings(model)]
    np.testing.assert_allclose(outputs(run(folder, "siamese")), cosines, atol=3e-6)


def test_only_the_first_numbers_are_kept_where_the_files_say_so(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, model = library(layers=(Normalize,), truncate_dim=8)
    alike(outputs(run(folder)), embeddings(model))


@pytest.mark.parametrize("max_length", [8, 16, 64])
def test_a_sentence_is_cut_where_recipe_or_model_ends_first(
    library: Made, run: Callable[..., TinyRun], max_length: int
) -> None:
    folder, model = library(mode="cls")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": false}')
    model.max_seq_length = min(12, max_length)
    rows = [*ROWS, {"id": "long", "sentence1": "bado " * 40, "sentence2": "fefe " * 11, "score": 1.0}]
    one = run(folder, rows=rows, max_length=max_length)
    alike(outputs(one), embeddings(model, rows))
    assert one.tables[0].lengths.max() == min(12, max_length)
    assert one.tables[0].truncated[-1]
    pairs = run(folder, "cross-encoder", rows=rows, max_length=max_length)  # no sentence embedding: the recipe's alone
    assert pairs.tables[0].lengths.max() == min(40 + 11 + 3, max_length)


def test_lower_case_is_the_librarys(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, model = library(transformer={"do_lower_case": True}, mode="cls")
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    texts = json.loads((folder / "tokenizer.json").read_text())
    texts["normalizer"] = None  # as old files are, whose library lowered texts itself
    (folder / "tokenizer.json").write_text(json.dumps(texts))
    rows = [{**row, "sentence1": row["sentence1"].upper(), "sentence2": row["sentence2"].title()} for row in ROWS]
    alike(outputs(run(folder, rows=rows)), embeddings(model, rows))
    assert embeddings(model, rows).std() == pytest.approx(embeddings(model).std())


def test_an_encoder_in_a_folder_of_its_own_is_found(
    library: Made, run: Callable[..., TinyRun], registry: Registry, tmp_path: Path
) -> None:
    """As the first versions of the library wrote it, with the switches and the type names of that time."""
    folder, model = library(mode=("cls", "mean"), layers=(lambda: Dense(2 * HIDDEN, 16),))
    expected = embeddings(model)
    (folder / "0_Transformer").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        if path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(folder / "0_Transformer" / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rpartition(".")[2]
    (folder / "modules.json").write_text(json.dumps(modules))
    switches = {name: mode in ("cls", "mean") for name, mode in POOLINGS.items()}
    pooling = {"word_embedding_dimension": HIDDEN, **switches}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    found = resolve_model(str(folder), registry, Settings(cache=tmp_path / "c", offline=True))
    assert (found.name, found.folder) == (folder.name, folder / "0_Transformer")
    alike(outputs(run(folder)), expected)
    alike(embeddings(SentenceTransformer(str(folder), device="cpu")), expected)


def test_fine_tuning_goes_through_pooling_and_layers_and_is_kept(
    library: Made, run: Callable[..., TinyRun], tmp_path: Path
) -> None:
    from xbench.training.weights import save_weights

    folder, _ = library("xlm-roberta", ("cls", "max"), (lambda: Dense(2 * HIDDEN, 16), Normalize))
    one = run(folder, "siamese", epochs=4, batch_size=4)
    vocabulary = one.vocabulary()[0]
    before = load_file(folder / "2_Dense" / "model.safetensors")
    module, result = one.train(vocabulary)
    assert np.mean(result.losses[-6:]) < np.mean(result.losses[:6])
    assert not torch.equal(module.state_dict()["sentence_layers.0.linear.weight"], before["linear.weight"])
    save_weights(module, vocabulary, None, tmp_path / "stage.safetensors")
    again = one.build(vocabulary, tmp_path / "stage.safetensors")
    for name, weight in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


# Identity


def known(folder: Path, tmp_path: Path, prompts: Mapping[str, str] | None = None) -> LocalModel:
    return identify("m", "", folder, prompts or {}, Settings(cache=tmp_path / "cache"))


def test_files_that_say_the_mean_of_the_tokens_are_in_no_key(library: Made, tmp_path: Path) -> None:
    folder, _ = library()
    with_files = known(folder, tmp_path)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "1_Pooling")
    assert with_files == known(folder, tmp_path)


def test_whatever_changes_an_embedding_changes_the_identity(library: Made, tmp_path: Path) -> None:
    dense = (lambda: Dense(HIDDEN, HIDDEN),)
    folders = [
        library()[0], library(mode="cls")[0], library(mode=("cls", "mean"))[0], library(mode=("mean", "cls"))[0],
        library(layers=(Normalize,))[0], library(layers=dense)[0], library(layers=(*dense, Normalize))[0],
        library(include_prompt=False)[0], library(prompts=PROMPTS, default_prompt_name="query")[0],
        library(prompts=PROMPTS, default_prompt_name="other")[0], library(truncate_dim=8)[0],
    ]  # fmt: skip
    other = folders[5].with_name("other-weights")
    shutil.copytree(folders[5], other)
    path = other / "2_Dense" / "model.safetensors"
    save_file({name: weight + 1 for name, weight in load_file(path).items()}, path)
    relu = folders[5].with_name("relu")
    shutil.copytree(folders[5], relu)
    text = (relu / "2_Dense" / "config.json").read_text()
    (relu / "2_Dense" / "config.json").write_text(text.replace("Tanh", "ReLU"))
    models = [known(folder, tmp_path) for folder in (*folders, other, relu)]
    assert len({model.identity for model in models}) == len(models)
    assert len({model.tokenizer_identity for model in models}) == 1
    assert models[5].parameters == models[0].parameters + HIDDEN * HIDDEN + HIDDEN
    # A card, a similarity that heads do not ask for, and prompts that nobody uses change nothing.
    settings = {"prompts": {"query": "x"}, "similarity_fn_name": "dot"}
    (folders[1] / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert known(folders[1], tmp_path).identity == models[1].identity


def test_a_declared_prompt_stands_over_that_of_the_files(library: Made, tmp_path: Path) -> None:
    folder, _ = library(prompts=PROMPTS, default_prompt_name="query")
    assert known(folder, tmp_path).prompts == {"sentence": "bado fefe "}
    assert known(folder, tmp_path, {"sentence": "mine: "}).prompts == {"sentence": "mine: "}


def test_tokenised_sentences_are_found_again_only_where_they_are_read_alike(
    library: Made, registry: Registry, tmp_path: Path
) -> None:
    from xbench.data.rows import prepare

    dataset = registry.datasets.get("mini-sts-en")
    settings = Settings(cache=tmp_path / "cache", offline=True)
    rows = prepare(dataset, "test", registry.schemas.get(dataset.schema), settings)
    head = registry.heads.get("siamese")
    folder, _ = library(mode="cls")
    places = []
    for texts in ({}, {"max_seq_length": 12}, {"do_lower_case": True}):
        (folder / "sentence_bert_config.json").write_text(json.dumps(texts))
        model = known(folder, tmp_path)
        context = head_context(TinyRun(folder, head, [ROWS], tmp_path / "w").recipe, model, dataset)
        places.append(table_folder(rows, head, model, context, None, 0, settings))
    assert len(set(places)) == 3


# What is not known


def edited(folder: Path, name: str, change: Callable[[Any], Any]) -> Path:
    path = folder / name
    values = change(json.loads(path.read_text()))
    path.write_text(json.dumps(values))
    return folder


def set_in(**values: Any) -> Callable[[Any], Any]:
    return lambda config: {**config, **values}


BROKEN: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a class of somebody's own": (
        "modules.json", lambda all_: [*all_[:2], {**all_[2], "type": "custom_st.Projection"}], "custom_st.Projection"
    ),
    "no pooling": ("modules.json", lambda all_: [all_[0], all_[2]], "a Transformer and a Pooling, but with"),
    "no modules": ("modules.json", lambda all_: [], "not a list of modules"),
    "outside": ("modules.json", lambda all_: [all_[0], {**all_[1], "path": "../other"}], "not below"),
    "in the root": ("modules.json", lambda all_: [all_[0], {**all_[1], "path": ""}], "names no folder"),
    "pooling": ("1_Pooling/config.json", set_in(pooling_mode="attention"), "'attention' is not among cls, max"),
    "no number": ("1_Pooling/config.json", set_in(embedding_dimension="32"), "embedding_dimension = '32'"),
    "no truth": ("1_Pooling/config.json", set_in(include_prompt="no"), "include_prompt = 'no'"),
    "activation": ("2_Dense/config.json", set_in(activation_function="os.system"), "activation 'os.system'"),
    "in torch": ("2_Dense/config.json", set_in(activation_function="torch.nn.Linear"), "'torch.nn.Linear'"),
    "sizes": ("2_Dense/config.json", set_in(in_features=31), "2_Dense takes 31 numbers, and gets 32"),
    "tokens": ("2_Dense/config.json", set_in(module_input_name="token_embeddings"), "'token_embeddings'"),
    "prompt": (
        "config_sentence_transformers.json", set_in(default_prompt_name="nobody"), "no prompt of the name 'nobody'"
    ),
    "length": ("sentence_bert_config.json", set_in(max_seq_length=0), "max_seq_length = 0"),
    "cut by its tokenizer": (
        "sentence_bert_config.json", set_in(tokenizer_args={"use_fast": True, "model_max_length": 6}),
        "tokenizer_args with 'model_max_length'",
    ),
    "cut otherwise": (
        "sentence_bert_config.json", set_in(processing_kwargs={"text": {"max_length": 6}}), "processing_kwargs with"
    ),
    "configured otherwise": (
        "sentence_bert_config.json", set_in(config_kwargs={"hidden_act": "relu"}), "config_kwargs with 'hidden_act'"
    ),
    "no settings": ("sentence_bert_config.json", set_in(model_args=["dtype"]), "model_args with"),
    "pooled by the encoder": (
        "sentence_bert_config.json",
        set_in(modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}}),
        "something else than its last layer's vectors",
    ),
    "generation": ("sentence_bert_config.json", set_in(transformer_task="text-generation"), "'text-generation'"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BROKEN))
def test_what_is_not_known_stops_sentence_embeddings_alone(
    library: Made, run: Callable[..., TinyRun], tmp_path: Path, case: str
) -> None:
    name, change, words = BROKEN[case]
    folder, _ = library(layers=(lambda: Dense(HIDDEN, HIDDEN),))
    plain = run(edited(folder, name, change), "cross-encoder")  # one that needs none
    assert outputs(plain).shape == (len(ROWS),)
    for head in ("siamese", "alignment"):
        with pytest.raises(UserError) as problem:
            run(folder, head)
        text = str(problem.value)
        assert words in text
        assert "\n" not in text
        assert "a head that needs no sentence embeddings, or a copy of the folder without modules.json" in text
    (folder / "modules.json").unlink()  # the second way to go on
    assert known(folder, tmp_path).identity == plain.model.identity
    assert outputs(run(folder)).shape == (len(ROWS), 2, HIDDEN)


def test_a_module_of_the_library_that_is_not_known_here_is_named(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, _ = library(layers=(lambda: Dropout(0.2),))
    with pytest.raises(UserError, match=r"modules.json names 'Dropout'"):
        run(folder)


def test_a_pickle_is_never_loaded(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, _ = library(layers=(lambda: Dense(HIDDEN, HIDDEN),))
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"2_Dense has no model.safetensors, and pickles are never loaded"):
        run(folder)


def test_weights_of_another_shape_are_named(library: Made, run: Callable[..., TinyRun]) -> None:
    folder, _ = library(layers=(lambda: Dense(HIDDEN, HIDDEN),))
    save_file({"linear.weight": torch.zeros(3, 3)}, folder / "2_Dense" / "model.safetensors")
    with pytest.raises(UserError, match=r"2_Dense/model.safetensors do not fit its config.json"):
        run(folder).build()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_what_is_written_is_what_is_read(library: Made, tmp_path: Path, mode: Any) -> None:
    width = HIDDEN * (1 if isinstance(mode, str) else len(mode))
    layers = (lambda: Dense(width, HIDDEN), Normalize)
    folder, _ = library(mode=mode, layers=layers, include_prompt=False, truncate_dim=8)
    layout = read_layout(folder)
    assert layout is not None
    weights = write_layout(tmp_path / "again", layout, HIDDEN)
    assert [path.parent.name for path in weights] == ["2_Dense"]
    shutil.copy(folder / "2_Dense" / "model.safetensors", weights[0])
    again = read_layout(tmp_path / "again")
    assert again is not None
    assert again.content() == layout.content()
    assert str(again) == str(layout)


def test_an_encoder_alone_has_no_layout(tiny: Callable[..., Path]) -> None:
    assert read_layout(tiny("bert")) is None
    assert load_encoder(tiny("bert")).config.model_type == "bert"
    assert not SentenceLayout(tiny("bert")).problem


def test_a_declaration_can_leave_the_files_of_a_model_aside(registry: Registry, tmp_path: Path) -> None:
    """all-minilm-l6-v2 has such files, and its published records were made without them."""
    settings = Settings(cache=tmp_path / "cache", offline=True)
    named = resolve_model("all-minilm-l6-v2", registry, settings)
    by_folder = resolve_model(str(named.folder), registry, settings)
    assert named.sentence is None
    assert by_folder.embedding == "mean; scaled to length 1; at most 256 tokens"
    assert named.weights_sha256 == by_folder.weights_sha256
    assert named.identity != by_folder.identity
    assert named.identity.startswith("e9fdb890caec35818669")


# From the hub


@pytest.fixture
def snapshot(library: Made, tmp_path: Path) -> Path:
    """A repository of the layout in the hub's cache."""
    folder, _ = library(mode="cls", layers=(lambda: Dense(HIDDEN, HIDDEN), Normalize))
    (tmp_path / "hub" / "blobs").mkdir(parents=True)
    return Path(shutil.copytree(folder, tmp_path / "hub" / "snapshots" / ("3" * 40)))


def test_what_is_fetched_has_the_files_of_the_layers(snapshot: Path) -> None:
    from huggingface_hub.utils import filter_repo_objects

    (snapshot / "2_Dense" / "pytorch_model.bin").touch()
    names = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    fetched = set(filter_repo_objects(names, allow_patterns=[*FILES]))
    assert {"modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"} <= fetched
    assert "2_Dense/pytorch_model.bin" not in fetched


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"])
def test_a_snapshot_that_lacks_a_file_of_a_layer_is_not_whole(snapshot: Path, name: str) -> None:
    assert is_whole(snapshot, code=False)
    (snapshot / name).unlink()
    assert not is_whole(snapshot, code=False)


def test_a_snapshot_with_its_encoder_in_a_folder_of_its_own_is_whole(snapshot: Path) -> None:
    (snapshot / "0_Transformer").mkdir()
    for path in [path for path in snapshot.iterdir() if path.is_file() and path.name != "modules.json"]:
        path.rename(snapshot / "0_Transformer" / path.name)
    edited(snapshot, "modules.json", lambda all_: [{**all_[0], "path": "0_Transformer"}, *all_[1:]])
    assert is_whole(snapshot, code=False)
    (snapshot / "modules.json").write_text("[")
    assert not is_whole(snapshot, code=False)
