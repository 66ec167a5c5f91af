"""Exported stages: what other programs load says what the cell said, for every head that comes with xbench."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

from tests.exports import HEADS, make_bench, record_of, train
from tests.tiny import HIDDEN, Bench, tiny_model
from xbench.cli import main
from xbench.data.rows import prepare
from xbench.recipe import build_recipe
from xbench.settings import Settings
from xbench.store import Store
from xbench.types import Decoding, HeadContext, Row

SHAPES = ("bert", "roberta", "xlm-roberta")
Record = Mapping[str, Any]
Exported = tuple[Path, Record, list[Row], list[Any]]


@pytest.fixture(scope="module", params=SHAPES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Fine-tuned tiny encoders of one shape, a stage a head."""
    root = tmp_path_factory.mktemp(f"export-{request.param}")
    one = make_bench(root / "run", tiny_model(root / "tiny", request.param))
    for head in HEADS:
        train(one, head)
    return one


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Stages of one shape, for what is the same for all: two, one after the other, a frozen encoder and a floor."""
    root = tmp_path_factory.mktemp("export-others")
    one = make_bench(root / "run", tiny_model(root / "tiny", "bert"))
    train(one, "cross-encoder", "pairs-one:pairs-two")
    train(one, "siamese", "none", models=(one.model, "lexical-overlap"))
    return one


def call(bench: Bench, *arguments: object, model: bool = True) -> int:
    """What the command line does, with its status."""
    places: list[object] = ["--cache", bench.root / "cache", "--out", bench.root / "out", "--offline"]
    places += ["--plugin", bench.root / "plugin.py"] + ["--model", bench.model] * model
    sys.argv = [str(one) for one in ["xbench", "export", *arguments, *places]]
    return main()


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Exported]:
    """Exports a head's stage; gives the folder, the record, its rows and what was predicted."""
    monkeypatch.setattr(sys, "argv", sys.argv)

    def make(bench: Bench, head: str, *more: str, curriculum: str = "") -> Exported:
        path, record = record_of(bench, head, curriculum)
        folder = tmp_path / f"{head}{len(list(tmp_path.iterdir()))}"
        assert call(bench, path, "--to", folder, *more) == 0
        kept = Store(Settings(cache=bench.root / "cache", out=bench.root / "out")).predictions(record)
        assert kept is not None
        dataset = bench.registry.datasets.get(record["eval"]["dataset"])
        schema, cache = bench.registry.schemas.get(dataset.schema), Settings(cache=bench.root / "cache", offline=True)
        rows = {row["id"]: row for row in prepare(dataset, "test", schema, cache).open()}
        return folder, record, [dict(rows[name]) for name in kept.ids], kept.predictions

    return make


