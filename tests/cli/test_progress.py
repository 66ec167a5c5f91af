"""What a run shows while it goes on: lines now and then, or bars that go when their work is done."""

from __future__ import annotations

import pytest

from xbench.cli import progress
from xbench.cli.progress import PlainReporter, RichReporter
from xbench.plan import Plan, Request, make_plan
from xbench.registry import load_registry


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(Request(("random-encoder",), ("mini-sts",), ("mini-sts-en",)), load_registry())


def test_plain_lines_come_now_and_then_with_the_time_that_is_left(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter, seconds = PlainReporter(plan), 1000.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: seconds)
    for passed in range(0, 101, 10):  # ten of them take twelve seconds
        reporter.pass_step("a -> b/test", passed, 100, passed / 100)
        seconds += 12
    assert capsys.readouterr().err.splitlines() == [
        "  a -> b/test: 30 of 100 examples, 0.8 examples/s, 84 s left",
        "  a -> b/test: 60 of 100 examples, 0.8 examples/s, 48 s left",
        "  a -> b/test: 90 of 100 examples, 0.8 examples/s, 12 s left",
    ]


def test_a_pass_has_a_bar_until_it_is_done_or_fails(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = RichReporter(plan, load_registry())
    tasks = reporter._bars.tasks
    assert [task.description for task in tasks] == ["cells"]
    for end in ("done", "failed"):
        reporter.pass_step("a -> b/test", 0, 8, 0.0)
        reporter.pass_step("a -> b/test", 3, 8, 0.5)
        bar = reporter._bars.tasks[-1]
        assert (bar.description, bar.completed, bar.total) == ("a -> b/test", 0.5, 1.0)
        if end == "done":
            reporter.pass_step("a -> b/test", 8, 8, 1.0)
        else:
            reporter.failed("a cell", "no reason")
        assert [task.description for task in reporter._bars.tasks] == ["cells"]
