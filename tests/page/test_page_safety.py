"""What a record says stays text; the page runs its own scripts only and asks nothing of anybody."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from xbench.errors import UserError
from xbench.leaderboard.page import render_page

from .conftest import OpenPage
from .payloads import Payload, make_payload

HOSTILE = (
    "<script>window.hacked=1</script></script><script>window.hacked=1</script><!--<script>",
    "\"><img src=x onerror=\"window.hacked=1\"><a href='javascript:window.hacked=1'>x</a><b>&lt;i&gt;</b>'-hacked=1-'",
    "%{x} ${hacked} $payload $$ \\u003c \u2028\u2029\x00 &amp;",
)


def poison(value: Any, text: str, keep: tuple[str, ...] = ()) -> Any:
    """Every text but those under some keys, and every name of a task, a score and a data set, replaced."""
    if isinstance(value, dict):
        return {key: one if key in keep else poison(one, text, keep) for key, one in value.items()}
    if isinstance(value, list):
        return [poison(one, text, keep) for one in value]
    return value + text if isinstance(value, str) else value


def poisoned(text: str) -> Payload:
    payload: Payload = poison(make_payload(entries=60, sample=4), text)
    for task in payload["tasks"]:
        assert task["name"].endswith(text)
    for entry in payload["entries"]:
        entry["scores"] = {name + text: score for name, score in entry["scores"].items()}
        entry["ceiling"] = entry["ceiling"] and {name + text: score for name, score in entry["ceiling"].items()}
    return payload


class Scripts(HTMLParser):
    """Collects script elements as a browser's parser finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))
        else:
            self.others.append(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, text = self.found[-1]
            self.found[-1] = (attributes, text + data)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_record_is_shown_and_never_run(open_page: OpenPage, text: str) -> None:
    payload = poisoned(text)
    page = open_page(payload)
    assert page.run("return window.hacked") is None
    entry = payload["entries"][0]
    assert "".join(page.texts("h1")).startswith("Leaderboard")
    assert entry["model"] in page.texts("#table td.c-model")
    page.find("#table button.open").click()
    assert text in page.run("return document.querySelector('section.detail').textContent")
    heat, plot = page.chart("heat"), page.chart("plot")

    # plotly leaves out what SVG cannot hold; of all else it shows the very characters.
    def visible(words: str) -> str:
        return re.sub(r"[\x00\s]+", "", words)

    for chart in (heat, plot):
        assert any(visible(text) in visible(one) for one in chart["texts"])
    page.run("Plotly.Fx.hover('plot', [{curveNumber: 0, pointNumber: 0}])")
    page.run("Plotly.Fx.hover('heat', [{curveNumber: 0, pointNumber: [0, 0]}])")
    assert page.run("return document.querySelectorAll('img, svg a, svg b, iframe').length") == 0
    assert (
        page.run("return document.querySelectorAll('script').length") == 5
    )  # four in the file, and plotly's once it runs
    assert page.run("return [...document.querySelectorAll('a')].every((one) => !/^javascript/i.test(one.href))")
    assert page.run("return window.hacked") is None
    assert page.console() == []


def test_only_a_records_own_path_becomes_a_link(open_page: OpenPage) -> None:
    payload = make_payload(entries=1)
    good = "results/sts/e5-small-q4/none--stsb--0820cc272ab1996d.json"
    payload["entries"][0]["provenance"] = [
        [
            "Records",
            f"{good}, results/../../secret.json javascript:alert(1).json /etc/results/x.json results/x.json?y.json",
        ]
    ]
    page = open_page(payload, f"#row={payload['entries'][0]['id']}")
    assert page.texts(".detail a") == [good]


def test_the_page_asks_for_nothing_and_complains_of_nothing(open_page: OpenPage) -> None:
    page = open_page(make_payload(entries=60, sample=4))
    page.find("#table button.open").click()
    page.sort("score")
    page.chart("heat")
    page.chart("plot")
    page.run("Plotly.Fx.hover('plot', [{curveNumber: 0, pointNumber: 0}])")
    page.find("#theme").click()
    page.run("localStorage.clear()")
    assert page.console() == []
    assert set(page.requests()) == {page.url}


def test_the_policy_names_each_script_by_its_hash_and_stops_any_other(open_page: OpenPage) -> None:
    payload = make_payload(entries=3)
    parser = Scripts()
    document = render_page(payload)
    parser.feed(document)
    assert [attributes.get("type") for attributes, _ in parser.found] == ["application/json", None, None, "text/plain"]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)
    assert policy is not None
    for attributes, text in parser.found:
        if attributes.get("type") != "application/json":
            assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy[1]
    assert "unsafe-inline" not in policy[1].split("style-src-attr")[0]
    assert "unsafe-eval" not in policy[1]
    page = open_page(payload)
    page.run(
        "const one = document.createElement('script'); one.textContent = 'window.hacked = 1'; document.body.append(one)"
    )
    page.run("fetch('https://example.org/').catch(() => {}); new Image().src = 'https://example.org/x.png'")
    assert page.run("return window.hacked") is None
    told = page.console()
    for directive in ("script-src", "connect", "img-src"):
        assert any("Content Security Policy" in line and directive in line for line in told), told


def test_the_payload_comes_back_as_it_was() -> None:
    payload = poisoned("".join(HOSTILE) + "\ud800")
    parser = Scripts()
    parser.feed(render_page(payload))
    (text,) = (text for attributes, text in parser.found if attributes.get("id") == "payload")
    assert json.loads(text) == payload
    assert not set("<>&\u2028\u2029") & set(text)


def test_the_same_payload_gives_the_same_bytes_whatever_the_order_of_its_keys() -> None:
    payload = make_payload(entries=20)

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(one) for key, one in reversed(value.items())}
        return [turned(one) for one in value] if isinstance(value, list) else value

    assert render_page(payload) == render_page(turned(payload))
    assert render_page(payload) != render_page(make_payload(entries=21))


def test_no_address_is_loaded_and_no_file_is_named() -> None:
    parser = Scripts()
    document = render_page(make_payload(entries=3))
    parser.feed(document)
    assert not any("src" in attributes for attributes, _ in parser.found)
    assert not {"link", "img", "iframe", "object", "embed"} & set(parser.others)


@pytest.mark.parametrize("package", ["plotly", "itables"])
def test_a_missing_library_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(UserError, match=r"pip install 'xbench\[publish\]'") as caught:
        render_page(make_payload(entries=1))
    assert package in str(caught.value)
    assert "\n" not in str(caught.value)
