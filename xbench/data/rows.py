"""Prepared rows: read once, checked, hashed, and kept as a memory-mapped Arrow file in the cache."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sys
import traceback
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..disk import refusal
from ..errors import DataError, UserError
from ..files import Digests, mark_used, new_folder, write_json
from ..keys import content_key, row_line
from ..locks import Locks
from ..settings import Settings
from ..types import Dataset, Files, Row, Schema, Source, Split
from .addresses import NotHereError, public
from .arrow import Rows
from .ids import first_repeat, id_hash, suspects, written_ids
from .schemas import arrow_features, row_error
from .sources import drop_downloads, explain, locate

ROWS_FILE = "rows.arrow"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class RowSet:
    """One split of a dataset, ready to be read.

    Attributes:
        dataset: Its declaration.
        split: Its name.
        rows: How many rows it has.
        rows_sha256: Who the rows are, wherever they came from.
        pinned: Whether the declaration holds this identity; False means that nobody has checked these rows.
        source: Where they came from: ``data root``, ``url``, ``hub:...`` or ``package``.
        folder: The prepared rows.
    """

    dataset: Dataset
    split: str
    rows: int
    rows_sha256: str
    pinned: bool
    source: str
    folder: Path

    def open(self) -> Rows:
        """Memory-map the rows; they take no memory until they are looked at."""
        return Rows(self.folder / ROWS_FILE)


def select(rows: Rows, limit: int | None, seed: int) -> Rows:
    """Draw some of the rows, keeping their order.

    Args:
        rows: Memory-mapped rows.
        limit: How many, at most; None takes all.
        seed: Of the draw.

    Returns:
        The rows drawn, still memory-mapped.
    """
    if limit is None or limit >= len(rows):
        return rows
    import numpy as np

    drawn = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return rows.select(np.sort(drawn))


def share_limit(limit: int | None, sizes: Sequence[int]) -> list[int | None]:
    """Split a limit over the datasets of a mixture, as evenly as their rows allow.

    A dataset with fewer rows than its share gives all of them, and the others share the rest; where it does not divide,
    the first ones get one more.

    Args:
        limit: Rows of the whole mixture, at most.
        sizes: Rows of each dataset.

    Returns:
        A limit for each dataset; None where all of its rows are taken.
    """
    if limit is None:
        return [None] * len(sizes)
    shares: list[int | None] = [None] * len(sizes)
    left = limit
    smallest_first = sorted(range(len(sizes)), key=lambda index: (sizes[index], -index))
    for done, index in enumerate(smallest_first):
        share = left // (len(sizes) - done)
        shares[index] = share if share < sizes[index] else None
        left -= min(share, sizes[index])
    return shares


def prepare(dataset: Dataset, split: str, schema: Schema, settings: Settings) -> RowSet:
    """Find a split's rows, in the cache or at the first source that has them, and check who they are.

    Args:
        dataset: Its declaration.
        split: The split's name.
        schema: The dataset's schema.
        settings: Data root, cache, offline.

    Returns:
        The rows, prepared.

    Raises:
        DataError: No source has them, they cannot be read, or they are not the rows declared.
    """
    declared = dataset.splits[split]
    reasons: list[str] = []
    for source in declared.sources:
        try:
            paths, origin = locate(source, settings)
        except NotHereError as reason:
            reasons.append(str(reason))
            continue
        return _prepare_from(dataset, split, declared, schema, source, paths, origin, settings)
    raise explain(dataset, split, reasons)


def _prepare_from(
    dataset: Dataset, split: str, declared: Split, schema: Schema, source: Source, paths: list[Path], origin: str,
    settings: Settings,
) -> RowSet:  # fmt: skip
    digests = Digests(settings.cache / "digests")
    hashes = [digests.sha256(path) for path in paths]
    # Another file, another reader or another declaration gives another folder: nothing stale is ever read.
    inputs = content_key(
        "rows", {"files": hashes, "reader": _reader_identity(source.read, digests), "dataset": dataset.name,
                 "split": split, "schema": dict(schema.fields), "pin": declared.rows_sha256, "rows": declared.rows}
    )  # fmt: skip
    folder = settings.cache / "datasets" / f"{dataset.name}-{split}-{inputs[:24]}"
    manifest = _manifest(folder, digests)
    if manifest is None:
        try:
            with Locks.of(settings).wait("rows", inputs[:24], f"reads the rows of {dataset.name}/{split}"):
                manifest = _manifest(folder, digests)
                if manifest is None:
                    if folder.exists():  # torn or altered
                        settings.listener.note(f"{folder} is damaged: its rows are prepared again")
                        shutil.rmtree(folder)
                    manifest = _write(folder, dataset, split, declared, schema, source, paths)
        except DataError as error:
            message = _with_checksums(str(error), source, paths, hashes)
            if isinstance(source, Files) and origin == "url" and drop_downloads(source.files, hashes, settings):
                message += "; the download was dropped, and the next run fetches it again"
            raise DataError(message) from error.__cause__
    pinned = declared.rows_sha256 is not None
    return RowSet(dataset, split, manifest["rows"], manifest["rows_sha256"], pinned, origin, folder)


def _reader_identity(read: Any, digests: Digests) -> list[str]:
    """The reader's name and its module's checksum: an edited reader reads again."""
    arguments = ""
    if isinstance(read, functools.partial):
        arguments = repr((read.args, sorted(read.keywords.items())))
        read = read.func
    path = _module_file(read)
    return [f"{read.__module__}.{read.__qualname__}", arguments, digests.sha256(path) if path else ""]


def _module_file(read: Any) -> Path | None:
    """The file that a reader is written in."""
    while isinstance(read, functools.partial):
        read = read.func
    path = getattr(sys.modules.get(read.__module__), "__file__", None)
    return Path(path) if path else None


def _manifest(folder: Path, digests: Digests) -> dict[str, Any] | None:
    """What was prepared before, when it is whole.

    Raises:
        OSError: It cannot be looked at, whole or not.
    """
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if digests.sha256(folder / ROWS_FILE) == manifest["arrow_sha256"]:
            mark_used(folder)
            return manifest
    return None


def _write(
    folder: Path, dataset: Dataset, split: str, declared: Split, schema: Schema, source: Source, paths: list[Path]
) -> dict[str, Any]:
    """Read, check and hash the rows in one pass, into an Arrow file."""
    import hashlib

    from datasets.arrow_writer import ArrowWriter

    from ..keys import file_sha256

    digest = hashlib.sha256()
    hashes = array("Q")
    with new_folder(folder) as unfinished:
        target = unfinished / ROWS_FILE
        with ArrowWriter(path=str(target), features=arrow_features(schema)) as writer:
            for row in _checked(dataset, split, schema, source.read, paths):
                hashes.append(id_hash(row["id"]))
                digest.update(row_line(row))
                writer.write(dict(row))
            writer.finalize()
        count = len(hashes)
        _check_identity(dataset, split, declared, count, digest.hexdigest(), paths)
        _check_ids(dataset, split, hashes, target, paths)
        manifest = {"rows": count, "rows_sha256": digest.hexdigest(), "arrow_sha256": file_sha256(target)}
        write_json(unfinished / MANIFEST, manifest)
    return manifest


def _checked(
    dataset: Dataset, split: str, schema: Schema, read: Callable[[Sequence[Path]], Iterator[Row]], paths: Sequence[Path]
) -> Iterator[Row]:
    for index, row in enumerate(_guarded(dataset, split, read, paths)):
        error = row_error(row, schema, dataset)
        if error is not None:
            raise DataError(f"dataset {dataset.name}, split {split}, row {index}: {error} ({paths[0]})")
        yield row


def _guarded(
    dataset: Dataset, split: str, read: Callable[[Sequence[Path]], Iterator[Row]], paths: Sequence[Path]
) -> Iterator[Row]:
    """A reader's rows; whatever it stumbles over is a fault of the file or its own, named with both places."""
    try:
        yield from read(paths)
    except UserError:
        raise
    except Exception as error:
        found = refusal(error)
        if found is not None and found.writing:  # no fault of the file's
            raise
        line = " ".join(f"{type(error).__name__}: {error}{_place(error, _module_file(read))}".split())
        raise DataError(f"dataset {dataset.name}, split {split}: {paths[0]} cannot be read ({line})") from error


