"""Two pictures of each task, drawn from its tables alone: the matrix of sources and targets, and all intervals.

What was drawn is kept as a hash beside the files. They are drawn anew when it changes, and only then: matplotlib's
bytes differ from version to version, and a published picture stays what it is.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..files import json_bytes, write_atomic
from ..keys import content_key, file_sha256
from ..store import slug
from .cells import TableCell
from .drawing import FORMATS, KINDS, contents
from .layout import apart_text, column_title, kind_mark, limit_text, row_title, score_text, score_title
from .pictures import FOLDER, PLAIN, Shown
from .report import is_floor
from .table import ScoreStyle, Table, decimals_of

PLACE = f"{FOLDER}/report"
INDEX = "plots.json"
VERSION = 2
"""Raised when the same tables would be drawn otherwise."""
MOST_ROWS = 60
"""Rows of one picture; a task with more is seen better on the page, where it can be filtered."""
MOST_COLUMNS = 40
"""The same of columns."""


@dataclass(frozen=True)
class Plot:
    """What is drawn of one task, as plain data.

    Attributes:
        task: Its name.
        name: Of the files, without their endings.
        title: Of the task, with its score.
        score: The score's title.
        rows: Model, curriculum and the like, top to bottom.
        models: The model of each row.
        columns: Titles.
        values: (rows, columns) None where there is no score.
        intervals: (rows, columns) Low and high; None where there is none.
        texts: (rows, columns) The score as the tables write it: also that it is undefined, or that its cell failed.
        marks: (rows, columns) Of the kind of transfer, and of a checkpoint chosen with rows of what it is scored on.
    """

    task: str
    name: str
    title: str
    score: str
    rows: tuple[str, ...]
    models: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    intervals: tuple[tuple[tuple[float, float] | None, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    marks: tuple[tuple[str, ...], ...]

    @property
    def files(self) -> list[str]:
        """Their names."""
        return [f"{self.name}-{kind}.{ending}" for kind in KINDS for ending in FORMATS]

    @property
    def made_from(self) -> str:
        """A hash of all that is drawn."""
        return content_key("plot", {"version": VERSION, "plot": [*vars(self).values()]})


def plots(tables: Sequence[Table], titles: Mapping[str, str]) -> list[Plot]:
    """One of each task and limits, of real corpora, where there is more than floors.

    Args:
        tables: In order.
        titles: Titles of tasks, by name.
    """
    groups: dict[tuple[str, int, str], list[Table]] = {}
    for table in tables:
        if not table.sample:
            groups.setdefault((table.task, table.task_version, limit_text(table.limits)), []).append(table)
    made = [_plot(key, own, titles) for key, own in groups.items() if not all(is_floor(table) for table in own)]
    fitting = [one for one in made if 0 < len(one.rows) <= MOST_ROWS and len(one.columns) <= MOST_COLUMNS]
    names = Counter(one.name.casefold() for one in fitting)  # a file system may not tell cases apart
    return [replace(one, name=f"{one.name}-{one.made_from[:8]}") if names[one.name.casefold()] > 1 else one
            for one in fitting]  # fmt: skip


def _plot(key: tuple[str, int, str], tables: Sequence[Table], titles: Mapping[str, str]) -> Plot:
    task, version, _ = key
    score, styles = tables[0].ranked_by, tables[0].styles
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    rows, models, cells = [], [], []
    for table in tables:
        several = table.several_heads
        for row in table.rows:
            rows.append(table.model if is_floor(table) else f"{table.model}: {row_title(row, several)}")
            models.append(table.model)
            cells.append([row.cells.get(name) for name, _ in columns])
    estimates = [[cell.estimates.get(score) if cell else None for cell in line] for line in cells]
    about = ", ".join(text for text in (score_title(score, styles), apart_text(tables[0])) if text)
    return Plot(
        task, _name(task, version, tables[0].limits),
        f"{titles.get(task, task)}: {about}", score_title(score, styles), tuple(rows), tuple(models),
        tuple(column_title(*column) for column in columns),
        tuple(tuple(_drawn(cell.scores.get(score)) if cell else None for cell in line) for line in cells),
        tuple(tuple((_drawn(one.low), _drawn(one.high)) if one else None for one in line) for line in estimates),
        tuple(tuple(_text(cell, score, decimals_of(styles, score), styles) for cell in line) for line in cells),
        tuple(tuple(kind_mark(cell) if cell else "" for cell in line) for line in cells),
    )  # fmt: skip


def _text(cell: TableCell | None, score: str, decimals: int, styles: Mapping[str, ScoreStyle]) -> str:
    """A score without its deviation, for which a picture has no room; nothing where there is no record."""
    if cell is None:
        return ""
    value = cell.scores.get(score)
    return score_text(cell, score, styles) if value is None else f"{_drawn(value):.{decimals}f}"


def _drawn(value: Any) -> Any:
    """A number without its last digits, which another machine may compute otherwise: it would be another picture."""
    return None if value is None else round(value, 6)


def _name(task: str, version: int, limits: Mapping[str, int | None]) -> str:
    """A file's name that tells versions and limits apart."""
    parts = [f"v{version}"] * (version > 1) + [f"{part}{rows}" for part, rows in sorted(limits.items()) if rows]
    return slug("-".join([slug(task).replace("~", "-"), *parts]))


