"""Addresses that hold a view, themes, narrow screens, paper, and readers who do not see or point."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .browser import Page
from .conftest import OpenPage
from .payloads import Payload, make_payload


def luminance(colour: str) -> float:
    """A colour's relative luminance (WCAG 2.2), from ``rgb(...)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2), from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_view_is_restored_from_its_address(page: Page, payload: Payload) -> None:
    page.choose("task", "sts")
    page.choose("language", "ko")
    page.sort("score")
    page.sort("score")
    page.find("#table button.open").click()
    before, fragment = page.column("score"), page.run("return location.hash")
    page.open(fragment)
    assert page.column("score") == before
    assert page.find("select[name=task]").get_property("value") == "sts"
    assert page.find("select[name=language]").get_property("value") == "ko"
    assert page.texts("button.open[aria-expanded=true]") == [""]
    assert page.run("return location.hash") == fragment


def test_a_linked_entry_is_found_on_its_page(page: Page, payload: Payload) -> None:
    entry = payload["entries"][100]
    page.open(f"#row={entry['id']}")
    assert page.fragment() == {"row": entry["id"], "page": "5"}
    assert entry["provenance"][-1][1] in page.texts("section.detail")[0]


def test_another_address_in_the_same_page_is_followed(page: Page, payload: Payload) -> None:
    page.run("location.hash = '#model=model-01&transfer=mixed'")
    left = [entry for entry in payload["entries"] if (entry["model"], entry["transfer"]) == ("model-01", "mixed")]
    total = sum(not entry["sample"] for entry in payload["entries"])
    page.wait("return document.getElementById('shown').textContent === arguments[0]", f"{len(left)} of {total} entries")
    page.run("location.hash = '#corpora=sample'")
    page.wait("return document.getElementById('shown').textContent === '8 entries'")


def test_a_broken_address_does_no_harm(page: Page) -> None:
    page.open("#task=none&sort=x.up&page=-7&row=%3Cb%3E&corpora=all&matrixTask=__proto__&on=%00&model=%E0%A4%A")
    assert page.shown().startswith("156 entries")
    assert page.console() == []


def test_links_within_the_page_keep_the_view(page: Page) -> None:
    page.choose("task", "mrc")
    page.find("a[data-jump=notes]").click()
    assert page.fragment() == {"task": "mrc"}
    assert page.run("return document.activeElement.id") == "notes"


def test_the_theme_follows_the_reader_until_chosen(page: Page) -> None:
    def paper() -> str:
        return str(page.run("return getComputedStyle(document.body).backgroundColor"))

    try:
        page.media(prefers_color_scheme="dark")
        assert luminance(paper()) < 0.05
        page.media(prefers_color_scheme="light")
        assert luminance(paper()) > 0.9
        page.chart("heat")
        light = page.run("return document.getElementById('heat').data[0].colorscale[0][1]")
        button = page.find("#theme")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert luminance(paper()) < 0.05
        assert page.run("return document.getElementById('heat').data[0].colorscale[0][1]") != light
        page.open()
        assert luminance(paper()) < 0.05
    finally:
        page.run("localStorage.clear()")
        page.media()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_are_legible(page: Page, theme: str) -> None:
    """WCAG's AA: 4.5 to 1, on the page and on the strongest cell of the heat map."""
    try:
        page.media(prefers_color_scheme=theme)
        page.chart("heat")
        paper = page.run("return getComputedStyle(document.body).backgroundColor")
        for css in ("body", ".small", "caption", "#shown", "a[data-jump]", "summary", "figcaption"):
            assert (
                contrast(page.run("return getComputedStyle(document.querySelector(arguments[0])).color", css), paper)
                >= 4.5
            )
        ends = page.run(
            "const scale = document.getElementById('heat').data[0].colorscale;"
            "return scale.map(([, colour]) => { const one = document.createElement('i'); one.style.color = colour;"
            " document.body.append(one); return getComputedStyle(one).color; })"
        )
        ink = page.run("return getComputedStyle(document.body).color")
        assert min(contrast(ink, end) for end in ends) >= 4.5
    finally:
        page.media()


def test_a_narrow_screen_needs_no_sideways_scrolling(open_page: OpenPage) -> None:
    payload = make_payload(entries=30)
    for entry in payload["entries"]:
        entry["model"] = "organisation/a-model-with-a-name-as-long-as-they-are-in-practice-" + entry["model"]
    page = open_page(payload)
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    try:
        page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        page.open()
        page.chart("heat")
        page.chart("plot")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        cell = page.find("#table > tbody > tr:first-child > th.c-trained")
        assert payload["entries"][0]["model"] in cell.text
        assert cell.size["width"] > 85
        assert page.find("#table").size["width"] > 340
        assert "frozen" in page.find("#table > tbody > tr:first-child > td.c-scored").text
        table = page.find("#entries .wide")
        assert table.get_property("scrollWidth") == table.get_property("clientWidth")
    finally:
        page.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


