"""Walking a plan from end to end with a tiny model and a plugin of one file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from transformers import PreTrainedTokenizerBase

from tests.tiny import WORDS, Bench, tiny_rows
from xbench.errors import UserError
from xbench.execute import Outcome
from xbench.overlap import overlap_of_record
from xbench.registry import load_registry
from xbench.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

PLUGIN = '''
import dataclasses, json
from pathlib import Path
from xbench.api import Dataset, Packaged, Split, hookimpl
from xbench.registry import load_registry

HERE = Path(__file__).parent

def read(paths):
    yield from map(json.loads, paths[0].read_text().splitlines())

def dataset(name, *languages):
    splits = {split: Split((Packaged((HERE / f"{name}-{split}.jsonl",), read),)) for split in ("train", "dev", "test")}
    return Dataset(name, languages, "pair-score", splits, "CC0", "nobody", "", "", score_range=(0.0, 5.0))

@hookimpl
def xbench_datasets():
    return [dataset("one", "en"), dataset("two", "ko"), dataset("bad", "es"), dataset("gone", "ar")]

@hookimpl
def xbench_heads():
    whole = load_registry().heads.get("cross-encoder")
    def fragile(rows, first, tokenizer, context):
        for row in rows:
            if "crash" in row["sentence1"]:
                raise ZeroDivisionError("a bug in the head")
        return whole.examples(rows, first, tokenizer, context)
    return [dataclasses.replace(whole, name="fragile", examples=fragile)]

TASK = """
name = "NAME"
title = "t"
version = 1
train = ["one", "two", "bad", "gone"]
eval = ["one", "two"]
heads = ["HEAD", "siamese"]
metrics = ["spearman", "pearson"]
curricula = ["one"]
diagnostics = ["truncated-rows"]
eval_split = "SPLIT"
[recipe]
lr = 1e-3
epochs = 2
batch_size = 8
max_length = 32
precision = "fp32"
"""

@hookimpl
def xbench_tasks():
    for name, head, split in ("pairs", "cross-encoder", "test"), ("pairs-dev", "cross-encoder", "dev"), \\
            ("pairs-fragile", "fragile", "test"):
        yield TASK.replace("NAME", name).replace("HEAD", head).replace("SPLIT", split)
'''


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    for name, first in (("one", 0), ("two", 60), ("bad", 120)):
        for seed, (split, count) in enumerate((("train", 20), ("dev", 12), ("test", 12))):
            rows = tiny_rows(count, seed, WORDS[first : first + 70])
            if name == "bad" and split == "train":
                rows[7]["sentence1"] = "crash"
            (tmp_path / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "my_task.py").write_text(PLUGIN)
    return Bench(tmp_path, str(tiny("xlm-roberta")), load_registry([tmp_path / "my_task.py"]))


def pair_lines(bench: Bench, name: str, split: str) -> list[tuple[str, str]]:
    """Both sentences of each row of a file."""
    rows = map(json.loads, (bench.root / f"{name}-{split}.jsonl").read_text().splitlines())
    return [(row["sentence1"], row["sentence2"]) for row in rows]


def write_pairs(bench: Bench, name: str, split: str, pairs: list[tuple[str, str]]) -> None:
    """Make a file anew."""
    rows = [
        {"id": str(index), "sentence1": one, "sentence2": other, "score": index % 5 + 0.5}
        for index, (one, other) in enumerate(pairs)
    ]
    (bench.root / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def names(outcome: Outcome) -> list[str]:
    return [f"{record['curriculum']} -> {record['eval']['dataset']}" for record in outcome.records]


def test_all_cells_are_done_and_a_second_run_does_nothing(bench: Bench) -> None:
    curricula = ("one", "one:two", "one+two", "none")
    first, heard = bench.run(*curricula)
    assert names(first) == [f"{curriculum} -> {dataset}" for curriculum in curricula for dataset in ("one", "two")]
    assert first.failures == []
    assert sorted(heard.trained) == ["one", "one+two", "one:two"]  # "one" serves two curricula, and both datasets
    files = {path: path.read_bytes() for path in bench.records()}
    assert len(files) == 8
    second, again = bench.run(*curricula)
    assert (again.trained, again.scored) == ([], [])
    assert len(again.found_cells) == 8
    assert second.records == first.records
    assert {path: path.read_bytes() for path in bench.records()} == files


def test_another_evaluation_set_needs_no_training(bench: Bench) -> None:
    bench.run("one", datasets=("one",))
    outcome, heard = bench.run("one", datasets=("one", "two"))
    assert (heard.trained, heard.found_stages) == ([], ["one"])
    assert (heard.found_cells, heard.scored) == (["one -> one"], ["one -> two"])
    assert len(outcome.records) == 2


def test_how_the_work_is_done_enters_no_key(bench: Bench) -> None:
    bench.run("one")
    _, heard = bench.run("one", overrides={"micro_batch_tokens": 64, "vocabulary": "full"})
    assert (heard.trained, heard.scored) == ([], [])


@pytest.mark.parametrize("change", [{"overrides": {"lr": 2e-3}}, {"seeds": (1,)}, {"limit_train": 16}])
def test_what_changes_the_weights_is_trained_anew(bench: Bench, change: dict[str, Any]) -> None:
    first, _ = bench.run("one")
    second, heard = bench.run("one", **change)
    assert heard.trained == ["one"]
    for one, other in zip(first.records, second.records, strict=True):
        assert one["key"] != other["key"]
        assert one["predictions_sha256"] != other["predictions_sha256"]


def test_a_missing_dataset_fails_only_the_cells_that_need_it(bench: Bench) -> None:
    outcome, heard = bench.run("one", "gone", "one:gone", datasets=("one", "gone"))
    assert names(outcome) == ["one -> one"]
    failed = {f"{failure.cell.curriculum} -> {failure.cell.dataset}" for failure in outcome.failures}
    assert failed == {"one -> gone", "gone -> one", "gone -> gone", "one:gone -> one", "one:gone -> gone"}
    assert all("dataset gone" in failure.reason for failure in outcome.failures)
    assert heard.trained == ["one"]
    assert {label for label, _, traceback in heard.failures if not traceback} == {"missing"}


def test_strict_stops_before_any_work(bench: Bench) -> None:
    with pytest.raises(UserError, match="dataset gone, split test"):
        bench.run("one", datasets=("one", "gone"), strict=True)
    assert not (bench.root / "cache" / "stages").exists()
    assert bench.records() == []


def test_a_run_of_which_nothing_can_be_done_is_the_users_error(bench: Bench) -> None:
    with pytest.raises(UserError, match="dataset gone"):
        bench.run("gone")


def test_a_sequence_longer_than_the_model_takes_is_refused_before_any_work(bench: Bench) -> None:
    with pytest.raises(UserError, match=r"recipe.max_length = 500: .* takes at most 128 tokens; use --set"):
        bench.run("one", overrides={"max_length": 500})
    assert not (bench.root / "cache" / "stages").exists()


def test_a_missing_model_fails_only_its_cells(bench: Bench) -> None:
    nowhere = str(bench.root / "nowhere")
    outcome, heard = bench.run("one", models=(nowhere, bench.model))
    assert len(outcome.records) == 2
    assert [failure.cell.model for failure in outcome.failures] == [nowhere, nowhere]
    assert heard.trained == ["one"]


def test_a_crashing_head_fails_its_stage_and_what_comes_after_it(bench: Bench) -> None:
    outcome, heard = bench.run("bad", "bad:one", "one", "one:bad", "one+two", task="pairs-fragile")
    assert sorted(set(names(outcome))) == ["one -> one", "one -> two", "one+two -> one", "one+two -> two"]
    assert {failure.cell.curriculum for failure in outcome.failures} == {"bad", "bad:one", "one:bad"}
    assert {failure.reason for failure in outcome.failures} == {"ZeroDivisionError: a bug in the head"}
    assert [label.split()[-3] for label, _, _ in heard.failures] == ["bad", "one:bad"]  # each crash is told once
    for _, _, traceback in heard.failures:
        assert "my_task.py" in traceback
        assert "ZeroDivisionError" in traceback


def test_a_head_that_crashes_on_one_evaluation_set_keeps_the_others(bench: Bench) -> None:
    path = bench.root / "bad-test.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(lines[0]), "sentence1": "crash"}), *lines[1:]]))
    outcome, heard = bench.run("one", task="pairs-fragile", datasets=("one", "bad", "two"))
    assert names(outcome) == ["one -> one", "one -> two"]
    assert [failure.cell.dataset for failure in outcome.failures] == ["bad"]
    ((_, reason, traceback),) = heard.failures
    assert reason == "ZeroDivisionError: a bug in the head"
    assert "my_task.py" in traceback


def test_a_loss_that_is_no_number_is_reported_in_one_line(bench: Bench) -> None:
    outcome, heard = bench.run("one", overrides={"lr": 1e30, "warmup": 0.0})
    assert outcome.records == []
    ((_, reason, traceback),) = heard.failures
    assert "the loss is" in reason
    assert traceback == ""
    assert list((bench.root / "cache").rglob("weights*")) == []


def test_a_deleted_record_is_scored_again_without_training(bench: Bench) -> None:
    first, _ = bench.run("one")
    bench.records()[0].unlink()
    second, heard = bench.run("one")
    assert heard.trained == []
    assert len(heard.scored) == len(heard.found_cells) == 1
    shas = [[record["predictions_sha256"] for record in outcome.records] for outcome in (first, second)]
    assert shas[0] == shas[1]
    assert [record["scores"] for record in first.records] == [record["scores"] for record in second.records]


def test_a_record_that_was_altered_is_scored_again(bench: Bench) -> None:
    first, _ = bench.run("one")
    path = bench.records()[0]
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "scores": {"spearman": 99.0, "pearson": 99.0}}))
    second, heard = bench.run("one")
    assert len(heard.scored) == 1
    assert [record["scores"] for record in second.records] == [record["scores"] for record in first.records]


def test_damaged_weights_are_trained_again_to_the_same_predictions(bench: Bench) -> None:
    first, _ = bench.run("one", "one:two")
    for path in bench.records():
        path.unlink()
    for weights in (bench.root / "cache").rglob("weights.safetensors"):
        data = bytearray(weights.read_bytes())
        data[-100] ^= 1
        weights.write_bytes(data)
    second, heard = bench.run("one", "one:two")
    assert heard.trained == ["one", "one:two"]
    shas = [[record["predictions_sha256"] for record in outcome.records] for outcome in (first, second)]
    assert shas[0] == shas[1]


def test_tasks_that_score_other_splits_of_one_dataset_do_not_meet(bench: Bench) -> None:
    apart = {}
    for task in ("pairs", "pairs-dev"):
        outcome, _ = bench.run("none", task=task)
        apart.update({(task, name): record for name, record in zip(names(outcome), outcome.records, strict=True)})
    for path in bench.records():
        path.unlink()
    together, _ = bench.run("none", tasks=("pairs", "pairs-dev"))
    assert together.failures == []
    assert len(together.records) == 4
    for name, record in zip(names(together), together.records, strict=True):
        expected = apart[record["task"], name]
        assert record["scores"] == expected["scores"]
        assert record["predictions_sha256"] == expected["predictions_sha256"]


def test_weight_decay_is_said_to_train_the_whole_vocabulary(bench: Bench) -> None:
    _, heard = bench.run("one", overrides={"weight_decay": 0.1})
    assert any("full vocabulary" in note and "weight decay" in note for note in heard.notes)


def test_unpinned_rows_are_said_to_be_so(bench: Bench) -> None:
    _, heard = bench.run("none")
    assert any("one test" in note and "unpinned" in note for note in heard.notes)


def test_a_record_tells_the_whole_story(bench: Bench) -> None:
    outcome, _ = bench.run("one:two", seeds=(3,), limit_train=16, limit_eval=9, overrides={"max_length": 12})
    seen, unseen = outcome.records[1], outcome.records[0]
    assert [(part["dataset"], part["language"], part["rows"], part["stage"]) for part in seen["train"]] == [
        ("one", "en", 16, 0), ("two", "ko", 16, 1),
    ]  # fmt: skip
    assert (seen["eval"]["dataset"], seen["eval"]["rows"], unseen["eval"]["dataset"]) == ("two", 9, "one")
    assert seen["transfer"] == unseen["transfer"] == "mixed"
    assert (seen["seed"], seen["recipe"]["max_length"], len(seen["stages"])) == (3, 12, 2)
    assert seen["limits"] == {"train": 16, "eval": 9}
    assert seen["timing"]["train_s"] > 0
    assert all(seen["timing"][name] >= 0 for name in ("eval_s", "decode_s", "score_s"))
    assert seen["diagnostics"]["truncated-rows"]["rows"] > 0
    files = [bench.root / "cache" / "predictions" / f"{record['key']}.parquet" for record in outcome.records]
    for path, record in zip(files, outcome.records, strict=True):
        kept = pyarrow.parquet.read_table(path).to_pydict()
        assert len(set(kept["id"])) == 9
        predicted, gold = ([json.loads(text) for text in kept[column]] for column in ("prediction", "reference"))
        assert record["scores"]["pearson"] == pytest.approx(100 * np.corrcoef(predicted, gold)[0, 1], abs=1e-6)


def test_a_record_counts_the_rows_that_it_was_trained_and_scored_on(bench: Bench) -> None:
    first = pair_lines(bench, "one", "train")
    for name, count in (("one", 12), ("two", 6)):  # whole pairs, swapped, then single sentences
        pairs = [(first[index][1], first[index][0] if index < 5 else "x") for index in range(count)]
        write_pairs(bench, name, "test", [*pairs, *pair_lines(bench, name, "test")[count:]])
    outcome, _ = bench.run("one+two", "none", seeds=(3,), limit_train=16, limit_eval=9)
    drawn = np.random.default_rng(3).choice(20, 8, replace=False)  # of each: half of the limit
    scored = np.random.default_rng(0).choice(12, 9, replace=False)
    for record in outcome.records[:2]:
        test = [pair_lines(bench, record["eval"]["dataset"], "test")[index] for index in scored]
        for name, entry in zip(("one", "two"), record["overlap"], strict=True):
            train = [pair_lines(bench, name, "train")[index] for index in drawn]
            whole = sum({*pair} in map(set, train) for pair in test)
            shared = sum(any({*pair} & {*other} for other in train) for pair in test)
            assert (entry["role"], entry["dataset"], entry["stage"]) == ("train", name, 0)
            assert (entry["rows"], entry["texts"]) == (whole, shared)
            assert name == "two" or 0 < whole <= shared
        assert overlap_of_record(record, bench.registry, Settings(cache=bench.root / "cache")) == record["overlap"]
    assert [record["overlap"] for record in outcome.records[2:]] == [[], []]


def test_a_pass_tells_how_far_it_is(bench: Bench) -> None:
    _, heard = bench.run("one", overrides={"micro_batch_tokens": 64})
    assert set(heard.passes) == {"one -> one/test", "one -> two/test"}  # of 12 rows each
    for steps in heard.passes.values():
        passed, examples, share = zip(*steps, strict=True)
        assert (passed[0], share[0], passed[-1], share[-1]) == (0, 0.0, examples[0], 1.0)
        assert len(steps) > 3
        assert list(passed) == sorted(set(passed))
        assert list(share) == sorted(set(share))
        assert set(examples) == {12}


def test_a_frozen_encoder_is_scored_without_a_stage(bench: Bench) -> None:
    outcome, heard = bench.run("none", seeds=(0, 1))
    assert heard.trained == []
    assert [record["transfer"] for record in outcome.records] == ["frozen", "frozen"]  # no seed could change it
    assert all(record["train"] == record["stages"] == [] for record in outcome.records)
    assert {record["head"] for record in outcome.records} == {"siamese"}


def test_no_text_is_tokenised_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    tokenize = PreTrainedTokenizerBase.__call__

    def count(tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str], **options: Any) -> Any:
        seen.update(zip(texts, pairs, strict=True))
        return tokenize(tokenizer, texts, pairs, **options)

    monkeypatch.setattr(PreTrainedTokenizerBase, "__call__", count)
    outcome, _ = bench.run("one", "two", "one:two", "two:one", "one+two", seeds=(0, 1))
    assert len(outcome.records) == 20
    files = [bench.root / f"{name}-{split}.jsonl" for name in ("one", "two") for split in ("train", "test")]
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert seen == Counter((row["sentence1"], row["sentence2"]) for row in rows)
    bench.run("one", overrides={"lr": 5e-4})
    assert seen.total() == len(rows)
