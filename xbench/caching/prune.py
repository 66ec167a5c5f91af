"""Chooses what of a cache can go, and takes it away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..locks import Locks
from ..settings import Settings
from .items import Item
from .kinds import KINDS, LEFTOVERS
from .needs import STAGES, Needs
from .presence import working_since

GUARDS = {
    "stages": "stage", "unfinished": "stage", "candidates": "stage", "failed": "stage", "predictions": "cell",
    "kept": "cell", "datasets": "rows", "examples": "examples", "models": "model", "downloads": "download",
}  # fmt: skip
"""By kind, the lock that its maker holds."""


@dataclass(frozen=True)
class Wish:
    """What the user wants to be rid of; with nothing wished, only leftovers.

    Attributes:
        kinds: Only of these; none means all.
        older_s: Not used for so many seconds.
        max_bytes: What the cache may hold; what was not used for the longest time goes first.
        unreachable: What no record needs.
        even_needed: What records need as well.
    """

    kinds: tuple[str, ...] = ()
    older_s: float | None = None
    max_bytes: int | None = None
    unreachable: bool = False
    even_needed: bool = False

    @property
    def any(self) -> bool:
        """Whether anything but leftovers is meant."""
        return bool(self.kinds) or self.older_s is not None or self.max_bytes is not None or self.unreachable


class Kept(NamedTuple):
    """A thing that would go, were it not needed.

    Attributes:
        item: The thing.
        by: Who needs it.
    """

    item: Item
    by: str


@dataclass
class Choice:
    """What can go.

    Attributes:
        items: In the order in which they go.
        needed: Of these, by path, the records that need them.
        kept: What records need, and would go else.
        busy: What a run that is at work now has made or looked at.
    """

    items: list[Item] = field(default_factory=list)
    needed: dict[Path, str] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)
    busy: list[Item] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Of all that goes."""
        return sum(item.bytes for item in self.items)


def choose(items: Sequence[Item], wish: Wish, needs: Needs, cache: Path) -> Choice:
    """Choose what can go.

    Args:
        items: All that lies in the cache.
        wish: What shall go.
        needs: What records need. Without any record nobody knows, and all that a record could need is kept.
        cache: The cache's folder.

    Returns:
        Leftovers, then what was not used for the longest time first.
    """
    choice, now, since = Choice(), time.time(), working_since(cache)
    choice.items = [item for item in items if item.kind == LEFTOVERS and item.stale]
    left = sum(item.bytes for item in items) - choice.bytes
    for item in sorted(items, key=lambda item: (item.used, item.path)):
        if not (wish.any and _is_meant(item, wish, needs, now)):
            continue
        if wish.max_bytes is not None and left <= wish.max_bytes:
            break
        by = needs.by(item)
        if not by and KINDS[item.kind].needed and not needs.any:
            by = "nobody knows: there are no records"
        if by and not wish.even_needed:
            choice.kept.append(Kept(item, by))
        elif since is not None and item.used >= since - 1:
            choice.busy.append(item)
        else:
            choice.items.append(item)
            left -= item.bytes
            if by:
                choice.needed[item.path] = by
    return choice


def _is_meant(item: Item, wish: Wish, needs: Needs, now: float) -> bool:
    kind = KINDS.get(item.kind)
    if kind is None or not kind.prunes or (wish.kinds and item.kind not in wish.kinds):
        return False
    if wish.older_s is not None and now - item.used < wish.older_s:
        return False
    return not wish.unreachable or _is_unreachable(item, needs)


def _is_unreachable(item: Item, needs: Needs) -> bool:
    """Whether no record leads to a thing; of what cannot be told, such as examples, it is not said."""
    if item.kind in STAGES:
        return item.key not in needs.stages and item.key not in needs.doubtful
    if KINDS[item.kind].needed:
        return not needs.by(item)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        if item.kind == "datasets":
            manifest = json.loads((item.path / "manifest.json").read_text(encoding="utf-8"))
            return manifest["rows_sha256"] not in needs.rows | needs.doubtful
        if item.kind == "dev-scores":
            stage = json.loads(item.path.read_text(encoding="utf-8"))["of"]["stage"]
            return stage not in needs.stages and stage not in needs.doubtful
        if item.kind == "digests":
            return not os.path.exists(json.loads(item.path.read_text(encoding="utf-8"))["file"][0])
    return False


def take_away(items: Iterable[Item], settings: Settings) -> Iterator[tuple[Item, str]]:
    """Take things away, each at once: what is begun and not ended is a leftover.

    Args:
        items: What goes.
        settings: The cache, and who hears of it.

    Yields:
        Each with why it could not be taken; an empty text where it is gone.
    """
    locks = Locks.of(settings)
    for item in items:
        guard = GUARDS.get(item.kind)
        key = item.path.name[-24:] if guard == "rows" else item.key
        try:
            lock = contextlib.nullcontext() if guard is None else locks.attempt(guard, key)
            if lock is None:
                yield item, "another process is at it"
                continue
            with lock:
                _remove(item.path)
            yield item, ""
        except OSError as error:
            yield item, error.strerror or str(error)


def _remove(path: Path) -> None:
    """Out of sight first, so that nobody finds half of it. A link is taken itself, and never what it leads to."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:40]}."))
    try:
        path.rename(aside / path.name)
    finally:
        shutil.rmtree(aside)
