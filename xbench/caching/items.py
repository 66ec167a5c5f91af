"""Looks through a cache: everything in it is of a kind, left over, or not xbench's."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..store import MANIFEST as STAGE
from .kinds import KINDS, LEFTOVERS, STRANGE, Kind
from .temporaries import TEMPORARY, stale_temporaries

ASIDE = ".damaged"
"""Behind the key of a stage that was found damaged."""
DAY_S = 24 * 3600.0
PART_S = 30 * DAY_S
"""A download that was broken off so long ago is not gone on with."""


@dataclass(frozen=True)
class Item:
    """One thing that lies in a cache.

    Attributes:
        kind: Of `KINDS`, or `LEFTOVERS`, or `STRANGE`.
        key: Its name without what says the format.
        path: Where it lies.
        bytes: Of all its files.
        used: When it was last made use of, in seconds as `time.time` counts them.
        stale: Left over for so long that it is of no use to anybody.
    """

    kind: str
    key: str
    path: Path
    bytes: int
    used: float
    stale: bool = False

    @property
    def label(self) -> str:
        """What its manifest says of it; empty where it has none."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            return _label(self)
        return ""


def scan(cache: Path) -> Iterator[Item]:
    """Everything that lies in a cache.

    Args:
        cache: Its folder; nothing where there is none.

    Yields:
        By kind and name. What a link leads to is not looked at.
    """
    cache = cache.resolve()
    stale = set(stale_temporaries(cache, DAY_S))
    for entry in _entries(cache):
        kind = KINDS.get(entry.name)
        if kind is not None and entry.is_dir(follow_symlinks=False):
            for inner in _entries(cache / kind.name):
                yield _item(inner, kind, stale)
        else:
            left = TEMPORARY.fullmatch(entry.name) is not None and not entry.is_symlink()
            yield _measured(LEFTOVERS if left else STRANGE, Path(entry.path), stale)
    for path in sorted(stale):  # those inside of what is of a kind
        if len(path.relative_to(cache).parts) > 2:
            yield _measured(LEFTOVERS, path, stale)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _item(entry: os.DirEntry[str], kind: Kind, stale: set[Path]) -> Item:
    path, name = Path(entry.path), entry.name
    if entry.is_symlink():
        return _measured(STRANGE, path, stale)
    if TEMPORARY.fullmatch(name) and not (kind.name == "locks" and name.endswith(".lock")):
        return _measured(LEFTOVERS, path, stale)
    if name.endswith(ASIDE) and kind.fits(name.removesuffix(ASIDE)):
        return _measured(LEFTOVERS, path, {path})
    beside = kind.name == "downloads" and not entry.is_dir()
    if not kind.fits(name) or (not beside and entry.is_dir() != kind.folders):
        return _measured(STRANGE, path, stale)
    if beside:
        # A lock of a download holds nothing: its being free is what makes it stale.
        found = _measured(kind.name, path, set())
        return _measured(LEFTOVERS, path, {path} if time.time() - found.used > PART_S else set())
    return _measured(kind.name, path, stale)


def _measured(kind: str, path: Path, stale: set[Path]) -> Item:
    size, used = _size(path)
    known = kind in KINDS and not KINDS[kind].folders
    return Item(kind, path.name.partition(".")[0] if known and path.name[0] != "." else path.name, path, size, used,
                path in stale)  # fmt: skip


def _size(path: Path) -> tuple[int, float]:
    """Bytes, and the latest time of change; links are not followed."""
    size, used = 0, 0.0
    with contextlib.suppress(OSError):  # it may be taken away while it is looked at
        state = path.lstat()
        size, used = (0 if stat.S_ISDIR(state.st_mode) else state.st_size), state.st_mtime
        if stat.S_ISDIR(state.st_mode):
            for place, _, names in os.walk(path):
                states = [os.lstat(os.path.join(place, name)) for name in names]
                size += sum(one.st_size for one in states)
                used = max([used, os.lstat(place).st_mtime, *(one.st_mtime for one in states)])
    return size, used


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _label(item: Item) -> str:
    if item.kind == "stages":
        about = _read(item.path / STAGE)
        return f"{about['curriculum']} {about['head']} seed {about['seed']}"
    if item.kind == "candidates":
        about = _read(item.path / "candidates.json")
        return f"steps {', '.join(sorted(about['files'], key=int))} of {about['steps']}"
    if item.kind == "unfinished":
        return ", ".join(sorted(path.name.rpartition("-")[0].replace("-", " ") for path in item.path.glob("[!.]*")))
    if item.kind == "datasets":
        return f"{_read(item.path / 'manifest.json')['rows']} rows"
    if item.kind == "examples":
        return f"{_read(item.path / 'meta.json')['examples']} examples"
    if item.kind == "downloads":
        return ", ".join(sorted(path.name for path in item.path.iterdir()))
    if item.kind == "kept":
        return ", ".join(sorted(path.stem for path in item.path.glob("*.npy")))
    if item.kind == "digests":
        return str(_read(item.path)["file"][0])
    if item.kind == "dev-scores":
        of = _read(item.path)["of"]
        return f"step {of['step']} on {'/'.join(of['dataset'])}"
    return str(_read(item.path)["reason"]) if item.kind == "failed" else ""
