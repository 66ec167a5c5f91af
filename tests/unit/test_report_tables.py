"""The report's tables as a reader sees them, and the rules that keep unlike things apart in every one of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.pages import render_markdown
from tests.records import record, split_of, table_one
from xbench.leaderboard.layout import cell_text, grids, mark_notes
from xbench.leaderboard.markdown import INTRODUCTION, SAMPLE
from xbench.leaderboard.report import (
    TextTable,
    circles_table,
    contests_table,
    curricula_table,
    floors_tables,
    overlap_notes,
    stages_table,
    transfer_table,
)
from xbench.leaderboard.standings import circles, side_by_side
from xbench.leaderboard.table import Order, ScoreStyle, Table, build_tables
from xbench.store import sign

BASELINES = {"stsb": "stsb", "korsts": "korsts"}
ORDER = {
    "sts": Order(
        ("stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts"), ("stsb", "korsts"), baselines=BASELINES
    )
}


def scored(curriculum: str, dataset: str, score: float | None, draws: bool = False, **changes: Any) -> dict[str, Any]:
    return record(curriculum, dataset, scores={"spearman": score}, draws=draws, **changes)


def one_table(*records: dict[str, Any], order: dict[str, Order] | None = None) -> Table:
    (table,) = build_tables(records, ORDER if order is None else order)
    return table


def texts(table: TextTable | None, below: bool = False) -> list[list[str]]:
    assert table is not None
    assert all(len(row) == len(table.columns) for row in table.rows)
    return [[one.below if below else one.text for one in row] for row in table.rows]


def page(records: list[dict[str, Any]], order: dict[str, Order] | None = None) -> str:
    return render_markdown(records, ORDER if order is None else order, {}).removeprefix(INTRODUCTION)


def tables_of(text: str) -> list[list[str]]:
    """The lines of every markdown table."""
    return [part.splitlines() for part in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


# Texts


def test_the_transfer_table_reads_as_the_paper_gives_it() -> None:
    table = one_table(scored("korsts", "korsts", 80.0), scored("stsb", "korsts", 70.0))
    made = transfer_table(table, BASELINES)
    assert made is not None
    assert made.columns == (
        "Fine-tuned on", "Scored on", "Spearman", "In-language", "Gap", "Degradation %", "Retention %"
    )  # fmt: skip
    assert texts(made) == [["stsb", "Korean (korsts)", "70.00 †", "80.00 •", "10.00", "12.5", "87.5"]]
    assert texts(made, below=True) == [[""] * 7]  # no draws, no intervals
    assert transfer_table(table, {}) is None


def test_its_intervals_stand_below_the_numbers() -> None:
    table = one_table(scored("korsts", "korsts", 80.0, True), scored("stsb", "korsts", 70.0, True))
    for text, below in zip(texts(transfer_table(table, BASELINES))[0][2:],
                           texts(transfer_table(table, BASELINES), below=True)[0][2:], strict=True):  # fmt: skip
        low, high = map(float, below.split(" to "))
        assert low < float(text.split()[0]) < high


def test_what_is_undefined_is_a_dash() -> None:
    table = one_table(*(sign({**one, "chance": {}}) for one in (scored("korsts", "korsts", -1.0),
                                                              scored("stsb", "korsts", -3.0))))  # fmt: skip
    assert texts(transfer_table(table, BASELINES)) == [
        ["stsb", "Korean (korsts)", "-3.00 †", "-1.00 •", "2.00", "–", "–"]
    ]  # fmt: skip


def test_a_share_of_what_may_be_nothing_has_no_interval_and_says_why() -> None:
    """An in-language score of 2 on 1,379 rows, give or take 5: what is left of it is anything."""
    table = one_table(scored("korsts", "korsts", 2.0, True), scored("stsb", "korsts", 1.0, True))
    assert texts(transfer_table(table, BASELINES))[0][4:] == ["1.00", "50.0", "50.0"]
    gap, *shares = texts(transfer_table(table, BASELINES), below=True)[0][4:]
    assert " to " in gap
    assert shares == ["in-language not told from 0", "in-language not told from chance"]


def test_a_score_is_written_with_its_own_title_and_decimals() -> None:
    order = {"sts": Order(scores={"spearman": ScoreStyle("Rho", 3)}, baselines=BASELINES)}
    table = one_table(scored("korsts", "korsts", 0.8), scored("stsb", "korsts", 0.7), order=order)
    made = transfer_table(table, BASELINES)
    assert made is not None
    assert made.columns[2] == "Rho"
    assert texts(made)[0][2:5] == ["0.700 †", "0.800 •", "0.100"]


def test_stages_and_mixtures_say_what_they_are_held_against() -> None:
    table = one_table(
        scored("stsb", "stsb", 85.0), scored("stsb:korsts", "stsb", 80.0), scored("stsb+korsts", "stsb", 87.0),
    )  # fmt: skip
    assert texts(stages_table(table)) == [
        ["stsb → korsts", "English (stsb)", "forgetting", "stsb", "5.00"],
        ["stsb + korsts", "English (stsb)", "gain of mixing", "stsb", "2.00"],
    ]
    assert stages_table(one_table(scored("stsb", "stsb", 85.0))) is None


def test_a_mixture_of_fewer_rows_says_so_beside_what_it_is_held_against() -> None:
    rows = {name: {**split_of(name, "train", 5), "rows_sha256": "5" * 64, "stage": 0} for name in ("stsb", "korsts")}
    mixed = scored("stsb+korsts", "stsb", 87.0, train=[*rows.values()])
    made = stages_table(one_table(scored("stsb", "stsb", 85.0), mixed))
    assert texts(made, below=True)[0][3] == "5 rows of it mixed, 5749 alone"


def test_rows_compared_have_a_range_a_column() -> None:
    table = one_table(
        scored("stsb", "stsb", 90.0, True), scored("korsts", "stsb", 90.0, True),
        scored("stsb+korsts", "stsb", 50.0, True),
        scored("stsb", "korsts", 60.0, True), scored("korsts", "korsts", 50.0),
    )  # fmt: skip
    made = curricula_table(table)
    assert made is not None
    assert made.columns == ("Fine-tuned on", "English (stsb)", "Korean (korsts)")
    assert texts(made) == [["stsb", "1–2", "1"], ["korsts", "1–2", "–"], ["stsb + korsts", "3", "–"]]
    assert curricula_table(one_table(*table_one())) is None  # no draws


def test_models_compared_have_their_scores_intervals_and_ranks() -> None:
    records = [scored("stsb", "stsb", score, True, model__name=name) for name, score in (("m1", 90.0), ("m2", 50.0))]
    records.append(scored("stsb", "korsts", 60.0, model__name="m2"))
    records.append(scored("stsb", "korsts", None, model__name="m1"))
    (group,) = side_by_side(build_tables(records, ORDER))
    made = contests_table(group)
    assert made is not None
    assert (made.title, made.columns) == ("Models compared", ("Fine-tuned on", "Scored on", "m1", "m2"))
    assert texts(made) == [
        ["stsb", "English (stsb)", "90.00 •", "50.00 •"], ["stsb", "Korean (korsts)", "undefined", "60.00 †"]
    ]  # fmt: skip
    assert re.fullmatch(r"[\d.]+ to [\d.]+\nrank 1", texts(made, below=True)[0][2])
    assert texts(made, below=True)[0][3].endswith("\nrank 2")
    assert texts(made, below=True)[1] == ["", "", "", ""]
    assert contests_table([]) is None


def test_average_ranks_name_their_tasks() -> None:
    records = [scored("stsb", "stsb", score, True, model__name=name, task=task) for task in ("a", "b")
               for name, score in (("m1", 90.0), ("m2", 50.0))]  # fmt: skip
    tables = build_tables(records, {})
    held = {task: side_by_side([table for table in tables if table.task == task])[0] for task in ("a", "b")}
    (circle,) = circles(held)
    made = circles_table(circle)
    assert "Over the 2 comparisons" in made.about
    assert "of the tasks a, b;" in made.about
    assert texts(made) == [["m1", "1.00", "1.00 to 1.00"], ["m2", "2.00", "2.00 to 2.00"]]


# Marks


def test_a_failed_seed_is_marked_and_not_averaged() -> None:
    bad = scored("stsb", "stsb", 10.0, seed=2, status="failed")
    table = one_table(scored("stsb", "stsb", 80.0), scored("stsb", "stsb", 82.0, seed=1), bad)
    cell = table.rows[0].cells["stsb"]
    assert (cell.scores["spearman"], cell.seeds, cell.marks) == (81.0, (0, 1), ("seed 2 failed",))
    assert cell_text(cell, table.metrics) == "81.00 ± 1.41 • *"
    assert mark_notes(table) == ["stsb, stsb: seed 2 failed"]
    assert "- stsb, stsb: seed 2 failed" in page([scored("stsb", "stsb", 80.0), bad])
    again = one_table(scored("stsb", "stsb", 80.0, seed=2), bad, scored("stsb", "stsb", 1.0, seed=5, status="failed"),
                      scored("stsb", "stsb", 1.0, seed=4, status="failed"))  # fmt: skip
    assert again.rows[0].cells["stsb"].marks == ("seeds 4, 5 failed",)  # seed 2 was run again and ended well


def test_a_mean_over_fewer_seeds_than_its_row_names_is_marked() -> None:
    """The row's seeds are one column for all its cells."""
    records = [scored("stsb", "stsb", 80.0 + seed, seed=seed) for seed in (0, 1, 2)]
    table = one_table(*records, scored("stsb", "korsts", 70.0, seed=1))
    assert table.rows[0].cells["korsts"].marks == ("without seeds 0, 2",)
    assert table.rows[0].cells["stsb"].marks == ()
    failed = [scored("stsb", "korsts", 0.0, seed=seed, status="failed") for seed in (0, 2)]
    table = one_table(*records, scored("stsb", "korsts", 70.0, seed=1), *failed)
    assert table.rows[0].cells["korsts"].marks == ("seeds 0, 2 failed",)


