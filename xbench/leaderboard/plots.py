"""Two pictures of each task, drawn from its tables alone: the matrix of sources and targets, and all intervals.

What was drawn is kept as a hash beside the files. They are drawn anew when it changes, and only then: matplotlib's
bytes differ from version to version, and a published picture stays what it is.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import json_bytes, write_atomic
from ..keys import content_key, file_sha256
from ..store import slug
from .layout import KIND_MARKS, PEEKS, apart_text, column_title, kind_mark, limit_text, row_title, score_title
from .pictures import FOLDER, PLAIN, Shown
from .report import is_floor
from .table import Table, decimals_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACE = f"{FOLDER}/report"
INDEX = "plots.json"
VERSION = 1
"""Raised when the same tables would be drawn otherwise."""
MOST_ROWS = 60
"""Rows of one picture; a task with more is seen better on the page, where it can be filtered."""
MOST_COLUMNS = 40
"""The same of columns."""
LONGEST = 80
"""Letters of a label."""
FORMATS = ("png", "svg")
KINDS = ("intervals", "matrix")
PEEKS_SHORT = "checkpoint chosen with rows of what it is scored on"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart (jfly.uni-koeln.de/color)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Plot:
    """What is drawn of one task, as plain data.

    Attributes:
        task: Its name.
        name: Of the files, without their endings.
        title: Of the task, with its score.
        rows: Model, curriculum and the like, top to bottom.
        models: The model of each row.
        columns: Titles.
        values: (rows, columns) None where there is no score.
        intervals: (rows, columns) Low and high; None where there is none.
        marks: (rows, columns) Of the kind of transfer, and of a checkpoint chosen with rows of what it is scored on.
        decimals: Digits behind the point.
    """

    task: str
    name: str
    title: str
    rows: tuple[str, ...]
    models: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    intervals: tuple[tuple[tuple[float, float] | None, ...], ...]
    marks: tuple[tuple[str, ...], ...]
    decimals: int

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
        f"{titles.get(task, task)}: {about}", tuple(rows), tuple(models),
        tuple(column_title(*column) for column in columns),
        tuple(tuple(_drawn(cell.scores.get(score)) if cell else None for cell in line) for line in cells),
        tuple(tuple((_drawn(one.low), _drawn(one.high)) if one else None for one in line) for line in estimates),
        tuple(tuple(kind_mark(cell) if cell else "" for cell in line) for line in cells),
        decimals_of(styles, score),
    )  # fmt: skip


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
            files = dict(zip(one.files, _contents(one), strict=True))
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


def _contents(plot: Plot) -> Iterator[bytes]:
    """The bytes of every file of a plot, in their order: no date, no random ids, text as text."""
    try:
        import matplotlib
    except ImportError:
        raise UserError("drawing the leaderboard's pictures needs matplotlib: pip install 'xbench[figures]'") from None
    settings: Any = {"svg.hashsalt": "xbench", "svg.fonttype": "none", "font.size": 9, "axes.unicode_minus": False}
    with matplotlib.rc_context(settings):
        for draw in (_draw_intervals, _draw_matrix):  # as `KINDS` has them
            figure = draw(plot)
            for ending in FORMATS:
                written = io.BytesIO()
                metadata = {"Date": None} if ending == "svg" else {"Software": None}
                figure.savefig(written, format=ending, dpi=120, bbox_inches="tight", metadata=metadata)
                yield written.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_matrix(plot: Plot) -> Figure:
    """The scores as a heat map, each written in its cell with the mark of its kind."""
    import numpy as np

    values = np.array([[np.nan if value is None else value for value in line] for line in plot.values])
    figure = _figure(_label_width(plot) + 1.2 * len(plot.columns), 1.3 + 0.27 * len(plot.rows))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(values), cmap="cividis", aspect="auto")
    low, high = image.get_clim()
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = value <= low + 0.55 * (high - low)
            text = f"{value:.{plot.decimals}f} {plot.marks[row][column]}".strip()
            axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black", fontsize=8)
    axes.set_xticks(range(len(plot.columns)), [_two_lines(name) for name in plot.columns])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(plot.rows)), [_plain(name) for name in plot.rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle(_plain(plot.title), x=0.01, ha="left", fontsize=10)
    below = -0.04 - 0.16 / len(plot.rows)
    axes.text(1, below, _legend(plot), transform=axes.transAxes, fontsize=7.5, va="top", ha="right")
    return figure


def _draw_intervals(plot: Plot) -> Figure:
    """A panel a column: every row's score with its 95% interval."""
    figure = _figure(_label_width(plot) + 1.8 * len(plot.columns), 1.2 + 0.24 * len(plot.rows))
    panels = figure.subplots(1, len(plot.columns), sharex=True, sharey=True, squeeze=False)[0]
    models = list(dict.fromkeys(plot.models))
    for column, axes in enumerate(panels):
        for row, model in enumerate(plot.models):
            value, interval = plot.values[row][column], plot.intervals[row][column]
            place = models.index(model)
            colour = COLOURS[place % len(COLOURS)]
            if interval is not None:
                axes.plot(interval, (row, row), color=colour, linewidth=1.4, solid_capstyle="butt")
            if value is not None:
                face = "white" if PEEKS in plot.marks[row][column] else colour
                axes.plot(value, row, MARKERS[place % len(MARKERS)], color=colour, markersize=4, markerfacecolor=face)
        axes.set_title(_two_lines(plot.columns[column]), fontsize=9)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(plot.rows)), [_plain(name) for name in plot.rows])
    panels[0].set_ylim(len(plot.rows) - 0.4, -0.6)
    figure.suptitle(_plain(f"{plot.title}, 95% intervals"), x=0.01, ha="left", fontsize=10)
    if _any_peeks(plot):
        figure.supxlabel(f"hollow: {PEEKS_SHORT}", fontsize=7.5)
    return figure


def _label_width(plot: Plot) -> float:
    """Inches that the rows' labels take."""
    return 0.3 + 0.068 * max(len(_plain(name)) for name in plot.rows)


def _legend(plot: Plot) -> str:
    known = {**KIND_MARKS, PEEKS_SHORT: PEEKS} if _any_peeks(plot) else KIND_MARKS
    return "   ".join(f"{mark} {kind}" for kind, mark in known.items())


def _any_peeks(plot: Plot) -> bool:
    return any(PEEKS in mark for line in plot.marks for mark in line)


def _two_lines(title: str) -> str:
    return _plain(title).replace(" (", "\n(", 1)


def _plain(text: str) -> str:
    """A text on one line, not too long, that matplotlib can draw and does not take for mathematics."""
    printable = "".join(one if one.isprintable() else "\ufffd" for one in " ".join(text.split()))
    short = printable if len(printable) <= LONGEST else f"{printable[: LONGEST - 1]}…"
    return short.replace("$", r"\$")
