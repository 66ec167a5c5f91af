"""The heat map and the plot of intervals, and the tables that say the same."""

from __future__ import annotations

import pytest

from .browser import Page
from .conftest import OpenPage
from .payloads import Entry, Payload, make_payload


def entries_of(payload: Payload, task: str, model: str) -> list[Entry]:
    return [entry for entry in payload["entries"] if (entry["task"], entry["model"]) == (task, model)]


def test_the_heat_map_prints_every_value_with_its_kind(page: Page, payload: Payload) -> None:
    glyphs = {"zero-shot": "◇", "in-language": "●", "mixed": "◉", "frozen": "○"}
    page.chart("heat")
    page.choose("matrixModel", "model-01")
    chart = page.chart("heat")
    own = entries_of(payload, "sts", "model-01")
    assert len(own) == 24
    wanted = sorted(f"{entry['scores']['spearman']['value']:.2f} {glyphs[entry['transfer']]}" for entry in own)
    assert sorted(text for text in chart["texts"] if text[-1] in "◇●◉○") == wanted
    values = sorted(value for row in chart["data"]["z"] for value in row if value is not None)
    assert values == sorted(entry["scores"]["spearman"]["value"] for entry in own)


def test_each_kind_has_a_frame_of_its_own(page: Page, payload: Payload) -> None:
    frames = [shape["line"] for shape in page.chart("heat")["shapes"] if shape["type"] == "rect"]
    own = [entry["transfer"] for entry in entries_of(payload, "sts", "model-00")]
    for kind, dash in (("zero-shot", "2px,2px"), ("in-language", "solid"), ("mixed", "6px,4px")):
        assert sum(line["dash"] == dash for line in frames) == own.count(kind) > 0


def test_the_table_beside_the_heat_map_says_the_same(page: Page, payload: Payload) -> None:
    own = {(entry["curriculum"], entry["dataset"]): entry for entry in entries_of(payload, "sts", "model-00")}
    assert page.texts("#heat-table thead th")[1:] == [
        "English (stsb)", "Korean (korsts)", "Arabic (sts17-ar)", "Spanish (sts17-es)",
    ]  # fmt: skip
    cells = page.texts("#heat-table tbody td")
    for entry in own.values():
        assert f"{entry['scores']['spearman']['value']:.2f} {entry['transfer']}" in cells
    assert len(own) == sum(cell != "–" for cell in cells)


def test_entries_that_differ_only_in_limits_are_rows_of_their_own(open_page: OpenPage) -> None:
    payload = make_payload(entries=4)
    whole = payload["entries"][0]
    payload["entries"] = [
        {**whole, "limits": ""}, {**whole, "id": "0" * 12, "limits": "limited: 500 training rows"},
        {**whole, "id": "1" * 12, "limits": ""},
    ]  # fmt: skip
    page = open_page(payload)
    assert sorted(page.texts("#heat-table tbody th")) == [
        "frozen (all rows)", "frozen (all rows)", "frozen (limited: 500 training rows)",
    ]  # fmt: skip


def test_floors_stand_beside_every_model(open_page: OpenPage) -> None:
    payload = make_payload(entries=78)
    floor = {"model": "constant", "head": "constant", "regime": "floor", "transfer": "floor", "sources": []}
    for entry in entries_of(payload, "sts", "model-00"):
        if entry["curriculum"] == "none":
            entry.update(floor, limits="")
    page = open_page(payload)
    assert page.options("matrixModel") == ["model-00", "model-01"]
    for model in page.options("matrixModel"):
        page.choose("matrixModel", model)
        assert page.texts("#heat-table tbody th")[0] == "constant"
        assert page.chart("heat")["data"]["z"][0] == [
            entry["scores"]["spearman"]["value"] for entry in payload["entries"][:4]
        ]
    page.choose("on", "stsb")
    assert "constant" in page.texts("#plot-table tbody th")


def test_the_figures_follow_the_filters(page: Page, payload: Payload) -> None:
    page.choose("task", "mrc")
    page.choose("model", "model-02")
    chart = page.chart("heat")
    own = entries_of(payload, "mrc", "model-02")
    drawn = {text.split()[0] for text in chart["texts"] if text[-1] in "◇●◉○"}
    assert drawn == {f"{entry['scores']['f1']['value']:.2f}" for entry in own}
    assert "F1 of model-02 on Reading comprehension" in page.texts("#heat-caption")[0]
    page.choose("matrixScore", "exact_match")
    drawn = {text.split()[0] for text in page.chart("heat")["texts"] if text[-1] in "◇●◉○"}
    assert drawn == {f"{entry['scores']['exact_match']['value']:.2f}" for entry in own}
    assert page.fragment() == {"task": "mrc", "model": "model-02", "matrixScore": "exact_match"}