def test_what_older_training_code_has_made_is_marked() -> None:
    """It is as if it had another seed: neither hidden nor taken away."""
    new = [scored("stsb", "stsb", 80.0 + seed, seed=seed, environment__training_version=3) for seed in (0, 1)]
    table = one_table(*new, scored("stsb", "korsts", 70.0, seed=0, environment__training_version=3),
                      scored("stsb", "korsts", 71.0, seed=1, environment__training_version=2),
                      scored("none", "stsb", 50.0), scored("korsts", "stsb", 60.0))  # fmt: skip
    cells = {(row.curriculum, name): cell.marks for row in table.rows for name, cell in row.cells.items()}
    mark = "trained by training code 2 and 3, the newest of this table is 3"
    assert cells == {("none", "stsb"): (), ("korsts", "stsb"): (), ("stsb", "stsb"): (), ("stsb", "korsts"): (mark,)}
    same = one_table(*(scored(name, "stsb", 80.0, environment__training_version=2) for name in ("stsb", "korsts")))
    assert not any(cell.marks for row in same.rows for cell in row.cells.values())
    assert "trained in fp32 (training code 2)" in same.environment[0]


def test_a_score_without_a_failed_seed_is_marked_wherever_it_stands() -> None:
    """Also where it is held against another: a mean of fewer seeds must not look like any other."""
    records = [scored(curriculum, "korsts", 70.0 + seed, True, seed=seed, model__name=model)
               for model in ("m1", "m2") for curriculum in ("stsb", "korsts") for seed in (0, 1)]  # fmt: skip
    records.append(scored("stsb", "korsts", None, seed=2, model__name="m1", status="failed"))
    first, second = build_tables(records, ORDER)
    (held,) = side_by_side([first, second])
    assert [row[2:4] for row in texts(contests_table(held))] == [
        ["70.50 † *", "70.50 †"], ["70.50 •", "70.50 •"]
    ]  # fmt: skip
    assert texts(transfer_table(first, BASELINES))[0][2:4] == ["70.50 † *", "70.50 •"]
    assert texts(transfer_table(second, BASELINES))[0][2:4] == ["70.50 †", "70.50 •"]
    table = one_table(scored("stsb", "korsts", 70.0), scored("korsts", "korsts", 70.0),
                      scored("korsts", "korsts", None, seed=1, status="failed"))  # fmt: skip
    assert texts(transfer_table(table, BASELINES))[0][2:4] == ["70.00 †", "70.00 • *"]


