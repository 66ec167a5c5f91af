"""Holds everything in a cache against its checksums, whatever is remembered of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..candidates import MANIFEST as CANDIDATES
from ..data.rows import MANIFEST as ROWS
from ..data.rows import ROWS_FILE
from ..files import recheck
from ..keys import file_sha256
from ..models.resolve import WRITTEN
from ..settings import Settings
from ..store import MANIFEST as STAGE
from ..store import Store, read_signed, stage_files
from ..unfinished import MANIFEST as CHECKPOINT
from .items import Item
from .kinds import KINDS
from .needs import Needs, label

TABLE = "meta.json"


class Checked(NamedTuple):
    """What came of a check.

    Attributes:
        item: What was looked at.
        wrong: What is wrong with it, in a few words; empty where it is whole.
        then: What becomes of it.
        held: Whether there was anything to hold it against.
    """

    item: Item
    wrong: str = ""
    then: str = ""
    held: bool = True


def check(item: Item, needs: Needs, settings: Settings, published: Mapping[Path, str]) -> Checked:
    """Read a thing, and hold it against the checksums that were written with it.

    Args:
        item: Of a kind.
        needs: The records; predictions, and arrays for figures, are held against theirs.
        settings: The cache.
        published: The sha256 of downloads, by path, as datasets declare them.
    """
    record = needs.records.get(item.key)
    wrong: str | None
    try:
        if item.kind in ("predictions", "kept"):
            wrong = None if record is None else _of_record(item, record, settings)
        elif item.kind == "downloads":
            wrong = _download(item, published)
        else:
            wrong = _CHECKS.get(item.kind, _signed)(item)
    except OSError as error:
        wrong = f"cannot be read ({error.strerror or error})"
    then = KINDS[item.kind].again
    if wrong and record is not None and item.kind == "predictions":
        then = f"delete the record of {label(record)}, and the next run scores it again"
    return Checked(item, wrong or "", then if wrong else "", wrong is not None)


def _differing(folder: Path, checksums: Mapping[str, str]) -> str:
    """Names the files of a folder that do not have their checksums."""
    wrong = []
    for name, checksum in checksums.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif file_sha256(path) != checksum:
            wrong.append(f"{name} does not have its checksum")
    return ", ".join(wrong)


def _signed(item: Item) -> str:
    return "" if read_signed(item.path) is not None else "it does not have its checksum"


def _stage(item: Item) -> str:
    manifest = read_signed(item.path / STAGE)
    if manifest is None or manifest.get("key") != item.key:
        return f"{STAGE} does not have its checksum"
    return _differing(item.path, stage_files(manifest))


def _unfinished(item: Item) -> str:
    for folder in sorted(item.path.glob("[!.]*")):
        manifest = read_signed(folder / CHECKPOINT)
        if manifest is None or manifest.get("key") != item.key:
            return f"{folder.name}/{CHECKPOINT} does not have its checksum"
        wrong = _differing(folder, manifest["files"])
        if wrong:
            return f"{folder.name}/{wrong}"
    return ""


def _candidates(item: Item) -> str:
    """Of a training that was broken off there is no manifest yet, and its checkpoint says what is whole."""
    if not (item.path / CANDIDATES).exists():
        return ""
    manifest = read_signed(item.path / CANDIDATES)
    if manifest is None or manifest.get("key") != item.key:
        return f"{CANDIDATES} does not have its checksum"
    for step, files in manifest["files"].items():
        own = item.path / f"step-{step}"
        if int(step) == manifest["steps"] and not own.exists():
            continue  # the stage's own weights
        wrong = _differing(own, files)
        if wrong:
            return f"{own.name}/{wrong}"
    return ""


def _rows(item: Item) -> str:
    manifest = _json(item.path / ROWS)
    if manifest is None or "arrow_sha256" not in manifest:
        return f"{ROWS} is damaged"
    return _differing(item.path, {ROWS_FILE: manifest["arrow_sha256"]})


def _examples(item: Item) -> str | None:
    manifest = _json(item.path / TABLE)
    if manifest is None or not isinstance(manifest.get("bytes"), dict):
        return f"{TABLE} is damaged"
    for name, size in manifest["bytes"].items():
        if not (item.path / name).is_file() or (item.path / name).stat().st_size != size:
            return f"{name} has not its length"
    return _differing(item.path, manifest["sha256"]) if "sha256" in manifest else None


def _model(item: Item) -> str | None:
    if not (item.path / WRITTEN).exists():
        return None
    checksums = _json(item.path / WRITTEN)
    return f"{WRITTEN} is damaged" if checksums is None else _differing(item.path, checksums)


def _digest(item: Item) -> str:
    return recheck(item.path)


def _download(item: Item, published: Mapping[Path, str]) -> str | None:
    known = {path: published[path] for path in sorted(item.path.iterdir()) if path in published}
    if not known:
        return None
    return ", ".join(f"{path.name} is not the published one" for path in known if file_sha256(path) != known[path])


def _of_record(item: Item, record: Mapping[str, Any], settings: Settings) -> str:
    if item.kind == "predictions":
        return "" if Store(settings).predictions(record, used=False) is not None else "not what the record was made of"
    if not record["kept"]:
        return ""
    return "an array is missing or does not have its checksum" if Store(settings).lost(record) else ""


def _json(path: Path) -> Any:
    """An object; None where there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    return None


def _unchecked(item: Item) -> None:
    """It has no checksum: a damaged one costs time, nothing else, or it is looked at elsewhere."""


_CHECKS: Mapping[str, Callable[[Item], str | None]] = {
    "stages": _stage, "unfinished": _unfinished, "candidates": _candidates, "datasets": _rows, "examples": _examples,
    "models": _model, "digests": _digest, **dict.fromkeys(("locks", "downloads", "checked", "published"), _unchecked),
}  # fmt: skip


def published_files(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Where downloads lie, and their sha256, of all files that the plugins' datasets declare with one.

    Args:
        settings: The cache.
    """
    from ..data.sources import download_path
    from ..registry import load_registry
    from ..types import Files

    for dataset in load_registry(()).datasets:
        for split in dataset.splits.values():
            files = [file for source in split.sources if isinstance(source, Files) for file in source.files]
            for file in files:
                if file.url is not None and file.sha256 is not None:
                    yield download_path(file, settings), file.sha256