def draw_plots(found: Sequence[Plot], out: Path) -> list[Path]:
    """Draw what is not there as it should be, and take away what nothing is drawn from any more.

    Args:
        found: All of them.
        out: The leaderboard's folder.

    Returns:
        The files written.

    Raises:
        UserError: matplotlib is not installed, and there is something to draw.
    """
    folder, written = out / PLACE, []
    index = _read(folder)
    kept = {one.name: index[one.name] for one in found if _stands(one, index, folder)}
    for one in found:
        if one.name not in kept:
            files = dict(zip(one.files, contents(one), strict=True))
            for name, content in files.items():
                write_atomic(folder / name, content)
                written.append(folder / name)
            kept[one.name] = {
                "made_from": one.made_from, "files": {name: file_sha256(folder / name) for name in files}
            }  # fmt: skip
    own = {name for entry in kept.values() for name in entry["files"]}
    for name in {name for entry in index.values() for name in entry["files"]} - own:
        (folder / name).unlink(missing_ok=True)
    if not _is_index(found, kept, folder):
        write_atomic(folder / INDEX, json_bytes({one.name: kept[one.name] for one in found}))
        written.append(folder / INDEX)
    return written


def _is_index(found: Sequence[Plot], kept: Mapping[str, Any], folder: Path) -> bool:
    """Whether the index is, to the byte, that of these plots; without plots, none is needed."""
    try:
        return (folder / INDEX).read_bytes() == json_bytes({one.name: kept[one.name] for one in found})
    except OSError:
        return not found


def stale(found: Sequence[Plot], out: Path) -> list[Path]:
    """The index, when pictures are not those of the tables, or are damaged."""
    index = _read(out / PLACE)
    fits = all(_stands(one, index, out / PLACE) for one in found) and _is_index(found, index, out / PLACE)
    return [] if fits else [out / PLACE / INDEX]


def with_plots(
    shown: Mapping[tuple[str, bool], Sequence[Shown]], found: Sequence[Plot], out: Path
) -> dict[tuple[str, bool], list[Shown]]:  # fmt: skip
    """The pictures to show, these first.

    Args:
        shown: The tasks' own figures, by task and whether they are of sample corpora.
        found: All plots; those that are not there as they should be are left out.
        out: The leaderboard's folder.
    """
    index, both = _read(out / PLACE), {key: list(own) for key, own in shown.items()}
    for one in reversed(found):
        if _stands(one, index, out / PLACE):
            both.setdefault((one.task, False), [])[:0] = [
                Shown(f"{one.title} ({kind})", tuple(f"{PLACE}/{one.name}-{kind}.{ending}" for ending in FORMATS))
                for kind in KINDS
            ]
    return both


def _stands(plot: Plot, index: Mapping[str, Any], folder: Path) -> bool:
    entry = index.get(plot.name)
    if entry is None or entry["made_from"] != plot.made_from or entry["files"].keys() != {*plot.files}:
        return False
    with contextlib.suppress(OSError):
        return all(file_sha256(folder / name) == checksum for name, checksum in entry["files"].items())
    return False


def _read(folder: Path) -> dict[str, Any]:
    """The index; nothing where it is missing, damaged, or names files that are not plain names."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if isinstance(index, dict) and all(_is_entry(entry) for entry in index.values()):
            return index
    return {}


def _is_entry(entry: Any) -> bool:
    fits = isinstance(entry, dict) and isinstance(entry.get("made_from"), str) and isinstance(entry.get("files"), dict)
    return fits and all(PLAIN.fullmatch(name) for name in entry["files"])
