"""What a run shows while it goes on: lines now and then, or bars that go when their work is done."""

from __future__ import annotations

from datetime import datetime

import pytest

from xbench.cli import progress
from xbench.cli.progress import PlainReporter, RichReporter, telling
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.registry import load_registry
from xbench.stopping import Interrupted


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


def test_a_stage_that_goes_on_counts_from_there(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter, seconds, (stage,) = PlainReporter(plan), 1000.0, plan.stages
    monkeypatch.setattr(progress.time, "perf_counter", lambda: seconds)
    reporter.stage_started(stage, 800, 100)
    reporter.stage_resumed(stage, 60, 100, 480, datetime.now().astimezone().replace(hour=12, minute=31))
    for step in range(61, 101):  # eight examples in four seconds
        seconds += 4
        reporter.stage_step(stage, step, 100, 0.5, 8 * step)
    said = capsys.readouterr().err.splitlines()
    assert said[1] == "  goes on from step 60 of 100 (checkpoint of 12:31)"
    assert said[2] == "  step 68/100, loss 0.5000, 2.0 examples/s, 128 s left"
    assert said[-1] == "  step 100/100, loss 0.5000, 2.0 examples/s, 0 s left"


def test_a_checkpoint_of_another_day_says_which(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    reporter, (stage,) = PlainReporter(plan), plan.stages
    reporter.stage_resumed(stage, 60, 100, 480, datetime(2026, 1, 9, 23, 59).astimezone())
    assert capsys.readouterr().err == "  goes on from step 60 of 100 (checkpoint of 2026-01-09 23:59)\n"


def test_a_bar_of_a_stage_that_goes_on_is_set_there(plan: Plan) -> None:
    reporter, (stage,) = RichReporter(plan, load_registry()), plan.stages
    reporter.stage_started(stage, 800, 100)
    reporter.stage_resumed(stage, 60, 100, 480, datetime.now().astimezone())
    bar = reporter._bars.tasks[-1]
    assert (bar.completed, bar.total, bar.speed) == (60, 100, None)  # the jump tells nothing of how fast it is
    reporter.stage_step(stage, 61, 100, 0.5, 488)
    assert reporter._bars.tasks[-1].completed == 61


def test_an_interrupted_run_says_what_stands(plan: Plan) -> None:
    reporter, (stage,) = PlainReporter(plan), plan.stages
    cells = f"0 of {len(plan.cells)} cells are done"
    assert reporter.standing() == cells
    reporter.stage_started(stage, 800, 100)
    assert reporter.standing() == f"{cells}; {stage.label} has no checkpoint yet, and begins anew"
    reporter.stage_kept(stage, 40, 100)
    assert reporter.standing() == f"{cells}; {stage.label} has a checkpoint of step 40 of 100"
    reporter.stage_done(stage, 1.0, found=False)
    assert reporter.standing() == cells


@pytest.mark.parametrize(("error", "number"), [(KeyboardInterrupt(), 2), (Interrupted(15), 15)])
def test_whatever_stops_a_run_tells_it(plan: Plan, error: BaseException, number: int) -> None:
    with pytest.raises(Interrupted) as caught, telling(PlainReporter(plan)):
        raise error
    assert caught.value.number == number
    assert caught.value.standing.endswith("cells are done")
