"""How soon the leaderboard's page answers, in a real Chromium: loading, a filter, a sort. Prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.page.browser import Page, missing, start
from tests.page.payloads import make_payload
from xbench.leaderboard.page import render_page

ANSWER = """
const done = arguments[arguments.length - 1], began = performance.now();
const draw = () => requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
new DataTable("#table").one("draw", draw);
"""
"""Milliseconds from an action to the table's painted answer."""
SORT = ANSWER + "document.querySelector('#table > thead th.c-score').click();"
FILTER = ANSWER + (
    "const one = document.querySelector('select[name=transfer]');"
    "one.value = 'zero-shot'; one.dispatchEvent(new Event('change', {bubbles: true}));"
)
WORDS = ANSWER + (
    "const one = document.querySelector('input[name=q]');"
    "one.value = 'model-01 korsts'; one.dispatchEvent(new Event('input', {bubbles: true}));"
)


def main() -> None:
    """Time the page of a payload of made-up entries, and say the medians over several loads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    if missing():
        sys.exit(missing())
    chrome = start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "index.html"
            file.write_text(render_page(make_payload(options.entries)), encoding="utf-8")
            page = Page(chrome, file)
            runs = [_one_load(page) for _ in range(options.times)]
            size = file.stat().st_size
        peak = _peak_mb(chrome.service.process.pid)
    finally:
        chrome.quit()
    medians = {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}
    slowest = round(max(run["ready_ms"] for run in runs), 1)
    print(json.dumps({
        **medians, "slowest_ready_ms": slowest, "loads_per_s": round(1000 / medians["ready_ms"], 2),
        "page_mb": round(size / 1e6, 2), "peak_rss_mb": peak,
    }))  # fmt: skip


def _one_load(page: Page) -> dict[str, float]:
    page.open()
    found = {"ready_ms": float(page.run("return window.xbenchReady"))}
    for name, script in (("sort_ms", SORT), ("filter_ms", FILTER), ("words_ms", WORDS)):
        found[name] = float(page.chrome.execute_async_script(script))
    began = float(page.run("document.getElementById('matrix').scrollIntoView(); return performance.now()"))
    page.wait("return window.xbenchDrawn > 0")
    return {**found, "charts_ms": float(page.run("return window.xbenchDrawn")) - began}


def _peak_mb(driver: int) -> float:
    """The largest resident set of any of the browser's processes."""
    parents, peaks = {}, {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines())
        except OSError:
            continue  # it has ended meanwhile
        parents[int(path.parent.name)] = int(lines["PPid"])
        peaks[int(path.parent.name)] = float(lines.get("VmHWM", "0 kB").split()[0]) / 1024
    family = {driver}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return round(max(peaks[one] for one in family - {driver}), 1)


if __name__ == "__main__":
    main()
