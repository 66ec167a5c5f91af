"""Batches that are made beforehand and losses that are read later: what a GPU needs changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import xbench.training.loop as loop_module
from tests.tiny import TinyRun, tiny_rows
from xbench.registry import Registry
from xbench.training.feeding import batches, held_back, host_batch, in_advance
from xbench.training.loop import TrainingFailedError, train


def test_what_is_made_beforehand_comes_in_order_and_no_more_than_asked() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    threads: set[str] = set()

    def make(item: int) -> int:
        threads.add(threading.current_thread().name)
        time.sleep(0.001 * (item % 3))
        return item * item

    stream = in_advance(items(), make, 3)
    assert next(stream) == (0, 0)
    assert taken == [0, 1, 2, 3]
    assert list(stream) == [(item, item * item) for item in range(1, 20)]
    assert threading.current_thread().name not in threads


@pytest.mark.parametrize("depth", [0, 3])
def test_an_error_comes_out_where_it_belongs_and_the_thread_ends(depth: int) -> None:
    def make(item: int) -> int:
        return 10 // (5 - item)

    made = []
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        made.extend(in_advance(range(9), make, depth))
    assert made == [(item, 10 // (5 - item)) for item in range(5)]
    assert threading.active_count() == before


def test_a_stream_that_is_left_early_leaves_no_thread() -> None:
    before = threading.active_count()
    stream = in_advance(range(100), lambda item: item, 3)
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before


def test_what_is_read_later_is_all_of_it_in_order() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for item in range(6):
            begun.append(item)
            yield item

    stream = held_back(items(), 2)
    assert next(stream) == 0
    assert begun == [0, 1, 2]  # two more were begun before the first was read
    assert list(stream) == [1, 2, 3, 4, 5]
    assert list(held_back(range(3), 0)) == list(held_back(range(3), 9)) == [0, 1, 2]


@pytest.fixture
def run(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> TinyRun:
    rows = [tiny_rows(30), tiny_rows(13, seed=1)]
    settings = {"score_scale": "raw", "micro_batch_tokens": 90}
    return TinyRun(tiny("xlm-roberta", 0.1), registry.heads.get("cross-encoder"), rows, tmp_path, settings)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches from a thread, losses two steps later."""
    monkeypatch.setattr(loop_module, "batches", lambda pieces, make, device: batches(pieces, make, device, ahead=3))
    monkeypatch.setattr(loop_module, "behind", lambda device: 2)


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_is_fed_as_on_a_gpu_learns_the_same_bits(run: TinyRun, request: pytest.FixtureRequest) -> None:
    def trained() -> tuple[list[tuple[int, int, float, int]], dict[str, torch.Tensor]]:
        heard: list[tuple[int, int, float, int]] = []
        module = run.build()
        train(module, run.tables, run.recipe, 0, run.whole(), run.pad_id, lambda *step: heard.append(step))
        return heard, dict(module.state_dict())

    expected, weights = trained()
    request.getfixturevalue("as_on_a_gpu")
    heard, others = trained()
    assert heard == expected
    assert [step for step, *_ in heard] == list(range(1, 13))
    assert [passed for *_, passed in heard][-1] == 2 * 43
    assert all(torch.equal(others[name], weight) for name, weight in weights.items())


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_loss_that_is_no_number_is_found_a_little_later(
    tiny: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    settings = {"score_scale": "raw", "lr": 1e30, "warmup": 0.0}
    run = TinyRun(tiny("xlm-roberta"), registry.heads.get("cross-encoder"), [tiny_rows(26)], tmp_path, settings)
    with pytest.raises(TrainingFailedError, match=r"the loss is (nan|inf) at step \d+ of 8"):
        run.train()


def test_a_batch_counts_its_tokens_on_the_host(run: TinyRun) -> None:
    table = run.tables[0]
    batch = host_batch(table, np.arange(7), run.whole(), run.pad_id)
    assert batch.lengths is not None
    assert batch.lengths.tolist() == batch.attention_mask.sum(1).tolist()
