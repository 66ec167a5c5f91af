"""Loads plugins one by one, knows who owns which name, and keeps a broken plugin from breaking the others."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import pluggy

from . import hookspecs
from .curriculum import FROZEN, parse_curriculum
from .errors import UserError, did_you_mean, one_line
from .keys import text_sha256
from .measures import Access, Diagnostic, Figure, Metric, MetricSource
from .stopping import Interrupted
from .tasks import OFFICIAL, Task, load_task
from .types import Dataset, Floor, Head, Model, Schema

T = TypeVar("T")
NAME = re.compile("[a-z0-9][a-z0-9._-]*")
"""Names stand in curricula, between ``:`` and ``+``, in lists on the command line and in the paths of results."""


@dataclass(frozen=True)
class Plugin:
    """One plugin and what became of it.

    Attributes:
        name: Its entry point's name, or its file's path.
        distribution: The installed distribution and its version, or ``file``.
        error: Why it could not be loaded; empty when it was.
        cause: What was raised then, with its traceback.
    """

    name: str
    distribution: str
    error: str = ""
    cause: BaseException | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution})"


@dataclass
class Catalogue(Generic[T]):
    """The named things of one kind, each with its owner.

    Attributes:
        kind: Such as ``dataset``, for messages.
        hook: The hook that they come from.
        type: What they are.
        items: By name.
        owners: By name: every plugin that claims it; more than one is an error on use.
        makers: By name: what makes a thing when it is first asked for, of those that a task names by their address.
        addresses: By name: where such a thing is made from.
    """

    kind: str
    hook: str
    type: type[T]
    items: dict[str, T] = field(default_factory=dict)
    owners: dict[str, list[Plugin]] = field(default_factory=dict)
    broken: list[Plugin] = field(default_factory=list)
    makers: dict[str, Callable[[], T]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, item: T, owner: Plugin) -> None:
        """Enter one thing; the first owner's stands until the name is looked up."""
        self.items.setdefault(name, item)
        self.owners.setdefault(name, []).append(owner)

    def defer(self, name: str, address: str, make: Callable[[], T], owner: Plugin) -> None:
        """Enter a thing that is made when it is first asked for; several may name the same one.

        Args:
            name: Its name.
            address: Where it is made from: the same thing has the same address.
            make: Makes it.
            owner: Who names it.
        """
        if self.addresses.get(name) == address:
            return
        if name not in self.owners:
            self.makers[name], self.addresses[name] = make, address
        self.owners.setdefault(name, []).append(owner)

    def get(self, name: str, where: str = "", also: Iterable[str] = ()) -> T:
        """Look a name up.

        Args:
            name: The name.
            where: Who asks for it, for the message.
            also: Other names that would have been right.

        Returns:
            The thing.

        Raises:
            UserError: The name is unknown, two plugins own it, or the thing cannot be made.
        """
        prefix = f"{where}: " if where else ""
        owners = self.owners.get(name, [])
        if not owners:
            hint = did_you_mean(name, {*self.items, *also})
            for plugin in self.broken:
                hint += f"; note: the plugin {plugin} is broken: {plugin.error}"
            raise UserError(f"{prefix}unknown {self.kind} {name!r}{hint}")
        if len(owners) > 1:
            both = " and ".join(map(str, owners))
            raise UserError(f"{prefix}the {self.kind} {name!r} has two owners, {both}: uninstall or rename one")
        if name in self.makers:
            try:
                self.items[name] = self.makers[name]()
            except UserError as error:
                raise UserError(f"{prefix}{error}") from error.__cause__
            del self.makers[name]
        return self.items[name]

    def conflicts(self) -> Iterator[str]:
        """One line a name that has more than one owner."""
        for name, owners in self.owners.items():
            if len(owners) > 1:
                yield f"the {self.kind} {name!r} has two owners: " + " and ".join(map(str, owners))

    def __iter__(self) -> Iterator[T]:
        return iter(self.items.values())


