"""Opens payloads as pages in one browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.page.browser import Page, missing, start
from tests.page.payloads import Payload, make_payload
from xbench.leaderboard.page import render_page

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    if missing():
        pytest.skip(missing())
    browser = start()
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def open_page(chrome: Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPage]:
    """Gives the page of a payload, opened with a fragment."""
    files: list[Path] = []

    def opened(payload: Payload, fragment: str = "") -> Page:
        files.append(tmp_path_factory.mktemp("page") / "index.html")
        files[-1].write_text(render_page(payload), encoding="utf-8")
        return Page(chrome, files[-1]).open(fragment)

    yield opened
    for file in files:
        file.unlink()  # five megabytes each


@pytest.fixture(scope="module")
def payload() -> Payload:
    """Four models on three tasks, and a sample task."""
    return make_payload(entries=156, sample=8)


@pytest.fixture(scope="module")
def written(open_page: OpenPage, payload: Payload) -> Page:
    """The page of `payload`."""
    return open_page(payload)


@pytest.fixture
def page(written: Page) -> Page:
    """The page of `payload`, opened anew."""
    return written.open()
