"""Takes records that others made into a results folder: checked one by one; nothing that is there is overwritten."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UserError
from .forms import ascii_safe, shown
from .record_check import RecordCheck
from .record_form import record_errors
from .registry import Registry
from .settings import Settings
from .store import RECORD_SCHEMA, Store, read_record, read_records

LARGEST = 2_000_000
"""Bytes of a record's file; a thousand draws of ten scores are 30,000."""
DEEPEST = 8
"""Folders within folders; records lie two deep."""
SAID = 3
"""What is wrong with one record is said in so many parts, at most."""
FAMILY = "xbench.record/"
NO_RESULT = frozenset({
    "schema", "checksum", "timing", "environment", "kept", "ceilings", "chance", "bounds", "sampling", "overlap",
    "reason",
})  # fmt: skip
"""Where and when it was measured, and what is computed beside the result: two records of one key may differ here."""


class Merged(NamedTuple):
    """What became of a file.

    Attributes:
        path: The file.
        outcome: ``taken``, ``here`` (was there already), ``conflict``, ``refused`` or ``skipped`` (is no record).
        said: What was checked; else what is wrong, in one line.
        place: Where the record lies now, or would, or the one that it is the same as or in conflict with.
    """

    path: Path
    outcome: str
    said: str
    place: Path | None = None


class _RefusedError(Exception):
    """A file that cannot be taken, with the reason."""


class _NoRecordError(Exception):
    """A file that is none of ours, with the reason."""


def find_files(folder: Path) -> tuple[list[Path], list[Merged]]:
    """The files of a folder that may be records.

    Args:
        folder: One with records, or one with a folder ``results`` of them.

    Returns:
        Ordinary ``.json`` files in the order of their paths, and what is passed over; symbolic links are not followed.

    Raises:
        UserError: It is no folder, or holds no such file.
    """
    if not folder.is_dir():
        raise UserError(f"{ascii_safe(str(folder))} is not a folder")
    results = folder / "results"
    top = results if results.is_dir() and not results.is_symlink() else folder
    files: list[Path] = []
    skipped: list[Merged] = []
    left = [(top, 0)]
    while left:
        place, depth = left.pop()
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(Merged(place, "skipped", f"cannot be read: {error.strerror}"))
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if depth < DEEPEST and not entry.name.startswith("."):
                    left.append((path, depth + 1))
                else:
                    skipped.append(Merged(path, "skipped", "a hidden folder, or one too deep"))
            elif reason := _passed_over(entry):
                skipped.append(Merged(path, "skipped", reason))
            else:
                files.append(path)
    if not files:
        raise UserError(f"{ascii_safe(str(folder))} has no records: no .json file lies in it")
    return sorted(files), sorted(skipped)


def _passed_over(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "a symbolic link"
    if not entry.is_file(follow_symlinks=False):
        return "not an ordinary file"
    return "" if entry.name.endswith(".json") else "no record: not a .json file"


def read_stranger(path: Path) -> dict[str, Any]:
    """Read a record that anybody may have written.

    Args:
        path: Its file; it is not followed where it is a symbolic link.

    Returns:
        The record: of the right form, and signed.

    Raises:
        _NoRecordError: It is something else.
        _RefusedError: It is damaged, or not of the form.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise _NoRecordError("not an ordinary file")
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _RefusedError(f"cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise _RefusedError(f"holds {state.st_size:,} bytes; a record has at most {LARGEST:,}")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_each_once, parse_constant=_no_number)
    except RecursionError:
        raise _RefusedError("not JSON of a record: too deep") from None
    except ValueError as error:  # a UnicodeDecodeError is one
        raise _RefusedError(f"not JSON: {ascii_safe(str(error))[:200]}") from None
    if not isinstance(value, dict) or not str(value.get("schema")).startswith(FAMILY):
        raise _NoRecordError(f"no record: its schema does not begin with {FAMILY}")
    if errors := record_errors(value):
        raise _RefusedError(_brief(errors))
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a field stands twice in one table")
    return values


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _brief(errors: Sequence[str]) -> str:
    return "; ".join([*errors[:SAID], *(["and more"] if len(errors) > SAID else [])])


def merge(files: Sequence[Path], registry: Registry, settings: Settings, dry_run: bool = False) -> Iterator[Merged]:
    """Take records.

    Args:
        files: Of `find_files`.
        registry: What the plugins declare.
        settings: ``out`` gets the records; rows and models are looked for in the cache and the data root, and nothing
            is fetched.
        dry_run: Write nothing.

    Yields:
        What became of each file, in order.

    Raises:
        UserError: A record cannot be written. Those before it are whole.
    """
    store, check = Store(settings), RecordCheck(registry, settings)
    ours: dict[str, Path] = {}
    for path, record in read_records(settings.out):
        if record is not None:
            ours.setdefault(record["key"], path)
    for path in files:
        try:
            record = read_stranger(path)
            if errors := check.errors(record):
                raise _RefusedError(_brief(errors))
            verdict = check.key(record)
            if verdict.error:
                raise _RefusedError(verdict.error)
        except _NoRecordError as reason:
            yield Merged(path, "skipped", str(reason))
        except _RefusedError as reason:
            yield Merged(path, "refused", str(reason))
        else:
            said = "; ".join(filter(None, (verdict.said, check.rows(record))))
            yield _take(path, record, said, ours, store, dry_run)


def _take(
    path: Path, record: Mapping[str, Any], said: str, ours: dict[str, Path], store: Store, dry_run: bool
) -> Merged:
    key = record["key"]
    if key in ours:
        return _met(path, record, ours[key])
    place = store.place_of(record)
    if os.path.lexists(place):
        return Merged(path, "conflict", f"{place} is there, damaged or of another key; it stays", place)
    if not dry_run:
        try:
            store.take_record(record)
        except OSError as error:
            raise UserError(f"{place} cannot be written: {error.strerror}; the records before it are taken") from None
    ours[key] = path if dry_run else place
    return Merged(path, "taken", said, place)


def _met(path: Path, record: Mapping[str, Any], place: Path) -> Merged:
    """A record whose key is there already."""
    known = read_record(place)
    if known is None:
        return Merged(path, "conflict", f"{place} can no longer be read; it stays", place)
    if wrong := differences(known, record):
        return Merged(path, "conflict", f"differs from {ascii_safe(str(place))}, which stays: {_brief(wrong)}", place)
    newer = record["schema"] == RECORD_SCHEMA != known["schema"]
    said = "of an older form here, without draws: xbench leaderboard refresh adds them" if newer else ""
    return Merged(path, "here", said, place)


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """In what two records of one key tell of another result.

    Args:
        ours: One record.
        theirs: Another.

    Returns:
        A part each, scores with both values.
    """
    names = [name for name in {**ours, **theirs} if name not in NO_RESULT and ours.get(name) != theirs.get(name)]
    parts = []
    for name in names:
        if name == "scores":
            one, other = ours[name], theirs[name]
            parts += [
                f"scores.{score} is {shown(one.get(score))} here and {shown(other.get(score))} there"
                for score in {**one, **other}
                if one.get(score) != other.get(score)
            ]
        else:
            parts.append(f"{name} is another")
    return parts