@dataclass
class Registry:
    """Everything that the loaded plugins declare.

    Attributes:
        plugins: All of them, broken ones included.
        access: What the user lets things do that are made when they are asked for.
    """

    plugins: list[Plugin] = field(default_factory=list)
    schemas: Catalogue[Schema] = field(default_factory=lambda: Catalogue("schema", "xbench_schemas", Schema))
    datasets: Catalogue[Dataset] = field(default_factory=lambda: Catalogue("dataset", "xbench_datasets", Dataset))
    heads: Catalogue[Head] = field(default_factory=lambda: Catalogue("head", "xbench_heads", Head))
    metrics: Catalogue[Metric] = field(default_factory=lambda: Catalogue("metric", "xbench_metrics", Metric))
    metric_sources: Catalogue[MetricSource] = field(
        default_factory=lambda: Catalogue("metric source", "xbench_metric_sources", MetricSource)
    )
    diagnostics: Catalogue[Diagnostic] = field(
        default_factory=lambda: Catalogue("diagnostic", "xbench_diagnostics", Diagnostic)
    )
    figures: Catalogue[Figure] = field(default_factory=lambda: Catalogue("figure", "xbench_figures", Figure))
    models: Catalogue[Model] = field(default_factory=lambda: Catalogue("model", "xbench_models", Model))
    floors: Catalogue[Floor] = field(default_factory=lambda: Catalogue("floor", "xbench_floors", Floor))
    tasks: Catalogue[Task] = field(default_factory=lambda: Catalogue("task", "xbench_tasks", Task))
    access: Access = field(default_factory=Access)

    def catalogues(self) -> tuple[Catalogue[Any], ...]:
        """All kinds."""
        judged = (self.metrics, self.metric_sources, self.diagnostics, self.figures)
        return (self.schemas, self.datasets, self.heads, *judged, self.models, self.floors, self.tasks)

    def metric_name(self, text: str, folder: Path, owner: Plugin) -> str:
        """The name of a metric that somebody names, or gives the address of; it is made when it is looked up.

        Args:
            text: A metric's name, ``official``, or ``SOURCE:ADDRESS``.
            folder: Where an address that begins with ``./`` or ``../`` goes out from.
            owner: Who gives it.

        Returns:
            The name; the text itself where no source is known by what stands before the colon.
        """
        prefix, colon, address = text.partition(":")
        if not colon or len(self.metric_sources.owners.get(prefix, ())) != 1:
            return text
        if address.startswith(("./", "../")):
            address = os.path.normpath(folder.absolute() / address)
        source = self.metric_sources.items[prefix]
        name = source.metric_name(address)
        if not NAME.fullmatch(name):
            return text
        self.metrics.defer(name, f"{prefix}:{address}", lambda: source.make(address, self.access), owner)
        return name

    def floor(self, text: str) -> Floor | None:
        """The floor that ``--model`` names.

        Args:
            text: What the user wrote.

        Returns:
            The floor; None where it is a model, a hub id or a folder.

        Raises:
            UserError: Two plugins own the name, a model has it too, or a revision is asked for.
        """
        name, at, _ = text.partition("@")
        if name not in self.floors.owners:
            return None
        if name in self.models.owners:
            raise UserError(f"--model {text}: {self._clash(name)}: uninstall or rename one")
        if at:
            raise UserError(f"--model {text}: a floor has no revisions; write {name}")
        return self.floors.get(name, "--model")

    def _clash(self, name: str) -> str:
        """Of a name that is both a floor's and a model's: whose."""
        floor, model = (" and ".join(map(str, kind.owners[name])) for kind in (self.floors, self.models))
        return f"{name!r} is a floor of {floor} and a model of {model}"

    def conflicts(self) -> Iterator[str]:
        """One line a name that has more than one owner, or is both a floor's and a model's."""
        for catalogue in self.catalogues():
            yield from catalogue.conflicts()
        yield from (self._clash(name) for name in self.floors.owners if name in self.models.owners)

    def expand_tasks(self, names: Iterable[str]) -> list[Task]:
        """Look tasks up; a group's name stands for all of its tasks, in the order of their names.

        Args:
            names: Task or group names.

        Returns:
            The tasks, each once.

        Raises:
            UserError: A name is neither a task nor a group.
        """
        groups: dict[str, list[str]] = {}
        for task in sorted(self.tasks, key=lambda task: task.name):
            for group in task.groups:
                groups.setdefault(group, []).append(task.name)
        chosen: dict[str, Task] = {}
        for name in names:
            if name not in self.tasks.items and name not in groups:
                self.tasks.get(name, also=groups)  # raises
            for member in groups.get(name, [name]):
                chosen[member] = self.tasks.get(member)
        return list(chosen.values())

    def problems(self) -> list[str]:
        """What is wrong with the plugins, one line each: broken ones, and names with two owners."""
        lines = [f"the plugin {plugin} is broken: {plugin.error}" for plugin in self.plugins if plugin.error]
        return [*lines, *self.conflicts()]


