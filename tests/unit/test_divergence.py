"""A training that comes to nothing is found at once, tried once more in fp32, and else kept and recorded as failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fragile import SAME_OUTPUT, TOO_FAST, write_fragile
from tests.tiny import Bench, TinyRun, tiny_rows
from xbench.estimate.forecast import forecast
from xbench.execute import Outcome
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.recipe import build_recipe
from xbench.record_check import RecordCheck
from xbench.record_form import record_errors
from xbench.registry import Registry, load_registry
from xbench.settings import Settings
from xbench.store import DONE, FAILED, Store, read_signed, sign
from xbench.training.collapse import LEAST, SAME, all_same
from xbench.training.loop import TrainingFailedError
from xbench.training.optimizer import BlockedOptimizer, TorchOptimizer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    return Bench(tmp_path, str(tiny("bert")), load_registry([write_fragile(tmp_path)]))


def reasons(outcome: Outcome) -> set[str]:
    return {failure.reason for failure in outcome.failures}


def marks(bench: Bench) -> list[Path]:
    return sorted((bench.root / "cache" / "failed").glob("*.json"))


def recorded(bench: Bench) -> dict[str, dict[str, Any]]:
    """The records by what they are of."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in bench.records()]
    return {f"{one['curriculum']} -> {one['eval']['dataset']} seed {one['seed']}": one for one in read}


# Found early


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_no_number_leaves_the_weights_as_they_were(value: float) -> None:
    recipe = build_recipe({}, "test", {})
    trained = torch.nn.Parameter(torch.ones(5))
    optimizer = BlockedOptimizer([trained], recipe)
    trained.grad = torch.tensor([1.0, value, 0.0, 1.0, 1.0])
    assert not torch.isfinite(optimizer.step(1e-2))
    assert torch.equal(trained.detach(), torch.ones(5))


def test_both_optimizers_tell_the_gradients_norm_before_it_was_cut() -> None:
    recipe = build_recipe({"max_grad_norm": 0.5}, "test", {})
    for kind in (
        lambda trained: BlockedOptimizer(trained, recipe),
        lambda trained: TorchOptimizer(trained, recipe, torch.device("cpu")),
    ):
        trained = torch.nn.Parameter(torch.ones(2))
        trained.grad = torch.tensor([3.0, 4.0])
        assert float(kind([trained]).step(1e-2)) == pytest.approx(5.0)


def test_a_gradient_that_is_no_number_is_found_at_its_step_while_the_loss_is_one(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    registry = load_registry([write_fragile(tmp_path)])
    run = TinyRun(tiny("bert"), registry.heads.get("steep"), [tiny_rows(26)], tmp_path)
    seen: list[Any] = []
    with pytest.raises(TrainingFailedError, match=r"the gradient's norm is nan at step 1 of 8"):
        run.train(watch=seen.append)
    fresh = run.build(trains=True).state_dict()
    assert all(torch.equal(weight, fresh[name]) for name, weight in seen[0].state_dict().items())


# Collapse


def outputs(*numbers: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(one, np.float32) for one in numbers]


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (outputs(0.7, 0.7, 0.70000005), True),
        (outputs(0.7, 0.7, 0.7 * (1 + 3 * SAME)), False),
        (outputs(0.0, 0.0, 0.0), True),
        (outputs(1e-9, -1e-9, 2e-9), False),  # small, and each another
        (outputs([2.0, 1e-7], [2.0, -1e-7], [2.0, 3e-7]), True),  # the second number is rounding beside the first
        (outputs([2.0, -1.0], [2.0, -1.0], [2.0, -1.1]), False),
        (outputs([[1, 2], [3, 4]], [[1, 2], [3, 4]]), True),
        (outputs([[1, 5, 2], [3, 0, 4]], [[1, 5], [3, 0]]), True),  # the same places, whatever the text
        (outputs([[1, 5, 2], [3, 0, 4]], [[1, 6], [3, 0]]), False),
        (outputs([[-np.inf, 5, 2]], [[-np.inf, 6, 2]]), False),
        (outputs([[-np.inf, 5, 2]], [[-np.inf, 5, 2]]), True),
        (outputs([[-np.inf, -np.inf]], [[-np.inf, -np.inf]]), False),  # all masked: nothing is known
    ],
)
def test_outputs_are_the_same_but_for_rounding(given: list[np.ndarray[Any, Any]], same: bool) -> None:
    assert all_same(given) is same


def test_a_learning_rate_too_high_gives_one_answer_to_everything_and_is_found(bench: Bench) -> None:
    outcome, heard = bench.run("one", task="pairs-cross-encoder", overrides=TOO_FAST)
    assert (outcome.records, reasons(outcome)) == ([], {SAME_OUTPUT})
    ((label, reason, trace),) = heard.failures
    assert (label.split()[:2], reason, trace) == (["stage", bench.model], SAME_OUTPUT, "")
    assert "no second try, which would be the same run" in heard.notes[-1]
    assert str(marks(bench)[0]) in heard.notes[-1]


