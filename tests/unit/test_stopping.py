"""A signal stops a run at once, or at the end of a step where the work up to it is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from xbench import stopping
from xbench.stopping import Interrupted


def ask() -> None:
    """What a cluster does before it takes a machine away."""
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def heard() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    with stopping.listening():
        yield
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("heard")
def test_it_stops_at_once() -> None:
    with pytest.raises(Interrupted) as caught:
        ask()
    assert caught.value.number == signal.SIGTERM
    assert not isinstance(caught.value, Exception)  # what catches errors lets it pass


@pytest.mark.usefixtures("heard")
def test_while_a_stage_trains_it_waits_for_the_end_of_the_step() -> None:
    done: list[str] = []

    @stopping.at_steps()
    def train() -> None:
        stopping.heed()
        assert not stopping.wanted()
        ask()
        done.append("the step")
        assert stopping.wanted()
        done.append("a checkpoint")
        stopping.heed()
        done.append("another step")

    with pytest.raises(Interrupted):
        train()
    assert done == ["the step", "a checkpoint"]
    assert not stopping.wanted()


@pytest.mark.usefixtures("heard")
def test_it_is_heeded_when_training_ends_before_another_step() -> None:
    with pytest.raises(Interrupted), stopping.at_steps():
        ask()


@pytest.mark.usefixtures("heard")
def test_an_error_goes_before_it() -> None:
    @stopping.at_steps()
    def train() -> None:
        ask()
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        train()


@pytest.mark.usefixtures("heard")
def test_a_second_one_stops_at_once() -> None:
    done: list[str] = []

    @stopping.at_steps()
    def train() -> None:
        ask()
        done.append("the first")
        ask()
        done.append("the second")

    with pytest.raises(Interrupted):
        train()
    assert done == ["the first"]


@pytest.mark.parametrize("owner", [signal.SIG_IGN, lambda number, frame: None])
def test_who_ignores_it_or_takes_it_himself_goes_on_doing_so(owner: signal.Handlers) -> None:
    before = signal.signal(signal.SIGTERM, owner)
    try:
        with stopping.listening():
            ask()
            assert signal.getsignal(signal.SIGTERM) is owner
    finally:
        signal.signal(signal.SIGTERM, before)
