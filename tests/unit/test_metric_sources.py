"""A task names a metric by its address: any plugin may say what stands before the colon, and the core knows none."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plans import forget_plugin_files
from xbench.errors import UserError
from xbench.measures import Access
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import Plugin, Registry, load_registry

SOURCE = """
from pathlib import Path
from xbench.api import *

asked = []

def make(address, access):
    asked.append(address)
    if not Path(address).is_file():
        raise UserError(f"lines:{address}: there is no such file")
    if not access.trust_remote_code:
        raise UserError("lines: not without trust")
    length = len(Path(address).read_text().splitlines())
    return Metric(name(address), length, lambda said, gold, about: {"lines": length}, "none")

def name(address):
    return "lines-" + Path(address).name

@hookimpl
def xbench_metric_sources():
    return [MetricSource("lines", name, make, "How many lines a file has")]
"""
TASK = """
from pathlib import Path
from xbench.api import hookimpl

@hookimpl
def xbench_tasks():
    return [Path(__file__).parent / "{name}.toml"]
"""
TOML = """
name = "{name}"
title = "T"
version = 1
train = ["mini-sts-en"]
eval = ["mini-sts-en"]
heads = ["siamese"]
metrics = ["{metric}"]
curricula = ["none"]
"""
Load = Callable[..., Registry]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Loads tasks, each in a folder of its own, that name a metric each, and behind them the plugin with the source."""

    def loaded(**metrics: str) -> Registry:
        files = []
        for name, metric in metrics.items():
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.toml").write_text(TOML.format(name=name, metric=metric), encoding="utf-8")
            (folder / f"{name}.py").write_text(TASK.format(name=name), encoding="utf-8")
            files.append(folder / f"{name}.py")
        (tmp_path / "source.py").write_text(textwrap.dedent(SOURCE), encoding="utf-8")
        return load_registry([*files, tmp_path / "source.py"])

    yield loaded
    forget_plugin_files()


def refused(registry: Registry, task: str) -> str:
    with pytest.raises(UserError) as caught:
        make_plan(Request(("constant",), (task,)), registry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_address_goes_out_from_the_tasks_file_and_is_made_when_it_is_asked_for(load: Load, tmp_path: Path) -> None:
    registry = load(one="lines:./../text.txt", other="spearman")
    assert registry.tasks.get("one").metrics == ("lines-text.txt",)
    make_plan(Request(("constant",), ("other",)), registry)  # nothing is there, and nobody asks
    assert refused(registry, "one") == f"{tmp_path}/one/one.toml: lines:{tmp_path}/text.txt: there is no such file"
    (tmp_path / "text.txt").write_text("a\nb\n", encoding="utf-8")
    assert refused(registry, "one").endswith("lines: not without trust")
    registry.access = Access(trust_remote_code=True)
    (cell,) = make_plan(Request(("constant",), ("one",)), registry).cells
    assert cell.metrics == ("lines-text.txt",)
    assert registry.metrics.get("lines-text.txt").version == 2
    (tmp_path / "text.txt").unlink()
    assert registry.metrics.get("lines-text.txt").version == 2  # made once


def test_tasks_share_a_metric_of_one_address_and_two_of_one_name_are_told_apart(load: Load, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a", encoding="utf-8")
    shared = load(one="lines:../text.txt", other="lines:../other/../text.txt")
    shared.access = Access(trust_remote_code=True)
    assert list(shared.conflicts()) == []
    assert shared.metrics.get("lines-text.txt").version == 1
    clashing = load(one="lines:./text.txt", other="lines:./text.txt")
    assert "has two owners" in refused(clashing, "one")
    assert len(list(clashing.conflicts())) == 1


def test_what_no_source_knows_is_an_unknown_metric(load: Load) -> None:
    assert "unknown metric 'line:./a.txt'" in refused(load(one="line:./a.txt"), "one")
    assert "unknown metric 'lines:./A b'" in refused(load(one="lines:./A b"), "one")  # its name would not fit


def test_the_command_line_names_addresses_from_where_it_stands(load: Load, tmp_path: Path) -> None:
    registry, user = load(one="spearman"), Plugin("--metric", "the command line")
    assert registry.metric_name("spearman", Path(), user) == "spearman"
    assert registry.metric_name("lines:./a.txt", Path(), user) == "lines-a.txt"
    assert registry.metrics.addresses["lines-a.txt"] == f"lines:{os.getcwd()}/a.txt"
