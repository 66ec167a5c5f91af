"""The page held against WCAG by axe, as it is first met, with a row opened, and with nothing left."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys
from selenium_axe_python import Axe

from tests.page.browser import PATIENCE_S, Page
from tests.page.conftest import OpenPage
from tests.page.payloads import make_payload


def violations(page: Page) -> dict[str, list[str]]:
    """What axe finds: its rules by name, and the elements that break each."""
    page.chrome.set_script_timeout(10 * PATIENCE_S)
    axe = Axe(page.chrome)
    axe.inject()
    found = axe.run()
    assert len(found["passes"]) > 30  # it has looked
    return {one["id"]: [str(node["target"]) for node in one["nodes"]] for one in found["violations"]}


@pytest.fixture(scope="module")
def small(open_page: OpenPage) -> Page:
    """Few entries: axe looks at each of them."""
    return open_page(make_payload(entries=12, sample=4))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(small: Page, theme: str) -> None:
    try:
        small.media(prefers_color_scheme=theme)
        page = small.open()
        page.chart("heat"), page.chart("plot")
        page.find("#table button.open").send_keys(Keys.ENTER)
        assert len(page.texts("section.detail")) == 1
        assert violations(page) == {}
    finally:
        small.media()


def test_axe_finds_nothing_where_no_row_is_left(small: Page) -> None:
    page = small.open()
    page.find("input[type=search]").send_keys("nothing has this name")
    page.wait("return document.querySelectorAll('#table > tbody .c-kind').length === 0")
    assert violations(page) == {}


def test_axe_would_find_what_breaks(small: Page) -> None:
    page = small.open()
    page.run(
        "document.documentElement.removeAttribute('lang');"
        "const select = document.querySelector('select[name]');"
        "select.removeAttribute('aria-label'); document.querySelectorAll('label').forEach((one) => one.remove());"
        "document.querySelector('#shown').style.color = getComputedStyle(document.body).backgroundColor;"
    )
    assert {"html-has-lang", "select-name"} <= set(violations(page))
