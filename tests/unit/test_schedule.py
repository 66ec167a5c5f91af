"""The schedule of turns: parents first, what fails stops only what goes on from it, and what is put off comes again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans import own
from xbench.errors import UserError
from xbench.executors import make_executor
from xbench.executors.effort import Effort
from xbench.executors.schedule import Schedule
from xbench.executors.turn import TurnResult
from xbench.plan import Cell, Plan, Request
from xbench.planner import make_plan
from xbench.work import Turn

CURRICULA = ("none", "stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb:korsts:stsb")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(Request(("m",), ("sts",), CURRICULA, ("stsb", "korsts"), seeds=(0, 1)), own())


def turns_of(plan: Plan) -> list[Turn]:
    """A turn for each stage, and one for the frozen encoder."""
    of_stage: dict[str | None, dict[Cell, str]] = {}
    for cell in plan.cells:
        of_stage.setdefault(cell.stage, {})[cell] = f"key of {cell.label}"
    frozen = of_stage.get(None, {})
    return [Turn(None, [frozen]), *(Turn(stage, [of_stage.get(stage.id, {})]) for stage in plan.stages)]


def done(turn: Turn) -> TurnResult:
    """As if all cells had been scored."""
    return TurnResult({cell: {"key": key} for group in turn.groups for cell, key in group.items()})


def stage_of(turn: Turn | None) -> Any:
    return turn and turn.stage and turn.stage.id


@given(st.integers(0, 2**32))
def test_in_whatever_order_turns_end_no_stage_goes_on_from_one_that_does_not_stand(plan: Plan, seed: int) -> None:
    draw = random.Random(seed)
    schedule, running, standing = Schedule(turns_of(plan), {}, {}), list[Turn](), set[str]()
    while not schedule.finished:
        turn = schedule.take()
        if turn is not None:
            assert turn.stage is None or turn.stage.parent is None or turn.stage.parent in standing
            running.append(turn)
        if running and (turn is None or draw.random() < 0.5):
            one = running.pop(draw.randrange(len(running)))
            if draw.random() < 0.25:
                schedule.finish(one, TurnResult(stands=False, left=one, waits_for="trains it"))
            else:
                schedule.finish(one, done(one))
                standing |= {one.stage.id} if one.stage is not None else set()
        elif turn is None:
            assert schedule.waits_for
            schedule.retry()
    assert schedule.records.keys() == set(plan.cells)
    assert schedule.reasons == {}
    assert standing == {stage.id for stage in plan.stages}


def test_a_broken_stage_stops_only_what_goes_on_from_it(plan: Plan) -> None:
    schedule = Schedule(turns_of(plan), {}, {})
    while (turn := schedule.take()) is not None:
        broken = turn.stage is not None and (turn.stage.curriculum, turn.stage.seed) == ("stsb", 0)
        schedule.finish(turn, TurnResult(stands=False, broken="no number") if broken else done(turn))
    assert schedule.finished
    stopped = {"stsb", "stsb:korsts", "stsb:korsts:stsb"}
    failed = {cell for cell in plan.cells if cell.seed == 0 and cell.curriculum in stopped}
    assert schedule.reasons == dict.fromkeys(failed, "no number")
    assert schedule.records.keys() == set(plan.cells) - failed


def test_a_stage_that_stands_lets_others_begin_before_its_cells_are_scored(plan: Plan) -> None:
    schedule = Schedule(turns_of(plan), {}, {})
    taken = []
    while (turn := schedule.take()) is not None:
        taken.append(turn)
    assert {turn.stage.parent for turn in taken if turn.stage is not None} == {None}
    first = next(turn for turn in taken if turn.stage is not None and turn.stage.curriculum == "stsb")
    assert first.stage is not None
    assert not schedule.stood(first)
    schedule.stands(first.stage.id)
    assert schedule.stood(first)
    following = schedule.take()
    assert following is not None
    assert following.stage is not None
    assert following.stage.parent == first.stage.id


def test_what_another_process_is_at_comes_again_with_what_is_left_of_it(plan: Plan) -> None:
    frozen = turns_of(plan)[0]
    schedule = Schedule([frozen], {}, {})
    turn = schedule.take()
    assert turn is not None
    first, second = turn.groups[0].items()
    result = TurnResult({first[0]: {}}, left=Turn(None, [dict([second])]), waits_for="scores it")
    schedule.finish(turn, result)
    assert schedule.take() is None
    assert not schedule.finished
    assert list(schedule.waits_for) == ["scores it"]
    schedule.retry()
    again = schedule.take()
    assert again is not None
    assert again.groups == [dict([second])]
    schedule.finish(again, done(again))
    assert schedule.finished
    assert len(schedule.records) == 2


def test_a_turn_that_is_given_back_is_the_next_one(plan: Plan) -> None:
    schedule = Schedule(turns_of(plan), {}, {})
    turn = schedule.take()
    assert turn is not None
    schedule.give_back(turn)
    assert stage_of(schedule.take()) == stage_of(turn)


def test_side_by_side_the_longest_path_to_the_end_is_begun_first(plan: Plan) -> None:
    schedule = Schedule(turns_of(plan), {}, {})
    seconds = {"stsb": 1.0, "korsts": 3.0, "stsb:korsts": 1.0, "korsts:stsb": 1.0, "stsb:korsts:stsb": 9.0}
    schedule.start_longest_first(
        lambda turn: Effort(0, 0.5) if turn.stage is None else Effort(seconds[turn.stage.curriculum], 0.5)
    )
    taken = []
    while (turn := schedule.take()) is not None:
        taken.append("none" if turn.stage is None else turn.stage.curriculum)
        schedule.finish(turn, done(turn))
    # stsb opens a path of 1 + 1 + 9.5, korsts one of 3 + 1.5; of two seeds each.
    first = ["stsb"] * 2 + ["stsb:korsts"] * 2 + ["stsb:korsts:stsb"] * 2
    assert taken == [*first, *["korsts"] * 2, *["korsts:stsb"] * 2, "none"]


def test_nothing_to_do_is_finished() -> None:
    assert Schedule([Turn(None, [{}])], {}, {}).finished


def test_an_executor_that_is_not_there_is_the_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xbench.executors.EXECUTORS", {"moon": "moon"})
    with pytest.raises(UserError, match="--executor moon is not in this version"):
        make_executor("moon")


def test_processes_of_a_launcher_do_one_turn_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, text in launch.items():
        monkeypatch.setenv(name, text)
    make_executor("local")
    for name, workers in (("ray", 0), ("local", 2)):
        with pytest.raises(UserError, match="leave out --executor and --workers"):
            make_executor(name, workers)
