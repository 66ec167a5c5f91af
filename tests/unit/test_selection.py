"""How the checkpoint that is scored is chosen: four protocols over one training, and what keeps them apart."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.strangers import altered, load
from tests.tiny import WORDS, Bench, Listener, TinyRun, tiny_rows
from xbench.candidates import MANIFEST as CANDIDATES
from xbench.cli import group
from xbench.errors import UserError
from xbench.execute import Outcome
from xbench.heads.blocks import HeadModule
from xbench.identity import ChosenOn, Selection
from xbench.keys import file_sha256
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.record_check import RecordCheck
from xbench.record_form import record_errors
from xbench.registry import Registry, load_registry
from xbench.selection import best_candidate, candidate_steps
from xbench.settings import Settings
from xbench.store import MANIFEST, WEIGHTS, read_signed, sign
from xbench.training.loop import train
from xbench.training.weights import save_weights

pytestmark = pytest.mark.usefixtures("one_thread")

PLUGIN = '''
import itertools
import json
from pathlib import Path
from xbench.api import Dataset, Packaged, Split, hookimpl

HERE = Path(__file__).parent

def read(paths):
    yield from map(json.loads, paths[0].read_text().splitlines())

def dataset(name, language, *names):
    splits = {split: Split((Packaged((HERE / f"{name}-{split}.jsonl",), read),)) for split in names}
    return Dataset(name, (language,), "pair-score", splits, "CC0", "nobody", "", "", score_range=(0.0, 5.0))

@hookimpl
def xbench_datasets():
    return [dataset("one", "en", "train", "dev", "test"), dataset("two", "ko", "train", "dev", "test"),
            dataset("bare", "es", "train", "test"), dataset("flat", "ar", "train", "dev", "test")]

TASK = """
name = "NAME"
title = "t"
version = 1
train = ["one", "two", "bare", "flat"]
eval = ["one", "two", "bare"]
heads = ["cross-encoder"]
metrics = ["spearman"]
curricula = ["one"]
eval_split = "SPLIT"
recipe = { lr = 3e-3, epochs = 4, batch_size = 8, max_length = 32, precision = "fp32" }
"""

@hookimpl
def xbench_tasks():
    yield TASK.replace("NAME", "pairs").replace("SPLIT", "test")
    yield TASK.replace("NAME", "pairs-dev").replace("SPLIT", "dev").replace(', "bare"]\\nheads', ']\\nheads')
'''
STEPS = [3, 6, 9, 12]  # of 20 rows in batches of 8, four times


def write(folder: Path, name: str, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_bench(folder: Path, model: Path) -> Bench:
    """Four datasets; the dev scores of ``two`` are those of ``one``, turned round; all of ``flat``'s are the same."""
    for name, first in (("one", 0), ("two", 60), ("bare", 120), ("flat", 120)):
        for seed, (split, count) in enumerate((("train", 20), ("dev", 30), ("test", 12))):
            if (name, split) != ("bare", "dev"):
                rows = tiny_rows(count, seed, WORDS[first : first + 70])
                write(folder, name, split, [{**row, "score": 2.0} for row in rows] if name == "flat" else rows)
    turned = [{**row, "score": 5 - row["score"]} for row in map(json.loads, (folder / "one-dev.jsonl").open())]
    write(folder, "two", "dev", turned)
    (folder / "my_task.py").write_text(PLUGIN)
    return Bench(folder, str(model), load_registry([folder / "my_task.py"]))


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    return make_bench(tmp_path, tiny("xlm-roberta"))


