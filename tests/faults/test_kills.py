"""A run that is killed, again and again and at every kind of moment, ends as one that nobody has touched.

``make test`` kills once at each kind of moment, and a few times anywhere. ``make faults`` sets ``XBENCH_KILLS``: how
often at each.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.loopback import loopback_site
from xbench.settings import Settings
from xbench.store import Store, read_record, read_signed

from .log import Recovered, write_down
from .moments import MOMENTS, kill_after, kill_at
from .processes import Running, essentials, start, wait_until, weights
from .shop import Shop, open_shop

KILLS = int(os.environ.get("XBENCH_KILLS", "1"))
TRIES = 5
"""A moment that lasts a millisecond may be missed; so often in a row it is not."""
OFTEN = ("--set", "recipe.checkpoint_minutes=0.0001")


class Undisturbed(NamedTuple):
    """What a run does that nobody kills.

    Attributes:
        shop: What it needs.
        records: What is the same of its records, by their place.
        weights: The checksums of its stages.
        seconds: It took.
    """

    shop: Shop
    records: dict[str, dict[str, Any]]
    weights: dict[str, str]
    seconds: float


def _start(folder: Path, shop: Shop) -> Running:
    return start(folder, *shop.arguments, *OFTEN, HF_HUB_OFFLINE="0")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder, own = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.mktemp("shop")
    with loopback_site() as site:
        shop, began = open_shop(site, own), time.perf_counter()
        ended = _start(folder, shop).ended()
        assert ended.status == 0, ended.stderr
        yield Undisturbed(shop, essentials(folder), weights(folder), time.perf_counter() - began)


@dataclass(frozen=True)
class Left:
    """What a killed run has left.

    Attributes:
        finished: The files of its finished stages and cells, with what tells that nobody has written them again.
        step: Of the newest checkpoint of a stage that is not finished; None where there is none.
    """

    finished: dict[Path, tuple[int, int]]
    step: int | None


def _left(folder: Path) -> Left:
    """See what is there: whatever has its name is whole."""
    records, cache = folder / "leaderboard" / "results", folder / "cache"
    store = Store(Settings(cache=cache, out=folder / "leaderboard"))
    assert all(read_record(path) for path in records.rglob("[!.]*.json"))
    done = [path.name for path in (cache / "stages").glob("[!.]*")]
    assert all(store.stage(key) for key in done)
    paths = [*records.rglob("[!.]*.json"), *(cache / "stages").glob("[!.]*/*")]
    begun = [read_signed(path) for path in (cache / "unfinished").glob("*/[!.]*/*.json") if path.parts[-3] not in done]
    assert all(begun)
    steps = [manifest["step"] for manifest in begun if manifest]
    return Left({path: _state(path) for path in paths}, max(steps, default=None))


def _state(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def _go_on(folder: Path, undisturbed: Undisturbed, fault: str) -> Running:
    """Start a killed run again, and see that it goes on from what was left."""
    left, began = _left(folder), time.perf_counter()
    running = _start(folder, undisturbed.shop)
    work = "goes on from step" if left.step is not None else "\ntrain"
    wait_until(running, lambda: work in running.said() or running.process.poll() is not None)
    seconds = time.perf_counter() - began
    if left.step is not None:
        resumed = re.search(r"goes on from step (\d+)", running.said())
        assert resumed, running.said()
        assert int(resumed[1]) == left.step
    assert {path: _state(path) for path in left.finished} == left.finished, "what was finished was written again"
    write_down(Recovered(fault, seconds))
    return running


def _assert_ended_well(running: Running, undisturbed: Undisturbed) -> None:
    ended = running.ended()
    assert ended.status == 0, ended.stderr
    assert essentials(running.folder) == undisturbed.records
    assert weights(running.folder) == undisturbed.weights
    assert not list((running.folder / "cache" / "unfinished").glob("[!.]*")), "checkpoints of finished stages stay"


@pytest.mark.parametrize("chain", range(KILLS))
def test_killed_at_every_kind_of_moment(chain: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    chance, missed = random.Random(f"moments {chain}"), list(MOMENTS)
    for attempt in range(TRIES):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        missed = _chain(missed, folder, undisturbed, chance)
        if not missed:
            return
    raise AssertionError(f"never came: {missed}")


def _chain(moments: list[str], folder: Path, undisturbed: Undisturbed, chance: random.Random) -> list[str]:
    """Start a run, kill it at each moment in turn, and let it end; gives the moments that were missed."""
    undisturbed.shop.break_off()
    running = _start(folder, undisturbed.shop)
    for place, name in enumerate(moments):
        if not kill_at(MOMENTS[name], running, chance):
            _assert_ended_well(running, undisturbed)
            return moments[place:]
        running = _go_on(folder, undisturbed, f"killed while {MOMENTS[name].about}")
    _assert_ended_well(running, undisturbed)
    return []


@pytest.mark.parametrize("chain", range(KILLS))
def test_killed_anywhere(chain: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    chance = random.Random(f"anywhere {chain}")
    running = _start(tmp_path, undisturbed.shop)
    for _ in range(3):
        if not kill_after(chance.uniform(0, undisturbed.seconds / 3), running):
            break
        running = _go_on(tmp_path, undisturbed, "killed at any time")
    _assert_ended_well(running, undisturbed)
