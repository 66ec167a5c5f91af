"""A project file, ``xbench.toml``: settings that people who work on the same thing share.

It is looked for in the working folder and then in those above it, up to a repository's root or the home folder. A
file can name plugins, and plugins are code. So outside a repository and outside the home folder, as in ``/tmp``, only
the working folder itself is looked at; above the working folder a file counts only where it and its folder belong to
the user (or to root); and plugin files must lie in the project file's own folder. What a file can never switch on is
a model's own code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import UserError
from .toml_files import FLAG, LIST, TEXT, WHOLE, WHOLES, Kind, brief, check_values, is_number, read_toml

NAME = "xbench.toml"
VARIABLE = "XBENCH_PROJECT"
NAMES: Kind = ("a text or a list of texts", lambda value: TEXT[1](value) or LIST[1](value))
RECIPE: Kind = (
    "a table of recipe settings",
    lambda value: (
        isinstance(value, dict) and all(isinstance(one, (str, bool)) or is_number(one) for one in value.values())
    ),
)  # fmt: skip
PLACES: Mapping[str, Kind] = {
    "data": TEXT, "cache": TEXT, "out": TEXT, "track_dir": TEXT, "offline": FLAG, "plugins": LIST,
}  # fmt: skip
REQUEST: Mapping[str, Kind] = {
    "model": NAMES, "tasks": NAMES, "train": NAMES, "eval": NAMES, "seeds": WHOLES, "head": TEXT,
    "limit_train": WHOLE, "limit_eval": WHOLE, "device": TEXT, "strict": FLAG, "track": NAMES, "recipe": RECIPE,
}  # fmt: skip
FORBIDDEN = "trust_remote_code"


@dataclass(frozen=True)
class Project:
    """What a project file says.

    Attributes:
        path: The file.
        places: Paths, absolute, and switches: for every command that takes such an option.
        request: What is evaluated; for the commands that take a whole request.
        recipe: Recipe settings, below ``--set``.
        plugins: Files, absolute.
        above: Whether it lies above the working folder.
    """

    path: Path
    places: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[Path, ...] = ()
    above: bool = False

    def settings(self) -> list[str]:
        """The recipe as ``--set`` would be written."""
        return [f"recipe.{name}={json.dumps(value)}" for name, value in self.recipe.items()]


def find_project(folder: Path | None = None) -> Project | None:
    """Find and read the project file.

    Args:
        folder: Where to begin; the working folder without it. ``XBENCH_PROJECT`` names the very file, and an empty
            one says that there is none.

    Returns:
        What it says; None where there is none.

    Raises:
        UserError: It cannot be read, or says what it may not.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return read_project(Path(named).expanduser()) if named else None
    start = (folder or Path.cwd()).absolute()
    for place in _places(start):
        path = place / NAME
        if path.is_file():
            if place != start and not (_ours(place) and _ours(path)):
                raise UserError(
                    f"{path} belongs to another user: accept it with {VARIABLE}={path}, or pass --no-project"
                )
            return read_project(path, above=place != start)
    return None


def _places(start: Path) -> Iterator[Path]:
    """Where to look, the nearest first."""
    home = Path.home()
    chain = [start, *start.parents]
    root = next((place for place in chain if (place / ".git").exists()), None)
    top = root or (home if home in chain else start)
    yield from chain[: chain.index(top) + 1]


def _ours(path: Path) -> bool:
    """Whether a file or folder belongs to the user, or to root."""
    return path.stat().st_uid in (os.getuid(), 0)


def read_project(path: Path, above: bool = False) -> Project:
    """Read a project file; paths in it are relative to its folder.

    Args:
        path: The file.
        above: Whether it lies above the working folder.

    Raises:
        UserError: It cannot be read, a key is unknown, or a value is of the wrong kind.
    """
    values = read_toml(path, str(path))
    if isinstance(values.get("xbench"), dict):
        own = values.pop("xbench")
        for name in own.keys() & values.keys():
            raise UserError(f"{path}: {name} stands in [xbench] and outside of it")
        values |= own
    if FORBIDDEN in values:
        raise UserError(f"{path}: {FORBIDDEN} is not taken from a file: pass --trust-remote-code for each run")
    check_values(values, {**PLACES, **REQUEST}, (), str(path))
    folder = path.absolute().parent
    places = {
        name: str(folder / _place(value, name, path)) if isinstance(value, str) else value
        for name, value in values.items()
        if name in PLACES and name != "plugins"
    }
    request = {name: value for name, value in values.items() if name in REQUEST and name != "recipe"}
    plugins = tuple(_plugin(folder, name, path) for name in values.get("plugins", []))
    return Project(path.absolute(), places, request, values.get("recipe", {}), plugins, above)


def _place(value: str, name: str, path: Path) -> Path:
    """A path that stands in the file."""
    try:
        os.fsencode(value)
        if "\0" in value:
            raise ValueError
        return Path(value).expanduser()
    except (ValueError, RuntimeError):  # half a surrogate pair, a null byte, no such user
        raise UserError(f"{path}: {name}: {brief(value)} is no path") from None


def _plugin(folder: Path, name: str, path: Path) -> Path:
    """A plugin file of a project: in its folder, links followed."""
    file = folder / _place(name, "plugins", path)
    if not file.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{path}: plugins: {name} does not lie in {folder}: pass it with --plugin")
    return file
