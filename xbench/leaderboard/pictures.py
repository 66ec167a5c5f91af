"""Draws the tasks' figures, and finds the pictures that the leaderboard may show."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..disk import reason_or_stop
from ..errors import UserError
from ..files import write_atomic, write_json
from ..keys import content_key, file_sha256
from ..measures import Figure, FigureContext, Picture
from ..registry import Registry
from ..store import DONE, Store, slug
from .cells import Record

FOLDER = "figures"
INDEX = "pictures.json"
"""What lies in a task's folder of pictures: of each its figure, title, files with their checksums, and the checksums of
its records by key; and what each figure was last drawn from, by name."""
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""A file's name that is safe in a path, in a link and in HTML."""
Entry: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """A picture on the leaderboard.

    Attributes:
        title: What it shows.
        files: Its formats, with forward slashes from the leaderboard's folder; the page shows the first one.
    """

    title: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Undrawn:
    """A figure that could not be drawn.

    Attributes:
        figure: Its name.
        task: The task that asks for it.
        reason: One line.
        trace: Of a bug; empty where something is merely missing.
    """

    figure: str
    task: str
    reason: str
    trace: str


def draw_figures(
    tasks: Iterable[str], records: Sequence[Record], registry: Registry, store: Store, out: Path
) -> tuple[bool, list[Undrawn]]:
    """Draw what some tasks ask for, where anything has changed since it was last drawn.

    Args:
        tasks: Their names.
        records: All that are published.
        registry: For the tasks and the figures.
        store: Holds what the heads kept.
        out: The folder that holds ``results/``.

    Returns:
        Whether anything was drawn, and what could not be. Of such a figure, the pictures that were there stay as they
        are.

    Raises:
        StoppedError: Nothing can be written.
    """
    drawn, undrawn = False, []
    for task in tasks:
        own = [record for record in records if record["task"] == task and record["status"] == DONE]
        for name in registry.tasks.get(task).figures if own else ():
            try:
                drawn |= _draw(registry.figures.get(name), own, store, out / FOLDER / slug(task))
            except UserError as error:
                undrawn.append(Undrawn(name, task, str(error), ""))
            except Exception as error:  # noqa: BLE001  # a figure's bug must not take the scores with it
                reason_or_stop(error, out)
                undrawn.append(Undrawn(name, task, f"{type(error).__name__}: {error}", traceback.format_exc()))
    return drawn, undrawn


def published(out: Path, records: Sequence[Record], registry: Registry) -> dict[tuple[str, bool], list[Shown]]:
    """The pictures to show: whole ones, drawn from these very records by the figures that their task has now.

    Args:
        out: The folder that holds ``results/``.
        records: All that are published.
        registry: For the tasks' figures.

    Returns:
        By task, and whether its records are of sample corpora.
    """
    checksums = {record["key"]: record["checksum"] for record in records}
    samples = {record["key"] for record in records if record["sample"]}
    shown: dict[tuple[str, bool], list[Shown]] = {}
    for task in sorted({record["task"] for record in records}):
        folder = out / FOLDER / slug(task)
        for entry in _read(folder).entries:
            if checksums.items() >= entry["records"].items() and _is_current(entry, task, registry):
                files = tuple(f"{FOLDER}/{slug(task)}/{name}" for name in entry["files"])
                sample = not samples.isdisjoint(entry["records"])
                shown.setdefault((task, sample), []).append(Shown(entry["title"], files))
    return shown


def _is_current(entry: Entry, task: str, registry: Registry) -> bool:
    """Whether the task still has the figure, in this version; of a task that is not installed, nothing is known."""
    if task not in registry.tasks.items:
        return True
    if entry["figure"] not in registry.tasks.get(task).figures:
        return False
    versions = [figure.version for figure in registry.figures if figure.name == entry["figure"]]
    return versions == [entry["version"]] or not versions