def test_a_map_fitted_on_the_very_split_is_marked_where_models_are_compared() -> None:
    fit = split_of("stsb", "test", 1379)
    records = [scored("none", "stsb", 80.0, True, reading="map", fit=fit, model__name=name) for name in ("m1", "m2")]
    (held,) = side_by_side(build_tables(records, ORDER))
    assert texts(contests_table(held))[0][2:] == ["80.00 ‡", "80.00 ‡"]


def test_where_all_seeds_failed_there_is_no_score() -> None:
    table = one_table(scored("stsb", "stsb", 80.0, status="failed"), scored("korsts", "stsb", 70.0))
    cell = next(row for row in table.rows if row.curriculum == "stsb").cells["stsb"]
    assert (cell.scores, cell.seeds, cell.marks) == ({}, (), ("seed 0 failed",))
    assert "80.00" not in page([scored("stsb", "stsb", 80.0, status="failed"), scored("korsts", "stsb", 70.0)])


def test_of_several_records_of_a_seed_one_stands_and_the_reader_is_told() -> None:
    """Another device has another record; which one stands does not depend on the order of files."""
    first, other = scored("stsb", "stsb", 80.0), scored("stsb", "stsb", 60.0, environment__device="cuda")
    cells = [one_table(*records).rows[0].cells["stsb"] for records in ([first, other], [other, first])]
    assert cells[0] == cells[1]
    assert cells[0].scores["spearman"] in (80.0, 60.0)
    assert cells[0].marks == ("one of 2 records of seed 0",)
    seeds = [scored("stsb", "stsb", 50.0, seed=seed, environment__device=device) for seed in (3, 1) for device in "abc"]
    assert one_table(*seeds).rows[0].cells["stsb"].marks == (
        "one of 3 records of seed 1", "one of 3 records of seed 3"
    )  # fmt: skip


