"""Adapters from end to end: sequences and mixtures, what lies in the cache, what records say, and mistakes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from tests.strangers import altered, load
from tests.tiny import Bench, tiny_model
from xbench.cli import main
from xbench.compatibility import task_recipe
from xbench.data.rows import prepare
from xbench.errors import UserError
from xbench.estimate.forecast import forecast
from xbench.leaderboard.orders import orders
from xbench.leaderboard.table import build_tables
from xbench.merge import find_files, merge
from xbench.models.adapters import CONFIG, WEIGHTS
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.recipe import ADAPTER
from xbench.registry import Registry, load_registry
from xbench.settings import Settings
from xbench.store import MANIFEST, Store

pytestmark = pytest.mark.usefixtures("one_thread")
SETS = ("mini-sts-en", "mini-sts-ko")
CURRICULA = ("mini-sts-en:mini-sts-ko", "mini-sts-en+mini-sts-ko")
PLAIN = {"epochs": 1, "batch_size": 8, "max_length": 32, "lr": 1e-2, "precision": "fp32"}
LORA = {**PLAIN, "tuning": "lora", "lora_rank": 4}
ASKED: dict[str, Any] = {"task": "mini-sts", "datasets": SETS, "limit_train": 24, "limit_eval": 24}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Bench:
    """A run in two stages and on a mixture; never written to."""
    root = tmp_path_factory.mktemp("lora")
    bench = Bench(root, str(tiny_model(root / "tiny", "bert")), registry)
    outcome, heard = bench.run(*CURRICULA, **ASKED, overrides=LORA)
    assert not heard.failures, heard.failures
    assert heard.trained == ["mini-sts-en", CURRICULA[0], CURRICULA[1]]
    assert len(outcome.records) == 4
    return bench


@pytest.fixture
def bench(made: Bench, tmp_path: Path) -> Bench:
    """A copy of it."""
    for name in ("cache", "out"):
        shutil.copytree(made.root / name, tmp_path / name)
    return Bench(tmp_path, made.model, made.registry)


def records(bench: Bench) -> list[dict[str, Any]]:
    return [load(path) for path in bench.records()]


def stages(bench: Bench) -> dict[str, Path]:
    """The folder of each stage, by its curriculum."""
    return {load(path)["curriculum"]: path.parent for path in (bench.root / "cache" / "stages").glob(f"*/{MANIFEST}")}


def test_a_stage_is_a_small_adapter_and_its_head(made: Bench) -> None:
    found = stages(made)
    assert set(found) == {"mini-sts-en", *CURRICULA}
    for folder in found.values():
        assert {path.name for path in folder.iterdir()} == {WEIGHTS, CONFIG, "weights.safetensors", MANIFEST}
        manifest = load(folder / MANIFEST)
        assert set(manifest["beside_sha256"]) == {WEIGHTS, CONFIG}
        numbers = sum(
            one.numel() for name in (WEIGHTS, "weights.safetensors") for one in load_file(folder / name).values()
        )
        assert manifest["trained_weights"] == numbers
    first, second = (load_file(found[name] / WEIGHTS) for name in ("mini-sts-en", CURRICULA[0]))
    assert load(found[CURRICULA[0]] / MANIFEST)["parent"] == found["mini-sts-en"].name
    assert first.keys() == second.keys()
    assert all(float(one.abs().max()) > 0 for one in first.values())
    assert not any(torch.equal(one, second[name]) for name, one in first.items() if "lora_B" in name)
    # The second stage went on with the first one's: drawn anew, it would be as far from it as two draws are.
    downs = [name for name in first if "lora_A" in name]
    assert all(float((first[name] - second[name]).norm() / first[name].norm()) < 0.5 for name in downs)


def test_records_say_how_it_was_tuned(made: Bench) -> None:
    for record in records(made):
        own = {name: record["recipe"][name] for name in {*ADAPTER, "tuning"}}
        assert own == {"tuning": "lora", "lora_rank": 4, "lora_alpha": 16, "lora_dropout": 0.0, "lora_targets": "auto"}


def test_what_is_finished_is_found_and_a_damaged_adapter_is_not(bench: Bench) -> None:
    _, heard = bench.run(*CURRICULA, **ASKED, overrides=LORA)
    assert (heard.trained, heard.scored, len(heard.found_cells)) == ([], [], 4)
    before = records(bench)
    for path in bench.records():
        path.unlink()
    (stages(bench)[CURRICULA[1]] / WEIGHTS).write_bytes(b"damaged")
    _, heard = bench.run(*CURRICULA, **ASKED, overrides=LORA)
    assert heard.trained == [CURRICULA[1]]
    assert [one["predictions_sha256"] for one in records(bench)] == [one["predictions_sha256"] for one in before]


def test_full_fine_tuning_and_the_frozen_encoder_are_other_and_the_same_cells(bench: Bench) -> None:
    before = {record["key"] for record in records(bench)}
    _, heard = bench.run("mini-sts-en", "none", **ASKED, overrides=PLAIN)
    assert heard.trained == ["mini-sts-en"]
    full = [record for record in records(bench) if record["key"] not in before]
    assert not any("tuning" in record["recipe"] or ADAPTER & record["recipe"].keys() for record in full)
    _, heard = bench.run("none", **ASKED, overrides=LORA)  # an encoder that nobody tunes is the same
    assert heard.scored == []
    tables = build_tables(records(bench), orders(bench.registry))
    titles = {f"{row.curriculum} [{row.variant}]" for table in tables for row in table.rows}
    recipe = "batch_size=8, epochs=1, lr=0.01"
    lora = "[batch_size=8, epochs=1, lora_rank=4, lr=0.01, max_length=32, precision=fp32, tuning=lora]"
    assert titles == {
        f"{CURRICULA[0]} {lora}", f"{CURRICULA[1]} {lora}", "none [max_length=32]",
        f"mini-sts-en [{recipe}, max_length=32, precision=fp32]",
    }  # fmt: skip


def test_the_estimate_of_an_adapter_is_of_its_size(bench: Bench, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "other", out=tmp_path / "o", device="cpu")
    estimates = []
    for overrides in (LORA, PLAIN):
        plan = make_plan(
            Request((bench.model,), ("mini-sts",), ("mini-sts-en",), datasets=SETS[:1], limit_train=24, limit_eval=24,
                    overrides=overrides), bench.registry,
        )  # fmt: skip
        found = forecast(plan, bench.registry, settings)
        assert found.reasons == []
        estimates += found.stages.values()
    lora, full = estimates
    folder = stages(bench)["mini-sts-en"]
    written = sum(path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST)
    assert Store(Settings(cache=bench.root / "cache")).stage_bytes(folder.name) == written
    assert lora.weights_mb * 2**20 == pytest.approx(written, rel=0.01)
    assert lora.weights_mb < full.weights_mb


def test_others_records_are_checked_to_the_key(made: Bench, registry: Registry, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", out=tmp_path / "out")
    taken = list(merge(find_files(made.root / "out")[0], registry, settings, False))
    assert {one.outcome for one in taken} == {"taken"}
    path = next(path for path in made.records() if "-then-" in path.name)  # the second stage's key follows from it
    for place, value in (("recipe.lora_rank", 5), ("recipe.tuning", "full")):
        forged = tmp_path / place / "results" / "r.json"
        forged.parent.mkdir(parents=True)
        forged.write_text(json.dumps(altered(load(path), place, value)))
        (one,) = merge([forged], registry, Settings(cache=tmp_path / "cache", out=tmp_path / "else"), True)
        assert one.outcome == "refused", one


# Mistakes


Say = Callable[..., tuple[int, str]]


@pytest.fixture
def evaluate(made: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """The program itself, with recipe settings: status, and what it says, on one line."""

    def run(*sets: str) -> tuple[int, str]:
        command = [
            "xbench",
            "eval",
            "--model",
            made.model,
            "--tasks",
            "mini-sts",
            "--train",
            SETS[0],
            "--eval",
            SETS[0],
        ]
        command += ["--limit-train", "8", "--limit-eval", "8", "--cache", str(tmp_path), "--out", str(tmp_path / "o")]
        monkeypatch.setattr(sys, "argv", [*command, *(word for text in sets for word in ("--set", f"recipe.{text}"))])
        status = main()
        said = capsys.readouterr()
        return status, " ".join((said.out + said.err).split())

    return run


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["lora_rank=4"], "--set: lora_rank would have no effect: tuning is full; set tuning = lora as well"),
        (["tuning=lroa"], "tuning = 'lroa' is not one of full, lora"),
        (["tuning=lora", "lora_rank=0"], "lora_rank = 0 must be at least 1"),
        (["tuning=lora", "lora_targets=3"], "lora_targets takes a text, not 3"),
        (["tuning=lora", "lora_rnk=3"], "unknown recipe key 'lora_rnk' (did you mean 'lora_rank'?)"),
    ],
)
def test_a_mistake_is_one_line(evaluate: Say, sets: list[str], said: str) -> None:
    status, text = evaluate(*sets)
    assert status == 2
    assert said in text


def test_targets_that_are_not_there_stop_the_stage_and_say_so(evaluate: Say) -> None:
    status, text = evaluate("tuning=lora", "lora_targets=querry")
    assert status != 0
    assert "no linear layer's name ends with 'querry' (did you mean 'query'?)" in text
    assert "Traceback" not in text


def test_without_peft_nothing_is_begun(evaluate: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "peft" else found(name, *more))
    status, text = evaluate("tuning=lora")
    assert status == 2
    assert "pip install 'xbench[lora]'" in text
    assert "trained" not in text


def test_a_task_may_ask_for_an_adapter_and_the_user_for_none(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    task = """
name = "mine"
title = "t"
version = 1
train = ["mini-sts-en"]
eval = ["mini-sts-en"]
heads = ["cross-encoder"]
metrics = ["spearman"]
curricula = ["mini-sts-en"]
recipe = { RECIPE }
"""
    text = "from xbench.api import hookimpl\n\n@hookimpl\ndef xbench_tasks():\n    return [TASK]\n"
    plugin.write_text(text.replace("TASK", repr(task.replace("RECIPE", 'tuning = "lora", lora_rank = 2'))))
    registry = load_registry([plugin])
    own, head = registry.tasks.get("mine"), registry.heads.get("cross-encoder")
    assert task_recipe(own, head, registry).values()["lora_rank"] == 2
    assert task_recipe(own, head, registry, {"lora_rank": 3}).lora_rank == 3
    assert "tuning" not in task_recipe(own, head, registry, {"tuning": "full"}).values()
    plugin.write_text(text.replace("TASK", repr(task.replace("RECIPE", "lora_rank = 2"))))
    registry = load_registry([plugin])
    with pytest.raises(UserError, match=r"\[recipe\]: lora_rank would have no effect"):
        task_recipe(registry.tasks.get("mine"), head, registry)


def test_the_checkpoints_of_an_adapter_are_whole_folders_each(made: Bench, tmp_path: Path) -> None:
    bench = Bench(tmp_path, made.model, made.registry)
    overrides = {**LORA, "epochs": 2, "selection": "average"}
    asked = {**ASKED, "datasets": SETS[:1]}
    outcome, heard = bench.run("mini-sts-en", **asked, overrides=overrides)
    assert not heard.failures, heard.failures
    (record,) = outcome.records
    assert (record["selection"], record["recipe"]["tuning"]) == ("average", "lora")
    (stage,) = stages(bench).values()
    kept = [path.parent for path in (bench.root / "cache").rglob(CONFIG) if path.parent != stage]
    assert kept
    assert all((folder / WEIGHTS).is_file() and (folder / "weights.safetensors").is_file() for folder in kept)


def test_an_exported_stage_is_what_peft_makes_of_its_folder(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, to = stages(bench)[CURRICULA[1]], tmp_path / "exported"
    command = ["xbench", "export", folder.name[:12], "--to", str(to), "--model", bench.model, "--encoder-only"]
    monkeypatch.setattr(sys, "argv", [*command, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")])
    assert main() == 0
    ids = torch.tensor([[2, 9, 17, 33, 3]])
    with torch.no_grad():
        alone = AutoModel.from_pretrained(to).eval()(ids).last_hidden_state
        base = AutoModel.from_pretrained(bench.model).eval()
        before = base(ids).last_hidden_state
        theirs = PeftModel.from_pretrained(base, folder).eval()(ids).last_hidden_state
    torch.testing.assert_close(alone, theirs, atol=1e-5, rtol=0)
    assert not torch.allclose(before, theirs, atol=1e-4)


def test_a_sequences_adapter_is_exported_with_its_head(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both stages' training is in the folder, whose predictions are those of the cell."""
    outcome, heard = bench.run(CURRICULA[0], **{**ASKED, "datasets": SETS[1:]}, head="cross-encoder", overrides=LORA)
    assert not heard.failures, heard.failures
    (record,) = outcome.records
    to, cache, out = (tmp_path / name for name in ("exported", "cache", "out"))
    command = ["xbench", "export", record["key"][:12], "--to", to, "--model", bench.model, "--cache", cache]
    monkeypatch.setattr(sys, "argv", [*map(str, command), "--out", str(out)])
    assert main() == 0
    kept = Store(Settings(cache=cache, out=out)).predictions(record)
    assert kept is not None
    dataset = bench.registry.datasets.get(record["eval"]["dataset"])
    split = prepare(dataset, "test", bench.registry.schemas.get(dataset.schema), Settings(cache=cache, offline=True))
    rows = {row["id"]: row for row in split.open()}
    sides = [[rows[name][side] for name in kept.ids] for side in ("sentence1", "sentence2")]
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(to).eval(), AutoTokenizer.from_pretrained(to)
    assert not any("lora" in name for name in model.state_dict())
    with torch.no_grad():
        logits = model(**tokenizer(*sides, truncation=True, padding=True, return_tensors="pt")).logits[:, 0]
    said = torch.tensor(kept.predictions, dtype=torch.float32)
    torch.testing.assert_close(logits, said, atol=2e-6, rtol=1e-5)
    assert float(said.std()) > 1e-4
