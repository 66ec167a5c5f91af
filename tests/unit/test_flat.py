"""The CSV says what the records say, to programs and to spreadsheets alike."""

from __future__ import annotations

import csv
import io
import random
from pathlib import PurePosixPath
from typing import Any

import pandas
import pytest

from tests.records import record, split_of, table_one
from xbench.leaderboard.entries import entries
from xbench.leaderboard.flat import COLUMNS, render_csv
from xbench.leaderboard.table import Order, build_tables

ORDER = {"sts": Order(("stsb", "korsts"), ("stsb", "korsts"), baselines={"stsb": "stsb", "korsts": "korsts"})}
FORMULAS = ("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "-", "=")
HOSTILE = ('a,"b"', '"', ",", ";", "가나다", "<script>", "'", "\\", "NaN", "1e9", "", "a  b", "a'=1", "#", "é")
BREAKS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x00", "\t", "\x1b", "\ud800")


def rendered(records: list[dict[str, Any]]) -> str:
    paths = {one["key"]: PurePosixPath(f"results/{one['key'][:8]}.json") for one in records}
    return render_csv(entries(build_tables(records, ORDER), ORDER), paths)


def rows(records: list[dict[str, Any]]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rendered(records), newline=""), strict=True))


def test_there_is_a_line_for_every_score_of_every_cell() -> None:
    records = table_one(draws=True)
    found = rows(records)
    assert {tuple(row) for row in found} == {COLUMNS}
    given = {
        (one["curriculum"], one["eval"]["dataset"], name): value
        for one in records
        for name, value in one["scores"].items()
    }
    assert {(row["curriculum"], row["dataset"], row["score"]): float(row["value"]) for row in found} == given
    assert len(found) == len(given)
    assert {row["primary"] for row in found if row["score"] == "spearman"} == {"true"}
    assert {row["primary"] for row in found if row["score"] == "pearson"} == {"false"}
    regimes = {row["curriculum"]: row["regime"] for row in found}
    assert regimes == {
        "none": "frozen", "stsb": "single", "korsts": "single", "stsb:korsts": "sequential",
        "korsts:stsb": "sequential", "stsb+korsts": "mixed",
    }  # fmt: skip
    assert {row["sources"] for row in found if row["curriculum"] == "korsts:stsb"} == {"ko en"}


def test_pandas_reads_the_numbers_and_what_is_missing() -> None:
    records = [*table_one(draws=True), record("none", "sts17-es", scores={"spearman": None}, model__name="other")]
    frame = pandas.read_csv(io.StringIO(rendered(records)), dtype={"seeds": str}, keep_default_na=False, na_values=[""])
    assert tuple(frame.columns) == COLUMNS
    numbers = ["value", "low", "high", "se", "gap", "gap_low", "gap_high", "degradation", "retention", "rows"]
    assert all(frame[name].dtype.kind in "fi" for name in numbers)
    drawn = frame[frame["low"].notna()]
    assert len(drawn) == 48
    assert ((drawn["low"] < drawn["value"]) & (drawn["value"] < drawn["high"])).all()
    assert frame[frame["model"] == "other"]["value"].isna().all()
    with_gap = frame[frame["gap"].notna()]
    assert set(with_gap["transfer"]) == {"zero-shot"}
    assert set(with_gap["score"]) == {"spearman"}
    assert with_gap["units"].eq("1379 rows").sum() == len(with_gap[with_gap["dataset"].isin(["stsb", "korsts"])])