def test_the_newest_form_of_a_seeds_record_stands() -> None:
    new, old = (
        scored("stsb", "stsb", 80.0),
        scored("stsb", "stsb", 60.0, schema="xbench.record/2", environment__device="x"),
    )
    assert one_table(new, old).rows[0].cells["stsb"].scores["spearman"] == 80.0


# Overlaps


def overlap(dataset: str = "stsb", **counts: Any) -> dict[str, Any]:
    none = {"rows": 0, "texts": 0, "translated_rows": 0, "translated_texts": 0}
    return {"role": "train", "dataset": dataset, "split": "train", "stage": 0, **none, **counts}


def notes(*found: dict[str, Any], **changes: Any) -> list[str]:
    return overlap_notes(one_table(scored("stsb", "stsb", 80.0, overlap=list(found), **changes)))


def test_rows_that_stand_in_training_are_counted_in_words() -> None:
    assert notes(overlap()) == notes() == []
    assert notes(overlap(texts=249, translated_texts=249)) == [
        "stsb: 249 of 1379 rows share a text with stsb/train (trained on)"
    ]
    assert notes(overlap(rows=3, texts=249, translated_rows=3, translated_texts=249)) == [
        "stsb: 249 of 1379 rows share a text with stsb/train (trained on), 3 of them as whole rows"
    ]
    assert notes(overlap("korsts", translated_texts=251, translated_rows=2)) == [
        "stsb: 251 of 1379 rows share a text, as it is or translated, with korsts/train (trained on), 2 of them as "
        "whole rows"
    ]
    assert notes(overlap(texts=9, translated_texts=9, role="fit", stage=None)) == [
        "stsb: 9 of 1379 rows share a text with stsb/train (fitted on)"
    ]


def test_what_is_not_known_of_overlaps_is_not_counted() -> None:
    unknown = dict.fromkeys(("rows", "texts", "translated_rows", "translated_texts"))
    assert notes(overlap(**unknown)) == []
    old = sign({name: value for name, value in scored("stsb", "stsb", 1.0).items() if name != "overlap"})
    assert overlap_notes(one_table(old)) == overlap_notes(one_table(scored("stsb", "stsb", 1.0, overlap=None))) == []


def test_an_overlap_that_many_rows_have_is_told_once_on_the_page() -> None:
    records = [
        scored(curriculum, "stsb", 80.0, overlap=[overlap(texts=249, translated_texts=249)], seed=seed)
        for curriculum in ("stsb", "stsb:korsts")
        for seed in (0, 1)
    ]
    assert page(records).count("- stsb: 249 of 1379 rows share a text with stsb/train (trained on)") == 1


# Honesty: what is unlike shares no table


