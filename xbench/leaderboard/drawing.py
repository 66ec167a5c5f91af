"""Draws a plot with matplotlib: the matrix of sources and targets as a heat map, and every score with its interval."""

from __future__ import annotations

import io
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .layout import KIND_MARKS, PEEKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .plots import Plot

FORMATS = ("png", "svg")
KINDS = ("intervals", "matrix")
LONGEST = 80
"""Letters of a label, and of a line of a title."""
MOST_LINES = 3
"""Of a title."""
PEEKS_SHORT = "checkpoint chosen with rows of what it is scored on"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart (jfly.uni-koeln.de/color)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FONT = "DejaVu Sans"
"""matplotlib brings it along: the same picture on every machine."""
OTHER_FONTS = (
    "Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "Noto Sans CJK JP",
    "Noto Sans CJK SC", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS",
)  # fmt: skip
"""For letters that it lacks, such as Korean ones: whichever of them are installed."""


def contents(plot: Plot) -> Iterator[bytes]:
    """The bytes of every file of a plot, in their order: no date, no random ids, text as text.

    Args:
        plot: What to draw.

    Yields:
        A file of each of `FORMATS`, for each of `KINDS`.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("drawing the leaderboard's pictures needs matplotlib: pip install 'xbench[figures]'") from None
    settings: Any = {"svg.hashsalt": "xbench", "svg.fonttype": "none", "font.size": 9, "axes.unicode_minus": False}
    words = "".join((plot.title, plot.score, *plot.rows, *plot.columns))
    with matplotlib.rc_context({**settings, "font.family": _fonts(words)}), warnings.catch_warnings():
        # The SVG holds the text itself, for a reader whose machine has the letters.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        for draw in (_draw_intervals, _draw_matrix):  # as `KINDS` has them
            figure = draw(plot)
            for ending in FORMATS:
                written = io.BytesIO()
                metadata = {"Date": None} if ending == "svg" else {"Software": None}
                figure.savefig(written, format=ending, dpi=120, bbox_inches="tight", metadata=metadata)
                yield written.getvalue()


def _fonts(words: str) -> list[str]:
    """The font, and others only where it lacks a letter."""
    from matplotlib.font_manager import findfont, fontManager, get_font

    known = get_font(findfont(FONT)).get_charmap()
    if all(ord(letter) in known for letter in words if letter.isprintable()):
        return [FONT]
    installed = set(fontManager.get_font_names())
    return [FONT, *(name for name in OTHER_FONTS if name in installed)]


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
    for (row, column), value in np.ndenumerate(values):
        text = f"{plot.texts[row][column]} {plot.marks[row][column]}".strip()
        ink = _ink(tuple(image.to_rgba(value))) if np.isfinite(value) else "black"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(plot.columns)), [_two_lines(name) for name in plot.columns])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(plot.rows)), [_plain(name) for name in plot.rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle(_title(plot.title), x=0.01, ha="left", fontsize=10)
    axes.annotate(
        _legend(plot), (1, 0), xytext=(0, -8), xycoords="axes fraction", textcoords="offset points", fontsize=7.5,
        va="top", ha="right",
    )  # fmt: skip
    return figure


def _ink(colour: Sequence[float]) -> str:
    """Black or white, whichever is told better from a colour (by WCAG's contrast: 4.5 to 1 or more)."""
    red, green, blue = ((part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4) for part in colour[:3])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


def _draw_intervals(plot: Plot) -> Figure:
    """A panel a column: every row's score with its 95% interval."""
    figure = _figure(_label_width(plot) + 1.8 * len(plot.columns), 1.4 + 0.24 * len(plot.rows))
    figure.set_layout_engine("constrained", w_pad=0.1)  # the numbers of two axes do not meet
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
            else:
                across = axes.get_yaxis_transform()
                axes.text(
                    0.5, row, plot.texts[row][column], transform=across, fontsize=7, color="0.35", ha="center",
                    va="center",
                )  # fmt: skip
        axes.set_title(_two_lines(plot.columns[column]), fontsize=9)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(plot.rows)), [_plain(name) for name in plot.rows])
    panels[0].set_ylim(len(plot.rows) - 0.4, -0.6)
    figure.suptitle(_title(plot.title), x=0.01, ha="left", fontsize=10)
    hollow = f"; hollow: {PEEKS_SHORT}" if _any_peeks(plot) else ""
    figure.supxlabel(f"{_plain(plot.score)}; lines are 95% intervals{hollow}", fontsize=8)
    return figure


def _label_width(plot: Plot) -> float:
    """Inches that the rows' labels take; a letter of East Asia is as wide as two others."""
    wide = (sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in _plain(name)) for name in plot.rows)
    return 0.3 + 0.068 * max(wide)


def _legend(plot: Plot) -> str:
    known = {**KIND_MARKS, PEEKS_SHORT: PEEKS} if _any_peeks(plot) else KIND_MARKS
    return "   ".join(f"{mark} {kind}" for kind, mark in known.items())


def _any_peeks(plot: Plot) -> bool:
    return any(PEEKS in mark for line in plot.marks for mark in line)


def _two_lines(title: str) -> str:
    return _plain(title).replace(" (", "\n(", 1)


def _title(text: str) -> str:
    """A title, on as many lines as it needs."""
    lines = textwrap.wrap(_drawable(text), LONGEST, max_lines=MOST_LINES, placeholder=" …")
    return "\n".join(lines).replace("$", r"\$")


def _plain(text: str) -> str:
    """A text on one line, not too long, that matplotlib can draw and does not take for mathematics."""
    drawable = _drawable(text)
    short = drawable if len(drawable) <= LONGEST else f"{drawable[: LONGEST - 1]}…"
    return short.replace("$", r"\$")


def _drawable(text: str) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in " ".join(text.split()))