def test_a_gap_has_its_percentages_and_their_intervals() -> None:
    records = [record("korsts", "korsts", scores={"a": 80.0}, draws=True), record(scores={"a": 70.0}, draws=True)]
    zero, own = (next(row for row in rows(records) if row["curriculum"] == name) for name in ("stsb", "korsts"))
    assert (zero["gap"], zero["degradation"], zero["retention"]) == ("10", "12.5", "87.5")
    for name in ("gap", "degradation", "retention"):
        assert float(zero[f"{name}_low"]) < float(zero[name]) < float(zero[f"{name}_high"])
        assert own[name] == own[f"{name}_low"] == ""


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize(
    ("field", "column"), [("model__name", "model"), ("head", "head"), ("eval__dataset", "dataset"),
                          ("curriculum", "curriculum"), ("task", "task"), ("selection", "selection")]
)  # fmt: skip
def test_no_spreadsheet_takes_a_name_for_a_formula(name: str, field: str, column: str) -> None:
    (row, *_) = rows([record(**{field: name})])
    assert row[column] == "'" + name.replace("\t", " ").replace("\r", " ").replace("\n", " ")
    for text in row.values():
        assert not text.lstrip().startswith(("=", "+", "@", "＝", "＋"))
        assert not text.startswith("-") or float(text) < 0


def test_numbers_below_nought_stay_numbers() -> None:
    (row, *_) = rows([record(scores={"a": -1.5})])
    assert row["value"] == "-1.5"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_come_back_as_they_were(name: str) -> None:
    for row in rows([record(model__name=name, head=name, eval__dataset=name, selection=name)]):
        assert (row["model"], row["head"], row["dataset"], row["selection"]) == (name, name, name, name)
        assert row["value"] in ("81.25", "80.5")


@pytest.mark.parametrize("sign", BREAKS)
def test_nothing_but_its_end_breaks_a_line(sign: str) -> None:
    name = f"{sign}a{sign}b{sign}"
    text = rendered([record(model__name=name, head=name, selection=name)])
    assert len(text.splitlines()) == text.count("\n") == 3
    assert {row["head"] for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)} == {
        name.replace(sign, " " * len(sign))
    }
    text.encode()


@pytest.mark.parametrize(
    ("score", "text"),
    [(81.25, "81.25"), (100.0, "100"), (0.0, "0"), (-0.0, "0"), (-1e-9, "0"), (1e-9, "0"), (1 / 3, "0.333333"),
     (12345678.9, "12345678.9"), (1e16, "10000000000000000"), (-0.0000015, "-0.000002"), (70.0, "70")],
)  # fmt: skip
def test_a_number_is_written_one_way_on_every_machine(score: float, text: str) -> None:
    (row,) = rows([record(scores={"a": score})])
    assert row["value"] == text


def test_the_same_records_give_the_same_bytes_whatever_their_order() -> None:
    records = [*table_one(seeds=(0, 1), draws=True), record(sample=True), record(limits__eval=100)]
    text = rendered(records)
    for seed in range(3):
        random.Random(seed).shuffle(records)
        assert rendered(records) == text


def test_limits_marks_and_overlaps_stand_in_their_row() -> None:
    overlap = {"role": "train", "dataset": "stsb", "split": "train", "stage": 0, "rows": 1, "texts": 3,
               "translated_rows": 1, "translated_texts": 3}  # fmt: skip
    one = record(limits__train=200, overlap=[overlap])
    failed = record(limits__train=200, seed=1, status="failed")
    (row, *_) = rows([one, failed])
    assert row["limits"] == "limited: 200 training rows"
    assert row["marks"] == "seed 1 failed"
    assert row["overlap"] == "korsts: 3 of 1379 rows share a text with stsb/train (trained on), 1 of them as whole rows"
    assert (row["seeds"], row["records"]) == ("0", f"results/{one['key'][:8]}.json")
    assert (row["low"], row["interval_method"], row["units"]) == ("", "", "")


def test_what_was_fitted_on_the_split_that_it_is_scored_on_says_so() -> None:
    one, other = (record("none", "stsb", reading="map", fit=split_of("stsb", split, 1379)) for split in ("test", "dev"))
    assert rows([one])[0]["marks"] == "fitted on rows of the very split that it is scored on"
    assert rows([other])[0]["marks"] == ""


def test_without_records_there_is_a_header() -> None:
    assert rendered([]) == ",".join(COLUMNS) + "\n"
