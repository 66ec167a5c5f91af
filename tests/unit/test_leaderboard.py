"""Tables say what the records say, put beside each other only what may be compared, and never guess."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages import render_markdown
from tests.records import record, split_of, table_one
from xbench.errors import UserError
from xbench.leaderboard.layout import cell_text, column_title, grids, limit_text, metric_title, row_title
from xbench.leaderboard.orders import orders
from xbench.leaderboard.publish import MARKER, build, differing, load_records
from xbench.leaderboard.table import Order, ScoreStyle, Table, TableCell, build_tables
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.registry import Plugin, Registry, load_registry
from xbench.tasks import load_task

STS = {
    "sts": Order(
        ("stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts"), ("stsb", "korsts", "sts17-es", "sts17-ar")
    )
}
ROWS = split_of("korsts", "test", 1379)["rows_sha256"]
FINITE = st.floats(-100, 100, allow_nan=False)


def one_table(records: list[dict[str, Any]], order: dict[str, Order] | None = None) -> Table:
    (table,) = build_tables(records, STS if order is None else order)
    return table


def shown(table: Table) -> list[list[str]]:
    """The rows as they are printed, titles first."""
    return [
        [row_title(row, False), *(cell_text(row.cells.get(name), table.metrics) for name, _ in table.columns)]
        for row in table.rows
    ]


def test_the_papers_table_has_its_rows_and_columns_and_marks_zero_shot() -> None:
    records = table_one()
    random.Random(0).shuffle(records)
    table = one_table(records)
    plain, dagger, bullet, circle = (f"81.25 (80.50){mark}" for mark in ("", " †", " •", " ◦"))
    assert [column_title(*column) for column in table.columns] == [
        "English (stsb)", "Korean (korsts)", "Spanish (sts17-es)", "Arabic (sts17-ar)"
    ]  # fmt: skip
    assert shown(table) == [
        ["none (frozen)", plain, plain, plain, plain],
        ["stsb", bullet, dagger, dagger, dagger],
        ["korsts", dagger, bullet, dagger, dagger],
        ["stsb → korsts", circle, circle, dagger, dagger],
        ["korsts → stsb", circle, circle, dagger, dagger],
        ["stsb + korsts", circle, circle, dagger, dagger],
    ]


def test_the_papers_table_is_what_a_plan_of_it_gives(registry: Registry) -> None:
    plan: Plan = make_plan(Request(("m",), ("sts",)), registry)
    records = [record(cell.curriculum, cell.dataset, transfer=cell.transfer) for cell in plan.cells]
    assert shown(one_table(records, orders(registry))) == shown(one_table(table_one()))[1:]


def test_an_unknown_tasks_rows_and_columns_are_ordered_by_name() -> None:
    curricula = ["b", "none", "b:a", "b+a:a", "a", "a+b", "a:b"]
    records = [record(curriculum, dataset) for curriculum in curricula for dataset in ("y", "x", "z")]
    table = one_table(records, {})
    assert [row.curriculum for row in table.rows] == ["none", "a", "b", "a:b", "b:a", "a+b", "b+a:a"]
    assert [name for name, _ in table.columns] == ["x", "y", "z"]


def test_what_a_task_does_not_name_stands_behind_what_it_names() -> None:
    records = [record(name, dataset) for name in ("aaa", "stsb+korsts", "korsts") for dataset in ("aa", "sts17-ar")]
    table = one_table(records)
    assert [row.curriculum for row in table.rows] == ["korsts", "stsb+korsts", "aaa"]
    assert [name for name, _ in table.columns] == ["sts17-ar", "aa"]


def test_the_tasks_own_spelling_of_a_mixture_keeps_its_place() -> None:
    """A plan names the mixture ``korsts+stsb`` in the task's order, ``stsb+korsts``: so are its records."""
    text = (
        'name = "t"\ntitle = "T"\nversion = 1\ntrain = ["stsb", "korsts"]\neval = ["stsb"]\nheads = ["siamese"]\n'
        'metrics = ["spearman"]\ncurricula = ["korsts+stsb", "korsts : stsb", "stsb"]\n'
    )
    registry = load_registry()
    registry.tasks.add("t", load_task(text), Plugin("own", "own 1"))
    plan = make_plan(Request(("m",), ("t",)), registry)
    records = [record(cell.curriculum, cell.dataset, task="t") for cell in plan.cells]
    assert [row.curriculum for row in one_table(records, orders(registry)).rows] == [
        "stsb+korsts", "korsts:stsb", "stsb"
    ]  # fmt: skip


