"""Readings that are fitted on other rows, what a head keeps for figures, and a dataset's own scorer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import HIDDEN, WORDS, Bench, tiny_rows
from xbench.errors import UserError
from xbench.measures import FigureContext
from xbench.plan import Cell, Request
from xbench.planner import make_plan
from xbench.registry import load_registry
from xbench.settings import Settings
from xbench.store import Store

pytestmark = pytest.mark.usefixtures("one_thread")

PLUGIN = '''
import json
from pathlib import Path

import numpy as np

from xbench.api import Dataset, Figure, Head, HeadModule, Metric, Packaged, Picture, Reading, Split, hookimpl, mean_pool
from xbench.registry import load_registry

HERE = Path(__file__).parent


def read(paths):
    yield from map(json.loads, paths[0].read_text().splitlines())


def dataset(name, official=()):
    splits = {split: Split((Packaged((HERE / f"{name}-{split}.jsonl",), read),)) for split in ("train", "test")}
    return Dataset(
        name, ("en",), "pair-score", splits, "CC0", "nobody", "", "", score_range=(0.0, 5.0), official=official
    )


@hookimpl
def xbench_datasets():
    labels = Dataset("labels", ("en",), "text-label", {"train": Split(())}, "CC0", "nobody", "", "")
    return [dataset("one", official=("rows",)), dataset("two", official=("halves",)), labels]


class Vectors(HeadModule):
    def forward(self, batch):
        first, second = mean_pool(self.encode(batch), batch.attention_mask).chunk(2)
        return first - second  # (examples, hidden)


def decode(decoding):
    vectors = np.stack(decoding.outputs)  # (examples, hidden)
    decoding.keep("vectors", vectors)
    shift = 0 if decoding.fitted is None else decoding.fitted
    return [float(number) for number in ((vectors - shift) ** 2).sum(1)]


def centre(fitting):
    assert isinstance(fitting.outputs, np.memmap)
    assert len(fitting.rows) == len(fitting.row_of) == len(fitting.outputs)
    (HERE / "fits.txt").open("a").write(f"{fitting.dataset.name} {len(fitting.rows)}\\n")
    return fitting.outputs.mean(0)


@hookimpl
def xbench_heads():
    siamese = load_registry().heads.get("siamese")
    return [
        Head(
            "vectors", 1, ("pair-score",), "", siamese.examples, lambda encoder, context, _: Vectors(encoder, context),
            decode, needs_training=False, readings=(Reading("plain"), Reading("centred", centre)),
        )
    ]


@hookimpl
def xbench_metrics():
    return [
        Metric("rows", 1, lambda predictions, references, about: {"sum": float(sum(predictions))}, ""),
        Metric("halves", 3, lambda predictions, references, about: {"sum": len(about.rows) / 2}, ""),
    ]


def draw(context):
    path = context.folder / "sizes.json"
    arrays = [context.kept(record, "vectors") for record in context.records]
    path.write_text(json.dumps([None if array is None else array.shape for array in arrays]))
    return [Picture("Sizes", (path,), tuple(record["key"] for record in context.records))]


@hookimpl
def xbench_figures():
    return [Figure("sizes", draw, "")]


TASK = """
name = "mapped"
title = "t"
version = 1
train = ["one"]
eval = ["one", "two/train"]
heads = ["vectors"]
metrics = ["official"]
curricula = ["none"]
figures = ["sizes"]
"""


@hookimpl
def xbench_tasks():
    return [
        TASK + "[fit]\\n'*' = 'two'\\none = 'one/test'\\n",
        TASK.replace("mapped", "undrawn").replace("figures", "#") + "[fit]\\n'*' = 'two'\\n",
        TASK.replace("mapped", "all-two") + "[fit]\\n'*' = 'two'\\n",
        TASK.replace("mapped", "no-fit"),
        TASK.replace("mapped", "plain-only") + "readings = ['plain']\\n",
        TASK.replace("mapped", "misspelled") + "readings = ['plane']\\n",
        TASK.replace("mapped", "no-split") + "[fit]\\n'*' = 'two/dev'\\n",
        TASK.replace("mapped", "no-column") + "[fit]\\n'*' = 'two'\\ntow = 'one'\\n",
        TASK.replace("mapped", "no-schema") + "[fit]\\n'*' = 'labels'\\n",
        TASK.replace("mapped", "no-scorer").replace("two/train", "stsb") + "readings = ['plain']\\n",
    ]
'''.replace("\\n", "\\n")


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    for name, first in (("one", 0), ("two", 60)):
        for seed, (split, count) in enumerate((("train", 20), ("test", 12))):
            rows = tiny_rows(count, seed, WORDS[first : first + 70])
            (tmp_path / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "my_task.py").write_text(PLUGIN)
    return Bench(tmp_path, str(tiny("bert")), load_registry([tmp_path / "my_task.py"]))


def plan(bench: Bench, task: str) -> tuple[Cell, ...]:
    return make_plan(Request(("m",), (task,)), bench.registry).cells


def fits(bench: Bench) -> list[str]:
    path = bench.root / "fits.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_a_cell_for_each_dataset_and_reading(bench: Bench) -> None:
    cells = plan(bench, "mapped")
    assert [(cell.dataset, cell.split, cell.reading, cell.fit) for cell in cells] == [
        ("one", "test", "plain", None), ("one", "test", "centred", ("one", "test")),
        ("two", "train", "plain", None), ("two", "train", "centred", ("two", "train")),
    ]  # fmt: skip
    assert [cell.metrics for cell in cells] == [("rows",), ("rows",), ("halves",), ("halves",)]


def test_a_task_may_take_some_of_the_readings(bench: Bench) -> None:
    assert [cell.reading for cell in plan(bench, "plain-only")] == ["plain", "plain"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("no-fit", r'reading centred is fitted on data that the task does not name: add \[fit\] with one = "DATASET"'),
        ("misspelled", r"the head vectors has no reading 'plane' \(did you mean 'plain'\?\)"),
        ("no-split", r"\[fit\] two/dev: the dataset two has no split 'dev', only train, test"),
        ("no-scorer", r"the dataset stsb names no official scorer: list the task's metrics by name"),
        ("no-column", r"unknown dataset 'tow' \(did you mean 'two'\?\)"),
        (
            "no-schema",
            r"\[fit\] labels: the head vectors takes pair-score, and the dataset labels has rows of text-label",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(bench: Bench, task: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(bench, task)


def test_a_reading_is_fitted_once_for_all_datasets_and_told_in_the_record(bench: Bench) -> None:
    outcome, heard = bench.run(task="all-two")
    assert heard.failures == []
    assert fits(bench) == ["two 20"]
    plain, centred, other_plain, other_centred = outcome.records
    assert plain["fit"] is other_plain["fit"] is None
    assert centred["fit"] == other_centred["fit"] == {**other_plain["eval"], "rows": 20}
    assert other_centred["scores"] == {"sum": 10.0}
    assert plain["overlap"] == other_plain["overlap"] == []
    assert [(entry["role"], entry["dataset"], entry["rows"]) for entry in other_centred["overlap"]] == [
        ("fit", "two", 20)
    ]  # fmt: skip
    assert other_centred["metric_version"] == {"halves": 3}
    kept = Store(Settings(cache=bench.root / "cache")).kept(centred, "vectors")
    assert kept is not None
    vectors = np.stack(kept)
    assert vectors.shape == (12, HIDDEN)
    two = Store(Settings(cache=bench.root / "cache")).kept(other_centred, "vectors")
    assert two is not None
    expected = ((vectors - two.mean(0)) ** 2).sum()
    assert centred["scores"]["sum"] == pytest.approx(float(expected), rel=1e-5)
    assert plain["scores"]["sum"] == pytest.approx(float((vectors**2).sum()), rel=1e-5)


def test_the_rows_that_a_reading_is_fitted_on_are_a_part_of_its_key(bench: Bench) -> None:
    first, _ = bench.run(task="all-two")
    rows = [json.loads(line) for line in (bench.root / "two-train.jsonl").read_text().splitlines()]
    (bench.root / "two-train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    _, heard = bench.run(task="all-two", datasets=("one",))
    assert fits(bench) == ["two 20", "two 19"]
    assert len(heard.scored) == len(heard.found_cells) == 1  # the plain reading stands
    assert first.failures == []


def test_a_limit_on_training_rows_limits_what_a_reading_is_fitted_on(bench: Bench) -> None:
    outcome, _ = bench.run(task="all-two", limit_train=7)
    assert fits(bench) == ["two 7"]
    assert [record["limits"]["train"] for record in outcome.records] == [None, 7, None, 7]
    assert [record["fit"] and record["fit"]["rows"] for record in outcome.records] == [None, 7, None, 7]


def test_a_limit_that_takes_all_rows_is_none(bench: Bench) -> None:
    first, _ = bench.run(task="all-two", limit_train=99, limit_eval=99)
    assert all(record["limits"] == {"train": None, "eval": None} for record in first.records)
    second, heard = bench.run(task="all-two")
    assert (heard.scored, len(heard.found_cells)) == ([], 4)
    assert second.records == first.records


def test_the_seed_counts_for_a_frozen_encoder_only_where_something_is_fitted(bench: Bench) -> None:
    outcome, _ = bench.run(task="all-two", seeds=(0, 1), limit_train=7)
    records = [record for record in outcome.records if record["eval"]["dataset"] == "one"]
    assert [(one["reading"], one["seed"]) for one in records] == [("plain", 0), ("centred", 0), ("centred", 1)]
    assert fits(bench) == ["two 7", "two 7"]
    assert len({one["scores"]["sum"] for one in records}) == 3


def test_a_cell_whose_kept_arrays_are_gone_is_scored_again_for_the_figure(bench: Bench) -> None:
    first, _ = bench.run(task="all-two", datasets=("one",))
    shutil.rmtree(bench.root / "cache" / "kept" / first.records[0]["key"])
    second, heard = bench.run(task="all-two", datasets=("one",))
    assert (len(heard.scored), len(heard.found_cells)) == (1, 1)
    assert [record["kept"] for record in second.records] == [record["kept"] for record in first.records]


def test_a_missing_fit_dataset_fails_only_the_readings_that_need_it(bench: Bench) -> None:
    (bench.root / "two-train.jsonl").unlink()
    outcome, _ = bench.run(task="all-two", datasets=("one",))
    assert [record["reading"] for record in outcome.records] == ["plain"]
    assert [failure.cell.reading for failure in outcome.failures] == ["centred"]
    assert "dataset two, split train" in outcome.failures[0].reason


def test_a_figure_gets_what_the_heads_kept(bench: Bench, tmp_path: Path) -> None:
    outcome, _ = bench.run(task="mapped")
    store = Store(Settings(cache=bench.root / "cache"))
    figure = bench.registry.figures.get("sizes")
    (picture,) = figure.draw(FigureContext(outcome.records, store.kept, tmp_path))
    assert json.loads(picture.files[0].read_text()) == [[12, HIDDEN], [12, HIDDEN], [20, HIDDEN], [20, HIDDEN]]


def test_nothing_is_kept_for_a_task_without_figures_until_it_has_some(bench: Bench) -> None:
    outcome, _ = bench.run(task="undrawn")
    assert [record["kept"] for record in outcome.records] == [None] * len(outcome.records)
    plugin = bench.root / "my_task.py"
    plugin.write_text(plugin.read_text().replace('.replace("figures", "#")', ""))
    drawn = Bench(bench.root, bench.model, load_registry([plugin]))
    again, heard = drawn.run(task="undrawn")
    assert (len(heard.scored), len(heard.found_cells)) == (len(outcome.records), 0)
    assert all(record["kept"] for record in again.records)
    assert [one["scores"] for one in again.records] == [one["scores"] for one in outcome.records]


def test_a_kept_array_that_was_altered_or_lost_is_none(bench: Bench) -> None:
    outcome, _ = bench.run(task="plain-only")
    store = Store(Settings(cache=bench.root / "cache"))
    assert store.kept(outcome.records[0], "vectors") is not None
    assert store.kept(outcome.records[0], "other") is None
    for path in (bench.root / "cache" / "kept").rglob("*.npy"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    assert store.kept(outcome.records[0], "vectors") is None
