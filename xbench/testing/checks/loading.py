"""Checks of a plugin as a whole: it loads, by itself and at once, from the public names alone."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ... import api
from ...errors import did_you_mean
from ...types import Dataset, Files, Packaged
from ..fresh import load_afresh
from ..places import is_own, place_of, shown
from ..plugin import PluginUnderTest
from ..results import NotCheckedError, Problem
from ..subject import Subject

PUBLIC = ("xbench.api", "xbench.testing")
CORE = Path(api.__file__).resolve().parent


def check_loads(about: Subject, plugin: PluginUnderTest) -> Iterator[Problem]:
    """It loads, and its hooks give what they should."""
    for broken in plugin.broken:
        assert broken.cause is not None
        place = place_of(broken.cause, plugin.files)
        yield Problem(
            broken.error, f"{place} (plugin {broken})", "mend what raises this; `xbench plugins` shows it too"
        )
    if not plugin.broken and not any(True for own in plugin.own.catalogues() for _ in own):
        yield Problem(
            "it declares nothing", ", ".join(map(shown, plugin.files)) or plugin.name,
            "implement a hook, such as @hookimpl def xbench_tasks(), on the module's top level",
        )  # fmt: skip


def check_light(about: Subject, plugin: PluginUnderTest) -> Iterator[Problem]:
    """Loading it imports nothing heavy: a listing and a dry run stay instant."""
    for module, places in _afresh(plugin)["heavy"].items():
        yield Problem(
            f"loading the plugin imports {module}", _first(places, plugin),
            f"import {module} inside the function that needs it; for annotations under `if TYPE_CHECKING:`",
        )  # fmt: skip


def _first(places: Sequence[str], plugin: PluginUnderTest) -> str:
    """The innermost of some places that is in the plugin's files."""
    own = [place for place in places if is_own(place.rpartition(":")[0], plugin.files)]
    file, _, line = (own or places or ["?:?"])[0].rpartition(":")
    return f"{shown(file)}:{line}"


def check_reads_nothing(about: Subject, plugin: PluginUnderTest) -> Iterator[Problem]:
    """Loading it opens none of its data files and asks no other machine: a plan needs neither."""
    asked = {_first(places, plugin): host for host, places in reversed(_afresh(plugin)["network"].items())}
    for place, host in asked.items():  # of a name and the addresses that it stands for, the name
        yield Problem(
            f"loading the plugin asks {host} over the network", place,
            "name addresses in a source (Files with url=, or Hub), which is asked when its rows are needed",
        )  # fmt: skip
    opened = {os.path.realpath(path) for path in _afresh(plugin)["opened"]}
    for dataset in plugin.own.datasets:
        for path in _data_files(dataset, plugin):
            if os.path.realpath(path) in opened:
                yield Problem(
                    f"loading the plugin opens {shown(path)}", plugin.where("dataset", dataset),
                    "read it in the source's `read` only; write what its declaration needs into the declaration",
                )  # fmt: skip


def _data_files(dataset: Dataset, plugin: PluginUnderTest) -> Iterator[Path]:
    for split in dataset.splits.values():
        for source in split.sources:
            if isinstance(source, Packaged):
                yield from source.files
            elif isinstance(source, Files) and plugin.settings.data is not None:
                yield from (plugin.settings.data / file.path for file in source.files)


def _afresh(plugin: PluginUnderTest) -> dict[str, Any]:
    """What loading it in a process of its own took; once a plugin."""
    if plugin.broken:
        raise NotCheckedError("it does not load")
    if plugin.afresh is None:
        plugin.afresh = load_afresh([point.target for point in plugin.points])
    return plugin.afresh


def check_public_names(about: Subject, plugin: PluginUnderTest) -> Iterator[Problem]:
    """It uses `xbench.api` and nothing else of xbench."""
    files = [path for path in plugin.files if CORE not in path.parents]
    if plugin.files and not files:
        raise NotCheckedError("it is a part of xbench's core, which may use what it likes")
    for path in files:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # `loads` says so
        for node in ast.walk(tree):
            for name in _private(node):
                yield Problem(
                    f"it imports {name}, which may change without notice", f"{shown(path)}:{node.lineno}",  # type: ignore[attr-defined]
                    f"import from xbench.api{_hint(name)}; if that lacks what you need, ask for it",
                )  # fmt: skip


def _private(node: ast.AST) -> Iterator[str]:
    """Names of xbench that are not public, as a node of a file's tree imports them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if _is_private(alias.name))
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            if node.module == "xbench.api":
                if alias.name not in api.__all__:
                    yield whole
            elif _is_private(whole):
                yield whole
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first = node.args[0].value
        if name in ("import_module", "__import__") and isinstance(first, str) and _is_private(first):
            yield first


def _is_private(name: str) -> bool:
    inside = name == "xbench" or name.startswith("xbench.")
    return inside and not any(name == one or name.startswith(f"{one}.") for one in PUBLIC)


def _hint(name: str) -> str:
    last = name.rpartition(".")[2]
    if last in api.__all__:
        return f", which has {last}"
    near = did_you_mean(last, api.__all__)
    return near if "did you mean" in near else ""


def check_names(about: Subject, plugin: PluginUnderTest) -> Iterator[Problem]:
    """Its names are its own: no other installed plugin has them, and no group is called as a task."""
    for own, everybody in plugin.catalogues():
        for name in own.owners:
            owners = everybody.owners[name]
            if len(owners) > 1:
                yield Problem(
                    f"the {own.kind} {name!r} has {len(owners)} owners: {' and '.join(map(str, owners))}",
                    plugin.where(own.kind, own.items[name]), f"rename it, such as {plugin.stem}-{name}",
                )  # fmt: skip
    models, floors = plugin.registry.models.owners, plugin.registry.floors.owners
    for kind, mine in (("model", plugin.own.models), ("floor", plugin.own.floors)):
        for name in mine.owners:
            if name in models and name in floors:
                yield Problem(
                    f"{name!r} is both a model and a floor", plugin.where(kind, mine.items[name]),
                    "rename it: --model takes both",
                )  # fmt: skip
    for task in plugin.own.tasks:
        for group in task.groups:
            if group in plugin.registry.tasks.owners:
                yield Problem(
                    f"the group {group!r} is called as a task is: --tasks {group} could mean either",
                    plugin.where("task", task), "rename the group",
                )  # fmt: skip