def test_the_primary_score_stands_first_and_the_others_in_brackets() -> None:
    table = one_table([record(scores={"f1": 70.0, "exact_match": 60.126, "recall": 1.0})])
    assert metric_title(table.metrics) == "F1 (Exact match, Recall)"
    assert shown(table) == [["stsb", "70.00 (60.13, 1.00) †"]]
    assert metric_title(("spearman",)) == "Spearman"


def test_the_primary_score_stands_first_in_a_record_whose_keys_were_sorted() -> None:
    """Its checksum holds whatever the order of its keys; so must its table."""
    records = [record(), record("korsts")]
    tidy = [{**one, "scores": dict(sorted(one["scores"].items()))} for one in records]
    assert shown(one_table(tidy)) == shown(one_table([records[0], tidy[1]])) == shown(one_table(records))


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=5))
def test_seeds_are_averaged_with_their_standard_deviation(scores: list[tuple[float, float]]) -> None:
    records = [record(seed=seed, scores={"a": a, "b": b}) for seed, (a, b) in enumerate(scores)]
    random.Random(1).shuffle(records)
    (row,) = one_table(records).rows
    cell = row.cells["korsts"]
    assert cell.seeds == tuple(range(len(scores)))
    for at, name in enumerate(("a", "b")):
        values = np.array([pair[at] for pair in scores])
        assert cell.scores[name] == pytest.approx(values.mean(), abs=1e-9)
        if len(scores) == 1:
            assert cell.deviations[name] is None
        else:
            assert cell.deviations[name] == pytest.approx(values.std(ddof=1), abs=1e-9)


def test_several_seeds_are_printed_with_their_spread() -> None:
    records = [record("korsts", seed=seed, scores={"a": 80.0 + seed, "b": 70.0}) for seed in range(3)]
    assert shown(one_table(records)) == [["korsts", "81.00 ± 1.00 (70.00 ± 0.00) •"]]


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_score_that_is_not_defined_for_one_seed_is_not_averaged_over_the_rest(seeds: int) -> None:
    records = [record(seed=seed, scores={"a": 80.0 if seed else None, "b": 70.0}) for seed in range(seeds)]
    rest = "70.00" if seeds == 1 else "70.00 ± 0.00"
    assert shown(one_table(records)) == [["stsb", f"undefined ({rest}) †"]]


def test_a_cell_without_a_record_is_a_dash() -> None:
    records = [record("stsb", "stsb"), record("korsts", "korsts")]
    assert [row[1:] for row in shown(one_table(records))] == [["81.25 (80.50) •", "–"], ["–", "81.25 (80.50) •"]]
    assert cell_text(None, ("a",)) == "–"
    assert cell_text(TableCell("frozen", {"a": 1.0}, {"a": None}, (0,)), ("a", "b")) == "1.00"  # it has no score b


def test_no_score_takes_the_place_of_another() -> None:
    cell = TableCell("frozen", {"b": 2.0}, {"b": None}, (0,))
    assert cell_text(cell, ("a", "b", "c")) == "– (2.00)"
    assert cell_text(cell, ("a", "c")) == "–"


APART: dict[str, dict[str, Any]] = {
    "task": {"task": "other"}, "task-version": {"task_version": 2}, "sample": {"sample": True},
    "model": {"model__name": "labse"}, "revision": {"model__revision": "c" * 40},
    "weights": {"model__weights_sha256": "6" * 64}, "train-limit": {"limits__train": 200},
    "eval-limit": {"limits__eval": 100},
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_what_must_not_be_compared_never_shares_a_table(name: str) -> None:
    records = [record(), record(**APART[name]), record(seed=1), record(seed=1, **APART[name])]
    tables = build_tables(records, STS)
    assert len(tables) == 2
    assert [len(row.cells["korsts"].seeds) for table in tables for row in table.rows] == [2, 2]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (
            {"metric_version": {"spearman": 2, "pearson": 1}},
            ["korsts, pearson 1, spearman 1", "korsts, pearson 1, spearman 2"],
        ),
        ({"eval__split": "dev"}, ["korsts", "korsts/dev"]),
        ({"eval__rows_sha256": "0" * 64}, ["korsts, rows 00000000", f"korsts, rows {ROWS[:8]}"]),
    ],
    ids=["metric-version", "split", "rows"],
)  # fmt: skip
def test_what_was_scored_otherwise_is_a_column_that_says_so(change: dict[str, Any], names: list[str]) -> None:
    table = one_table([record(), record(**change), record(dataset="stsb")])
    assert table.columns[0] == ("stsb", "en")
    assert sorted(name for name, _ in table.columns)[:2] == sorted(names)


