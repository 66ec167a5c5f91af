"""Where in a plugin's own files something happened."""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection, Iterable
from pathlib import Path


def source_files(module_file: str | None, is_package: bool) -> tuple[Path, ...]:
    """A plugin's Python files: its module's file, or all of its package.

    Args:
        module_file: The module's ``__file__``.
        is_package: Whether it is a package.
    """
    if module_file is None:
        return ()
    path = Path(module_file).resolve()
    return tuple(sorted(path.parent.rglob("*.py"))) if is_package else (path,)


def shown(path: Path | str) -> str:
    """A path as people look for it: from the folder that they are in, where it lies there."""
    text = os.path.relpath(path)
    return str(path) if text.startswith("..") else text


def place_of(error: BaseException, files: Collection[Path]) -> str:
    """The last place of a traceback in some files, as ``file:line``; the last of all where none is there.

    Args:
        error: What was raised.
        files: The plugin's.
    """
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() in files:
        return f"{shown(error.filename)}:{error.lineno}"
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in places if is_own(file, files)]
    return "".join(f"{shown(file)}:{line}" for file, line in (own or places)[-1:])


def is_own(file: str, files: Iterable[Path]) -> bool:
    """Whether a frame's file is one of a plugin's."""
    return not file.startswith("<") and Path(file).resolve() in files
