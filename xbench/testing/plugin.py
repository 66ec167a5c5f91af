"""The plugin that is checked: found by its name, its file or its folder, and loaded by itself."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import UserError, did_you_mean
from ..registry import Catalogue, Plugin, Registry, import_file, installed_plugins, load_one, new_manager, settle
from ..settings import Settings, default_cache
from ..tasks import Task
from .places import shown, source_files
from .project import project_points

TELLING = 3
"""Letters that an f-string has to hold to tell a name by."""


@dataclass(frozen=True)
class Point:
    """One thing that is loaded as a plugin.

    Attributes:
        plugin: Its name and distribution.
        load: Imports its module.
        target: For another process: ``file:PATH`` or ``point:MODULE``.
        file: Its Python file where that is known before it is imported.
    """

    plugin: Plugin
    load: Callable[[], ModuleType]
    target: str
    file: Path | None = None


@dataclass
class PluginUnderTest:
    """A plugin, what it declares, and what it is checked with.

    Attributes:
        name: As the user wrote it.
        points: What is loaded: an entry point, all those of a distribution or a project, or a file.
        settings: Data root, cache, offline.
        own: What the plugin alone declares.
        registry: What all installed plugins and this one declare.
        modules: Of the points that could be loaded.
        files: The plugin's Python files.
        afresh: What loading it in a process of its own took, once that has been tried.
        largest: Rows of a split that is looked at, at most; None for all. Declared numbers count.
    """

    name: str
    points: Sequence[Point]
    settings: Settings
    largest: int | None = None
    own: Registry = field(init=False)
    registry: Registry = field(init=False)
    modules: list[ModuleType] = field(init=False)
    files: tuple[Path, ...] = field(init=False)
    afresh: dict[str, Any] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.own, manager = Registry(), new_manager()
        loaded = [load_one(self.own, manager, point.plugin, point.load) for point in self.points]
        self.modules = [module for module in loaded if module is not None]
        self.registry, manager = Registry(), new_manager()
        others = {plugin: point.load for plugin, point in installed_plugins() if not self._is_checked(point)}
        for plugin, load in {**others, **{point.plugin: point.load for point in self.points}}.items():
            load_one(self.registry, manager, plugin, load)
        settle(self.registry)
        self._take_made_metrics()
        pairs = zip(self.points, loaded, strict=True)
        self.files = tuple(dict.fromkeys(file for point, module in pairs for file in _files(point, module)))

    def __str__(self) -> str:
        return self.name

    def _is_checked(self, point: EntryPoint) -> bool:
        """Whether an installed plugin is the one that is checked: a file or a project that is installed as well."""
        origin = _origin(point.module)
        mine = (one.file for one in self.points)
        return origin is not None and any(file is not None and file.resolve() == origin.resolve() for file in mine)

    def _take_made_metrics(self) -> None:
        """Count the metrics that the plugin's tasks give by address as its own; one that cannot be made stops plans."""
        plugins = {point.plugin for point in self.points}
        for name in list(self.registry.metrics.addresses):
            (owner, *others) = self.registry.metrics.owners[name]
            if owner in plugins and not others:
                with contextlib.suppress(UserError):
                    self.own.metrics.add(name, self.registry.metrics.get(name), owner)

    @property
    def stem(self) -> str:
        """Its name as a beginning for names of its own."""
        plain = re.sub("[^a-z0-9]+", "-", Path(self.name).stem.lower()).strip("-")
        return plain or "my"

    @property
    def broken(self) -> list[Plugin]:
        """Points that could not be loaded."""
        return [plugin for plugin in self.own.plugins if plugin.error]

    def catalogues(self) -> Iterator[tuple[Catalogue[Any], Catalogue[Any]]]:
        """Each kind: what the plugin declares, and what all do."""
        yield from zip(self.own.catalogues(), self.registry.catalogues(), strict=True)

    @functools.cached_property
    def work(self) -> Path:
        """A folder for what a check makes; it goes when the plugin is no longer checked."""
        self._folder = tempfile.TemporaryDirectory(prefix="xbench-check-")
        return Path(self._folder.name)

    def where(self, kind: str, thing: Any) -> str:
        """Where something is declared: a task's file, or the line on which its name stands.

        Args:
            kind: Such as ``dataset``.
            thing: What was declared; it has a name.
        """
        what = f"{kind} {thing.name}"
        if isinstance(thing, Task) and thing.path != "task text":
            return f"{shown(thing.path)} ({what})"
        for path, texts in self._texts.items():
            lines = [line for text, line in texts if text.fullmatch(thing.name)]
            if lines:
                return f"{shown(path)}:{min(lines)} ({what})"
        # A name that is put together otherwise stands nowhere.
        files = ", ".join(shown(path) for path in self.files[:3]) + (", ..." if len(self.files) > 3 else "")
        return f"{what} of {files or self.name}"

    @functools.cached_property
    def _texts(self) -> dict[Path, list[tuple[re.Pattern[str], int]]]:
        """The texts of each file, f-strings as patterns, with the lines that they stand on; whole texts first."""
        found: dict[Path, list[tuple[re.Pattern[str], int]]] = {}
        for kind in (ast.Constant, ast.JoinedStr):
            for path in self.files:
                with contextlib.suppress(SyntaxError, ValueError, OSError):
                    nodes = (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, kind))
                    patterns = [(_pattern(node), node.lineno) for node in nodes]
                    found.setdefault(path, []).extend((text, line) for text, line in patterns if text is not None)
        return found