def load_registry(files: Iterable[Path] = ()) -> Registry:
    """Load every installed plugin of the entry-point group ``xbench``, then the given files.

    Args:
        files: Python files that implement hooks (``--plugin``).

    Returns:
        What they declare. A plugin that fails is in ``plugins`` with its error and declares nothing.

    Raises:
        UserError: A given file cannot be loaded: the user asked for that very one.
    """
    registry, manager = Registry(), new_manager()
    for plugin, point in installed_plugins():
        load_one(registry, manager, plugin, point.load)
    for file in files:
        plugin = Plugin(str(file), "file")
        load_one(registry, manager, plugin, partial(import_file, file))
        if registry.plugins[-1].error:
            raise UserError(f"--plugin {file}: {registry.plugins[-1].error}")
    settle(registry)
    return registry


def settle(registry: Registry) -> None:
    """Do what can be done only when all plugins are loaded: tell of broken ones, and name metrics given by address.

    Args:
        registry: Of all plugins.
    """
    broken = [plugin for plugin in registry.plugins if plugin.error]
    for catalogue in registry.catalogues():
        catalogue.broken = broken
    name_metrics(registry)


def name_metrics(registry: Registry) -> None:
    """Put a name in the place of every address among the tasks' metrics.

    Args:
        registry: All plugins are loaded, so that every source is known.
    """
    for name, task in registry.tasks.items.items():
        folder, owner = Path(task.path).parent, registry.tasks.owners[name][0]
        metrics = tuple(registry.metric_name(text, folder, owner) for text in task.metrics)
        registry.tasks.items[name] = replace(task, metrics=metrics)


def installed_plugins() -> Iterator[tuple[Plugin, importlib.metadata.EntryPoint]]:
    """Every installed plugin with its entry point, in the order of their names."""
    points = importlib.metadata.entry_points(group=hookspecs.PROJECT)
    for point in sorted(points, key=lambda point: point.name):
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"
        yield Plugin(point.name, distribution), point


