"""The table of entries: sorted, filtered and opened by its reader."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .browser import Page
from .conftest import OpenPage
from .payloads import Entry, Payload, make_payload

FILTERS: dict[str, Any] = {
    "task": lambda entry: [entry["task"]], "model": lambda entry: [entry["model"]],
    "language": lambda entry: [entry["language"]], "source": lambda entry: entry["sources"],
    "regime": lambda entry: [entry["regime"]], "transfer": lambda entry: [entry["transfer"]],
}  # fmt: skip


def real(payload: Payload) -> list[Entry]:
    return [entry for entry in payload["entries"] if not entry["sample"]]


def first(texts: list[str]) -> list[float]:
    """The number that a cell begins with."""
    return [float(text.split()[0].replace("−", "-")) for text in texts]


def test_real_entries_come_first_in_the_payloads_order(page: Page, payload: Payload) -> None:
    assert page.shown() == f"{len(real(payload))} entries; rows 1 to 25 on this page"
    assert page.column("model") == [entry["model"] for entry in real(payload)[:25]]
    assert [text.split()[0] for text in page.column("trained")] == [
        entry["curriculum"].split(":")[0].split("+")[0] for entry in real(payload)[:25]
    ]


def test_a_score_is_written_with_its_own_decimals_and_its_interval(page: Page, payload: Payload) -> None:
    for task, name, decimals in (("sts", "Spearman", 2), ("alignment", "Mean cosine", 3)):
        page.choose("task", task)
        entry = next(entry for entry in real(payload) if entry["task"] == task)
        score = entry["scores"][entry["primary"]]
        number, low, high = (f"{score[part]:.{decimals}f}" for part in ("value", "low", "high"))
        assert page.column("score")[0] == f"{number} {name} [{low}, {high}]"
    lines = page.run(
        "return [...document.querySelectorAll('#table td.c-score svg .span')].map((one) => one.x1.baseVal.value)"
    )
    assert len(set(lines)) > 3


def test_the_score_sorts_down_and_up_and_back(page: Page, payload: Payload) -> None:
    page.choose("task", "sts")
    values = sorted(entry["scores"]["spearman"]["value"] for entry in real(payload) if entry["task"] == "sts")
    page.sort("score")
    assert first(page.column("score")) == [round(value, 2) for value in values[:25]]
    assert page.find("#table > thead th.c-score").get_attribute("aria-sort") == "ascending"
    page.sort("score")
    assert first(page.column("score")) == [round(value, 2) for value in values[::-1][:25]]
    assert page.find("#table > thead th.c-score").get_attribute("aria-sort") == "descending"
    page.sort("score")
    assert page.fragment() == {"task": "sts"}


def test_entries_without_a_gap_come_last_either_way(page: Page, payload: Payload) -> None:
    page.choose("task", "sts")
    page.choose("model", "model-00")
    own = [entry for entry in real(payload) if (entry["task"], entry["model"]) == ("sts", "model-00")]
    gaps = sorted(round(entry["gap"]["value"], 2) for entry in own if entry["gap"])
    page.sort("gap")
    assert first(page.column("gap")[: len(gaps)]) == gaps
    page.sort("gap")
    texts = page.column("gap")
    assert first(texts[: len(gaps)]) == gaps[::-1]
    assert set(texts[len(gaps) :]) == {"–"}


def test_columns_sort_by_keyboard(page: Page) -> None:
    page.find("#table > thead th.c-kind .dt-column-order").send_keys(Keys.ENTER)
    page.wait("return location.hash")
    kinds = page.column("kind")
    assert kinds == sorted(kinds, key=lambda kind: kind[2:])
    assert page.fragment() == {"sort": "kind.asc"}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_leaves_what_it_says(page: Page, payload: Payload, name: str) -> None:
    values = {value for entry in real(payload) for value in FILTERS[name](entry)}
    assert set(page.options(name)) == values | {""}
    for value in sorted(values)[:2]:
        page.choose(name, value)
        left = [entry for entry in real(payload) if value in FILTERS[name](entry)]
        assert 0 < len(left) < len(real(payload))
        assert page.shown().startswith(f"{len(left)} of {len(real(payload))} entries")
        assert page.fragment() == {name: value}


def test_filters_and_words_work_together_and_can_be_cleared(page: Page, payload: Payload) -> None:
    page.choose("language", "ko")
    page.choose("transfer", "zero-shot")
    page.find("input[name=q]").send_keys("MODEL-01 share")
    korean = [entry for entry in real(payload) if (entry["language"], entry["transfer"]) == ("ko", "zero-shot")]
    left = [entry for entry in korean if entry["model"] == "model-01" and entry["overlap"]]
    assert len(left) == 1
    page.wait(
        "return document.getElementById('shown').textContent === arguments[0]", f"1 of {len(real(payload))} entries"
    )
    assert page.column("trained")[0].startswith(left[0]["curriculum"])
    page.find("#filters button[type=reset]").click()
    assert page.shown().startswith(f"{len(real(payload))} entries")
    assert page.fragment() == {}


def test_nothing_left_is_said(page: Page) -> None:
    page.find("input[name=q]").send_keys("no such words")
    page.wait("return document.querySelector('#table td.dt-empty')")
    assert page.texts("#table td.dt-empty") == ["No entry passes these filters."]
    assert page.shown().startswith("0 of ")
    page.chart("heat")
    assert "No entry that passes the filters has Spearman on" in page.texts("#plot-caption")[0]
    assert page.console() == []


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_provenance_opens_and_closes_by_keyboard(page: Page, payload: Payload, key: str) -> None:
    entry = real(payload)[5]
    button = page.chrome.find_elements(By.CSS_SELECTOR, "#table button.open")[5]
    assert button.get_attribute("aria-expanded") == "false"
    button.send_keys(key)
    assert button.get_attribute("aria-expanded") == "true"
    panel = page.find(f"#{button.get_attribute('aria-controls')}")
    for name, text in entry["provenance"]:
        assert name in panel.text
        assert text in panel.text
    assert entry["overlap"] in panel.text
    assert panel.size["width"] > 0.9 * page.find("#table").size["width"]
    record = panel.find_element(By.CSS_SELECTOR, "a")
    assert record.get_dom_attribute("href") == entry["provenance"][-1][1]
    assert page.fragment() == {"row": entry["id"]}
    button.send_keys(key)
    assert button.get_attribute("aria-expanded") == "false"
    assert page.texts(".detail") == []
    assert page.fragment() == {}


def test_provenance_has_every_score_with_its_ceiling(open_page: OpenPage) -> None:
    payload = make_payload(entries=30)
    entry = next(entry for entry in payload["entries"] if entry["task"] == "mrc")
    page = open_page(payload, f"#task=mrc&row={entry['id']}")
    score = entry["scores"]["exact_match"]
    assert page.texts(".detail table.scores tbody tr:nth-child(2) > *") == [
        "Exact match", f"{score['value']:.2f}", f"[{score['low']:.2f}, {score['high']:.2f}]",
        f"{score['sd']:.2f}" if score["sd"] is not None else "–", "88.90",
    ]  # fmt: skip


def test_a_click_on_a_row_opens_it(page: Page) -> None:
    page.find("#table > tbody > tr:nth-child(2) > td.c-marks").click()
    assert len(page.texts("section.detail")) == 1


def test_sample_corpora_never_share_the_table(page: Page, payload: Payload) -> None:
    assert not page.find("#sample-note").is_displayed()
    page.find("input[value=sample]").click()
    assert page.find("#sample-note").is_displayed()
    assert set(page.column("task")) == {"Semantic textual similarity, small"}
    assert page.shown() == "8 entries"
    assert page.options("task") == ["", "mini-sts"]
    assert page.fragment() == {"corpora": "sample"}
    assert "mini-sts-en" in page.chart("heat")["texts"]
    page.find("input[value=real]").click()
    assert page.shown().startswith(f"{len(real(payload))} entries")


def test_pages_turn(page: Page, payload: Payload) -> None:
    page.find(".dt-paging-button.next").click()
    assert page.shown() == f"{len(real(payload))} entries; rows 26 to 50 on this page"
    assert page.column("trained")[0].startswith(real(payload)[25]["curriculum"].split(":")[0].split("+")[0])
    assert page.fragment() == {"page": "2"}


@pytest.mark.parametrize("entries", [0, 1])
def test_hardly_any_entries(open_page: OpenPage, entries: int) -> None:
    page = open_page(make_payload(entries))
    assert page.shown() == ("1 entry" if entries else "0 entries")
    page.run("document.getElementById('matrix').scrollIntoView()")
    page.wait("return window.xbenchDrawn > 0")
    assert page.console() == []