def test_a_reader_that_points_at_the_same_places_is_found(tiny: Callable[..., Path], tmp_path: Path) -> None:
    bench = Bench(tmp_path, str(tiny("bert")), load_registry())
    asked = {"epochs": 3, "batch_size": 4, "warmup": 0.0, "max_length": 128, "max_question": 24, "stride": 16}
    train = bench.registry.tasks.get("mini-mrc").train[0]
    wild, _ = bench.run(train, task="mini-mrc", limit_train=40, overrides={**asked, "lr": 10.0, "precision": "fp32"})
    assert all(reason.startswith("in fp32 the trained model gives the same output") for reason in reasons(wild))
    assert wild.records == []
    calm, _ = bench.run(train, task="mini-mrc", limit_train=40, overrides={**asked, "lr": 1e-5, "precision": "fp32"})
    assert calm.failures == []


@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
@pytest.mark.parametrize("shape", ["xlm-roberta", "deberta-v2"])
def test_what_has_hardly_learned_is_no_collapse(
    tiny: Callable[..., Path], tmp_path: Path, registry: Registry, shape: str, head: str
) -> None:
    bench = Bench(tmp_path, str(tiny(shape)), registry)
    overrides = {"epochs": 1, "max_length": 32, "lr": 1e-7, "precision": "fp32"}
    outcome, _ = bench.run("mini-sts-en", task="mini-sts", head=head, overrides=overrides, limit_train=LEAST)
    assert outcome.failures == []
    assert len(outcome.records) > 0


def test_of_few_examples_nothing_is_said(bench: Bench) -> None:
    outcome, _ = bench.run("one", task="pairs-cross-encoder", overrides=TOO_FAST, limit_train=LEAST - 1)
    assert outcome.failures == []


# Once more in fp32


def test_what_fails_in_bf16_is_trained_once_more_in_fp32(bench: Bench) -> None:
    outcome, heard = bench.run("one", task="pairs-cancels", overrides={"precision": "bf16"})
    assert (outcome.failures, heard.trained) == ([], ["one", "one"])
    again = [note for note in heard.notes if "trained once more" in note]
    assert len(again) == 1
    assert again[0].endswith("in bf16 the loss is -inf at step 1 of 10: trained once more, in fp32")
    ((key,),) = {tuple(record["stages"]) for record in outcome.records}
    manifest = Store(Settings(cache=bench.root / "cache", out=bench.root / "out")).stage(key)
    assert manifest is not None
    assert manifest["environment"]["precision"] == "fp32"
    assert manifest["retried"] == "in bf16 the loss is -inf at step 1 of 10"
    assert {record["environment"]["training_precision"] for record in outcome.records} == {"fp32"}
    plain, _ = bench.run("one", task="pairs-cancels", overrides={"precision": "fp32"})
    assert [one["scores"] for one in plain.records] == [one["scores"] for one in outcome.records]
    assert marks(bench) == []


def test_what_fails_in_both_precisions_says_so(bench: Bench) -> None:
    outcome, heard = bench.run(
        "one",
        task="pairs-unlucky",
        seeds=(1,),
        overrides={"precision": "bf16", "selection": "average", "candidates": 2},
    )
    assert heard.trained == ["one", "one"]
    assert reasons(outcome) == {
        "in fp32 the loss is nan at step 1 of 10; before, in bf16 the loss is nan at step 1 of 10"
    }
    mark = read_signed(marks(bench)[0])
    assert mark is not None
    assert (mark["status"], mark["environment"]["precision"]) == (FAILED, "fp32")
    assert mark["retried"] == "in bf16 the loss is nan at step 1 of 10"
    assert "no second try" not in heard.notes[-1]
    assert not any((bench.root / "cache").glob("candidates/*"))


# Kept as failed


def test_a_second_run_trains_nothing_and_leaves_the_same_records(bench: Bench) -> None:
    asked: dict[str, Any] = {"task": "pairs-unlucky", "seeds": (0, 1)}
    first, heard = bench.run("one", "one:two", **asked)
    reason = "in fp32 the loss is nan at step 1 of 10"
    assert sorted(heard.trained) == ["one", "one", "one:two"]  # the second stage of seed 1 has nothing to begin with
    assert reasons(first) == {reason, f"its first stage failed: {reason}"}
    assert {record["seed"] for record in first.records} == {0}
    assert [failure.record["status"] for failure in first.failures if failure.record] == [FAILED] * 4
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bench.records()}
    assert len(files) == 8
    second, again = bench.run("one", "one:two", **asked)
    assert again.trained == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bench.records()} == files
    assert [failure.record for failure in second.failures] == [failure.record for failure in first.failures]
    ((_, told, _),) = again.failures
    assert told == f"failed before ({reason}): delete {marks(bench)[0]} to try again"