def _pattern(node: ast.expr) -> re.Pattern[str] | None:
    """What texts an expression can be; None where it is no text, or could be any."""
    if isinstance(node, ast.Constant):
        return re.compile(re.escape(node.value)) if isinstance(node.value, str) and node.value else None
    assert isinstance(node, ast.JoinedStr)
    parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    if sum(len(part) for part in parts if isinstance(part, str)) < TELLING:
        return None
    return re.compile("".join(".+" if part is None else re.escape(str(part)) for part in parts), re.DOTALL)


def find_plugin(
    name: str | Path, settings: Settings | None = None, largest: int | None = None, near: Path | None = None
) -> PluginUnderTest:
    """Find and load a plugin.

    Args:
        name: An entry point's name, a distribution's name, a Python file, or the folder of a project that is not
            installed.
        settings: Data root, cache, offline; without them the user's cache, offline.
        largest: Rows of a split that is looked at, at most.
        near: Where a file is looked for that is not in the current folder.

    Returns:
        The plugin; a broken one too, since that it loads is a check.

    Raises:
        UserError: There is none of that name.
    """
    settings = settings or Settings(cache=default_cache(), offline=True)
    return PluginUnderTest(str(name), _points(str(name), near), settings, largest)


def _points(name: str, near: Path | None) -> list[Point]:
    installed = [(plugin, _installed(plugin, point)) for plugin, point in installed_plugins()]
    chosen = [point for plugin, point in installed if plugin.name == name]
    if not chosen:
        chosen = [point for plugin, point in installed if _plain(plugin.distribution) == _plain(name)]
    if chosen:
        return chosen
    places = (Path(name).expanduser(), *([near / name] if near is not None else []))
    for path in places:
        if path.is_dir():
            plugins = [(Plugin(point.name, f"project {path.resolve().name}"), point) for point in project_points(path)]
            return [_installed(plugin, point) for plugin, point in plugins]
        if path.is_file():
            load = functools.cache(functools.partial(import_file, path))
            return [Point(Plugin(name, "file"), load, f"file:{path.resolve()}", path)]
    if name.endswith(".py") or "/" in name:
        raise UserError(f"{name}: there is no such file or folder")
    known = {text for plugin, _ in installed for text in (plugin.name, plugin.distribution.partition(" ")[0])}
    raise UserError(f"unknown plugin {name!r}{did_you_mean(name, known)}; a file ends in .py")


def _installed(plugin: Plugin, point: EntryPoint) -> Point:
    return Point(plugin, point.load, f"point:{point.value}", _origin(point.module))


def _origin(module: str) -> Path | None:
    """A module's file, found without importing it; its parents are imported."""
    with contextlib.suppress(Exception):  # a broken parent is the check's business
        spec = importlib.util.find_spec(module)
        return Path(spec.origin) if spec is not None and spec.origin else None
    return None


def _plain(name: str) -> str:
    """A distribution's name as indices compare it, without its version."""
    return re.sub("[-_.]+", "-", name.partition(" ")[0]).lower()


def _files(point: Point, module: ModuleType | None) -> tuple[Path, ...]:
    if module is None:
        path = point.file
        return source_files(str(path) if path else None, path is not None and path.name == "__init__.py")
    return source_files(module.__file__, hasattr(module, "__path__"))
