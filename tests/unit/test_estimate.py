"""What a plan will cost: counts that are those of a real run, formulas, and what came of earlier estimates."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.tiny import WORDS, Bench, TinyRun, tiny_rows
from xbench.cli import group
from xbench.cli.dry_run import duration, past_line, size
from xbench.estimate.costs import BYTES_TRAINED, MB, Calibration, pass_estimate, stage_estimate
from xbench.estimate.counts import Counts, Cut, Part, pass_counts, training_counts, vocabulary_rows
from xbench.estimate.forecast import SAMPLE, Forecast, forecast
from xbench.estimate.past import Past, Spread, past_errors
from xbench.heads.blocks import HeadModule
from xbench.models.encoder import table_size
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.registry import Registry, load_registry
from xbench.settings import Settings
from xbench.store import read_signed, sign
from xbench.training.examples import ExampleTable, write_examples
from xbench.training.predict import Predictor
from xbench.types import Batch, Example, Tokens

pytestmark = pytest.mark.usefixtures("one_thread")

PLUGIN = '''
import json
from pathlib import Path
from xbench.api import Dataset, Packaged, Split, hookimpl

HERE = Path(__file__).parent

def read(paths):
    yield from map(json.loads, paths[0].read_text().splitlines())

def dataset(name, language):
    splits = {split: Split((Packaged((HERE / f"{name}-{split}.jsonl",), read),)) for split in ("train", "test")}
    return Dataset(name, (language,), "pair-score", splits, "CC0", "nobody", "", "", score_range=(0.0, 5.0))

@hookimpl
def xbench_datasets():
    return [dataset("one", "en"), dataset("two", "ko")]

@hookimpl
def xbench_tasks():
    return ["""
