"""Says at the end how many cases were tried."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import CASES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a target, and the sum."""
    if CASES:
        terminalreporter.section("cases tried")
        for target, count in sorted(CASES.items()):
            terminalreporter.write_line(f"{count:>9,}  {target}")
        terminalreporter.write_line(f"{sum(CASES.values()):>9,}  in all")
