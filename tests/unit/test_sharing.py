"""Examples are shared out to processes: each goes to one, all get as much, and no step is missed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import TinyRun, tiny_rows
from xbench.launch import Launch, launched
from xbench.registry import Registry
from xbench.training.batching import share_out
from xbench.training.feeding import Feed, Piece
from xbench.training.loop import _each_step

VARIABLES = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@given(st.lists(st.integers(1, 512), max_size=80), st.integers(1, 9), st.lists(st.integers(0, 300), max_size=9))
def test_no_process_has_more_than_another_by_more_than_one_example(
    costs: list[int], size: int, before: list[int]
) -> None:
    loads = np.array((before + [0] * size)[:size], np.int64)
    given_ = loads.copy()
    owners = share_out(np.array(costs, np.int64), loads)
    assert len(owners) == len(costs)
    for process in range(size):
        own = [cost for cost, owner in zip(costs, owners, strict=True) if owner == process]
        assert loads[process] == given_[process] + sum(own)
        if own:  # the last that it got was the smallest, and it was then the one with the least
            assert loads[process] - min(own) <= loads.min()


@pytest.fixture
def run(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> TinyRun:
    rows = [tiny_rows(23, seed=1), tiny_rows(10, seed=2)]
    return TinyRun(tiny("bert"), registry.heads.get("siamese"), rows, tmp_path, {"batch_size": 8, "epochs": 2})


def seen(pieces: list[Piece], feed: Feed) -> dict[int, dict[int, tuple[int, int]]]:
    """Of each step: by place in the effective batch, which table and which of its examples."""
    steps: dict[int, dict[int, tuple[int, int]]] = {}
    for piece in pieces:
        table = next(index for index, one in enumerate(feed.tables) if one is piece.table)
        for position, index in zip(piece.positions.tolist(), piece.indices.tolist(), strict=True):
            own = steps.setdefault(piece.step, {})
            assert position not in own
            own[position] = (table, index)
    return steps


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("packed", [False, True])
def test_together_the_processes_see_the_very_batches_that_one_sees(run: TinyRun, size: int, packed: bool) -> None:
    whole = Feed(run.tables, run.recipe, 0)
    expected = seen(list(whole.pieces(0, packed, 60, 4)), whole)
    assert sorted(expected) == list(range(10))
    found: dict[int, dict[int, tuple[int, int]]] = {}
    tokens = np.zeros((size, 10), np.int64)
    for rank in range(size):
        feed = Feed(run.tables, run.recipe, 0, rank, size)
        pieces = list(feed.pieces(0, packed, 60, 4))
        for step, own in seen(pieces, feed).items():
            assert not own.keys() & found.setdefault(step, {}).keys()
            found[step] |= own
        for piece in pieces:
            assert piece.of == len(expected[piece.step]) == feed.examples(piece.step)
            tokens[rank, piece.step] += int(piece.table.lengths[piece.indices].sum())
    assert found == expected
    assert [len(expected[step]) for step in (3, 4, 8, 9)] == [8, 1, 8, 1]
    assert ((tokens[:, 4] > 0).sum(), (tokens[:, 9] > 0).sum()) == (1, 1)
    longest = max(int(table.lengths[:].sum(1).max()) for table in run.tables)
    assert (tokens.max(0) - tokens.min(0) <= longest).all()
    # From a step in the middle, as a training that is gone on with asks for them.
    later = Feed(run.tables, run.recipe, 0, 1, size)
    assert seen(list(later.pieces(7, packed, 60, 4)), later) == {
        step: own for step, own in seen(list(later.pieces(0, packed, 60, 4)), later).items() if step >= 7
    }


def test_a_step_without_a_piece_is_made_all_the_same(run: TinyRun) -> None:
    pieces = [Piece(run.tables[0], np.array([0]), np.array([0]), step, 8) for step in (2, 2, 5)]
    stream = [(piece, None) for piece in pieces]
    steps = [(step, len(list(own))) for step, own in _each_step(stream, 1, 8)]  # type: ignore[arg-type]
    assert steps == [(1, 0), (2, 2), (3, 0), (4, 0), (5, 1), (6, 0), (7, 0)]


def test_who_leads_is_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert launched() == Launch(0, 1, 0)
    assert not launched().follows
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert launched() == Launch(1, 4, 1)
    assert launched().follows
    monkeypatch.delenv("MASTER_PORT")  # a cluster's WORLD_SIZE alone launches nothing
    assert launched() == Launch()
