"""What killed processes have left half-written in a cache."""

from __future__ import annotations

import re
import time
from pathlib import Path

from .kinds import KINDS

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}", re.DOTALL)
"""The name of what is not finished: a dot, the name that it shall have, and eight letters that `tempfile` draws."""


def stale_temporaries(cache: Path, older_s: float = 24 * 3600) -> list[Path]:
    """What processes that were killed have left half-written: hidden files and folders of `atomic_file` and its like.

    Only places are looked at that xbench writes to itself, and only names that it gives; models that other libraries
    have fetched into the cache are none of them.

    Args:
        cache: The cache's folder.
        older_s: Seconds since anything in it has changed; a process that is still at work changes it more often.

    Returns:
        In the order of their paths; nothing of it is in use.
    """
    before = time.time() - older_s
    places = [cache, *(cache / kind.name for kind in KINDS.values() if kind.prunes)]
    places += [path for name in ("unfinished", "stages", "candidates", "kept") for path in (cache / name).glob("[!.]*")]
    places += (cache / "unfinished").glob("[!.]*/[!.]*")
    found = [path for place in places for path in place.glob(".*") if TEMPORARY.fullmatch(path.name)]
    return sorted(path for path in found if _last_change(path) < before)


def _last_change(path: Path) -> float:
    """When anything of a file or folder has last changed; now where it is just being taken away."""
    try:
        inside = [] if path.is_symlink() or not path.is_dir() else list(path.rglob("*"))
        return max(one.lstat().st_mtime for one in (path, *inside))
    except OSError:
        return time.time()