LONG = (
    "korsts: 166 of 1379 rows share a text as they are or in translation with korsts/train, trained on, 2 as a whole; "
    "stsb: 249 of 1379 rows share a text with stsb/train, trained on, 12 as a whole"
)


def long_marks() -> Payload:
    """Rows that fill every column."""
    payload = make_payload(entries=25)
    for entry in payload["entries"]:
        gap = {"value": 62.05, "low": 57.43, "high": 68.38}
        entry.update(overlap=LONG, gap=gap, degradation=gap, retention=gap, seeds=[0, 1, 2], head="cross-encoder")
    return payload


@pytest.fixture
def sized(chrome: Chrome) -> Iterator[Callable[[int], None]]:
    """Makes the window so many pixels wide."""

    def size(width: int) -> None:
        sizes = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)

    yield size
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_no_column_is_cut_off_at_any_width(open_page: OpenPage, sized: Callable[[int], None]) -> None:
    page = open_page(long_marks())
    cut = []
    for width in (
        320,
        390,
        660,
        720,
        780,
        940,
        1024,
        1090,
        1200,
        1280,
        1300,
        1366,
        1440,
        1500,
        1536,
        1600,
        1700,
        1720,
        1920,
    ):
        sized(width)
        wide, room = page.run(
            "const one = document.querySelector('#entries .wide');"
            "const cells = [...one.querySelectorAll('#table > thead th')];"
            "return [Math.max(...cells.map((cell) => cell.getBoundingClientRect().right)),"
            " one.getBoundingClientRect().right]"
        )
        cut += [width] if wide > room + 1 else []
        task, marks = ("Semantic textual similarity", "translation with korsts/train")
        row = page.find("#table > tbody > tr").text
        assert task in " ".join(row.split()) or "sts" in row.splitlines()
        assert marks in " ".join(row.split()) or "1 mark" in row
    assert cut == []


def test_a_long_mark_takes_three_lines_and_is_whole_on_paper_and_in_the_entry(open_page: OpenPage) -> None:
    page = open_page(long_marks())
    lines = (
        "const mark = [...document.querySelectorAll('#table .marks > div')].find((one) => /166/.test(one.textContent));"
        "const line = parseFloat(getComputedStyle(mark).lineHeight);"
        "return [mark.clientHeight / line, mark.scrollHeight - mark.clientHeight]"
    )
    shown, hidden = page.run(lines)
    assert round(shown) == 3
    assert hidden > 0
    try:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert page.run(lines)[1] == 0
    finally:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.find("#table button.open").click()
    assert LONG in page.find("section.detail").text


def test_a_narrow_row_says_its_limits_and_that_it_has_marks(
    open_page: OpenPage, sized: Callable[[int], None]
) -> None:  # fmt: skip
    payload = long_marks()
    payload["entries"][0].update(limits="limited: 2000 training rows", marks=["one", "two"])
    payload["entries"][1].update(limits="", marks=[], overlap="")
    page = open_page(payload)
    for width in (390, 800):
        sized(width)
        first, second = page.chrome.find_elements(By.CSS_SELECTOR, "#table > tbody > tr > .c-trained")[:2]
        assert "limited: 2000 training rows; 3 marks" in first.text
        assert "mark" not in second.text


def test_on_a_phone_the_matrix_has_room_for_more_than_its_labels(
    open_page: OpenPage, sized: Callable[[int], None]
) -> None:  # fmt: skip
    sized(390)
    page = open_page(long_marks())
    page.chart("heat")
    room, labels = page.run(
        "return [document.querySelector('#matrix .wide').clientWidth, document.getElementById('heat').layout.margin.l]"
    )
    assert labels < 0.45 * room


def test_charts_fit_on_paper_and_the_filters_are_told(page: Page) -> None:
    page.choose("task", "mrc")
    page.choose("model", "model-02")
    page.find("input[name=q]").send_keys("squad")
    page.wait("return location.hash.includes('q=squad')")
    assert not page.find("#chosen").is_displayed()
    page.run("dispatchEvent(new Event('beforeprint'))")
    try:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        widths = page.run(
            "return ['heat', 'plot'].map((id) => document.querySelector(`#${id} svg`).getBoundingClientRect().width)"
        )
        assert max(widths) <= 681
        assert min(widths) > 300
        assert page.find("#chosen").text == "Task: Reading comprehension; Model: model-02; Text: squad"
        assert "one-task" in page.find("#table").get_attribute("class")
    finally:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.run("dispatchEvent(new Event('afterprint'))")
    page.chart("plot")
    assert page.run("return document.querySelector('#plot svg').clientWidth") > 681


