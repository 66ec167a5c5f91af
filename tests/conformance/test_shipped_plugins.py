"""Our own plugins go through the checks that strangers' plugins go through."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from xbench.registry import installed_plugins
from xbench.settings import Settings
from xbench.testing import BoundCheck, find_plugin, plugin_checks
from xbench.testing.checks.data import SplitOf
from xbench.testing.checks.loading import CORE

pytestmark = pytest.mark.usefixtures("one_thread")

DATA = (Path(__file__).parents[2] / os.environ.get("XBENCH_DATA", "../shared/data")).resolve()
CACHE = tempfile.TemporaryDirectory(prefix="xbench-conformance-")
"""One cache for all, so that each split is prepared once; it goes with the process."""
OURS = [plugin.name for plugin, _ in installed_plugins() if plugin.distribution.startswith("xbench ")]
LARGEST = 1500
"""Rows of a split: the larger ones have tests of their own in tests/real."""


def checks() -> list[BoundCheck]:
    """All checks of ours that there is something for: not of splits that are not here or have too many rows.

    Nor is a task run whose rows are such: tests/real and tests/unit run them. And a plugin that is a part of the core,
    such as the schemas, may use all of it.
    """
    settings = Settings(cache=Path(CACHE.name), data=DATA, offline=True)
    plugins = [find_plugin(name, settings, LARGEST) for name in OURS]
    return [check for plugin in plugins for check in plugin_checks(plugin) if looked_at(check)]


def looked_at(check: BoundCheck) -> bool:
    if check.check.name == "public-names":
        return not all(CORE in path.parents for path in check.about.plugin.files)
    if check.check.name == "runs":
        return all(check.about.plugin.registry.datasets.get(name).sample for name in check.thing.train)
    if not isinstance(check.thing, SplitOf):
        return True
    dataset, split = check.thing.dataset, check.thing.split
    return (dataset.splits[split].rows or 0) <= LARGEST and check.about.shelf.is_here(dataset, split)


@pytest.mark.parametrize("check", [pytest.param(check, id=check.id) for check in checks()])
def test_ours_pass(check: BoundCheck) -> None:
    check()


def test_all_of_ours_are_checked() -> None:
    assert {"sts", "mrc", "sentiment", "alignment", "floors", "tasks", "schemas", "diagnostics"} <= set(OURS)
