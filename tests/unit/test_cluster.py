"""What a turn takes of a cluster, what of a plan it needs there, and how its progress comes back."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xbench.errors import UserError
from xbench.executors import make_executor
from xbench.executors.cluster import Node, Share, share_of
from xbench.executors.events import Lines
from xbench.executors.node import Shared, versions
from xbench.executors.parts import Parts
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.progress import Reporter
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.work import prepare_work, turns


def nodes(*sizes: tuple[int, int]) -> list[Node]:
    """Nodes with so many CPUs and GPUs."""
    return [Node(f"id{n}", f"n{n}", cpus, gpus) for n, (cpus, gpus) in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "device", "workers", "threads", "share", "fits"),
    [
        ([(8, 0), (4, 0)], "auto", 0, 0, Share(4, 0), 3),  # the smallest node wholly
        ([(8, 0), (8, 0)], "cpu", 6, 0, Share(2, 0), 8),  # as many CPUs as let six go on side by side
        ([(8, 0), (8, 0)], "auto", 40, 0, Share(1, 0), 16),
        ([(8, 0), (4, 0)], "auto", 0, 3, Share(3, 0), 3),  # as the user says
        ([(0, 0), (4, 0)], "auto", 0, 0, Share(4, 0), 1),  # a head that does nothing but lead
        ([(16, 2), (32, 8), (64, 0)], "auto", 0, 0, Share(4, 1), 10),  # GPUs, and no place without one
        ([(16, 2), (64, 0)], "cpu", 0, 0, Share(16, 0), 5),
        ([(2, 8)], "cuda", 0, 0, Share(1, 1), 2),  # fewer CPUs than GPUs
    ],
)
def test_a_turn_takes_a_gpu_with_its_part_of_the_cpus_or_a_node(
    sizes: list[tuple[int, int]], device: str, workers: int, threads: int, share: Share, fits: int
) -> None:
    assert share_of(nodes(*sizes), device, workers, threads) == share
    assert share.fits(nodes(*sizes)) == fits


@pytest.mark.parametrize(
    ("sizes", "device", "threads", "reason"),
    [
        ([(8, 0)], "cuda", 0, "no node of the Ray cluster offers a GPU"),
        ([(0, 0)], "auto", 0, "no node of the Ray cluster offers a CPU"),
        ([(4, 0), (8, 0)], "auto", 16, "OMP_NUM_THREADS=16: the largest node of the Ray cluster offers 8 CPUs"),
    ],
)
def test_what_a_cluster_has_not_is_said(
    sizes: list[tuple[int, int]], device: str, threads: int, reason: str
) -> None:  # fmt: skip
    with pytest.raises(UserError, match=reason):
        share_of(nodes(*sizes), device, 0, threads)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("xbench.executors.ray", "xbench.executors.cluster"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'xbench\[ray\]'"):
        make_executor("ray")


@pytest.fixture(scope="module")
def plan(registry: Registry) -> Plan:
    """Chains of stages with much in common, floors and frozen encoders."""
    curricula = ("none", "mini-sts-en", "mini-sts-en:mini-sts-ko")
    return make_plan(Request(("e5-small-q4", "constant"), ("mini-sts",), curricula, seeds=(0, 1)), registry)


def test_a_part_of_a_plan_has_the_keys_of_the_whole(plan: Plan, registry: Registry, tmp_path: Path) -> None:
    settings = Settings(tmp_path / "cache", tmp_path / "out")
    whole = prepare_work(plan, registry, settings, Reporter())
    assert not whole.reasons
    asked = {cell for cell in whole.cell_keys if cell.curriculum != "mini-sts-en"}  # its stage is but a parent then
    given = turns(whole, set(whole.cell_keys) - asked)
    parts, seen = Parts(plan), set()
    for turn in given:
        part = parts.of(turn)
        work = prepare_work(part, registry, settings, Reporter())
        cells = {cell: key for group in turn.groups for cell, key in group.items()}
        assert cells.items() <= work.cell_keys.items()
        assert cells == work.cell_keys or not turn.groups
        assert work.stage_keys.items() <= whole.stage_keys.items()
        assert turn.stage is None or turn.stage.id in work.stage_keys
        seen.update(cells)
    assert seen == {cell for cell in asked if not cell.is_floor}
    assert any(turn.stage is not None and not turn.groups for turn in given)


def test_lines_are_told_whole_and_bars_are_not() -> None:
    beneath, told = io.StringIO(), list[str]()
    lines = Lines(beneath, told.append)
    text = "one\ntw" + "o\n\n" + "10%\r50%\r100%\n" + "three\r\n" + "rest"
    for character in text:
        lines.write(character)
    assert beneath.getvalue() == text
    assert told == ["one", "two"]
    lines.write("\n")
    assert told == ["one", "two", "rest"]


def other_content(shared: Path) -> None:
    """Another cluster's run, or a folder that only bears the same name."""
    (shared / "mark").write_text("another", encoding="utf-8")


def no_mark(shared: Path) -> None:
    """What another machine has under the same name."""
    (shared / "mark").unlink()


@pytest.mark.parametrize("spoil", [other_content, no_mark])
def test_a_node_says_what_it_does_not_see(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("mark", encoding="utf-8")
    shared = Shared((tmp_path / "mark",), (tmp_path,), versions())
    assert shared.problem() == ""
    assert "does not see" in Shared(shared.marks, (tmp_path / "data",), versions()).problem()
    old = Shared(shared.marks, (), {**versions(), "torch": "1.0"})
    assert "the driver 1.0: install the same" in old.problem()
    spoil(tmp_path)
    assert f"does not see the driver's {tmp_path}" in shared.problem()
