"""Conformance checks for plugins, and what tests of plugins are made of. Importing it loads nothing heavy.

`parametrize_with_checks` makes each check a test of pytest's, `run_checks` makes them all, and ``xbench check`` does so
from the command line. ``pytest_plugins = ["xbench.testing.pytest"]`` brings fixtures: a tiny random encoder, a registry
and a bench that trains and scores cells for real.
"""

from __future__ import annotations

from .checks import CHECKS
from .plugin import PluginUnderTest, find_plugin
from .results import FAILED, PASSED, SKIPPED, NotCheckedError, Problem, Result
from .runner import BoundCheck, parametrize_with_checks, plugin_checks, run_checks
from .subject import Check, Subject

__all__ = [
    "CHECKS",
    "FAILED",
    "PASSED",
    "SKIPPED",
    "BoundCheck",
    "Check",
    "NotCheckedError",
    "PluginUnderTest",
    "Problem",
    "Result",
    "Subject",
    "find_plugin",
    "parametrize_with_checks",
    "plugin_checks",
    "run_checks",
]
