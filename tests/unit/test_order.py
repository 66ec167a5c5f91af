"""Jobs on devices: small cases worked out by hand."""

from __future__ import annotations

import itertools
import random

import pytest

from xbench.executors.order import Load, least_seconds, longest_first, remaining, simulate

CHAIN = [Load("a", 3), Load("b", 4, "a"), Load("c", 5), Load("d", 2)]


def test_one_device_does_one_after_the_other() -> None:
    run = simulate(CHAIN, 1)
    assert run.seconds == run.busy == 14
    assert list(run.ends.items()) == [("a", 3), ("b", 7), ("c", 12), ("d", 14)]


def test_what_waits_begins_when_the_other_has_ended() -> None:
    run = simulate(CHAIN, 2)
    assert run.ends == {"a": 3, "c": 5, "b": 7, "d": 7}  # a and c begin; b at 3, when a is done; d at 5
    assert simulate(CHAIN, 100).seconds == 7 == least_seconds(CHAIN, 100)
    assert least_seconds(CHAIN, 1) == 14


def test_a_stage_opens_before_its_cells_are_scored() -> None:
    jobs = [Load("stage", 10, opens=6), Load("next", 10, "stage"), Load("other", 1)]
    assert remaining(jobs) == {"stage": 16, "next": 10, "other": 1}
    run = simulate(jobs, 2)
    assert run.ends == {"stage": 10, "other": 1, "next": 16}
    assert simulate(jobs, 1).ends == {"stage": 10, "next": 20, "other": 21}


def test_the_longest_path_first_saves_what_the_plans_order_wastes() -> None:
    jobs = [Load("x", 2), Load("y", 2), Load("z", 2), Load("w", 2), Load("a", 1), Load("b", 3, "a"), Load("c", 3, "b")]
    assert remaining(jobs) == {"x": 2, "y": 2, "z": 2, "w": 2, "a": 7, "b": 6, "c": 3}
    assert [job.name for job in longest_first(jobs)] == ["a", "b", "c", "x", "y", "z", "w"]
    assert simulate(jobs, 2).seconds == 11  # four of 2 on two devices, then the chain of 7 alone
    assert simulate(longest_first(jobs), 2).seconds == 8  # the chain on one, and the four on the other
    assert least_seconds(jobs, 2) == 7.5


def test_nothing_takes_no_time() -> None:
    assert simulate([], 3).seconds == 0
    assert least_seconds([], 3) == 0


def test_what_waits_for_nothing_that_is_there_is_told() -> None:
    with pytest.raises(ValueError, match="wait for what is not there"):
        simulate([Load("a", 1, "b")], 1)
    with pytest.raises(ValueError, match="wait for what is not there"):
        simulate([Load("a", 1, "b"), Load("b", 1, "a")], 1)


@pytest.mark.parametrize("seed", range(20))
def test_no_device_does_two_things_and_no_bound_is_broken(seed: int) -> None:
    draw = random.Random(seed)
    jobs: list[Load] = []
    for number in range(60):
        seconds = draw.randint(1, 9)
        after = draw.choice([None, *(job.name for job in jobs)])
        jobs.append(Load(str(number), seconds, after, draw.choice([None, draw.randint(0, seconds)])))
    named = {job.name: job for job in jobs}
    for devices in (1, 3, 7):
        for order in (jobs, longest_first(jobs), draw.sample(jobs, len(jobs))):
            run = simulate(order, devices)
            spans = [(run.ends[job.name] - job.seconds, run.ends[job.name]) for job in jobs]
            for moment in sorted(set(itertools.chain.from_iterable(spans))):
                assert sum(begin <= moment < end for begin, end in spans) <= devices
            for job, (begin, _) in zip(jobs, spans, strict=True):
                if job.after is not None:
                    parent = named[job.after]
                    assert begin >= run.ends[parent.name] - parent.seconds + parent.until_open
            best = least_seconds(jobs, devices)
            assert best <= run.seconds <= run.busy / devices + max(remaining(jobs).values())  # Graham's bound