def test_tables_of_two_versions_of_a_task_say_which_they_are_of() -> None:
    """In every title: two of one name, one above the other, would be taken for one."""
    records = [scored(curriculum, dataset, 70.0, True, task_version=version) for version in (1, 2)
               for curriculum in ("stsb", "korsts") for dataset in ("stsb", "korsts")]  # fmt: skip
    text = page(records)
    titles = re.findall("^### (.*)", text, re.MULTILINE)
    assert [title for title in titles if titles.count(title) > 1] == ["e5-small-q4"] * 2
    for version in (1, 2):
        assert text.count(f"· **task version {version}**\n") == 1
        assert f"Transfer: e5-small-q4 (task version {version})" in titles
    assert "task version 1**" not in page(records[:4])


def test_training_rows_that_differ_are_named_by_dataset_and_identity() -> None:
    own = split_of("stsb", "train", 5749)["rows_sha256"][:12]
    others = [{**split_of("stsb", "train", 5749), "stage": 0, "rows_sha256": "ab" * 32}]
    table = one_table(scored("stsb", "korsts", 70.0), scored("stsb", "korsts", 71.0, train=others))
    assert sorted(row.variant for row in table.rows) == sorted([f"rows=stsb {own}", "rows=stsb abababababab"])


def test_how_to_read_a_table_is_said_once_in_a_chapter() -> None:
    records = [scored(curriculum, dataset, 70.0, True, model__name=name) for name in ("m1", "m2")
               for curriculum in ("stsb", "korsts", "stsb:korsts") for dataset in ("stsb", "korsts")]  # fmt: skip
    text = page(records)
    for kind in ("Transfer", "Rows compared", "Sequences and mixtures"):
        assert text.count(f"### {kind}: ") == 2
    for said in (
        "Gap: in-language minus",
        "Ranks within each column",
        "Ranks within each row",
        "Forgetting: the score",
    ):
        assert text.count(said) == 1


LIMITED = {"limits__train": 200}


def test_full_and_limited_runs_share_no_table_of_the_page() -> None:
    full = [scored(name, dataset, 80.0, True, model__name=model) for model in ("m1", "m2")
            for name in ("stsb", "korsts", "stsb:korsts") for dataset in ("stsb", "korsts")]  # fmt: skip
    limited = [scored(name, dataset, 33.33, True, model__name=model, **LIMITED) for model in ("m1", "m2")
               for name in ("stsb", "korsts", "stsb:korsts") for dataset in ("stsb", "korsts")]  # fmt: skip
    text = page([*full, *limited])
    found = ["\n".join(lines) for lines in tables_of(text)]
    assert any("80.00" in one for one in found)
    assert any("33.33" in one for one in found)
    assert not [one for one in found if "80.00" in one and "33.33" in one]
    for title, table in re.findall(r"### (.*)\n[^#]*?((?:^\|.*\n)+)", text, re.MULTILINE):
        if "33.33" in table:
            assert (
                "limited: 200 training rows" in title or "**limited: 200 training rows**" in text.split(table)[0][-300:]
            )


def floor(name: str, score: float, **changes: Any) -> dict[str, Any]:
    return scored("none", "stsb", score, head=name, transfer="floor", model__name=name, model__weights_sha256="",
                  model__parameters=0, **changes)  # fmt: skip


def test_floors_of_other_limits_or_versions_stand_in_a_table_of_their_own() -> None:
    tables = build_tables(
        [floor("a", 1.0), floor("b", 2.0), floor("a", 3.0, limits__eval=20), floor("a", 4.0, task_version=2)], ORDER
    )
    made = floors_tables(tables)
    assert [texts(one) for one in made] == [[["a", "1.00"], ["b", "2.00"]], [["a", "4.00"]], [["a", "3.00"]]]
    assert [one.title for one in made] == [
        "Floors (task version 1)", "Floors (task version 2)", "Floors (task version 1; limited: 20 evaluation rows)"
    ]  # fmt: skip
    assert floors_tables([]) == []


def test_floors_among_themselves_are_not_compared_as_models_are() -> None:
    alone = build_tables([floor("a", 1.0), floor("b", 2.0)], ORDER)
    (held,) = side_by_side(alone)
    assert contests_table(held) is None
    (held,) = side_by_side(build_tables([floor("a", 1.0), floor("b", 2.0), scored("none", "stsb", 60.0)], ORDER))
    made = contests_table(held)
    assert made is not None
    assert set(made.columns[2:]) == {"a", "b", "e5-small-q4"}