def new_manager() -> pluggy.PluginManager:
    """A manager that knows the hooks and has no plugin yet."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def load_one(
    registry: Registry, manager: pluggy.PluginManager, plugin: Plugin, load: Callable[[], Any]
) -> ModuleType | None:
    """Load one plugin and take all it declares, or nothing of it.

    Args:
        registry: Gets what it declares, and the plugin itself, with its error where it has one.
        manager: Of the plugins loaded before.
        plugin: Which one.
        load: Imports it.

    Returns:
        The plugin's module; None where it fails.
    """
    try:
        module: ModuleType = load()
        manager.register(module, name=f"{plugin.distribution}:{plugin.name}")
        manager.check_pending()
        declared = _declared(registry, manager, module)
    except (KeyboardInterrupt, Interrupted):
        raise
    # A stranger's plugin may raise anything, and even leave the program; it is shown, not hidden.
    except BaseException as error:  # noqa: BLE001  # such as pytest's skipping, which is no Exception
        for loaded in [
            item for item in manager.get_plugins() if manager.get_name(item) == f"{plugin.distribution}:{plugin.name}"
        ]:
            manager.unregister(loaded)
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "  # which says what is wrong itself
        registry.plugins.append(Plugin(plugin.name, plugin.distribution, f"{kind}{one_line(error)}", error))
        return None
    registry.plugins.append(plugin)
    for catalogue, items in declared:
        for item in items:
            catalogue.add(item.name, item, plugin)
    return module


def _declared(
    registry: Registry, manager: pluggy.PluginManager, module: object
) -> list[tuple[Catalogue[Any], list[Any]]]:
    """Call the hooks of one plugin only."""
    others = [item for item in manager.get_plugins() if item is not module]
    declared: list[tuple[Catalogue[Any], list[Any]]] = []
    for catalogue in registry.catalogues():
        caller = manager.subset_hook_caller(catalogue.hook, others)
        items = [item for items in caller() for item in items]
        if catalogue is registry.tasks:
            items = [load_task(item) for item in items]
        for item in items:
            if not isinstance(item, catalogue.type):
                raise TypeError(f"{catalogue.hook} gave {item!r:.60}, which is no {catalogue.type.__name__}")
            _check_declaration(catalogue, item)
        declared.append((catalogue, items))
    return declared


def _check_declaration(catalogue: Catalogue[Any], item: Any) -> None:
    """Refuse a name that a curriculum, a list or a path could not hold, and a schema without ids.

    Raises:
        UserError: A task's curriculum cannot be read.
        ValueError: The thing's own name, or a group that it is in, is such a name; or it is such a schema.
    """
    names = [(catalogue.kind, item.name)]
    if isinstance(item, Task):
        names += [("group", group) for group in item.groups]
    for kind, name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"the {kind} name {name!r:.60} does not fit: write small letters, digits, '.', '_' and '-', "
                "and begin with a letter or a digit"
            )
    if isinstance(item, Task):
        for text in (*item.curricula, *item.baselines.values()):
            parse_curriculum(text, item.train)
    if isinstance(item, Metric) and item.name == OFFICIAL:
        raise ValueError(f"no metric can be called {OFFICIAL!r}: in a task that is each dataset's own scorer")
    if isinstance(item, Dataset) and item.name == FROZEN:
        raise ValueError(f"no dataset can be called {FROZEN!r}: in a curriculum that is the frozen encoder")
    if isinstance(item, Schema):
        if item.fields.get("id") != "string":
            raise ValueError(f"the schema {item.name} has no field 'id' of type 'string': every schema has one")
        for field in item.texts:
            if item.fields.get(field) not in ("string", ["string"]):
                raise ValueError(f"the schema {item.name} has no text (or list of texts) {field!r}, which texts names")


def import_file(path: Path) -> ModuleType:
    """Import a Python file under a name of its own.

    Args:
        path: The file.

    Raises:
        UserError: It is not there, or no Python file.
    """
    if not path.is_file():
        raise UserError("there is no such file")
    # Two files of one name in different folders are two modules.
    name = f"xbench_plugin_{path.stem}_{text_sha256(str(path.resolve()))[:8]}"
    package = [str(path.parent)] if path.name == "__init__.py" else None  # its other modules are found beside it
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=package)
    if spec is None or spec.loader is None:
        raise UserError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def owners_of(registry: Registry) -> Mapping[str, list[str]]:
    """What each plugin declares: its name to lines such as ``dataset stsb``."""
    owned: dict[str, list[str]] = {}
    for catalogue in registry.catalogues():
        for name, owners in catalogue.owners.items():
            for owner in owners:
                owned.setdefault(owner.name, []).append(f"{catalogue.kind} {name}")
    return owned