def test_a_failed_record_has_its_whole_provenance_and_passes_every_check(bench: Bench, tmp_path: Path) -> None:
    selected = {"selection": "source-dev", "candidates": 2}
    bench.run("one", "one:two", "one+two", task="pairs-unlucky", seeds=(0, 1), limit_train=36, limit_eval=9)
    bench.run("one:two", task="pairs-unlucky", seeds=(1,), overrides=selected)
    check = RecordCheck(bench.registry, Settings(cache=tmp_path / "cache", out=tmp_path / "out"))
    read = [json.loads(path.read_text(encoding="utf-8")) for path in bench.records()]
    failed = [one for one in read if one["status"] == FAILED]
    assert (len(read), len(failed)) == (14, 8)
    for one in read:
        assert record_errors(one) == []
        assert check.errors(one) == []
        verdict = check.key(one)
        assert verdict.error == ""
        assert verdict.said.startswith("key checked")
    for one in failed:
        assert one["scores"] == {"spearman": None, "pearson": None}
        assert not {"predictions_sha256", "sampling"} & one.keys()
    ours = recorded(bench)
    for dataset in ("one", "two"):
        for curriculum in ("one", "one+two"):
            good, bad = (ours[f"{curriculum} -> {dataset} seed {seed}"] for seed in (0, 1))
            same = ("task", "task_version", "head", "head_version", "curriculum", "reading", "transfer", "model",
                    "eval", "limits", "sample", "metric_version", "recipe", "selection", "primary")  # fmt: skip
            assert {name: bad[name] for name in same} == {name: good[name] for name in same}
            parts = ("dataset", "split", "rows", "rows_sha256", "stage", "language")
            assert bad["train"] == [{name: part[name] for name in parts} for part in good["train"]]
            assert bad["environment"].keys() == good["environment"].keys()


def test_without_its_mark_a_stage_is_trained_again_and_a_score_takes_the_failures_place(bench: Bench) -> None:
    bench.run("one", task="pairs-unlucky", seeds=(1,))
    before = bench.records()
    assert {read_signed(path)["status"] for path in before} == {FAILED}  # type: ignore[index]
    marks(bench)[0].unlink()
    (bench.root / "fragile.py").write_text((bench.root / "fragile.py").read_text().replace("torch.nan if", "2.0 if"))
    mended = Bench(bench.root, bench.model, load_registry([bench.root / "fragile.py"]))
    outcome, heard = mended.run("one", task="pairs-unlucky", seeds=(1,))
    assert (heard.trained, outcome.failures) == (["one"], [])
    assert bench.records() == before
    assert {read_signed(path)["status"] for path in before} == {DONE}  # type: ignore[index]


def test_a_score_that_is_recorded_is_never_replaced_by_a_failure(bench: Bench) -> None:
    outcome, _ = bench.run("one", task="pairs-cross-encoder", datasets=("one",))
    (path,) = bench.records()
    (key,) = outcome.records[0]["stages"]
    for stage in (bench.root / "cache" / "stages").iterdir():
        for file in stage.iterdir():
            file.unlink()
        stage.rmdir()
    store = Store(Settings(cache=bench.root / "cache", out=bench.root / "out"))
    about = {"reason": "it was bad", "timing": {"train_s": 1.0}, "environment": outcome.records[0]["environment"]}
    store.save_failed(key, {"status": FAILED, **about})
    before = path.read_bytes()
    second, _ = bench.run("one", task="pairs-cross-encoder")
    assert path.read_bytes() == before
    assert [record["eval"]["dataset"] for record in second.records] == ["one"]
    assert reasons(second) == {"it was bad"}


def test_a_damaged_mark_is_none(bench: Bench) -> None:
    bench.run("one", task="pairs-unlucky", seeds=(1,))
    (mark,) = marks(bench)
    mark.write_text(mark.read_text().replace("nan", "man"))
    _, heard = bench.run("one", task="pairs-unlucky", seeds=(1,))
    assert heard.trained == ["one"]


def test_a_dry_run_says_what_failed_before(bench: Bench) -> None:
    bench.run("one", "one:two", task="pairs-unlucky", seeds=(1,))
    plan = make_plan(Request((bench.model,), ("pairs-unlucky",), ("one", "one:two"), seeds=(1,)), bench.registry)
    settings = Settings(cache=bench.root / "cache", out=bench.root / "out", offline=True, device="cpu")
    found = forecast(plan, bench.registry, settings)
    first, second = found.reasons
    assert first.endswith(f"one seed 1 failed before: delete {marks(bench)[0]} to try again")
    assert second.endswith("one:two seed 1 failed before: it goes on from one that failed")
    assert found.parts() == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": None}, "reason: None is not a text"),
        ({"reason": "a\nb"}, "holds characters that cannot be seen"),
        ({"scores": {"spearman": 1.0, "pearson": None}}, "scores.spearman: 1.0, and status is failed"),
        ({"predictions_sha256": "0" * 64}, "is no field of a record"),
        ({"status": "done"}, "is missing"),
        ({"status": "lost"}, "status: 'lost' is not done"),
        ({"schema": "xbench.record/2"}, "status: 'failed' is not done"),
        ({"train": [], "stages": [], "curriculum": "none"}, "status: failed, and nothing was trained"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_failed_record_is_said(bench: Bench, changes: dict[str, Any], says: str) -> None:
    bench.run("one", task="pairs-unlucky", seeds=(1,), datasets=("one",))
    (record,) = recorded(bench).values()
    assert record_errors(record) == []
    errors = record_errors(sign({**record, **changes}))
    assert any(says in error for error in errors), errors