def test_every_row_of_a_floor_is_shown_and_its_marks_are_explained() -> None:
    again = floor("a", 5.0, head_version=2)
    (made,) = floors_tables(build_tables([floor("a", 1.0), again], ORDER))
    assert [row[1] for row in texts(made)] == ["1.00", "5.00"]
    text = page([floor("a", 1.0), floor("a", 5.0, environment__device="x")])
    assert "- a, stsb: one of 2 records of seed 0" in text


def test_floors_are_no_baselines_and_a_model_has_its_table_without_them() -> None:
    text = page([floor("a", 1.0), scored("none", "stsb", 60.0), scored("stsb", "stsb", 80.0)])
    assert "### a" not in text
    own = next(lines for lines in tables_of(text) if any("80.00" in line for line in lines))
    assert not [line for line in own if "1.00" in line]


@pytest.mark.parametrize(
    "change", [{"task_version": 2}, {"sample": True}], ids=["task-version", "sample"]
)  # fmt: skip
def test_other_versions_and_sample_corpora_meet_in_no_table(change: dict[str, Any]) -> None:
    pair = [scored("stsb", "stsb", 80.0, True, model__name="m1"), scored("stsb", "stsb", 70.0, True, model__name="m2")]
    other = [scored("stsb", "stsb", 33.33, True, model__name=name, **change) for name in ("m1", "m2", "m3")]
    found = ["\n".join(lines) for lines in tables_of(page([*pair, *other]))]
    assert [one for one in found if "33.33" in one]
    assert not [one for one in found if "33.33" in one and ("80.00" in one or "70.00" in one)]


def test_sample_corpora_are_never_ranked_with_real_ones() -> None:
    sample = [scored("stsb", "stsb", score, True, model__name=name, task="mini", sample=True)
              for name, score in (("m1", 90.0), ("m2", 50.0))]  # fmt: skip
    assert "### Average rank" not in page(sample)
    real = [scored("stsb", "stsb", score, True, model__name=name) for name, score in (("m1", 50.0), ("m2", 90.0))]
    text = page([*sample, *real])
    ranks = text[text.index("### Average rank") : text.index("\n## sts")]
    assert "of the tasks sts;" in ranks
    assert ranks.index("| m2 | 1.00") < ranks.index("| m1 | 2.00")
    assert text.index("\n## sts") < text.index(SAMPLE) < text.index("\n| stsb", text.index(SAMPLE))


def test_rows_of_a_dataset_that_differ_are_columns_apart_for_all_models() -> None:
    """Also where each model was scored on one of them alone: no column has both, and nobody is compared."""
    records = [scored("stsb", "stsb", 80.0, True, model__name="m1"),
               scored("stsb", "stsb", 70.0, True, model__name="m2", eval__rows_sha256="0" * 64)]  # fmt: skip
    text = page(records)
    assert "English (stsb, rows 00000000)" in text
    assert f"English (stsb, rows {records[0]['eval']['rows_sha256'][:8]})" in text
    assert "Models compared" not in text
    floors = [floor("a", 1.0), floor("b", 2.0, eval__rows_sha256="0" * 64)]
    (made,) = floors_tables(build_tables(floors, ORDER))
    assert texts(made) == [["a", "–", "1.00"], ["b", "2.00", "–"]] or texts(made) == [
        ["a", "1.00", "–"],
        ["b", "–", "2.00"],
    ]


def test_the_ceiling_stands_under_reading_comprehension_scores() -> None:
    records = [
        record("stsb", "stsb", scores={"f1": 60.0, "exact_match": 40.0}, ceilings={"f1": 99.5, "exact_match": 89.0})
    ]
    (lines,) = (lines for lines in tables_of(page(records)) if any("60.00" in line for line in lines))
    assert lines[-1] == "| *ceiling* | 99.50 (89.00) |  |  |"


def test_how_the_checkpoint_was_chosen_is_a_column() -> None:
    records = [
        scored("stsb", "stsb", 80.0, seed=4),
        scored("korsts", "stsb", 70.0, selection="best"),
        scored("none", "stsb", 60.0),
    ]
    (grid,) = grids(one_table(*records))
    assert grid.made == (("–", "0"), ("last", "4"), ("best", "0"))
    (lines,) = (lines for lines in tables_of(page(records)) if "Checkpoint" in lines[0])
    assert [line.split(" | ")[-2] for line in lines[2:]] == ["–", "last", "best"]
