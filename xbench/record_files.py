"""Reads the files of records: whole ones only, each once while it stays as it is, and equal parts held once for all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from .files import write_atomic
from .keys import canonical, text_sha256

Record: TypeAlias = dict[str, Any]
UNLIKE = frozenset({"scores", "timing", "sampling"})
"""What hardly two records share: it is not worth a look."""
ALONE = frozenset({"key", "checksum", "predictions_sha256"})
DIGEST = 32
"""Bytes of a sha256."""
MOST_DIGESTS = 1_000_000


def sign(record: Mapping[str, Any]) -> dict[str, Any]:
    """Add a record's checksum: the sha256 over its canonical JSON without the checksum itself."""
    body = {name: value for name, value in record.items() if name != "checksum"}
    return {**body, "checksum": text_sha256(canonical(body))}


class Checked:
    """Remembers which bytes were read and found whole, so that the same bytes need no second look.

    A file is read in any case, and what it holds is never taken from here: only its checksum is not computed anew.

    Args:
        path: The file that remembers, sha256 after sha256; a damaged one costs time, nothing else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[bytes] | None = None
        self._seen: dict[bytes, None] = {}
        self._news = False

    def __contains__(self, digest: bytes) -> bool:
        if self._known is None:
            data = b""
            with contextlib.suppress(OSError):
                data = self._path.read_bytes()
            self._known = {data[place : place + DIGEST] for place in range(0, len(data), DIGEST)}
        found = digest in self._known
        if found:
            self._seen[digest] = None
        return found

    def add(self, digest: bytes) -> None:
        """Remember bytes that were found whole."""
        self._seen[digest] = None
        self._news = True

    def keep(self) -> None:
        """Write down what is new; of too many, those that nobody has read this time are forgotten."""
        if not self._news:
            return
        known = self._known or set()
        rest = sorted(known.difference(self._seen))[: max(0, MOST_DIGESTS - len(self._seen))]
        with contextlib.suppress(OSError):  # a read-only cache costs time, nothing else
            write_atomic(self._path, b"".join([*rest, *self._seen]))
        self._known, self._news = {*rest, *self._seen}, False


class RecordFiles:
    """Reads records; what it gives is shared, and nobody changes it.

    Args:
        checked: Remembers from process to process what was found whole.
    """

    def __init__(self, checked: Checked | None = None) -> None:
        self._checked = checked
        self._read: dict[str, tuple[tuple[int, ...], Record | None]] = {}
        self._parts: dict[bytes | str, Any] = {}

    def read(self, path: Path) -> Record | None:
        """What `sign` has signed, when the file is there, is JSON, and its checksum holds; else None.

        A file of the same size, time of change and place as before is not read again.
        """
        name = str(path)
        try:
            if not stat.S_ISREG(os.stat(name).st_mode):  # a pipe would be waited for
                return None
            with open(name, "rb") as file:
                state = os.fstat(file.fileno())
                now = (state.st_size, state.st_mtime_ns, state.st_ino, state.st_dev)
                before, record = self._read.get(name, (None, None))
                if before == now:
                    return record
                data = file.read()
        except OSError:
            return None
        record = self._whole(data)
        self._read[name] = (now, record)
        return record

    def keep(self) -> None:
        """Remember what was found whole for the next process."""
        if self._checked is not None:
            self._checked.keep()

    def _whole(self, data: bytes) -> Record | None:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            signed: Record = json.loads(data.decode("utf-8"))
            digest = hashlib.sha256(data).digest()
            if self._checked is not None and digest in self._checked:
                return self._shared(signed)
            if sign(signed)["checksum"] == signed["checksum"]:
                if self._checked is not None:
                    self._checked.add(digest)
                return self._shared(signed)
        return None

    def _shared(self, record: Record) -> Record:
        """The same with parts that other records have as well: of very many, most is the same in most."""
        shared: Record = {}
        for name, value in record.items():
            name = sys.intern(name)
            if name in UNLIKE:
                shared[name] = _named_once(value)
            elif isinstance(value, (dict, list)):
                shared[name] = self._parts.setdefault(repr(value), value)
            elif isinstance(value, str) and name not in ALONE:
                shared[name] = self._parts.setdefault(value, value)
            else:
                shared[name] = value
        return shared


def _named_once(value: Any) -> Any:
    """A value whose keys, of all tables in it, are the same texts as others'."""
    if isinstance(value, dict):
        return {sys.intern(name): _named_once(one) for name, one in value.items()}
    return value


def _stop(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):  # what is not there holds no records
        raise error


def record_paths(results: Path) -> Iterator[Path]:
    """Every ``.json`` file below a folder, in the order of their paths; links to folders are not followed.

    Raises:
        OSError: A folder cannot be read. Without its records everything made from the others would be wrong.
    """
    found = [
        (*place.split(os.sep), name)
        for place, folders, files in os.walk(results, onerror=_stop)
        for name in (*folders, *files)
        if name.endswith(".json")
    ]
    for parts in sorted(found):
        yield Path(os.sep.join(parts))