def logits(folder: Path, texts: Sequence[str], others: Sequence[str] | None = None) -> np.ndarray:
    """As a model card says it is used."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = [list(texts)] if others is None else [list(texts), list(others)]
    with torch.inference_mode():
        given = tokenizer(*pairs, truncation=True, padding=True, return_tensors="pt")
        return np.asarray(model(**given).logits)


def columns(rows: Sequence[Row], *names: str) -> list[list[str]]:
    return [[row[name] for row in rows] for name in names]


def alike(theirs: Any, ours: Any) -> None:
    """Equal to rounding in float32, and not all the same."""
    np.testing.assert_allclose(theirs, ours, atol=2e-6, rtol=1e-5)
    assert np.std(ours) > 1e-4


# What is loaded says what the cell said


def test_a_cross_encoder_is_a_sequence_classification_with_one_output(
    bench: Bench, export: Callable[..., Exported]
) -> None:
    folder, _, rows, said = export(bench, "cross-encoder")
    first, second = columns(rows, "sentence1", "sentence2")
    alike(logits(folder, first, second)[:, 0], said)
    alike(CrossEncoder(str(folder), device="cpu").predict(list(zip(first, second, strict=True))), said)
    reads = pipeline("text-classification", model=str(folder), device="cpu")
    pairs = [{"text": one, "text_pair": two} for one, two in zip(first, second, strict=True)]
    alike([one["score"] for one in reads(pairs, truncation=True)], said)
    assert "0 + 5 * output" in (folder / "README.md").read_text()


def test_a_classifier_is_a_sequence_classification_with_the_labels_names(
    bench: Bench, export: Callable[..., Exported]
) -> None:
    folder, record, rows, said = export(bench, "classification")
    (texts,) = columns(rows, "text")
    labels = bench.registry.datasets.get(record["eval"]["dataset"]).labels
    assert logits(folder, texts).argmax(1).tolist() == said
    reads = pipeline("text-classification", model=str(folder), device="cpu")
    assert [one["label"] for one in reads(texts, truncation=True)] == [labels[label] for label in said]


def test_a_reader_is_a_question_answering_model(bench: Bench, export: Callable[..., Exported]) -> None:
    """Its logits, decoded by the head's own rules over the windows of the folder's own tokenizer."""
    folder, record, rows, said = export(bench, "span")
    model, tokenizer = (
        AutoModelForQuestionAnswering.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    head = bench.registry.heads.get("span")
    context = HeadContext(build_recipe(record["recipe"], "test", head.options))
    examples = list(head.examples(rows, 0, tokenizer, context))
    outputs = []
    for example in examples:
        (tokens,) = example.sequences
        given = {"input_ids": torch.tensor([tokens.ids])}
        if tokens.types is not None:
            given["token_type_ids"] = torch.tensor([tokens.types])
        with torch.inference_mode():
            output = model(**given)
        outputs.append(np.stack([output.start_logits[0].numpy(), output.end_logits[0].numpy()]))
    extra = {name: [np.asarray(one.extra[name], np.int32) for one in examples] for name in examples[0].extra}
    dataset = bench.registry.datasets.get(record["eval"]["dataset"])
    row_of = np.array([example.row for example in examples])
    assert head.decode(Decoding(rows, row_of, outputs, extra, context, "default", dataset)) == said
    assert len(set(said)) > 5


def test_a_siamese_encoder_is_a_sentence_transformer(bench: Bench, export: Callable[..., Exported]) -> None:
    folder, _, rows, said = export(bench, "siamese")
    model = SentenceTransformer(str(folder), device="cpu")
    one, two = (model.encode(texts, show_progress_bar=False) for texts in columns(rows, "sentence1", "sentence2"))
    alike(model.similarity_pairwise(one, two), said)
    assert model.max_seq_length == 24


@pytest.mark.parametrize("head", ["cross-encoder", "span", "siamese"])
def test_the_encoder_alone_is_loaded_by_automodel(bench: Bench, export: Callable[..., Exported], head: str) -> None:
    whole, alone = export(bench, head)[0], export(bench, head, "--encoder-only")[0]
    tokenizer = AutoTokenizer.from_pretrained(alone)
    given = tokenizer(["bado fefe", "gigi dodo bado"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = [AutoModel.from_pretrained(folder).eval()(**given).last_hidden_state for folder in (whole, alone)]
    torch.testing.assert_close(*hidden)
    assert not (alone / "modules.json").exists()
    weights = load_file(alone / "model.safetensors")
    base = load_file(Path(bench.model) / "model.safetensors")
    assert {name for name in base if "pooler" not in name} == set(weights)
    table = "embeddings.word_embeddings.weight"
    same = (weights[table] == base[table]).all(1)
    assert same.any()  # rows that were never looked up
    assert not same.all()
    assert len(same) == len(tokenizer)


def test_the_layers_of_a_sentence_transformer_go_along(tmp_path: Path, export: Callable[..., Exported]) -> None:
    """Fine-tuned from a folder of the library's, with a prompt, two poolings and a trained layer over them."""
    torch.manual_seed(1)
    modules = [
        Transformer(str(tiny_model(tmp_path / "plain", "xlm-roberta"))),
        Pooling(HIDDEN, ("mean", "cls"), include_prompt=False), Dense(2 * HIDDEN, 16), Normalize(),
    ]  # fmt: skip
    base = SentenceTransformer(modules=modules, prompts={"sts": "bado: "}, default_prompt_name="sts")
    base.save(str(tmp_path / "base"))
    bench = make_bench(tmp_path / "run", tmp_path / "base")
    (record,) = train(bench, "siamese")
    assert record["model"]["sentence"] == (
        "mean and cls; dense 64 to 16, Tanh; scaled to length 1; without the prompt's tokens; prompt 'bado: '"
    )
    folder, _, rows, said = export(bench, "siamese")
    model = SentenceTransformer(str(folder), device="cpu")
    one, two = (model.encode(texts, show_progress_bar=False) for texts in columns(rows, "sentence1", "sentence2"))
    alike((one * two).sum(1), said)
    assert one.shape[1] == 16
    before, after = (load_file(place / "2_Dense" / "model.safetensors") for place in (tmp_path / "base", folder))
    assert not torch.equal(before["linear.weight"], after["linear.weight"])