def test_on_paper_a_row_says_its_task(page: Page) -> None:
    try:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert "sts" in page.find("#table > tbody > tr > .c-trained").text.splitlines()
    finally:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_forced_colours_leave_charts_legible_and_frames_as_they_are(page: Page) -> None:
    """A reader's own colours, against the theme that was chosen before."""
    try:
        page.media(forced_colors="active", prefers_color_scheme="dark")
        page.find("#theme").click()
        page.chart("heat"), page.chart("plot")
        for chart in ("heat", "plot"):
            ink, ground = page.run(
                "const chart = document.getElementById(arguments[0]);"
                "return [getComputedStyle(chart.querySelector('.ytick text')).fill,"
                " getComputedStyle(chart).backgroundColor]", chart,
            )  # fmt: skip
            assert contrast(ink, ground) > 4.5
        canvas = page.run("return getComputedStyle(document.body).backgroundColor")
        edge = "return getComputedStyle(document.querySelector(arguments[0])).borderTopColor"
        assert page.run(edge, ".legend.framed .kind-frozen") == canvas
        assert page.run(edge, ".legend.framed .kind-in-language") != canvas
        dot = page.run("return getComputedStyle(document.querySelector('.line .dot')).stroke")
        assert contrast(dot, canvas) > 4.5
    finally:
        page.run("localStorage.clear()")
        page.media()


def test_paper_gets_every_row_and_no_controls(page: Page) -> None:
    try:
        page.run("dispatchEvent(new Event('beforeprint'))")
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert len(page.column("score")) == 156
        assert not page.find("#filters").is_displayed()
        assert len(page.chart("heat")["texts"]) > 20
    finally:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.run("dispatchEvent(new Event('afterprint'))")
    assert len(page.column("score")) == 25
    assert page.find("#filters").is_displayed()


def test_every_control_has_a_name_and_every_place_a_landmark(page: Page) -> None:
    page.chart("heat")
    page.chart("plot")
    controls = page.chrome.find_elements(
        By.CSS_SELECTOR, "button, select, input, summary, a, [role=button], [tabindex='0']"
    )
    assert len(controls) > 60
    for control in controls:
        if control.is_displayed():
            assert control.accessible_name.strip(), control.get_attribute("outerHTML")
    tags = page.run(
        "return [...document.querySelectorAll('header, nav, main, footer, [role=search]')].map((one) => one.localName)"
    )
    assert {"header", "nav", "main", "footer", "form"} <= set(tags)
    headings = page.run("return [...document.querySelectorAll('h1, h2')].map((one) => one.localName)")
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    for css in ("#heat", "#plot"):
        chart = page.find(css)
        assert chart.aria_role in ("img", "image")
        assert "same values follow as a table" in chart.accessible_name
    live = page.find("#shown")
    assert (live.get_attribute("aria-live"), live.aria_role) == ("polite", "status")
    assert page.run("return document.querySelectorAll('table:not(:has(caption))').length") == 0
    assert page.run("return document.querySelectorAll('#table thead th:not([scope=col])').length") == 0
    assert page.run("return document.querySelectorAll('#table > tbody > tr > th[scope=row]').length") == 25
    assert page.run("return document.documentElement.lang") == "en"
    identities = page.run("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(identities) == len(set(identities))


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page) -> None:
    reached = []
    for _ in range(40):
        page.chrome.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(page.run(
            "const one = document.activeElement; const style = getComputedStyle(one);"
            "return [one.id || one.name || one.className, style.outlineStyle, style.outlineWidth]"
        ))  # fmt: skip
    names = [name for name, _, _ in reached]
    assert names[0] == "skip"
    for name in ("theme", "task", "model", "language", "source", "regime", "transfer", "q", "open"):
        assert name in names
    assert all(style != "none" and width != "0px" for _, style, width in reached)


def test_what_gets_the_focus_is_not_behind_the_columns_titles(page: Page) -> None:
    """WCAG 2.2's 2.4.11: going back up a table, a row comes into view below the titles that stay."""
    opened = page.find("#table button.open")
    page.run("scrollBy(0, arguments[0].getBoundingClientRect().y - 5)", opened)
    page.run("arguments[0].focus()", opened)
    assert page.run(
        "const box = arguments[0].getBoundingClientRect();"
        "return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === arguments[0]", opened
    )  # fmt: skip
