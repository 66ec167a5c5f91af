"""Debian's Chromium, driven by selenium, without a screen and without a network."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1700,1000",
)  # fmt: skip
PATIENCE_S = 60
"""A busy machine is not a failure."""


def missing() -> str:
    """What has to be installed before a page can be opened; empty when all is there."""
    packages = {"chromium": CHROMIUM, "chromium-driver": DRIVER}
    absent = [package for package, path in packages.items() if not path.exists()]
    return f"no browser: needs Debian's {' and '.join(absent)} (apt-get install {' '.join(absent)})" if absent else ""


def start() -> Chrome:
    """A browser that keeps what its console and its network say."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=Service(str(DRIVER)))


class Page:
    """An open page, as its reader meets it.

    Attributes:
        chrome: The browser.
        url: Of the file, without a fragment.
    """

    def __init__(self, chrome: Chrome, file: Path) -> None:
        self.chrome = chrome
        self.url = file.as_uri()

    def open(self, fragment: str = "") -> Page:
        """Load the page anew, and wait for its table."""
        self.chrome.get("about:blank")
        self.console(), self.requests()  # what earlier pages have left
        self.chrome.get(self.url + fragment)
        self.wait("return window.xbenchReady > 0")
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script gives."""
        return self.chrome.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Run a script until it gives something."""
        end = time.monotonic() + PATIENCE_S
        while not (found := self.run(script, *arguments)):
            assert time.monotonic() < end, f"never came: {script}; {self.console()}"
            time.sleep(0.02)
        return found

    def media(self, **features: str) -> None:
        """Have the browser say that its reader wants this, such as ``prefers_color_scheme="dark"``; or nothing more."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})
        if "prefers_color_scheme" in features:
            self.wait(
                "return document.documentElement.dataset.theme === arguments[0]", features["prefers_color_scheme"]
            )

    def find(self, css: str) -> WebElement:
        """The first element."""
        return self.chrome.find_element(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        """The whole texts of elements, shown or not."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent.trim())", css
        )
        return found

    def column(self, name: str) -> list[str]:
        """The texts of a column of the table of entries as they are seen, of the rows on this page."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)",
            f"#table > tbody > tr > .c-{name}",
        )
        return [" ".join(text.split()) for text in found]

    def shown(self) -> str:
        """How many rows are said to be shown."""
        return self.texts("#shown")[0]

    def choose(self, name: str, value: str) -> None:
        """Choose an option of a filter or of a figure, by value."""
        Select(self.find(f"select[name={name}]")).select_by_value(value)

    def options(self, name: str) -> list[str]:
        """The values of a select."""
        return [str(one.get_attribute("value")) for one in Select(self.find(f"select[name={name}]")).options]

    def sort(self, name: str) -> None:
        """Click the title of a column."""
        before = self.run("return location.hash")
        self.find(f"#table > thead th.c-{name}").click()
        self.wait("return location.hash !== arguments[0]", before)

    def chart(self, name: str) -> Mapping[str, Any]:
        """Scroll to a chart, ``heat`` or ``plot``; its data as plotly has them, and the texts that it has drawn."""
        self.run("document.getElementById(arguments[0]).scrollIntoView()", name)
        self.wait("return window.xbenchDrawn > 0")
        time.sleep(0.1)  # what a filter has set off comes 60 ms later
        found: Mapping[str, Any] = self.run(
            "const chart = document.getElementById(arguments[0]), data = chart.data[0];"
            "return {data, texts: [...chart.querySelectorAll('svg text')].map((one) => one.textContent),"
            " shapes: chart.layout.shapes || []}",
            name,
        )
        return found

    def fragment(self) -> dict[str, str]:
        """What the address says behind ``#``."""
        return dict(self.run("return [...new URLSearchParams(location.hash.slice(1))]"))

    def console(self) -> Sequence[str]:
        """What the console has got since it was last asked."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def requests(self) -> Sequence[str]:
        """Every address that was asked for since this was last asked, but for data that the page itself holds."""
        said = [json.loads(one["message"])["message"] for one in self.chrome.get_log("performance")]
        urls = [one["params"]["request"]["url"] for one in said if one["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("data:")]
