"""The plugins of a project folder that is not installed: its entry points, as its packaging files declare them."""

from __future__ import annotations

import configparser
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from ..errors import UserError
from ..hookspecs import PROJECT


def project_points(folder: Path) -> list[EntryPoint]:
    """The entry points of the group ``xbench``; what they name can be imported afterwards.

    Args:
        folder: With a ``pyproject.toml`` or a ``setup.cfg``.

    Raises:
        UserError: It declares none, or the file cannot be read.
    """
    try:
        declared = _from_pyproject(folder) or _from_setup_cfg(folder)
    except (OSError, ValueError, TypeError, AttributeError, configparser.Error) as error:
        raise UserError(f"{folder}: its entry points cannot be read: {error}") from None
    if not declared:
        raise UserError(
            f"{folder} declares no plugin: name a Python file, or add [project.entry-points.{PROJECT}] to its "
            "pyproject.toml"
        )
    # Where an editable install would point: the project's own code wins over an installed copy.
    for path in (folder, folder / "src"):
        if path.is_dir() and str(path.resolve()) not in sys.path:
            sys.path.insert(0, str(path.resolve()))
    return [EntryPoint(name, value, PROJECT) for name, value in sorted(declared.items())]


def _from_pyproject(folder: Path) -> dict[str, str]:
    path = folder / "pyproject.toml"
    if not path.is_file():
        return {}
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    points: dict[str, str] = values.get("project", {}).get("entry-points", {}).get(PROJECT, {})
    return dict(points)


def _from_setup_cfg(folder: Path) -> dict[str, str]:
    path = folder / "setup.cfg"
    if not path.is_file():
        return {}
    parser = configparser.ConfigParser()
    parser.read_string(path.read_text(encoding="utf-8"))
    lines = parser.get("options.entry_points", PROJECT, fallback="").splitlines()
    pairs = (line.partition("=") for line in lines if line.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}