def _place(error: Exception, module: Path | None) -> str:
    """Where it happened, in the reader's own file if it passed through there, in words for the end of a line."""
    # The first frame is the call in this file; a reader that cannot even be called has no frame of its own.
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)][1:]
    own = [(file, line) for file, line in places if module is not None and Path(file).resolve() == module.resolve()]
    return "".join(f", at {Path(file).name}:{line}" for file, line in (own or places)[-1:])


def _check_identity(
    dataset: Dataset, split: str, declared: Split, count: int, digest: str, paths: Sequence[Path]
) -> None:
    where = f"dataset {dataset.name}, split {split}: {paths[0]}"
    if declared.rows is not None and count != declared.rows:
        raise DataError(f"{where} holds {count} rows, not {declared.rows}: it is truncated or another version")
    if count == 0:
        raise DataError(f"{where} holds no rows")
    if declared.rows_sha256 is not None and digest != declared.rows_sha256:
        raise DataError(
            f"{where} holds other rows than the published ones (sha256 {digest[:12]}..., "
            f"expected {declared.rows_sha256[:12]}...): it was altered or is another dataset"
        )


def _check_ids(dataset: Dataset, split: str, hashes: array[int], target: Path, paths: Sequence[Path]) -> None:
    """Look whether an id stands twice; only if it seems so, the written rows are read again."""
    doubtful = suspects(hashes)
    repeat = first_repeat(written_ids(target), doubtful) if doubtful else None
    if repeat is not None:
        text, first, second = repeat
        raise DataError(
            f"dataset {dataset.name}, split {split}: {paths[0]} gives the rows {first} and {second} the same id "
            f"{text!r:.60}; ids are unique within a split"
        )


def _with_checksums(message: str, source: Source, paths: Sequence[Path], hashes: Sequence[str]) -> str:
    """Add which file is not the published one, and where to get it."""
    if not isinstance(source, Files):
        return message
    for file, path, seen in zip(source.files, paths, hashes, strict=True):
        if file.sha256 is not None and seen != file.sha256:
            again = f"; get it again from {public(file.url)}" if file.url else "; get it again from its publisher"
            return f"{message}; {path.name} has sha256 {seen[:12]}..., published {file.sha256[:12]}...{again}"
    return message
