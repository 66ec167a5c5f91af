"""Makes the checks of a plugin: one by one, all at once, or each as a test of pytest's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, did_you_mean
from ..settings import Settings
from .checks import CHECKS
from .checks.data import SplitOf
from .places import place_of
from .plugin import PluginUnderTest, find_plugin
from .results import FAILED, PASSED, SKIPPED, NotCheckedError, Problem, Result
from .subject import Check, Subject


@dataclass(frozen=True)
class BoundCheck:
    """One check of one thing; call it to make it.

    Attributes:
        check: The check.
        about: The plugin.
        thing: What is checked.
        label: What it is called, such as ``dataset korsts``.
    """

    check: Check
    about: Subject
    thing: Any
    label: str

    @property
    def id(self) -> str:
        """For pytest: ``rows-fit-korsts/test``."""
        return f"{self.check.name}-{self.label.partition(' ')[2]}"

    def run(self) -> Result:
        """Make the check."""
        try:
            problems = tuple(self.check.function(self.about, self.thing))
        except NotCheckedError as reason:
            return Result(self.check.name, self.label, SKIPPED, reason=str(reason))
        except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything
            files = self.about.plugin.files
            line = " ".join(f"{type(error).__name__}: {error}".split())
            where = f"{place_of(error, files) or '?'} ({self.label})"
            problems = (Problem(line, where, f"mend what raises this; {self.check.name}: {self.check.description}"),)
        return Result(self.check.name, self.label, FAILED if problems else PASSED, problems)

    def __call__(self) -> None:
        """Make the check as a test.

        Raises:
            AssertionError: It failed: what, where and how to mend it.
        """
        __tracebackhide__ = True
        result = self.run()
        if result.outcome == SKIPPED:
            import pytest

            pytest.skip(result.reason)
        if result.outcome == FAILED:
            raise AssertionError(str(result))


def plugin_checks(plugin: PluginUnderTest, only: Iterable[str] = ()) -> Iterator[BoundCheck]:
    """All checks of a plugin, of everything that it declares, thing by thing.

    Args:
        plugin: As `find_plugin` gives it.
        only: Names of checks; all where there are none.

    Raises:
        UserError: There is no such check.
    """
    wanted = tuple(only)
    known = {check.name for check in CHECKS}
    for name in wanted:
        if name not in known:
            raise UserError(f"unknown check {name!r}{did_you_mean(name, known)}")
    about, chosen = Subject(plugin), [check for check in CHECKS if not wanted or check.name in wanted]
    for kind in dict.fromkeys(check.kind for check in chosen):
        of_kind = [check for check in chosen if check.kind == kind]
        for label, thing in _things(plugin, kind):
            yield from (BoundCheck(check, about, thing, label) for check in of_kind if check.applies(thing))


def _things(plugin: PluginUnderTest, kind: str) -> Iterator[tuple[str, Any]]:
    """What a plugin has of a kind, with labels."""
    if kind == "plugin":
        yield f"plugin {plugin}", plugin
    elif kind == "split":
        for dataset in plugin.own.datasets:
            for name in dataset.splits:
                one = SplitOf(dataset, name)
                yield f"dataset {one.name}", one
    else:
        own = next(own for own in plugin.own.catalogues() if own.kind == kind)
        yield from ((f"{kind} {thing.name}", thing) for thing in own)


def run_checks(
    plugin: str | Path | PluginUnderTest, only: Iterable[str] = (), settings: Settings | None = None,
    hear: Callable[[Result], None] = lambda result: None,
) -> list[Result]:  # fmt: skip
    """Make the checks of a plugin.

    Args:
        plugin: An entry point's name, a distribution's, a Python file or a project's folder.
        only: Names of checks; all where there are none.
        settings: Data root, cache, offline.
        hear: Told of each result as soon as it is there.

    Returns:
        A result for each check of each thing.

    Raises:
        UserError: There is no such plugin, or no such check.
    """
    found = plugin if isinstance(plugin, PluginUnderTest) else find_plugin(plugin, settings)
    results = []
    for check in plugin_checks(found, only):
        results.append(check.run())
        hear(results[-1])
    return results


def parametrize_with_checks(
    *plugins: str | Path, only: Sequence[str] = (), data: Path | None = None, cache: Path | None = None,
    offline: bool = True, largest: int | None = None,
) -> Callable[[Any], Any]:  # fmt: skip
    """Make each check of some plugins a test of its own.

    ```python
    @parametrize_with_checks("my_plugin.py")
    def test_conformance(check):
        check()
    ```

    Args:
        plugins: Names of entry points or distributions, Python files, or projects' folders. A file that is not in the
            current folder is looked for beside the test.
        only: Names of checks; all where there are none.
        data: The data root; ``XBENCH_DATA`` without it.
        cache: The cache; ``XBENCH_CACHE`` or the user's without it.
        offline: Never use the network: rows that are not here are skipped.
        largest: Rows of a split that is looked at, at most.

    Returns:
        pytest's decorator; the test's argument is called ``check``.

    Raises:
        UserError: There is no such plugin, or no such check.
    """
    import pytest

    from ..cli.options import make_settings

    caller = inspect.stack()[1].filename
    settings = make_settings(data, cache, offline)
    found = [find_plugin(plugin, settings, largest, Path(caller).parent) for plugin in plugins]
    checks = [check for plugin in found for check in plugin_checks(plugin, only)]
    return pytest.mark.parametrize("check", [pytest.param(check, id=check.id) for check in checks])