def test_columns_of_two_splits_stand_in_the_tasks_order() -> None:
    order = {"sts": Order((), ("stsb/dev", "korsts", "stsb"))}
    records = [record(dataset="stsb"), record(), record(dataset="stsb", eval__split="dev")]
    assert [name for name, _ in one_table(records, order).columns] == ["stsb/dev", "korsts", "stsb"]


def test_a_reading_fitted_on_other_rows_for_each_column_is_one_row() -> None:
    fit = {"reading": "map", "fit": split_of("pairs-ko", "train", 9)}
    other = {"reading": "map", "fit": split_of("pairs-es", "train", 9)}
    assert len(one_table([record(**fit), record(dataset="sts17-es", **other)]).rows) == 1
    apart = one_table([record(**fit), record(**other)]).rows
    assert [row.variant.split(",")[0] for row in apart] == ["fitted on=pairs-es/train", "fitted on=pairs-ko/train"]


MAPPED = Order((), ("stsb/train", "stsb"), readings=("plain", "turned", "back"))


def mapped(reading: str, curriculum: str = "none", split: str = "train", **changes: Any) -> dict[str, Any]:
    fit = None if reading == "plain" else split_of("stsb", "train", 9)
    evaluated = split_of("stsb", split, 9)
    return record(curriculum, "stsb", reading=reading, fit=fit, eval=evaluated, **changes)


def test_readings_are_rows_in_the_tasks_order_under_their_curriculum() -> None:
    records = [mapped(reading, name) for reading in ("back", "plain", "turned") for name in ("stsb", "none")]
    titles = [title for title, *_ in shown(one_table(records, {"sts": MAPPED}))]
    assert titles == [
        "none (frozen), plain", "none (frozen), turned", "none (frozen), back", "stsb, plain", "stsb, turned",
        "stsb, back",
    ]  # fmt: skip


def test_what_was_fitted_on_the_rows_that_it_is_scored_on_is_marked() -> None:
    table = one_table([mapped(reading, split=split) for reading in ("plain", "back") for split in ("train", "test")],
                      {"sts": MAPPED})  # fmt: skip
    plain = "81.25 (80.50)"
    assert shown(table) == [["none (frozen), plain", plain, plain], ["none (frozen), back", f"{plain} ‡", plain]]


def test_scores_are_called_ordered_and_written_as_their_metrics_say() -> None:
    styles = {"hits": ScoreStyle("P@1"), "cosine": ScoreStyle("Cosine", 3), "b": ScoreStyle("B")}
    records = [record(scores={"cosine": 0.12345, "a": 1.0, "b": 2.0}), record(scores={"cosine": 0.5}, seed=1)]
    (table,) = build_tables(records[:1], {"sts": Order(scores=styles)})
    assert table.metrics == ("cosine", "b", "a")
    assert metric_title(table.metrics, styles) == "Cosine (B, A)"
    assert cell_text(table.rows[0].cells["korsts"], table.metrics, styles) == "0.123 (2.00, 1.00) †"
    (table,) = build_tables(records, {"sts": Order(scores=styles)})
    assert cell_text(table.rows[0].cells["korsts"], ("cosine",), styles) == "0.312 ± 0.266 †"


def test_many_scores_have_a_column_each_and_a_grid_for_each_dataset() -> None:
    scores = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    records = [mapped("plain", split="train", scores=scores), mapped("back", split="train", scores=scores),
               mapped("back", split="test", scores={**scores, "d": None})]  # fmt: skip
    (table,) = build_tables(records, {"sts": MAPPED})
    first, second = grids(table)
    assert (first.title, second.title) == ("English (stsb/train)", "English (stsb)")
    assert first.columns == second.columns == ("A", "B", "C", "D")
    assert first.rows == (
        ("none (frozen), plain", ("1.00", "2.00", "3.00", "4.00")),
        ("none (frozen), back", ("1.00 ‡", "2.00", "3.00", "4.00")),
    )
    assert second.rows == (("none (frozen), back", ("1.00", "2.00", "3.00", "undefined")),)
    page = render_markdown(records, {"sts": MAPPED}, {})
    assert page.index("**English (stsb/train)**") < page.index("| none (frozen), back | 1.00 ‡ |")
    (narrow,) = grids(one_table([mapped("plain", scores={"a": 1.0, "b": 2.0, "c": 3.0})], {"sts": MAPPED}))
    assert (narrow.title, narrow.columns) == ("", ("English (stsb/train)",))


