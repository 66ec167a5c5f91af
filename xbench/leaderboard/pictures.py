"""Draws the tasks' figures, and finds the pictures that the leaderboard may show."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_json
from ..keys import content_key, file_sha256
from ..measures import Figure, FigureContext, Picture
from ..registry import Registry
from ..store import Store, slug
from .table import Record

FOLDER = "figures"
INDEX = "pictures.json"
"""What lies in a task's folder of pictures: of each its figure, title, files with their checksums, and records; and
what each figure was last drawn from, by name."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""A file's name that is safe in a path, in a link and in HTML."""


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
) -> list[Undrawn]:
    """Draw what some tasks ask for.

    Args:
        tasks: Their names.
        records: All that are published.
        registry: For the tasks and the figures.
        store: Holds what the heads kept.
        out: The folder that holds ``results/``.

    Returns:
        What could not be drawn; the other pictures are there all the same.
    """
    undrawn = []
    for task in tasks:
        own = [record for record in records if record["task"] == task]
        folder = out / FOLDER / slug(task)
        for name in registry.tasks.get(task).figures if own else ():
            figure = registry.figures.get(name)
            made_from = _made_from(figure, own, store)
            if _read(folder).drawn.get(name) == made_from:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            try:
                pictures = figure.draw(FigureContext(own, store.kept, folder))
                _write_index(folder, figure, pictures, own, made_from)
            except UserError as error:
                undrawn.append(Undrawn(name, task, str(error), ""))
            except Exception as error:  # noqa: BLE001  # a figure's bug must not take the scores with it
                undrawn.append(Undrawn(name, task, f"{type(error).__name__}: {error}", traceback.format_exc()))
    return undrawn


def published(out: Path, records: Sequence[Record]) -> dict[str, list[Shown]]:
    """The pictures to show, by task: whole ones, all of whose records are there.

    Args:
        out: The folder that holds ``results/``.
        records: All that are published.
    """
    shown: dict[str, list[Shown]] = {}
    keys = {record["key"] for record in records}
    for task in sorted({record["task"] for record in records}):
        folder = out / FOLDER / slug(task)
        for entry in _read(folder).entries:
            if keys.issuperset(entry["records"]):
                files = tuple(f"{FOLDER}/{slug(task)}/{name}" for name in entry["files"])
                shown.setdefault(task, []).append(Shown(entry["title"], files))
    return shown


def _made_from(figure: Figure, records: Sequence[Record], store: Store) -> str:
    """The same text as long as a figure would be drawn in the same way."""
    here = sorted([record["key"], not store.lost(record)] for record in records)
    return content_key("figure", {"figure": [figure.name, figure.version], "records": here})


def _write_index(
    folder: Path, figure: Figure, pictures: Sequence[Picture], records: Sequence[Record], made_from: str
) -> None:
    """Note what was drawn; what was drawn before, maybe elsewhere, stays as long as its records do."""
    entries = [_entry(folder, figure, picture) for picture in pictures]
    names = {name for entry in entries for name in entry["files"]}
    keys = {record["key"] for record in records}
    before = _read(folder)
    old = [entry for entry in before.entries if names.isdisjoint(entry["files"]) and keys.issuperset(entry["records"])]
    ordered = sorted([*entries, *old], key=lambda entry: (entry["figure"], *entry["files"]))
    write_json(folder / INDEX, {"pictures": ordered, "drawn": {**before.drawn, figure.name: made_from}})


def _entry(folder: Path, figure: Figure, picture: Picture) -> dict[str, Any]:
    for path in picture.files:
        if path.parent != folder or not _PLAIN.fullmatch(path.name):
            raise RuntimeError(f"the figure {figure.name} wrote {path}, which is no plain name in {folder}")
    return {
        "figure": figure.name, "title": picture.title,
        "files": {path.name: file_sha256(path) for path in picture.files}, "records": sorted(picture.keys),
    }  # fmt: skip


@dataclass(frozen=True)
class _Index:
    entries: list[Mapping[str, Any]]
    drawn: Mapping[str, Any]


def _read(folder: Path) -> _Index:
    """A folder's index; a damaged one, or one whose pictures are not all there, makes them be drawn anew."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        entries = [entry for entry in index["pictures"] if _is_entry(entry) and _whole(folder, entry["files"])]
        return _Index(entries, index["drawn"].copy() if len(entries) == len(index["pictures"]) else {})
    return _Index([], {})


def _is_entry(entry: Any) -> bool:
    """Whether it has its fields, and its files are names, not paths."""
    fits = isinstance(entry, dict) and isinstance(entry.get("title"), str) and isinstance(entry.get("figure"), str)
    fits = fits and isinstance(entry.get("records"), list) and all(isinstance(key, str) for key in entry["records"])
    files = entry.get("files") if fits else None
    return isinstance(files, dict) and bool(files) and all(_PLAIN.fullmatch(name) for name in files)


def _whole(folder: Path, files: Mapping[str, Any]) -> bool:
    with contextlib.suppress(OSError):
        return all(file_sha256(folder / name) == checksum for name, checksum in files.items())
    return False