def test_a_stage_for_alignment_is_a_sentence_transformer(bench: Bench, export: Callable[..., Exported]) -> None:
    folder, record, rows, said = export(bench, "alignment")
    assert record["reading"] == "identity"
    model = SentenceTransformer(str(folder), device="cpu")
    one, two = (model.encode(texts, show_progress_bar=False) for texts in columns(rows, "sentence1", "sentence2"))
    alike(model.similarity_pairwise(one, two), said)


@pytest.mark.parametrize("shape", ["deberta-v2", "bert-pad-1"])
def test_other_encoders_whose_classes_fit_are_exported(
    tmp_path: Path, export: Callable[..., Exported], shape: str
) -> None:
    bench = make_bench(tmp_path / "run", tiny_model(tmp_path / "tiny", shape))
    train(bench, "cross-encoder")
    folder, _, rows, said = export(bench, "cross-encoder")
    alike(logits(folder, *columns(rows, "sentence1", "sentence2"))[:, 0], said)


@pytest.mark.parametrize("shape", ["distilbert", "modernbert"])
def test_an_encoder_whose_class_has_another_head_is_refused_and_can_go_without(
    tmp_path: Path, export: Callable[..., Exported], capfd: pytest.CaptureFixture[str], shape: str
) -> None:
    bench = make_bench(tmp_path / "run", tiny_model(tmp_path / "tiny", shape))
    train(bench, "cross-encoder")
    path, _ = record_of(bench, "cross-encoder")
    capfd.readouterr()
    assert call(bench, path, "--to", tmp_path / "out") == 2
    said = capfd.readouterr().err
    assert "the head cross-encoder cannot be exported with tiny: " in said
    assert "--encoder-only exports the encoder without it" in said
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    folder = export(bench, "cross-encoder", "--encoder-only")[0]
    assert AutoModel.from_pretrained(folder).config.model_type == shape


# Which stage