def test_datasets_with_scorers_of_their_own_share_a_table() -> None:
    table = one_table([record(), record(dataset="stsb", metric_version={"word-f1": 3})])
    assert [name for name, _ in table.columns] == ["stsb", "korsts"]
    assert "pearson 1, spearman 1, word-f1 3" in table.versions


@pytest.mark.parametrize("name", APART)
def test_a_reader_can_tell_two_tables_apart(name: str) -> None:
    text = render_markdown([record(), record(**APART[name])], STS, {})
    _, first, second = text.partition("\n### Models compared")[0].split("\n### ")
    around = [[line for line in part.splitlines() if not line.startswith("|")] for part in (first, second)]
    assert around[0] != around[1]


@pytest.mark.parametrize(
    "change",
    [
        {"reading": "other-map"}, {"eval": {**split_of("korsts", "test", 1379), "rows_sha256": "0" * 64}},
        {"train": [{**split_of("stsb", "train", 5749), "rows_sha256": "0" * 64, "stage": 0}]},
        {"recipe": {"epochs": 1}}, {"head": "siamese"}, {"selection": "best"}, {"head_version": 2},
        {"fit": split_of("stsb", "train", 5749)}, {"metric_version": {"a": 2}},
        {"eval": split_of("korsts", "dev", 1500)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_only_seeds_are_averaged(change: dict[str, Any]) -> None:
    records = [record(scores={"a": 10.0}), record(scores={"a": 90.0}, **change)]
    means = sorted(
        cell.scores["a"]
        for table in build_tables(records, STS)
        for row in table.rows
        for cell in row.cells.values()
        if cell.scores["a"] is not None
    )
    assert means == [10.0, 90.0]


def test_rows_that_differ_in_a_setting_say_in_which() -> None:
    table = one_table(
        [record(), record(recipe={"epochs": 1}), record(recipe={"epochs": 1, "lr": 0.001}), record("korsts")]
    )
    titles = {title for title, *_ in shown(table)}
    assert titles == {
        "stsb [epochs=4, lr=4e-05]", "stsb [epochs=1, lr=4e-05]", "stsb [epochs=1, lr=0.001]", "korsts"
    }  # fmt: skip


def test_a_row_made_with_another_recipe_than_its_tasks_says_so_alone(registry: Registry) -> None:
    records = [record(recipe={"epochs": 1, "micro_batch_tokens": 64}), record("korsts"), record("none")]
    titles = ["none (frozen)", "stsb [epochs=1]", "korsts"]
    assert [title for title, *_ in shown(one_table(records, orders(registry)))] == titles
    # The recipe of another version of the task is not known.
    older = [dict(one, task_version=99) for one in records]
    assert [title for title, *_ in shown(one_table(older, orders(registry)))] == ["none (frozen)", "stsb", "korsts"]


def test_a_row_of_adapters_says_so_and_what_is_not_by_default(registry: Registry) -> None:
    lora = {"tuning": "lora", "lora_rank": 8, "lora_alpha": 16, "lora_dropout": 0.0, "lora_targets": "auto"}
    records = [record(), record(recipe=lora), record(recipe={**lora, "lora_rank": 4}), record("none")]
    titles = ["none (frozen)", "stsb", "stsb [lora_rank=4, tuning=lora]", "stsb [lora_rank=8, tuning=lora]"]
    assert sorted(title for title, *_ in shown(one_table(records, orders(registry)))) == titles
    alone = [title for title, *_ in shown(one_table([record(recipe=lora)], orders(registry)))]
    assert alone == ["stsb [tuning=lora]"]
    # A task of adapters, in which full fine-tuning is what is to be told.
    own = {"sts": Order(version=1, recipes={"cross-encoder": {**record()["recipe"], **lora}})}
    titles = [*titles[:1], *titles[2:], "stsb [tuning=full]"]
    assert sorted(title for title, *_ in shown(one_table(records, own))) == titles
    assert [title for title, *_ in shown(one_table([record(recipe=lora)], own))] == ["stsb"]


def test_a_task_that_cannot_be_planned_leaves_the_leaderboard_whole() -> None:
    text = 'name = "sts"\ntitle = "t"\nversion = 1\ntrain = ["stsb"]\neval = ["korsts"]\nheads = ["gone"]\n'
    task = load_task(text + 'metrics = ["spearman"]\ncurricula = ["stsb"]\n')
    registry = Registry()
    registry.tasks.add("sts", task, Plugin("own", "own 1"))
    assert [title for title, *_ in shown(one_table([record()], orders(registry)))] == ["stsb"]


@pytest.mark.parametrize("change", [{"vocabulary": "full"}, {"micro_batch_tokens": 4096}])
def test_how_the_work_was_done_makes_no_row_of_its_own(change: dict[str, Any]) -> None:
    """These settings are in no key: the same record would have come of either."""
    table = one_table([record(), record(seed=1, recipe=change)])
    assert [title for title, *_ in shown(table)] == ["stsb"]
    assert table.rows[0].cells["korsts"].seeds == (0, 1)


def test_several_heads_are_named_in_their_rows() -> None:
    text = render_markdown([record(), record(head="siamese")], STS, {})
    assert "stsb &#91;cross-encoder&#93;" in text
    assert "stsb &#91;siamese&#93;" in text
    assert "head cross-encoder" in render_markdown([record()], STS, {})


@pytest.mark.parametrize(
    ("train", "evaluated", "text"),
    [
        (None, None, ""),
        (200, None, "limited: 200 training rows"),
        (None, 100, "limited: 100 evaluation rows"),
        (200, 100, "limited: 200 training rows, 100 evaluation rows"),
    ],
)
def test_a_limit_is_said_in_words(train: int | None, evaluated: int | None, text: str) -> None:
    limits = {"train": train, "eval": evaluated}
    assert limit_text(limits) == text
    assert (f"**{text}**" in render_markdown([record(limits=limits)], STS, {})) == bool(text)


def test_what_is_published_is_built_and_compared(registry: Registry, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("README.md", "leaderboard.csv", "leaderboard.tex")]
    assert differing(tmp_path, registry).written == files
    for one in table_one():
        path = tmp_path / "results" / "sts" / f"{one['key']}.json"
        store_like(path, one)
    built = build(tmp_path, registry)
    written, damaged = built.written, built.damaged
    assert (written, damaged) == (files, [])
    page = render_markdown(table_one(), orders(registry), {"sts": "Semantic textual similarity"})
    assert written[0].read_text(encoding="utf-8") == f"{MARKER}\n{page}"
    index = tmp_path / "figures" / "report" / "plots.json"
    assert differing(tmp_path, registry).written == [index]  # nothing is drawn unless it is asked for
    assert build(tmp_path, registry, whole=True).written[:3] == written
    assert differing(tmp_path, registry).written == []
    for path in files:
        before = path.read_text(encoding="utf-8")
        path.write_text(before.replace("81.25", "91.25", 1), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != before
        assert differing(tmp_path, registry).written == [path]
        path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("page", ["# My project\n", "", f"# Mine\n{MARKER}\n", f"{MARKER} and more\n", "\xff"])
def test_a_page_that_xbench_has_not_made_is_not_overwritten(registry: Registry, tmp_path: Path, page: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(page, encoding="latin-1")
    with pytest.raises(UserError, match=r"was not made by xbench .* --out") as caught:
        build(tmp_path, registry)
    assert str(path) in str(caught.value)
    assert path.read_text(encoding="latin-1") == page


def test_a_page_of_its_own_is_overwritten_whatever_became_of_its_line_ends(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(f"{MARKER}\r\n# Old\r\n".encode())
    assert build(tmp_path, registry).written[0] == path
    assert "Old" not in path.read_text(encoding="utf-8")
    assert build(tmp_path / "new", registry).written[0] == tmp_path / "new" / "README.md"


def test_a_damaged_record_is_named_and_left_out(registry: Registry, tmp_path: Path) -> None:
    good, bad = record(), {**record("korsts"), "scores": {"spearman": 99.0, "pearson": 99.0}}
    for one in (good, bad):
        store_like(tmp_path / "results" / f"{one['curriculum']}.json", one)
    records, damaged = load_records(tmp_path)
    assert records == [good]
    assert damaged == [tmp_path / "results" / "korsts.json"]
    assert build(tmp_path, registry).damaged == damaged
    assert "99.00" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def store_like(path: Path, one: dict[str, Any]) -> None:
    from xbench.files import write_json

    write_json(path, one)
