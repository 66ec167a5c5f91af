"""A sample of the faults in ``make test``, all of them in ``make faults``, which prints a table of what was tried."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

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
