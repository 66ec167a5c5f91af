"""A sample of the faults in ``make test``, all of them in ``make faults``, which prints a table of what was tried."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.cli.conftest import readme_plugin, write_rows

from .log import Recovered, write_down


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the mark."""
    config.addinivalue_line("markers", "more: one more of its kind, tried by `make faults` alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a sample of each kind, unless all is asked for."""
    if "XBENCH_KILLS" not in os.environ:
        items[:] = [item for item in items if item.get_closest_marker("more") is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that passes is a fault that was tried once; those that try several write them down themselves."""
    report = yield
    if report.when == "call" and report.passed and item.path.stem != "test_kills":
        write_down(Recovered(f"{item.path.stem}: {item.name.removeprefix('test_').replace('_', ' ')}", None))
    return report


@pytest.fixture(scope="module")
def make_project(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a project's folder, by its name: a plugin, so many rows to train on, and a tiny model."""

    def make(name: str, train_rows: int = 120) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / "my_task.py").write_text(readme_plugin("my-pairs"), encoding="utf-8")
        write_rows(folder, "train", train_rows)
        write_rows(folder, "test", 36)
        (folder / "model").symlink_to(tiny("bert"))
        return folder

    return make
