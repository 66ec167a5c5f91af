"""What works on this machine, and how to mend what does not: a line a thing, each ``ok``, ``note`` or ``broken``.

A note is something to know; only what stops work that was asked for is broken. Nothing is changed, fetched or shown
that is secret: of a token only whether there is one.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from .. import __version__
from ..disk import refusal
from ..errors import UserError, named_line
from ..project import Project
from ..registry import Registry
from ..settings import Settings
from .finding import BROKEN, NOTE, OK, Finding

__all__ = ["BROKEN", "NOTE", "OK", "Finding", "examine"]


def examine(registry: Registry, settings: Settings, project: Project | UserError | None) -> Iterator[Finding]:
    """Look at everything; what cannot be looked at is a finding too, and the rest is looked at all the same.

    Args:
        registry: What the plugins declare.
        settings: Folders and switches; offline, the hub is not tried.
        project: The project file that was read, or why it could not be.
    """
    from . import around, installed, machine, places

    yield Finding("xbench", OK, f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("python", OK, f"{platform.python_version()} ({sys.executable}), {platform.platform(terse=True)}")
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "project file": partial(places.project_file, project),
        "packages": installed.packages,
        "extras": installed.extras,
        "torch": partial(machine.torch, settings),
        "data root": partial(places.data, settings),
        "datasets": partial(places.datasets, registry, settings),
        "cache": partial(places.cache, settings),
        "results": partial(places.results, settings),
        "plugins": partial(places.plugins, registry),
        "models": partial(places.models, registry, settings),
        "hub": partial(around.hub, settings),
        "locale": around.locale_of_texts,
    }
    for name, look in looks.items():
        yield from _looked_at(name, look)


def _looked_at(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:  # noqa: BLE001  # what is broken on a machine fails in ways of its own
        refused = refusal(error)
        line = refused.line(Path()) if refused else named_line(error, 200)
        yield Finding(name, BROKEN, f"cannot be looked at: {line}", "see to what this names")
