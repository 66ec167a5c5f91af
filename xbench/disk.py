"""What a disk refuses: it is full, read-only, or not this user's. Each library that writes has its own words for it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import StoppedError, UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
WRITING = (*FULL, errno.EROFS, errno.EFBIG)
"""What only who writes meets."""
EITHER = (errno.EACCES, errno.EPERM, errno.EIO)
FOREIGN = re.compile(r"\b(?:os error|errno) (\d{1,3})\b", re.IGNORECASE)
"""In the words of safetensors, pyarrow and others that are not written in Python."""
KEPT = "what is finished is kept, and the same command goes on from it"


class WriteError(OSError):
    """Something could not be written; it holds the number and the path, whoever wrote."""


class Refusal(NamedTuple):
    """What a disk has refused.

    Attributes:
        number: Of the error, as in `errno`.
        path: What it was about; empty where nothing says so.
        writing: Whether it was to be written.
    """

    number: int
    path: str
    writing: bool

    def line(self, place: Path) -> str:
        """What is wrong, and what to do.

        Args:
            place: Where work goes on, for when nothing says where it was.
        """
        path, said = self.path or str(place), os.strerror(self.number)
        elsewhere = "name another place with --cache or --out"
        if not self.writing:
            return f"{path} cannot be read ({said}): see whom it belongs to, and whether its disk is whole"
        if self.number in FULL:
            return f"{path}: the disk is full ({said}): make room (see xbench cache prune) or {elsewhere}; {KEPT}"
        if self.number == errno.EFBIG:
            return f"{path}: no file may become as large here ({said}): see ulimit -f, or {elsewhere}; {KEPT}"
        return f"{path} cannot be written ({said}): make it writable or {elsewhere}; {KEPT}"


def refusal(error: BaseException | None) -> Refusal | None:
    """What a disk has refused, if that is what went wrong.

    Args:
        error: As it came; what it came from is looked at as well.
    """
    while error is not None and not isinstance(error, UserError):
        if isinstance(error, OSError) and error.errno in (*WRITING, *EITHER):
            writing = isinstance(error, WriteError) or error.errno in WRITING
            return Refusal(error.errno, str(error.filename or ""), writing)
        foreign = FOREIGN.search(str(error))
        if foreign and int(foreign[1]) in WRITING:
            return Refusal(int(foreign[1]), "", True)
        error = error.__cause__
    return None


def reason_or_stop(error: BaseException, place: Path) -> str | None:
    """One line for what a disk has refused, where other work may still be done.

    Args:
        error: What went wrong.
        place: Where work goes on, for when the error does not say where it was.

    Returns:
        The line; None where it is not the disk.

    Raises:
        StoppedError: Nothing more can be written: all other work would only fail in the same way.
    """
    if isinstance(error, StoppedError):
        raise error
    found = refusal(error)
    if found is not None and found.writing:
        raise StoppedError(found.line(place)) from error
    return None if found is None else found.line(place)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever a disk refuses meanwhile becomes a `WriteError` that names the path.

    Args:
        path: What is written.

    Raises:
        WriteError: It cannot be.
    """
    try:
        yield
    except Exception as error:
        found = refusal(error)
        own = found is not None and (found.number in WRITING or found.path.startswith(str(path.parent)))
        if found is None or not own:  # what cannot be read meanwhile is another matter
            raise
        raise WriteError(found.number, os.strerror(found.number), str(path)) from error


def check_writable(*folders: Path) -> None:
    """See, before any work, that its results can be written; a folder that is not there is made.

    Raises:
        StoppedError: They cannot.
    """
    for folder in folders:
        try:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder, prefix="."):
                    pass
        except OSError as error:
            reason_or_stop(error, folder)
            raise