def test_the_plot_has_each_entry_with_its_interval_best_first(page: Page, payload: Payload) -> None:
    page.choose("on", "korsts")
    chart = page.chart("plot")
    own = [entry for entry in payload["entries"] if entry["dataset"] == "korsts"]
    scores = sorted((entry["scores"]["spearman"] for entry in own), key=lambda score: -score["value"])
    assert chart["data"]["x"] == [score["value"] for score in scores]
    assert chart["data"]["error_x"]["array"] == pytest.approx([score["high"] - score["value"] for score in scores])
    assert chart["data"]["error_x"]["arrayminus"] == pytest.approx([score["value"] - score["low"] for score in scores])
    assert f"{len(own)} entries" in page.texts("#plot-caption")[0]
    assert [text.split()[0] for text in page.texts("#plot-table tbody td:nth-child(3)")] == [
        f"{score['value']:.2f}" for score in scores
    ]


def test_a_score_without_a_value_is_undefined_and_has_no_colour(open_page: OpenPage) -> None:
    payload = make_payload(entries=2)
    payload["entries"][0]["scores"]["spearman"] = {"value": None, "low": None, "high": None, "sd": None}
    page = open_page(payload)
    assert page.column("score")[0] == "undefined Spearman"
    chart = page.chart("heat")
    assert "undefined ○" in chart["texts"]
    assert chart["data"]["z"][0][0] is None
    assert page.texts("#plot-caption") == ["No entry that passes the filters has Spearman on English (stsb)."]
    assert page.console() == []


def test_a_row_is_told_from_its_neighbours_and_from_nothing_else(open_page: OpenPage) -> None:
    """A floor has a head of its own and no checkpoint: that gives the other rows nothing to tell."""
    payload = make_payload(entries=36)
    floors = [{**entry, "id": f"{place:012}", "model": "constant", "head": "constant", "regime": "floor",
               "transfer": "floor", "sources": [], "selection": "", "curriculum": "none", "limits": "", "variant": ""}
              for place, entry in enumerate(entries_of(payload, "mrc", "model-00")[:3])]  # fmt: skip
    for entry in payload["entries"]:
        entry.update(limits="", variant="")
    payload["entries"] += floors
    page = open_page(payload, "#task=mrc")
    assert page.texts("#heat-table tbody th") == [
        "constant", "squad", "korquad", "squad → korquad", "squad + korquad"
    ]  # fmt: skip
    assert not {"span", "constant"} & set(page.texts("#table > tbody .c-trained .small:not([class*=for-])"))
    for entry in payload["entries"]:
        if entry["curriculum"] == "squad" and entry["dataset"] == "squad":
            entry["selection"] = "source-dev of 4"
    chosen = open_page(payload, "#task=mrc").texts("#heat-table tbody th")
    assert {"squad (last)", "squad (source-dev of 4)", "constant"} <= set(chosen)


def test_wide_letters_stay_within_the_charts(open_page: OpenPage) -> None:
    payload = make_payload(entries=78)
    names = {"model-00": "organisation/" + "W한" * 60, "model-01": "🤖" * 200}
    for entry in payload["entries"]:
        entry["model"] = names[entry["model"]]
        entry["variant"] = "WM" * 50
    page = open_page(payload, "#task=sts")
    for chart in ("heat", "plot"):
        texts = page.chart(chart)["texts"]
        outside = page.run(
            "const left = document.getElementById(arguments[0]).getBoundingClientRect().left;"
            "return [...document.querySelectorAll(`#${arguments[0]} .ytick text`)]"
            ".filter((one) => one.getBoundingClientRect().left < left).map((one) => one.textContent)", chart
        )  # fmt: skip
        assert outside == []
        assert any("…" in text for text in texts)
        assert not any(0xD800 <= ord(letter) < 0xE000 or letter == "\ufffd" for text in texts for letter in text)


def test_without_entries_the_figures_ask_for_nothing(open_page: OpenPage) -> None:
    page = open_page(make_payload(entries=0))
    page.run("document.getElementById('matrix').scrollIntoView()")
    page.wait("return window.xbenchDrawn > 0")
    assert page.texts("#heat-caption") == page.texts("#plot-caption") == ["There are no entries yet."]
    for css in ("#figure", "#on-form", "#heat", "#plot", "#heat-details", "#plot-details"):
        assert not page.find(css).is_displayed()
