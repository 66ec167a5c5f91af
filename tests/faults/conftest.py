"""Writes down what was tried, for the table that ``make faults`` prints."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .log import Recovered, write_down


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that passes is a fault that was tried once; those that try several write them down themselves."""
    report = yield
    if report.when == "call" and report.passed and item.path.stem != "test_kills":
        write_down(Recovered(f"{item.path.stem}: {item.name.removeprefix('test_').replace('_', ' ')}", None))
    return report