name = "pairs"
title = "t"
version = 1
train = ["one", "two"]
eval = ["one", "two"]
heads = ["cross-encoder", "siamese"]
metrics = ["spearman"]
curricula = ["one"]
recipe = { lr = 1e-3, epochs = 1, batch_size = 16, max_length = 32, precision = "fp32" }
"""]
'''
ROWS = {"one": 520, "two": 40}
CUT = Cut(packed=True, budget=64, piece_tokens=8)


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    for first, (name, count) in enumerate(ROWS.items()):
        for seed, (split, rows) in enumerate((("train", count), ("test", 12))):
            lines = tiny_rows(rows, seed, WORDS[60 * first : 60 * first + 70])
            (tmp_path / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (tmp_path / "my_task.py").write_text(PLUGIN)
    return Bench(tmp_path, str(tiny("xlm-roberta")), load_registry([tmp_path / "my_task.py"]))


def settings_of(bench: Bench) -> Settings:
    return Settings(cache=bench.root / "cache", out=bench.root / "out", device="cpu")


def plan_of(bench: Bench, *curricula: str, **request: Any) -> Plan:
    models = request.pop("models", (bench.model,))
    return make_plan(Request(models, ("pairs",), curricula, **request), bench.registry)


def forecast_of(bench: Bench, *curricula: str, **request: Any) -> tuple[Plan, Forecast]:
    plan = plan_of(bench, *curricula, **request)
    return plan, forecast(plan, bench.registry, settings_of(bench))


class Watched:
    """Counts what really goes through a module."""

    def __init__(self, module: HeadModule) -> None:
        self.counts, self._packed = Counts(), module.packs()
        module.register_forward_hook(self._see)

    def _see(self, module: torch.nn.Module, inputs: tuple[Batch, ...], output: torch.Tensor) -> None:
        sequences = inputs[0].attention_mask.sum(1).numpy()
        self.counts = self.counts.add(sequences.reshape(-1, len(output)).T, self._packed)


@pytest.mark.parametrize("shape", ["xlm-roberta", "distilbert"])
@pytest.mark.parametrize("alpha", [1.0, 0.0])
def test_counts_of_whole_tables_are_those_of_the_run(
    tiny: Callable[..., Path], tmp_path: Path, registry: Registry, shape: str, alpha: float
) -> None:
    own = {"epochs": 1, "micro_batch_tokens": CUT.budget, "mixing_alpha": alpha}
    rows = [tiny_rows(37, 0, WORDS[:90]), tiny_rows(20, 1, WORDS[50:150])]
    run = TinyRun(tiny(shape), registry.heads.get("siamese"), rows, tmp_path, own)
    vocabulary, _ = run.vocabulary()
    watched: list[Watched] = []
    module, result = run.train(vocabulary, watch=lambda module: watched.append(Watched(module)))
    cut = CUT._replace(packed=module.packs(), piece_tokens=32)  # the CPU's
    parts = [Part(table, 1.0) for table in run.tables]
    counts = training_counts(parts, run.recipe, 0, cut)
    assert counts == dataclasses.replace(watched[0].counts, steps=len(result.losses))
    assert vocabulary_rows(parts, table_size(run.folder)) == len(vocabulary.ids)
    reads = Watched(module)
    Predictor(module, "fp32", CUT.budget, vocabulary, run.pad_id).predict(run.tables[0])
    assert pass_counts(parts[0], cut) == reads.counts


def zipf_table(folder: Path, count: int, words: int = 20_000) -> ExampleTable:
    """Examples of falling frequencies, as of a text."""
    draw = np.random.default_rng(count)
    share = 1 / np.arange(5, words + 5)
    ids = draw.choice(words, (count, 20), p=share / share.sum())
    return write_examples(folder, (Example(index, (Tokens(some),), (0.0,)) for index, some in enumerate(ids.tolist())))


@pytest.mark.parametrize("scale", [3, 20])
def test_a_sample_tells_of_the_whole(tmp_path: Path, registry: Registry, scale: int) -> None:
    whole = Part(zipf_table(tmp_path / "whole", 500 * scale), 1.0)
    sample = Part(zipf_table(tmp_path / "sample", 500), float(scale))
    recipe = dataclasses.replace(plain_recipe(registry), epochs=2, batch_size=16)
    truth, guess = (training_counts([part], recipe, 0, CUT._replace(budget=100)) for part in (whole, sample))
    assert guess.tokens == pytest.approx(truth.tokens)  # all of one length
    assert guess.steps == truth.steps
    rows = [vocabulary_rows([part], 20_000) for part in (whole, sample)]
    assert rows[1] == pytest.approx(rows[0], rel=0.2)
    assert vocabulary_rows([dataclasses.replace(sample, scale=1e9)], 20_000) == 20_000  # and there are no more
    # What a half knows already, the other half does not add.
    assert vocabulary_rows([sample, sample], 20_000) == pytest.approx(rows[1], abs=1)


def plain_recipe(registry: Registry) -> Any:
    plan = make_plan(Request(("m",), ("sts",)), registry)
    return plan.stages[0].recipe


def test_the_formulas() -> None:
    calibration = Calibration(
        trains=True, token_s=0.5, square_s=0.25, weight_s=2.0, load_s=3.0, tokenise_s=0.125, write_s=4.0,
        resting_mb=100.0, load_mb=50.0, held_mb=10.0, token_mb=2.0, square_mb=1.0, left_mb=9.0, body=7, width=MB // 16,
        table_rows=1000, rows=10, file_bytes=MB, packed=True,
    )  # fmt: skip
    counts = Counts(tokens=40, squares=80, pieces=2, steps=3, widest=20, widest_squares=30)
    one = stage_estimate(
        calibration, counts, CUT, rows=12, stored=14, new_tokens=16, new_mb=5.0, left_mb=0.0, sampled=False
    )
    loop = 0.5 * (40 + 2 * CUT.piece_tokens) + 0.25 * 80 + 2.0 * (7 + 12 * MB // 16) * 3
    assert one.whole_s == 3.0 + 0.125 * 16 + loop
    assert one.weights_mb == pytest.approx((MB + 14 * (4 * (MB // 16) + 8)) / MB)
    assert one.seconds == pytest.approx(one.whole_s + 4.0 * one.weights_mb)
    assert one.disk_mb == pytest.approx(one.weights_mb + 5.0)
    assert one.memory_mb == pytest.approx(100 + 10 + 2 * BYTES_TRAINED / 16 + 2 * 20 + 30)
    heavy = dataclasses.replace(calibration, load_mb=500.0)  # loading takes more than running
    assert stage_estimate(heavy, counts, CUT, 12, 14, 0, 0, 7.0, False).memory_mb == 607
    adapter = dataclasses.replace(calibration, frozen=True)  # the table is read, and neither moved nor kept
    frozen = stage_estimate(adapter, counts, CUT, 12, 14, 16, 5.0, 0.0, False)
    assert frozen.whole_s == one.whole_s - 2.0 * (12 * MB // 16) * 3
    assert frozen.weights_mb == 1
    assert frozen.memory_mb == pytest.approx(100 + 10 + 2 * 4 / 16 + 2 * 20 + 30)
    assert Calibration.from_json(adapter.as_json()) == adapter
    before = {name: value for name, value in calibration.as_json().items() if name != "frozen"}
    assert Calibration.from_json(before) == calibration  # measured before there were adapters
    read = dataclasses.replace(calibration, trains=False, weight_s=0.0)
    first, next_ = (pass_estimate(read, counts, CUT, 12, 16, 5.0, 0.0, False, loads) for loads in (True, False))
    assert first.seconds - next_.seconds == 3.0
    assert first.disk_mb == 5.0
    assert first.memory_mb == pytest.approx(100 + 10 + 2 * 4 / 16 + 2 * 20 + 30)


def test_a_plan_is_estimated_and_held_against_what_came(bench: Bench) -> None:
    plan, before = forecast_of(bench, "one", "two:one", "none", limit_eval=9)
    assert before.reasons == []
    assert before.past is None
    assert set(before.stages) == {stage.id for stage in plan.stages}
    assert all(part.seconds > 0 and part.memory_mb > 50 for part in before.parts())
    assert [part.sampled for part in before.stages.values()] == [True, False, True]  # 520 rows, 40, 520
    assert len(before.passes) == 6  # two datasets, three turns
    assert [one.estimate.disk_mb > 0 for one in before.passes] == [False] * 6  # counting has tokenised them
    bench.run("one", "two:one", "none", limit_eval=9)
    _, after = forecast_of(bench, "one", "two:one", "none", limit_eval=9)
    assert (after.parts(), after.done_stages, after.done_cells) == ([], set(before.stages), set(plan.cells))
    assert after.past is not None
    assert after.past.stages == 3
    found = []
    for path in sorted((bench.root / "cache" / "estimates").glob("*.json")):
        folder = bench.root / "cache" / "stages" / path.stem
        timing, kept = json.loads((folder / "stage.json").read_text())["timing"], json.loads(path.read_text())
        weights_mb = (folder / "weights.safetensors").stat().st_size / MB
        truths = (timing["whole_s"], timing["peak_rss_mb"], weights_mb)
        found.append([truth / kept[name] - 1 for truth, name in zip(truths, ("whole_s", "memory_mb", "weights_mb"),
                                                                    strict=True)])  # fmt: skip
    for spread, shares in zip((after.past.time, after.past.memory, after.past.disk), zip(*found, strict=True),
                              strict=True):  # fmt: skip
        assert (spread.lowest, spread.median, spread.highest) == tuple(sorted(shares))
    assert abs(after.past.disk.highest) < 0.01  # a file's size is known
    assert abs(after.past.memory.median) < 0.5


def test_estimates_of_another_machine_are_not_compared(bench: Bench) -> None:
    _, before = forecast_of(bench, "two")
    bench.run("two")
    assert before.machine is not None
    assert past_errors(before.machine, settings_of(bench)) is not None
    other = dataclasses.replace(before.machine, threads=before.machine.threads + 1)
    assert past_errors(other, settings_of(bench)) is None
    (path,) = (bench.root / "cache" / "estimates").glob("*.json")
    path.write_text(path.read_text().replace('"whole_s": ', '"whole_s": 1'))  # altered: its checksum tells
    assert past_errors(before.machine, settings_of(bench)) is None


def test_a_limit_counts_its_rows(bench: Bench) -> None:
    _, few = forecast_of(bench, "one", limit_train=16)
    _, many = forecast_of(bench, "one", limit_train=320)
    (few_stage,), (many_stage,) = few.stages.values(), many.stages.values()
    assert not few_stage.sampled
    assert not many_stage.sampled
    assert many_stage.whole_s > few_stage.whole_s
    assert many_stage.weights_mb > few_stage.weights_mb
    assert max(ROWS.values()) > SAMPLE  # else nothing here would be a sample


def test_what_was_measured_and_counted_is_not_measured_again_unless_it_is_damaged(bench: Bench) -> None:
    said: list[str] = []
    plan, settings = plan_of(bench, "one"), settings_of(bench)
    first = forecast(plan, bench.registry, settings, said.append)
    assert len([text for text in said if "calibrating" in text]) == 2
    assert len([text for text in said if "tokenising" in text]) == 3
    said.clear()
    assert forecast(plan, bench.registry, settings, said.append).stages == first.stages
    assert said == []
    files = sorted((settings.cache / "calibrations").iterdir())
    files[0].write_text(files[0].read_text().replace('"token_s": ', '"token_s": 9'))
    (settings.cache / "examples").rename(settings.cache / "gone")
    forecast(plan, bench.registry, settings, said.append)
    assert len([text for text in said if "calibrating" in text]) == 1
    assert len([text for text in said if "tokenising" in text]) == 3
    assert all(read_signed(path) for path in files)


def test_a_calibration_of_another_form_is_made_anew(bench: Bench) -> None:
    forecast_of(bench, "none")
    (path,) = (bench.root / "cache" / "calibrations").iterdir()
    values = json.loads(path.read_text())
    del values["token_mb"]
    path.write_text(json.dumps(sign(values)))
    assert forecast_of(bench, "none")[1].reasons == []
    assert "token_mb" in json.loads(path.read_text())


def test_what_is_not_here_has_a_reason_and_touches_nothing(bench: Bench) -> None:
    _, found = forecast_of(bench, "one", models=("no/such-model",))
    assert found.parts() == []
    assert found.reasons == ["not on this machine, and a dry run fetches nothing: no/such-model"]
    assert not (bench.root / "cache").exists()
    (bench.root / "one-train.jsonl").unlink()
    plan, found = forecast_of(bench, "one", "two")
    assert found.reasons == ["not on this machine, and a dry run fetches nothing: one/train"]
    assert [stage.curriculum for stage in plan.stages if stage.id in found.stages] == ["two"]
    assert found.done_stages == set()
    assert {cell.curriculum for one in found.passes for cell in one.cells} == {"two"}


def test_what_does_not_fit_has_its_own_reason(bench: Bench) -> None:
    _, found = forecast_of(bench, "two", overrides={"max_length": 4000})
    assert found.parts() == []
    assert any("takes at most" in reason for reason in found.reasons)


def test_the_command_shows_estimates_in_lines_and_in_json(bench: Bench) -> None:
    asked = [
        "eval", "--plugin", str(bench.root / "my_task.py"), "--model", bench.model, "--tasks", "pairs",
        "--train", "two", "--cache", str(bench.root / "cache"), "--out", str(bench.root / "out"), "--device", "cpu",
        "--dry-run",
    ]  # fmt: skip
    done = CliRunner().invoke(group, asked, standalone_mode=False, catch_exceptions=False)
    lines = done.stdout.splitlines()
    assert lines[0] == "1 fine-tunings, 2 cells"
    assert " on two: " in lines[1]
    assert lines[1].endswith("of memory")  # and so little of disk that it is not worth a word
    assert all("of memory" in line for line in lines[1:4])
    assert lines[4].startswith("in all ")
    assert "calibrated on cpu" in lines[5]
    shown = json.loads(CliRunner().invoke(group, [*asked, "--json"], standalone_mode=False).stdout)
    whole = shown["estimate"]
    parts = [part["estimate"] for part in (*shown["stages"], *shown["cells"])]
    assert whole["seconds"] == pytest.approx(sum(part["seconds"] for part in parts), abs=0.2)
    assert whole["memory_mb"] == max(part["memory_mb"] for part in parts)
    assert whole["past"] is None
    bench.run("two")
    shutil.rmtree(bench.root / "out")
    lines = CliRunner().invoke(group, asked, standalone_mode=False).stdout.splitlines()
    assert lines[1].endswith(" on two: done")
    assert any(line.startswith("1 earlier estimate held against what was measured") for line in lines)


def test_numbers_are_for_people() -> None:
    times = {0.2: "under 1 s", 3.14: "3.1 s", 61: "61 s", 361: "6 min", 5399: "90 min", 7000: "1.9 h", 2e5: "2.3 days"}
    assert {seconds: duration(seconds) for seconds in times} == times
    sizes = {0.1: "under 1 MB", 133.3: "130 MB", 996: "1000 MB", 1430: "1.4 GB", 20480: "20 GB"}
    assert {megabytes: size(megabytes) for megabytes in sizes} == sizes
    past = Past(7, Spread(-0.09, 0.03, 0.141), Spread(0, 0, 0), Spread(-0.004, 0, 0.004))
    assert "time -9 % to +14 % (median +3 %)" in past_line(past)
