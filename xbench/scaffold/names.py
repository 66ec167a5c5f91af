"""A new plugin's name, and the names that follow from it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence

from ..errors import UserError
from ..registry import Registry

FITS = re.compile("[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
LONGEST = 60


def module_of(name: str) -> str:
    """The package that holds the plugin: ``xbench_my_pairs`` for ``my-pairs``."""
    return "xbench_" + re.sub("[._-]+", "_", name)


def project_of(name: str) -> str:
    """What pip calls it: ``xbench-my-pairs`` for ``my-pairs``."""
    return f"xbench-{name}"


def check_name(name: str, registry: Registry) -> None:
    """See that a name fits, and that neither it nor its package is taken.

    Args:
        name: What the author wrote.
        registry: Of the installed plugins.

    Raises:
        UserError: It does not fit, or is taken.
    """
    if not FITS.fullmatch(name) or len(name) > LONGEST:
        raise UserError(
            f"the name {name!r:.80} does not fit: write small letters, digits, '.', '_' and '-', {LONGEST} at most, "
            "and begin and end with a letter or a digit"
        )
    groups = {group for task in registry.tasks for group in task.groups}
    if name in registry.tasks.owners or name in groups:
        owner = registry.tasks.owners.get(name)
        whose = f" (of {' and '.join(map(str, owner))})" if owner else ""
        raise UserError(f"there is a task or a group of tasks called {name!r} already{whose}: choose another name")
    module = module_of(name)
    try:
        importlib.metadata.version(project_of(name))
    except importlib.metadata.PackageNotFoundError:
        if importlib.util.find_spec(module) is None:
            return
    raise UserError(f"{module} is installed already: choose another name, or uninstall it")


def check_datasets(names: Sequence[str], registry: Registry) -> None:
    """See that no dataset has one of these names.

    Raises:
        UserError: One has.
    """
    for name in names:
        if name in registry.datasets.owners:
            owners = " and ".join(map(str, registry.datasets.owners[name]))
            raise UserError(f"there is a dataset called {name!r} already (of {owners}): choose another name")