def _draw(figure: Figure, records: Sequence[Record], store: Store, folder: Path) -> bool:
    """Draw a figure into a folder of its own, and move the pictures to their place when it has ended well.

    Returns:
        False where the pictures are there already.
    """
    lost = {record["key"] for record in records if store.lost(record)}
    drawable = sorted([record["key"], record["checksum"], record["key"] in lost] for record in records)
    made_from = content_key("figure", {"figure": [figure.name, figure.version], "records": drawable})
    before = _read(folder)
    if before.drawn.get(figure.name) == made_from:
        return False
    with tempfile.TemporaryDirectory(prefix="xbench-figure-") as drawing:
        pictures = figure.draw(FigureContext(records, store.kept, Path(drawing)))
        checksums = {record["key"]: record["checksum"] for record in records}
        entries = [_entry(Path(drawing), figure, picture, checksums) for picture in pictures]
        for name in (name for entry in entries for name in entry["files"]):
            write_atomic(folder / name, (Path(drawing) / name).read_bytes())
    entries += [dict(one) for one in before.entries if _stays(one, entries, figure, checksums, lost)]
    entries.sort(key=lambda entry: (entry["figure"], *entry["files"]))
    write_json(folder / INDEX, {"pictures": entries, "drawn": {**before.drawn, figure.name: made_from}})
    return True


def carry_over(out: Path, renewed: Mapping[str, tuple[str, str]]) -> None:
    """Keep pictures that were drawn from records to which something was added that they do not show.

    Args:
        out: The folder that holds ``results/``.
        renewed: The records' checksums before and after, by key.

    Raises:
        StoppedError: An index cannot be written.
    """
    for path in sorted((out / FOLDER).glob(f"*/{INDEX}")):
        index = _read(path.parent)
        entries = [
            {**entry, "records": {key: _now(renewed, key, checksum) for key, checksum in entry["records"].items()}}
            for entry in index.entries
        ]
        if entries != index.entries:
            write_json(path, {"pictures": entries, "drawn": dict(index.drawn)})


def _now(renewed: Mapping[str, tuple[str, str]], key: str, checksum: str) -> str:
    before, after = renewed.get(key, ("", ""))
    return after if before == checksum else checksum


def _stays(old: Entry, new: Sequence[Entry], figure: Figure, checksums: Mapping[str, str], lost: set[str]) -> bool:
    """Whether an earlier picture is kept: another figure's, or one that could not be drawn again for want of arrays."""
    if any(not old["files"].keys().isdisjoint(entry["files"]) for entry in new):
        return False
    if not checksums.items() >= old["records"].items():
        return False
    same = (old["figure"], old["version"]) == (figure.name, figure.version)
    return old["figure"] != figure.name or (same and not lost.isdisjoint(old["records"]))


def _entry(folder: Path, figure: Figure, picture: Picture, checksums: Mapping[str, str]) -> dict[str, Any]:
    for path in picture.files:
        if path.parent != folder or not PLAIN.fullmatch(path.name):
            raise RuntimeError(f"the figure {figure.name} wrote {path}, which is no plain name in its folder")
    if not picture.keys or not picture.files:
        raise RuntimeError(f"the figure {figure.name} gave a picture without files, or drawn from no records")
    return {
        "figure": figure.name, "version": figure.version, "title": picture.title,
        "files": {path.name: file_sha256(path) for path in picture.files},
        "records": {key: checksums[key] for key in sorted(picture.keys)},
    }  # fmt: skip


@dataclass(frozen=True)
class _Index:
    entries: list[Entry] = field(default_factory=list)
    drawn: Mapping[str, Any] = field(default_factory=dict)


def _read(folder: Path) -> _Index:
    """A folder's index; a damaged one, or one whose pictures are not all there, makes them be drawn anew."""
    index = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not isinstance(index, dict) or not isinstance(index.get("pictures"), list):
        return _Index()
    entries = [entry for entry in index["pictures"] if _is_entry(entry) and _whole(folder, entry["files"])]
    whole = len(entries) == len(index["pictures"]) and isinstance(index.get("drawn"), dict)
    return _Index(entries, index["drawn"] if whole else {})


def _is_entry(entry: Any) -> bool:
    """Whether it has its fields, and its files are names, not paths."""
    kinds = {"figure": str, "version": int, "title": str, "files": dict, "records": dict}
    fits = isinstance(entry, dict) and all(isinstance(entry.get(name), kind) for name, kind in kinds.items())
    return fits and bool(entry["files"]) and all(PLAIN.fullmatch(name) for name in entry["files"])


def _whole(folder: Path, files: Mapping[str, Any]) -> bool:
    with contextlib.suppress(OSError):
        return all(file_sha256(folder / name) == checksum for name, checksum in files.items())
    return False