def test_a_stage_is_found_by_its_key_by_its_records_key_and_by_its_records_file(bert: Bench, tmp_path: Path) -> None:
    path, record = record_of(bert, "cross-encoder")
    first, second = record["stages"]
    weights = []
    for number, name in enumerate((path, record["key"][:12], second[:16], second, first)):
        assert call(bert, name, "--to", tmp_path / str(number)) == 0
        weights.append((tmp_path / str(number) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2] == weights[3] != weights[4]
    card = (tmp_path / "4" / "README.md").read_text()
    assert "# tiny, fine-tuned on pairs-one\n" in card
    assert "a step on the way to another stage" in card
    assert "pairs-two" not in card


def test_a_second_stage_says_what_its_cell_said(bert: Bench, export: Callable[..., Exported]) -> None:
    folder, _, rows, said = export(bert, "cross-encoder")
    alike(logits(folder, *columns(rows, "sentence1", "sentence2"))[:, 0], said)


def test_a_record_of_others_needs_no_results_folder(bert: Bench, tmp_path: Path) -> None:
    path, _ = record_of(bert, "cross-encoder")
    shutil.copy(path, tmp_path / "theirs.json")
    arguments = ["--to", tmp_path / "out", "--out", tmp_path / "none"]
    sys.argv = ["xbench", "export", str(tmp_path / "theirs.json"), *map(str, arguments), "--model", bert.model,
                "--cache", str(bert.root / "cache"), "--plugin", str(bert.root / "plugin.py"), "--offline"]  # fmt: skip
    assert main() == 0
    assert "pairs-two/test" in (tmp_path / "out" / "README.md").read_text()


def test_without_a_stage_those_that_are_here_are_listed(bert: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(bert, "--json", model=False) == 0
    listed = json.loads(capsys.readouterr().out)
    _, record = record_of(bert, "cross-encoder")
    assert [(one["key"], one["curriculum"]) for one in listed] == list(
        zip(record["stages"], ("pairs-one", "pairs-one:pairs-two"), strict=True)
    )
    assert call(bert, model=False) == 0
    assert record["stages"][0][:16] in capsys.readouterr().out


def test_what_was_written_is_told_as_json(bert: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, record = record_of(bert, "cross-encoder")
    (tmp_path / "out").mkdir()  # empty: it may be there
    capsys.readouterr()
    assert call(bert, path, "--to", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["loads"], told["stage"]) == ("AutoModelForSequenceClassification", record["stages"][-1])
    assert told["records"] == [record["key"]]
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert told["bytes"] == sum(file.stat().st_size for file in files)
    assert 0 <= told["largest_difference"] < 1e-4 * told["largest_output"]
    assert {stat.S_IMODE(file.stat().st_mode) & 0o400 for file in files} == {0o400}
    assert len({stat.S_IMODE(file.stat().st_mode) for file in files}) == 1


# A user's mistakes


def complaint(bench: Bench, capfd: pytest.CaptureFixture[str], *arguments: object, model: bool = True) -> str:
    capfd.readouterr()
    assert call(bench, *arguments, model=model) == 2
    said = capfd.readouterr().err
    line = next(line for line in said.splitlines() if line.startswith("xbench: "))
    assert "Traceback" not in said
    return line


def test_mistakes_in_naming_a_stage_are_told(bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, record = record_of(bert, "cross-encoder")
    frozen, floor = record_of(bert, "siamese")[0], record_of(bert, "lexical-overlap")[0]
    (tmp_path / "other.json").write_text("{}")
    to = ("--to", tmp_path / "out")
    for name, words in (
        (tmp_path / "nothing.json", "there is no file"),
        (tmp_path / "other.json", "is not a record, or a damaged one"),
        ("stsb", "neither a record's file nor the first 6 or more letters of a key"),
        ("abcde", "neither a record's file nor the first 6 or more letters of a key"),
        ("0" * 12, "'xbench export' alone lists the stages that are here"),
        (frozen, "is the record of a frozen encoder: there is nothing to export but tiny itself"),
        (frozen.stem[-16:], "is the record of a frozen encoder"),
        (floor, "is the record of the floor lexical-overlap: it has no weights"),
    ):
        assert words in complaint(bert, capfd, name, *to)
    wrong = record["stages"][-1][:15] + ("0" if record["stages"][-1][15] != "0" else "1")
    assert f"did you mean '{record['stages'][-1][:16]}'" in complaint(bert, capfd, wrong, *to)
    assert "--to" in complaint(bert, capfd, path)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_was_chosen_is_not_taken_for_the_stage(
    bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    shutil.copytree(bert.root, tmp_path / "run")
    here = Bench(tmp_path / "run", bert.model, bert.registry)
    asked = {"selection": "average", "candidates": 2}
    (averaged,) = train(here, "cross-encoder", "pairs-one", overrides=asked, datasets=("pairs-one",))
    stage = averaged["stages"][-1]
    said = complaint(here, capfd, averaged["key"][:16], "--to", tmp_path / "out")
    assert "a checkpoint that was chosen by average, and a stage is exported as it was at the end" in said
    assert f"{stage[:16]} names it" in said
    assert call(here, stage[:16], "--to", tmp_path / "out") == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert averaged["key"][:16] not in card  # its scores are those of other weights
    (last,) = train(here, "cross-encoder", "pairs-one", datasets=("pairs-one",))
    assert last["stages"] == averaged["stages"]
    assert call(here, last["key"][:16], "--to", tmp_path / "again") == 0
    card = (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    assert last["key"][:16] in card
    assert averaged["key"][:16] not in card


def test_a_key_that_begins_several_names_them(bert: Bench, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from xbench.export import chosen as module

    record = record_of(bert, "cross-encoder")[1]
    keys = [key[:6] for key in record["stages"]]
    alike_keys = {**record, "stages": ["abcdef" + key[6:] for key in record["stages"]], "key": "0" * 64}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "read_records", lambda out: [(Path(), alike_keys)])
        said = complaint(bert, capfd, "abcdef", "--to", tmp_path / "out")
    assert said.startswith("xbench: abcdef is the beginning of several: abcdef")
    assert "(tiny cross-encoder pairs-one seed 0)" in said
    assert "(tiny cross-encoder pairs-one:pairs-two seed 0)" in said
    assert len(set(keys)) == 2


def test_nothing_that_is_there_is_overwritten(bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, _ = record_of(bert, "cross-encoder")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        assert "nothing is overwritten" in complaint(bert, capfd, path, "--to", tmp_path / name)
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine"]


def test_the_base_model_has_to_be_the_one(bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, _ = record_of(bert, "cross-encoder")
    to = ("--to", tmp_path / "out")
    said = complaint(bert, capfd, path, *to, model=False)
    assert "the base model tiny is not found here: say where it is with --model" in said
    other = tiny_model(tmp_path / "other", "bert", seed=1)
    said = complaint(bert, capfd, path, *to, "--model", other, model=False)
    assert "the model other" in said
    assert "other weights than the one that the stage was trained from" in said


def test_a_model_with_code_of_its_own_is_not_exported_and_its_code_not_run(
    bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, _ = record_of(bert, "cross-encoder")
    own = Path(shutil.copytree(bert.model, tmp_path / "own"))
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "modeling_own.Model"}}))
    (own / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for more in ([], ["--encoder-only"]):
        said = complaint(bert, capfd, path, "--to", tmp_path / "out", "--model", own, *more, model=False)
        assert "own brings its own code, which is never run here" in said
    assert sorted(one.name for one in tmp_path.iterdir()) == ["own"]


def test_a_stage_that_is_gone_or_damaged_is_trained_again_first(
    bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, record = record_of(bert, "cross-encoder")
    weights = bert.root / "cache" / "stages" / record["stages"][-1] / "weights.safetensors"
    whole = weights.read_bytes()
    try:
        for damage in (lambda: weights.write_bytes(whole[:-4] + b"abcd"), weights.unlink):
            damage()
            said = complaint(bert, capfd, path, "--to", tmp_path / "out")
            assert "is not in the cache" in said
            assert "xbench eval --model tiny --tasks my-cross-encoder --train pairs-one:pairs-two" in said
    finally:
        weights.write_bytes(whole)


def test_a_full_disk_is_told_before_anything_is_written(
    bert: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = record_of(bert, "cross-encoder")
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    assert "MB are needed, and 0 MB are free there" in complaint(bert, capfd, path, "--to", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_head_that_does_not_say_how_gives_its_encoder_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(tmp_path / "run", tiny_model(tmp_path / "tiny", "bert"))
    plugin = bench.root / "plugin.py"
    mine = """
import dataclasses

from xbench.registry import load_registry


@hookimpl
def xbench_heads():
    return [dataclasses.replace(load_registry().heads.get("cross-encoder"), name="mine", export=None)]
"""
    plugin.write_text(plugin.read_text().replace('("cross-encoder", "pairs"', '("mine", "pairs"') + mine)
    from xbench.registry import load_registry

    bench = Bench(bench.root, bench.model, load_registry([plugin]))
    train(bench, "mine")
    path, _ = record_of(bench, "mine")
    said = complaint(bench, capfd, path, "--to", tmp_path / "out")
    assert "the head mine does not say how it is exported; --encoder-only" in said
    assert call(bench, path, "--to", tmp_path / "out", "--encoder-only") == 0
    assert "without its head mine" in (tmp_path / "out" / "README.md").read_text()
