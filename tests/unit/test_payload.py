"""The page's data say what the tables say."""

from __future__ import annotations

from tests.records import record
from xbench.leaderboard.entries import entries
from xbench.leaderboard.layout import cell_text
from xbench.leaderboard.payload import make_payload
from xbench.leaderboard.table import build_tables


def test_what_is_undefined_is_told_from_what_was_not_measured() -> None:
    records = [
        record("stsb", "stsb", scores={"spearman": None, "pearson": 50.0}),
        record("stsb", "korsts", scores={"spearman": 40.0}),
    ]
    found = entries(build_tables(records, {}), {})
    told = {one["dataset"]: one["scores"] for one in make_payload(found, {}, {})["entries"]}
    assert told["stsb"]["spearman"] == {"value": None, "low": None, "high": None, "sd": None}
    assert told["korsts"].keys() == {"spearman"}
    texts = {entry.column: cell_text(entry.cell, ["spearman", "pearson"]) for entry in found}
    assert texts == {"stsb": "undefined (50.00) •", "korsts": "40.00 †"}