@pytest.fixture(scope="module")
def done(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """All four protocols, one after the other, the last checkpoint first; not to be written to."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Done(make_bench(tmp_path_factory.mktemp("protocols"), tiny("xlm-roberta")))
    torch.set_num_threads(threads)


class Done:
    """What became of each protocol, and what was heard."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.runs: dict[str, tuple[Outcome, Listener]] = {}
        for protocol in ("last", "source-dev", "average", "oracle"):
            self.runs[protocol] = bench.run("one", datasets=("one", "two"), overrides={"selection": protocol})
            if protocol == "last":
                self.first = {path.name: path.read_bytes() for path in self.stage.iterdir()}

    @property
    def stage(self) -> Path:
        """The folder of the only stage."""
        (folder,) = (self.bench.root / "cache" / "stages").iterdir()
        return folder

    def record(self, protocol: str, dataset: str) -> dict[str, Any]:
        outcome, _ = self.runs[protocol]
        return next(dict(record) for record in outcome.records if record["eval"]["dataset"] == dataset)

    def weights(self, step: int) -> Path:
        """Those of a candidate."""
        own = self.bench.root / "cache" / "candidates" / self.stage.name / f"step-{step}" / WEIGHTS
        return self.stage / WEIGHTS if step == STEPS[-1] else own

    def scored_as_last(self, weights: Path, task: str, folder: Path) -> dict[str, dict[str, Any]]:
        """The records of a stage whose only weights are these: what anybody would find by hand."""
        shutil.copytree(self.bench.root, folder, ignore=shutil.ignore_patterns("out", "candidates", "dev-scores"))
        stage = folder / "cache" / "stages" / self.stage.name
        shutil.copy(weights, stage / WEIGHTS)
        manifest = json.loads((stage / MANIFEST).read_text())
        (stage / MANIFEST).write_text(json.dumps(sign({**manifest, "weights_sha256": file_sha256(weights)})))
        bench = Bench(folder, self.bench.model, load_registry([folder / "my_task.py"]))
        outcome, heard = bench.run("one", datasets=("one", "two"), task=task)
        assert (heard.trained, outcome.failures) == ([], [])
        return {record["eval"]["dataset"]: dict(record) for record in outcome.records}


# The four protocols


def test_one_training_serves_all_protocols_and_stays_what_it_is(done: Done) -> None:
    trained = {protocol: heard.trained for protocol, (_, heard) in done.runs.items()}
    assert trained == {"last": ["one"], "source-dev": ["one"], "average": [], "oracle": []}
    (_, heard) = done.runs["source-dev"]
    assert any("trained once more, to keep 4 checkpoints" in note for note in heard.notes)
    # With candidates or without: the same bits, and what stood is not written again.
    assert {path.name: path.read_bytes() for path in done.stage.iterdir()} == done.first
    folder = done.weights(3).parents[1]
    kept = read_signed(folder / CANDIDATES)
    assert kept is not None
    assert kept["files"] == {str(step): {WEIGHTS: file_sha256(done.weights(step))} for step in STEPS}
    assert sorted(path.name for path in folder.iterdir()) == [CANDIDATES, "step-3", "step-6", "step-9"]
    stages = {tuple(record["stages"]) for outcome, _ in done.runs.values() for record in outcome.records}
    assert len(stages) == 1
    keys = {record["key"] for outcome, _ in done.runs.values() for record in outcome.records}
    assert len(keys) == 8


@pytest.mark.parametrize("protocol", ["source-dev", "oracle"])
def test_what_is_chosen_is_what_scoring_every_checkpoint_by_hand_chooses(
    done: Done, tmp_path: Path, protocol: str
) -> None:
    by_hand = {step: done.scored_as_last(done.weights(step), "pairs-dev", tmp_path / f"d{step}") for step in STEPS}
    for dataset in ("one", "two"):
        judge = "one" if protocol == "source-dev" else dataset
        scores = {step: own[judge]["scores"]["spearman"] for step, own in by_hand.items()}
        best = max(STEPS, key=lambda step: (scores[step], -step))
        record = done.record(protocol, dataset)
        assert record["selection"] == protocol
        assert record["selected"] == {
            "candidates": 4, "steps": STEPS, "epochs": [1.0, 2.0, 3.0, 4.0], "step": best,
            "dev": [
                {"dataset": judge, "language": {"one": "en", "two": "ko"}[judge], "split": "dev", "rows": 30,
                 "rows_sha256": by_hand[3][judge]["eval"]["rows_sha256"], "limit": None, "metric": "spearman",
                 "metric_version": record["metric_version"]["spearman"]}
            ],
            "scores": [[scores[step]] for step in STEPS],
        }  # fmt: skip
        expected = done.scored_as_last(done.weights(best), "pairs", tmp_path / f"{dataset}{best}")[dataset]
        assert record["predictions_sha256"] == expected["predictions_sha256"]
        assert record["scores"] == expected["scores"]


def test_an_oracle_is_not_best_on_source_dev(done: Done) -> None:
    chosen = {protocol: done.record(protocol, "two")["selected"]["step"] for protocol in ("source-dev", "oracle")}
    # The oracle's rows are the others with their scores turned round.
    scores = [own for (own,) in done.record("source-dev", "two")["selected"]["scores"]]
    assert done.record("oracle", "two")["selected"]["scores"] == [[pytest.approx(-score)] for score in scores]
    assert len(set(scores)) > 1
    assert chosen["oracle"] == STEPS[scores.index(min(scores))] != chosen["source-dev"]


def test_the_average_is_the_mean_of_the_weights(done: Done, tmp_path: Path) -> None:
    files = [load_file(done.weights(step)) for step in STEPS]
    mean = {}
    for name, first in files[0].items():
        stacked = torch.stack([file[name].double() for file in files])
        mean[name] = stacked.mean(0).to(first.dtype)
        if not first.is_floating_point():
            assert torch.equal(mean[name], first)
    assert any(not torch.equal(value, files[-1][name]) for name, value in mean.items())
    save_file(mean, tmp_path / "mean.safetensors")
    expected = done.scored_as_last(tmp_path / "mean.safetensors", "pairs", tmp_path / "mean")
    for dataset in ("one", "two"):
        record = done.record("average", dataset)
        assert record["predictions_sha256"] == expected[dataset]["predictions_sha256"]
        assert record["predictions_sha256"] != done.record("last", dataset)["predictions_sha256"]
        assert record["selected"] == {
            "candidates": 4, "steps": STEPS, "epochs": [1.0, 2.0, 3.0, 4.0], "step": None, "dev": [], "scores": [],
        }  # fmt: skip


def test_dev_rows_are_scored_once_for_all_cells_and_protocols(done: Done) -> None:
    read = {
        protocol: [label for label in heard.passes if "step" in label] for protocol, (_, heard) in done.runs.items()
    }
    assert read["last"] == read["average"] == []
    assert read["source-dev"] == [f"one, step {step} -> one/dev" for step in STEPS]
    assert read["oracle"] == [f"one, step {step} -> two/dev" for step in STEPS]  # on one/dev they are known


def test_a_record_says_nothing_of_it_in_its_recipe_and_the_last_checkpoint_nothing_at_all(done: Done) -> None:
    for outcome, _ in done.runs.values():
        for record in outcome.records:
            assert not {"selection", "candidates"} & record["recipe"].keys()
            assert ("selected" in record) == (record["selection"] != "last")


# Sequences, mixtures, limits


def test_in_a_sequence_the_last_stage_alone_chooses(bench: Bench) -> None:
    last, _ = bench.run("one:two", datasets=("one",))
    outcome, heard = bench.run("one:two", datasets=("one",), overrides={"selection": "source-dev"})
    (record,) = outcome.records
    assert record["stages"] == last.records[0]["stages"]  # the second stage began from the last checkpoint of the first
    assert heard.trained == ["one:two"]
    assert heard.found_stages == ["one"]
    assert [split["dataset"] for split in record["selected"]["dev"]] == ["two"]
    assert [path.name for path in (bench.root / "cache" / "candidates").iterdir()] == record["stages"][-1:]
    # The whole of what the first stage changed is in each checkpoint of the second, whose words are others.
    own = bench.root / "cache" / "candidates" / record["stages"][-1] / "step-3" / WEIGHTS
    whole = load_file(bench.root / "cache" / "stages" / record["stages"][-1] / WEIGHTS)
    assert load_file(own)["table.ids"].tolist() == whole["table.ids"].tolist()


def test_a_mixture_is_chosen_by_the_mean_over_its_datasets(bench: Bench) -> None:
    outcome, _ = bench.run("one+two", datasets=("one",), overrides={"selection": "source-dev"})
    (record,) = outcome.records
    selected = record["selected"]
    assert [split["dataset"] for split in selected["dev"]] == ["one", "two"]
    # They are each other's opposite: the means are all alike, and of equals the earliest is taken.
    assert [sum(own) for own in selected["scores"]] == pytest.approx([0.0] * 4, abs=1e-9)
    assert selected["steps"] == [5, 10, 15, 20]
    assert selected["step"] == selected["steps"][best_candidate(selected["scores"]) or 0]


def test_a_limit_on_evaluation_rows_holds_for_dev_rows_as_well(bench: Bench) -> None:
    outcome, _ = bench.run("one", datasets=("one",), limit_eval=20, overrides={"selection": "source-dev"})
    (record,) = outcome.records
    (dev,) = record["selected"]["dev"]
    assert (dev["rows"], dev["limit"]) == (20, 20)
    assert record["limits"]["eval"] is None  # there are only twelve
    whole, _ = bench.run("one", datasets=("one",), overrides={"selection": "source-dev"})
    assert whole.records[0]["key"] != record["key"]


# Keys


def test_the_last_checkpoint_has_one_key_however_many_are_kept(bench: Bench) -> None:
    outcome, _ = bench.run("one", datasets=("one",))
    again, heard = bench.run("one", datasets=("one",), overrides={"candidates": 4})
    assert again.records == outcome.records
    assert (heard.trained, heard.scored) == ([], [])


def test_candidates_can_be_kept_from_the_start(bench: Bench) -> None:
    bench.run("one", datasets=("one",), overrides={"candidates": 4})
    _, heard = bench.run("one", datasets=("one",), overrides={"selection": "average"})
    assert (heard.trained, heard.found_stages, heard.scored) == ([], ["one"], ["one -> one"])
    outcome, heard = bench.run("one", datasets=("one",), overrides={"selection": "average", "candidates": 2})
    assert outcome.records[0]["selected"]["steps"] == [6, 12]  # which are among the four
    assert heard.trained == []
    _, heard = bench.run("one", datasets=("one",), overrides={"selection": "average", "candidates": 3})
    assert heard.trained == ["one"]
    _, heard = bench.run("one", datasets=("one",), overrides={"selection": "oracle"})
    assert heard.trained == []  # the four are still there


def test_how_it_is_chosen_enters_the_key_but_for_the_last() -> None:
    on = ChosenOn("one", "dev", "a" * 64, None, ("spearman", 1))
    assert Selection().content() == Selection("last", 4, [on]).content() == "last"
    ways = [
        Selection("average", 4), Selection("average", 2), Selection("source-dev", 4, [on]),
        Selection("oracle", 4, [on]), Selection("oracle", 4, [on._replace(limit=20)]),
        Selection("oracle", 4, [on._replace(metric=("spearman", 2))]), Selection("oracle", 4, [on, on]),
    ]  # fmt: skip
    contents = [json.dumps(one.content()) for one in ways]
    assert len(set(contents)) == len(ways)


@given(st.integers(1, 10_000), st.integers(1, 200))
def test_candidates_are_evenly_spaced_and_the_last_step_is_one(steps: int, count: int) -> None:
    found = candidate_steps(steps, count)
    assert len(found) == len(set(found)) == min(steps, count)
    assert found[-1] == steps
    gaps = [after - before for before, after in zip((0, *found), found, strict=False)]
    assert min(gaps) > 0
    assert max(gaps) - min(gaps) <= 1
    assert candidate_steps(7 * count, count) == tuple(range(7, 7 * count + 1, 7))  # one an epoch: where epochs end


@given(st.lists(st.lists(st.none() | st.floats(-100, 100), min_size=2, max_size=2), min_size=1, max_size=6))
def test_the_best_is_the_earliest_with_the_highest_mean(scores: list[list[float | None]]) -> None:
    defined = {place: sum(own) / 2 for place, own in enumerate(scores) if None not in own}  # type: ignore[arg-type]
    best = best_candidate(scores)
    if not defined:
        assert best is None
    else:
        assert best is not None
        assert defined[best] == pytest.approx(max(defined.values()))
        assert all(defined[place] < defined[best] for place in defined if place < best)


# What is kept, and what is done again


def test_training_is_the_same_to_the_bit_when_its_weights_are_written_on_the_way(
    tiny: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    run = TinyRun(tiny("xlm-roberta", 0.1), registry.heads.get("cross-encoder"), [tiny_rows(20)], tmp_path)
    vocabulary, _ = run.vocabulary()
    plain, expected = run.train(vocabulary)
    watched, seen = run.build(vocabulary), list[int]()

    def write(step: int) -> None:
        seen.append(step)
        save_weights(watched, vocabulary, None, tmp_path / f"{step}.safetensors")

    result = train(watched, run.tables, run.recipe, 0, vocabulary, run.pad_id, on_update=write)
    assert result.losses == expected.losses
    assert seen == list(range(1, len(expected.losses) + 1))
    first, second = plain.state_dict(), watched.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    # Each file is what the weights were then, and no view of what they have become.
    files = [load_file(tmp_path / f"{step}.safetensors") for step in seen]
    assert all(not torch.equal(one["table.rows"], other["table.rows"]) for one, other in itertools.pairwise(files))
    assert alike(run.build(vocabulary, tmp_path / f"{seen[-1]}.safetensors"), plain)


def alike(one: HeadModule, other: HeadModule) -> bool:
    """The same bits throughout."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_what_is_done_is_not_done_again(bench: Bench) -> None:
    asked: dict[str, Any] = {"datasets": ("one", "two"), "overrides": {"selection": "source-dev"}}
    first, _ = bench.run("one", **asked)
    second, heard = bench.run("one", **asked)
    assert second.records == first.records
    assert (heard.trained, heard.scored, heard.passes) == ([], [], {})
    for path in bench.records():
        path.unlink()
    third, heard = bench.run("one", **asked)
    assert heard.trained == []
    assert not any("step" in label for label in heard.passes)  # dev scores are kept as well
    shas = [[record["predictions_sha256"] for record in outcome.records] for outcome in (first, third)]
    assert shas[0] == shas[1]


@pytest.mark.parametrize("harm", ["gone", "damaged", "untold"])
def test_a_candidate_that_is_lost_is_made_again(bench: Bench, harm: str) -> None:
    asked: dict[str, Any] = {"datasets": ("one",), "overrides": {"selection": "average"}}
    first, _ = bench.run("one", **asked)
    (path,) = (bench.root / "cache" / "candidates").glob(f"*/step-6/{WEIGHTS}")
    before = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "damaged":
        path.write_bytes(before[:-100] + bytes([before[-100] ^ 1]) + before[-99:])
    else:
        (path.parents[1] / CANDIDATES).unlink()  # as after a crash: nothing says that they are whole
    bench.records()[0].unlink()
    second, heard = bench.run("one", **asked)
    assert heard.trained == ["one"]
    assert path.read_bytes() == before
    assert second.records[0]["predictions_sha256"] == first.records[0]["predictions_sha256"]


def test_a_stage_of_another_run_keeps_its_weights_and_the_candidates_their_own_last(bench: Bench) -> None:
    """As when a stage from a GPU is trained once more on a CPU: nothing is lost, and no choice mixes two runs."""
    bench.run("one", datasets=("one",))
    (stage,) = (bench.root / "cache" / "stages").iterdir()
    original = load_file(stage / WEIGHTS)
    other = {name: value + 1e-3 if value.is_floating_point() else value for name, value in original.items()}
    save_file(other, stage / WEIGHTS)
    manifest = json.loads((stage / MANIFEST).read_text())
    changed = sign({**manifest, "weights_sha256": file_sha256(stage / WEIGHTS)})
    (stage / MANIFEST).write_text(json.dumps(changed))
    standing = {path.name: path.read_bytes() for path in stage.iterdir()}
    _, heard = bench.run("one", datasets=("one",), overrides={"selection": "average"})
    assert (heard.trained, heard.failures) == (["one"], [])
    assert {path.name: path.read_bytes() for path in stage.iterdir()} == standing
    own = load_file(bench.root / "cache" / "candidates" / stage.name / "step-12" / WEIGHTS)
    assert all(torch.equal(own[name], original[name]) for name in original)
    _, heard = bench.run("one", datasets=("two",), overrides={"selection": "average"})
    assert (heard.trained, heard.failures) == ([], [])


def test_a_training_that_fails_leaves_nothing_that_passes_for_candidates(bench: Bench) -> None:
    outcome, heard = bench.run(
        "one", datasets=("one",), overrides={"selection": "average", "lr": 1e30, "warmup": 0.0, "candidates": 12}
    )
    assert outcome.records == []
    assert "the loss is" in heard.failures[0][1]
    assert not list((bench.root / "cache").rglob(CANDIDATES))


# Mistakes


def refused(bench: Bench, *curricula: str, **request: Any) -> str:
    """The one line that a wrong request gets, before anything is looked for."""
    overrides = request.pop("overrides", {"selection": "source-dev"})
    with pytest.raises(UserError) as caught:
        make_plan(Request((bench.model,), ("pairs",), curricula, overrides=overrides, **request), bench.registry)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_training_data_without_a_dev_split_is_refused_with_what_can_be_done(bench: Bench) -> None:
    for curriculum in ("bare", "one:bare", "one+bare"):
        message = refused(bench, curriculum)
        assert "source-dev: bare has no dev split, only train, test" in message
        assert "take last or average" in message
        assert "--set recipe.selection=last" in message
    plan = make_plan(
        Request((bench.model,), ("pairs",), ("bare:one",), overrides={"selection": "source-dev"}), bench.registry
    )
    assert {cell.chosen_on for cell in plan.cells} == {(("one", "dev", "spearman"),)}  # the first stage chooses nothing


def test_an_oracle_leaves_out_what_has_no_dev_rows_and_says_so(bench: Bench) -> None:
    asked = Request((bench.model,), ("pairs",), ("one", "two"), overrides={"selection": "oracle"})
    plan = make_plan(asked, bench.registry)
    assert [cell.dataset for cell in plan.cells] == ["one", "two"] * 2
    assert plan.left_out == ("pairs: no oracle for bare: bare has no dev split, only train, test",)
    assert "no oracle for bare" in refused(bench, "one", datasets=("bare",), overrides={"selection": "oracle"})


@pytest.mark.parametrize("few", [{"epochs": 1}, {"candidates": 1}])
@pytest.mark.parametrize("protocol", ["source-dev", "average", "oracle"])
def test_one_checkpoint_is_no_choice(bench: Bench, protocol: str, few: dict[str, int]) -> None:
    message = refused(bench, "one", overrides={"selection": protocol, **few})
    assert f"recipe.selection = {protocol} has a single checkpoint" in message
    assert "--set recipe.candidates=4" in message


@pytest.mark.parametrize("protocol", ["source-dev", "average", "oracle"])
def test_a_training_of_one_step_leaves_no_choice_and_says_so(bench: Bench, protocol: str) -> None:
    few = {"selection": protocol, "epochs": 1, "candidates": 4}
    outcome, heard = bench.run("one", datasets=("one",), limit_train=8, overrides=few)
    assert outcome.records == []
    ((_, reason, traceback),) = heard.failures
    assert "a single step, and so a single checkpoint to choose from: take --set recipe.selection=last" in reason
    assert traceback == ""


def test_a_score_that_tells_nothing_apart_is_no_reason(bench: Bench) -> None:
    outcome, heard = bench.run("flat", datasets=("one",), overrides={"selection": "source-dev"})
    assert outcome.records == []
    ((_, reason, traceback),) = heard.failures
    assert "no checkpoint has a defined score on flat/dev" in reason
    assert traceback == ""


def test_frozen_encoders_have_one_checkpoint_and_one_key(bench: Bench) -> None:
    for name in ("one", "two"):  # the cross-encoder says nothing of a frozen encoder
        plan = make_plan(
            Request((bench.model,), ("pairs",), ("none",), (name,), head="siamese", overrides={"selection": "oracle"}),
            bench.registry,
        )
        assert [(cell.selection, cell.chosen_on) for cell in plan.cells] == [("last", ())]
    first, _ = bench.run("none", head="siamese", datasets=("one",))
    second, heard = bench.run("none", head="siamese", datasets=("one",), overrides={"selection": "oracle"})
    assert second.records == first.records
    assert heard.scored == []


# Records of others


@pytest.fixture
def theirs(done: Done, tmp_path: Path) -> tuple[dict[str, Any], RecordCheck]:
    record = load(next(path for path in done.bench.records() if load(path)["selection"] == "source-dev"))
    return record, RecordCheck(done.bench.registry, Settings(cache=tmp_path, offline=True))


def test_records_of_all_protocols_can_be_taken(done: Done, tmp_path: Path) -> None:
    check = RecordCheck(done.bench.registry, Settings(cache=tmp_path, offline=True))
    records = [load(path) for path in done.bench.records()]
    assert {record["selection"] for record in records} == set(done.runs)
    for record in records:
        assert record_errors(record) == check.errors(record) == []
        verdict = check.key(record)
        assert verdict.error == ""
        assert verdict.said.startswith("key checked")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("selection", "last", "selected: is there, and selection is last"),
        ("selection", "best", "selection: 'best' is not last or source-dev"),
        ("selection", "average", "selected.dev: is not of nothing, by which average chooses"),
        ("selected.candidates", 1, "selected.candidates: 1 does not lie between 2"),
        ("selected.candidates", 3, "selected.steps: are not at most 3 steps"),
        ("selected.steps", [3, 9, 6, 12], "selected.steps: are not"),
        ("selected.epochs", [1.0], "selected.epochs: 1 of them"),
        ("selected.step", 4, "selected.step: 4 is not the step with the best of these scores"),
        ("selected.step", None, "selected.step: None is not"),
        ("selected.scores", [[1.0]], "selected.scores: are not one a step and dataset"),
        ("selected.scores", [[None]] * 4, "is not the step with the best"),
        ("selected.dev", [], "selected.dev: is not of one"),
        ("selected.dev.0.dataset", "two", "selected.dev: is not of one"),
        ("selected.dev.0.limit", 7, "selected.dev[0].rows: 30, and its limit is 7"),
    ],
)
def test_a_choice_that_does_not_follow_is_named(
    theirs: tuple[dict[str, Any], RecordCheck], place: str, value: Any, message: str
) -> None:
    record, _ = theirs
    assert any(message in error for error in record_errors(altered(record, place, value)))


def test_a_choice_that_is_missing_is_named(theirs: tuple[dict[str, Any], RecordCheck]) -> None:
    record = {name: value for name, value in theirs[0].items() if name != "selected"}
    assert record_errors(sign(record)) == ["selected: is missing, and selection is source-dev"]


@pytest.mark.parametrize(
    ("place", "value"),
    [("selected.candidates", 5), ("selected.dev.0.rows_sha256", "0" * 64), ("selected.dev.0.metric_version", 9)],
)
def test_a_key_follows_from_the_choice(theirs: tuple[dict[str, Any], RecordCheck], place: str, value: Any) -> None:
    record, check = theirs
    forged = altered(record, place, value)
    assert record_errors(forged) == []
    assert "its key does not follow" in check.key(forged).error


def test_a_language_or_a_split_that_is_not_declared_is_named(theirs: tuple[dict[str, Any], RecordCheck]) -> None:
    record, check = theirs
    assert "selected.dev[0].language: ko" in check.errors(altered(record, "selected.dev.0.language", "ko"))[0]
    assert "selected.dev[0].split: one has no split" in check.errors(altered(record, "selected.dev.0.split", "x"))[0]


# What a dry run says


def test_a_dry_run_names_the_passes_over_dev_rows_and_the_disk(bench: Bench) -> None:
    def dry(*more: str) -> Any:
        line = [
            "eval", "--model", bench.model, "--tasks", "pairs", "--train", "one", "--eval", "one,two", "--offline",
            "--plugin", str(bench.root / "my_task.py"), "--cache", str(bench.root / "cache"), "--device", "cpu",
            "--out", str(bench.root / "out"), "--dry-run", *more,
        ]  # fmt: skip
        result = CliRunner().invoke(group, line, catch_exceptions=False)
        assert result.exit_code == 0
        return json.loads(result.stdout) if "--json" in more else result.stdout

    chooses = ["--set", "recipe.selection=source-dev"]
    text = dry(*chooses)
    assert " by source-dev: 4 checkpoints on one/dev: " in text
    assert text.count("  choose ") == 1
    plain, shown = dry("--json"), dry("--json", *chooses)
    assert plain["choices"] == []
    (choice,) = shown["choices"]
    assert (choice["candidates"], choice["dataset"], choice["split"]) == (4, "one", "dev")
    disk = [one["stages"][0]["estimate"]["disk_mb"] for one in (plain, shown)]
    assert disk[1] > disk[0]
    bench.run("one", datasets=("one", "two"))
    left = dry("--json", *chooses)
    assert not left["stages"][0]["estimate"]["done"]  # it is there, without the candidates
    bench.run("one", datasets=("one",), overrides={"selection": "source-dev"})
    left = dry("--json", *chooses)
    assert left["stages"][0]["estimate"]["done"]
    assert left["choices"] == []
    assert [cell["estimate"]["done"] for cell in left["cells"]] == [True, False]
