"""Whether what is published was made from these records by this code: then it stands, and is not made anew."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from ..files import Digests, write_json
from ..keys import text_sha256
from ..record_files import RecordFiles
from ..registry import Registry
from ..settings import Settings
from ..store import read_records
from .orders import orders
from .pictures import FOLDER
from .publish import FLAT, LATEX, PAGE

COMPUTED_WITH = ("numpy", "scipy")


class Made:
    """What a results folder's leaderboard was last made from, as the cache remembers it.

    Args:
        registry: What the plugins declare: orders, titles and figures.
        settings: The cache, and the folder in which it is published.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry, self._out = registry, settings.out
        self._digests = Digests(settings.cache / "digests")
        self._memory = settings.cache / "published" / f"{text_sha256(str(settings.out.resolve()))[:32]}.json"

    def stands(self, files: RecordFiles) -> bool:
        """Whether nothing has changed: no record, no picture, no declaration, no code, and none of the files made.

        Args:
            files: Has read the records.
        """
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._memory.read_text(encoding="utf-8"))
            return bool(known == self._now(files))
        return False

    def keep(self, files: RecordFiles) -> None:
        """Remember what is published now.

        Args:
            files: Has read the records that it was made from.
        """
        with contextlib.suppress(OSError):  # a read-only cache costs time, nothing else
            if (now := self._now(files)) is not None:
                write_json(self._memory, now)

    def _now(self, files: RecordFiles) -> dict[str, object] | None:
        """None where a record is damaged: that must be said each time."""
        records = hashlib.sha256()
        for path, record in read_records(self._out, files):
            if record is None:
                return None
            records.update(f"{path}\t{record['checksum']}\n".encode("utf-8", "surrogatepass"))
        states = [(self._out / name).stat() for name in (PAGE, FLAT, LATEX)]
        pictures = self._out / FOLDER
        return {
            "records": records.hexdigest(), "declared": text_sha256(self._declared()),
            "code": self._digests.sha256(Path(__file__).parent.parent),
            "with": [sys.version, *(version(name) for name in COMPUTED_WITH)],
            "pictures": self._digests.sha256(pictures) if pictures.is_dir() else "",
            "files": [[state.st_size, state.st_mtime_ns, state.st_ino] for state in states],
        }  # fmt: skip

    def _declared(self) -> str:
        registry = self._registry
        tasks = [(task.name, task.title, task.figures) for task in registry.tasks]
        return repr((tasks, [(figure.name, figure.version) for figure in registry.figures], orders(registry)))
