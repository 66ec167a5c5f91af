"""Protocols side by side on a leaderboard: each has its row, like is held against like, an oracle against nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.pages import render_markdown
from tests.published import ANCHORS, as_published, cell, paper, save
from tests.records import record, split_of
from xbench.cards import model_index
from xbench.cli.compare_command import command
from xbench.cli.tables import rich_tables
from xbench.leaderboard.drawing import PEEKS_SHORT, contents
from xbench.leaderboard.entries import Entry, entries, provenance
from xbench.leaderboard.flat import render_csv
from xbench.leaderboard.latex import render_latex
from xbench.leaderboard.layout import PEEKS, PEEKS_MEANS, grids, row_title
from xbench.leaderboard.payload import make_payload
from xbench.leaderboard.plots import plots
from xbench.leaderboard.report import TextTable, curricula_table
from xbench.leaderboard.standings import circles, side_by_side
from xbench.leaderboard.table import Order, Table, build_tables
from xbench.leaderboard.transfer import forgotten, gaps, mixing_gains
from xbench.registry import Registry
from xbench.verify.findings import read_findings
from xbench.verify.match import compare
from xbench.verify.outcomes import ask
from xbench.verify.results import from_records

BASELINES = {"stsb": "stsb", "korsts": "korsts"}
ORDERS = {"sts": Order(("stsb", "korsts"), ("stsb", "korsts"), baselines=BASELINES)}
LAST: dict[str, Any] = {}


def chosen(
    protocol: str, curriculum: str, dataset: str, score: float, count: int = 4, split: str = "dev", **changes: Any
) -> dict[str, Any]:
    """A record whose checkpoint was chosen by a protocol."""
    parts = {"source-dev": curriculum.split(":")[-1].split("+"), "oracle": [dataset]}.get(protocol, [])
    dev = [
        {**split_of(part, split, 1500 if split == "dev" else 1379), "limit": None, "metric": "spearman",
         "metric_version": 1}
        for part in parts
    ]  # fmt: skip
    steps = [100 * place for place in range(1, count + 1)]
    selected = {
        "candidates": count, "steps": steps, "epochs": [float(place) for place in range(1, count + 1)],
        "step": 300 if dev else None, "dev": dev,
        "scores": [[80.0 + (step == 300) for _ in dev] for step in steps] if dev else [],
    }  # fmt: skip
    own = {} if protocol == "last" else {"selection": protocol, "selected": selected}
    return record(curriculum, dataset, scores={"spearman": score}, draws=True, **own, **changes)


PROTOCOLS = ("last", "source-dev", "average", "oracle")
RECORDS = [
    chosen(protocol, curriculum, dataset, 70.0 + 3 * place + 8 * (curriculum == dataset) + 5 * ("+" in curriculum))
    for place, protocol in enumerate(PROTOCOLS)
    for curriculum in ("stsb", "korsts", "stsb+korsts", "stsb:korsts")
    for dataset in ("stsb", "korsts")
]


def one_table(*records: dict[str, Any]) -> Table:
    (table,) = build_tables(records or RECORDS, ORDERS)
    return table


def flat(*records: dict[str, Any]) -> list[Entry]:
    return entries(build_tables(records or RECORDS, ORDERS), ORDERS)


def texts(table: TextTable | None) -> list[list[str]]:
    assert table is not None
    return [[one.text for one in row] for row in table.rows]


def test_each_protocol_has_its_row_and_says_so_unless_it_is_the_last() -> None:
    table = one_table()
    rows = {row_title(row, False): row for row in table.rows if row.curriculum == "stsb"}
    assert set(rows) == {"stsb", "stsb [source-dev of 4]", "stsb [average of 4]", "stsb [oracle of 4]"}
    assert {row.selection for row in rows.values()} == set(PROTOCOLS)
    assert all(row.variant == "" for row in table.rows)
    (grid,) = grids(table)
    made = dict(zip((title for title, _ in grid.rows), (one for one, _ in grid.made), strict=True))
    assert made["stsb [oracle of 4]"] == "oracle"
    assert made["stsb"] == "last"


def test_the_number_of_checkpoints_tells_rows_apart_and_so_does_a_limit_on_dev_rows() -> None:
    few, many = chosen("average", "stsb", "korsts", 70.0, 2), chosen("average", "stsb", "korsts", 80.0, 4)
    assert [row_title(row, False) for row in one_table(few, many).rows] == [
        "stsb [average of 2]", "stsb [average of 4]",
    ]  # fmt: skip
    whole = chosen("source-dev", "stsb", "korsts", 70.0)
    some = json.loads(json.dumps(chosen("source-dev", "stsb", "korsts", 80.0)))
    some["selected"]["dev"][0] |= {"rows": 100, "limit": 100}
    titles = [row_title(row, False) for row in one_table(whole, some).rows]
    assert sorted(titles) == [
        "stsb [dev rows=100; source-dev of 4]",
        "stsb [dev rows=None; source-dev of 4]",
    ] or sorted(titles) == ["stsb [dev rows=100; source-dev of 4]", "stsb [source-dev of 4]"]


def test_a_training_with_fewer_steps_than_were_to_be_kept_says_how_many_there_were() -> None:
    short = json.loads(json.dumps(chosen("average", "stsb", "korsts", 70.0, 2)))
    short["selected"]["candidates"] = 8
    (row,) = one_table(short).rows
    assert row_title(row, False) == "stsb [average of 2]"


def test_a_record_from_before_there_were_protocols_shares_a_row_with_one_from_now() -> None:
    before, now = record("stsb", "korsts", seed=0), record("stsb", "korsts", seed=1)
    for name in ("selection", "candidates"):
        before["recipe"].pop(name)
    assert len(one_table(before, now).rows) == 1


def test_an_oracle_is_marked_wherever_it_is_shown() -> None:
    table, found = one_table(), flat()
    (grid,) = grids(table)
    marked = {title: all(PEEKS in text for text in own) for title, own in grid.rows}
    assert {title for title, every in marked.items() if every} == {row for row in marked if "oracle" in row}
    page = render_markdown(RECORDS, ORDERS, {})
    assert f"| {PEEKS} | {PEEKS_MEANS} |" in page
    assert f"| stsb &#91;oracle of 4&#93; | 87.00 • {PEEKS}<br>" in page
    latex = render_latex([table], ORDERS, {})
    assert r"\noindent \S{} its checkpoint was chosen" in latex
    assert r"\below{87.00 $^{\bullet}$ \S{}}" in latex
    lines = list(csv.DictReader(io.StringIO(render_csv(found, {}))))
    for line in lines:
        assert (line["selection"] == "oracle") == ("oracle: chosen by dev rows" in line["marks"])
        assert (line["variant"] == "candidates=4") == (line["selection"] != "last")
    payload = make_payload(found, {}, {})["entries"]
    for entry in payload:
        assert (entry["selection"] == "oracle of 4") == any("oracle: chosen by" in mark for mark in entry["marks"])
        assert not entry["gap"] or "oracle" not in entry["selection"]
    (drawn,) = rich_tables(table)
    assert f"{PEEKS} {PEEKS_MEANS}" in str(drawn.caption)


def test_without_an_oracle_nobody_has_to_read_of_one() -> None:
    records = [one for one in RECORDS if one["selection"] != "oracle"]
    assert PEEKS not in render_markdown(records, ORDERS, {})
    assert r"\S{}" not in render_latex([one_table(*records)], ORDERS, {})
    assert PEEKS not in str(rich_tables(one_table(*records))[-1].caption)


def test_a_checkpoint_chosen_by_the_rows_that_are_scored_is_marked_as_an_oracle_is() -> None:
    """As source-dev does in a task that is scored on dev rows, in the language that was trained on."""
    records = [
        chosen("source-dev", "stsb", "stsb", 80.0, split="test"), chosen("source-dev", "stsb", "korsts", 70.0),
        chosen("source-dev", "korsts", "korsts", 78.0, split="test"),
    ]  # fmt: skip
    table = one_table(*records)
    here = {
        (row.curriculum, column): cell.peeks for row in table.rows for column, cell in row.cells.items() if cell.peeks
    }
    words = "chosen by the very rows that it is scored on"
    assert here == {("stsb", "stsb"): words, ("korsts", "korsts"): words}
    assert gaps(table, BASELINES, "spearman") == []  # its in-language score is no measure


def test_pictures_and_cards_mark_it_as_well(registry: Registry) -> None:
    here = chosen("source-dev", "stsb", "stsb", 80.0, split="test")
    others = [one for one in RECORDS if (one["selection"], one["eval"]["dataset"]) != ("source-dev", "stsb")]
    (plot,) = plots([one_table(*others, here)], {})
    marked = {
        (row, column)
        for row, line in zip(plot.rows, plot.marks, strict=True)
        for column, mark in zip(plot.columns, line, strict=True)
        if PEEKS in mark
    }
    oracles = {(row, column) for row in plot.rows if "oracle of" in row for column in plot.columns}
    assert marked == oracles | {(f"{plot.models[0]}: stsb [source-dev of 4]", plot.columns[0])}
    assert len(oracles) == 8
    drawn = b"".join(contents(plot)).decode("utf-8", "ignore")
    assert f"{PEEKS} {PEEKS_SHORT}" in drawn
    assert f"hollow: {PEEKS_SHORT}" in drawn
    (plain,) = plots([one_table(chosen("last", "stsb", "stsb", 80.0))], {})
    assert {mark for line in plain.marks for mark in line} == {"•"}
    for own in (here, chosen("oracle", "stsb", "korsts", 80.0)):
        ((result,),) = [one["results"] for one in model_index([own], registry)]
        (metric,) = result["metrics"]
        assert metric["args"]["peeks"]
        assert ("checkpoint by oracle" in metric["name"]) != ("the very rows that it is scored on" in metric["name"])


def test_ranks_are_of_one_protocol_each_and_an_oracle_has_none() -> None:
    table = one_table()
    made = curricula_table(table)
    assert made is not None
    assert "different ways are ranked apart" in made.about
    ranks = {title: own for title, *own in texts(made)}
    assert not any("oracle" in title for title in ranks)
    # The mixture is first in its protocol, though mixtures of other protocols have more points.
    for protocol in ("", " [source-dev of 4]", " [average of 4]"):
        first = [ranks[f"{name}{protocol}"] for name in ("stsb", "korsts", "stsb + korsts", "stsb → korsts")]
        assert {end for own in first for text in own for end in text.split("–")} <= {"1", "2", "3", "4"}
    alone = curricula_table(one_table(*(one for one in RECORDS if one["selection"] == "source-dev")))
    assert {title: own for title, *own in texts(alone)} == {
        title: own for title, own in ranks.items() if "source-dev" in title
    }


def test_models_meet_under_one_protocol_and_an_oracle_meets_nobody() -> None:
    records = [
        chosen(protocol, "stsb", "korsts", score, model__name=model, model__weights_sha256=digit * 64)
        for model, score, digit in (("A", 80.0, "a"), ("B", 70.0, "b"))
        for protocol in PROTOCOLS
    ]
    tables = build_tables(records, ORDERS)
    (found,) = side_by_side(tables)
    assert [contest.row.selection for contest in found] == ["last", "source-dev", "average"]
    assert all(set(contest.places) == {"A", "B"} for contest in found)
    (circle,) = circles({"sts": found})
    assert circle.contests == 3
    alone = side_by_side(build_tables([one for one in records if one["selection"] == "oracle"], ORDERS))
    assert alone == []


def test_gaps_forgetting_and_mixing_are_of_one_protocol_and_an_oracle_has_none() -> None:
    table = one_table()
    found = gaps(table, BASELINES, "spearman")
    assert {gap.row.selection for gap in found} == {"last", "source-dev", "average"}
    assert {gap.change for gap in found} == {8.0}
    for compared in (*forgotten(table, "spearman"), *mixing_gains(table, "spearman")):
        assert compared.row.selection != "oracle"
        assert compared.other.records[0]["selection"] == compared.row.selection
    own = {one.row.selection for one in mixing_gains(table, "spearman")}
    assert own == {"last", "source-dev", "average"}
    # An in-language score of another protocol is no baseline.
    apart = one_table(chosen("last", "korsts", "korsts", 80.0), chosen("source-dev", "stsb", "korsts", 70.0))
    assert gaps(apart, BASELINES, "spearman") == []


def test_findings_are_asked_of_one_protocol_and_never_of_an_oracle() -> None:
    finding = next(one for one in read_findings(ANCHORS) if one.kind == "mixing-gains")

    def mixed(protocol: str, gain: float) -> list[dict[str, Any]]:
        return [
            chosen(protocol, "stsb", "stsb", 80.0), chosen(protocol, "stsb+korsts", "stsb", 80.0 + gain),
        ]  # fmt: skip

    (outcome,) = ask([finding], from_records([*mixed("last", 2.0), *mixed("source-dev", 6.0)]), {"sts": BASELINES})
    assert [place.value for place in outcome.places] == pytest.approx([2.0])
    assert any("left out: 1" in note for note in outcome.notes)
    (outcome,) = ask([finding], from_records(mixed("source-dev", 6.0)), {"sts": BASELINES})
    assert [place.value for place in outcome.places] == pytest.approx([6.0])
    assert "sts: checkpoints by source-dev" in outcome.notes
    assert ask([finding], from_records(mixed("oracle", 6.0)), {"sts": BASELINES}) == []


def test_a_published_number_is_never_held_against_an_oracle() -> None:
    (anchor, *_) = [one for one in paper() if one.table.task == "sts" and one.ways == 1]
    (first, *_) = as_published([anchor])
    oracle = {**first, **{name: chosen("oracle", "stsb", "stsb", 1.0)[name] for name in ("selection", "selected")}}
    compared, _ = compare([anchor], from_records([first]))
    assert compared
    compared, (unmatched,) = compare([anchor], from_records([oracle]))
    assert compared == []
    assert any("oracle" in reason for reason in unmatched.near)


def test_compare_holds_like_against_like_and_shows_an_oracle_without_a_test(tmp_path: Path) -> None:
    out = save(tmp_path, RECORDS)
    line = ["stsb", "korsts", "--out", str(out), "--eval", "korsts"]
    result = CliRunner().invoke(command, [*line, "--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert [one["selection"] for one in found] == [[name, name] for name in PROTOCOLS]
    for one in found:
        assert len(set(one["selection"])) == 1
        assert (one["difference"] is None) == (one["selection"][0] == "oracle")
        assert bool(one["peeks"][0]) == (one["selection"][0] == "oracle")
    shown = CliRunner().invoke(command, line, catch_exceptions=False).stdout
    assert "oracle of 4" in shown
    assert "source-dev of 4" in shown


def test_the_provenance_tells_which_checkpoint_it_is() -> None:
    said = {
        entry.row.selection: dict(provenance(entry, {}))["Checkpoint"]
        for entry in flat()
        if (entry.column, entry.row.curriculum) == ("korsts", "stsb:korsts")
    }
    assert said == {
        "last": "last", "average": "average of 4", "oracle": "oracle of 4 (step 300) by korsts/dev (spearman)",
        "source-dev": "source-dev of 4 (step 300) by korsts/dev (spearman)",
    }  # fmt: skip
    assert cell("sts", "stsb", "stsb", {"spearman": 1.0})["selection"] == "last"
