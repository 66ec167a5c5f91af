"""Tables to LaTeX: one document that compiles as it is, and whose tables can be taken out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .layout import FITTED_HERE_MEANS, PEEKS_MEANS, Grid, any_peeks, apart_text, grids, table_title
from .report import TextTable, about_table, transfer_table
from .table import Order, Table

HEAD = r"""% made by: xbench leaderboard build
\documentclass[10pt]{article}
\usepackage[a4paper,landscape,margin=1.5cm]{geometry}
\usepackage{booktabs}
\usepackage{longtable}
\setlength{\tabcolsep}{4pt}
\setlength{\LTcapwidth}{0.8\linewidth}
\newcommand{\below}[2]{\begin{tabular}[t]{@{}r@{}}#1\\[-2pt]{\tiny #2}\end{tabular}}
\begin{document}
"""
_SYMBOLS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\`{}", "[": "{[}", "]": "{]}", "*": "{*}",
    "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "§": r"\S{}", "•": r"$^{\bullet}$", "◦": r"$^{\circ}$",
    "→": r"$\rightarrow$", "±": r"$\pm$", "–": "--", "×": r"$\times$", "·": r"$\cdot$",
}  # fmt: skip
LEGEND = (
    r"\noindent $^{\dagger}$ zero-shot; $^{\bullet}$ in-language; $^{\circ}$ mixed; $^{\ddagger}$ "
    f"{FITTED_HERE_MEANS}; {{*}} see README.md, which also counts the rows that stand in training as well. "
    r"Small numbers are 95\% intervals; $\pm$ is the standard deviation over the seeds."
    "\n"
)
WIDEST = 188
"""Letters of this size that the page has room for beside each other; the space between two columns takes two."""
BETWEEN = 2
MADE = ("Checkpoint", "Seeds")
LONGEST = 70
"""Letters of a row's title, beyond which it has several lines."""


def render_latex(tables: Sequence[Table], orders: Mapping[str, Order], titles: Mapping[str, str]) -> str:
    """The paper's tables, and the transfer report, with booktabs.

    Args:
        tables: In order.
        orders: For the tasks' in-language curricula.
        titles: Titles of tasks, by name.
    """
    parts = [HEAD, LEGEND, *([f"\\noindent \\S{{}} {PEEKS_MEANS}.\n"] if any_peeks(tables) else [])]
    chapter: tuple[str, bool] | None = None
    for table in tables:
        if (table.task, table.sample) != chapter:
            clear = "\\clearpage\n" if chapter else ""  # the legend has no page of its own
            chapter = (table.task, table.sample)
            sample = " (sample corpora: no benchmark)" if table.sample else ""
            parts.append(f"\n{clear}\\section*{{{latex(titles.get(table.task, table.task) + sample)}}}\n")
        about = ", ".join(text for text in (table.model, table_title(table), apart_text(table)) if text)
        parts += [_grid(part, about) for grid in grids(table) for part in _parts(grid)]
        report = transfer_table(table, orders.get(table.task, Order()).baselines)
        parts += [_text_table(report, f"{table.model}: transfer{about_table(table)}")] if report else []
    return "".join([*parts, "\n\\end{document}\n"])


def _parts(grid: Grid) -> list[Grid]:
    """The same in parts as wide as the page, some columns each: what runs over its edge is not printed."""
    texts = [[title, *(row[place] for _, row in grid.rows)] for place, title in enumerate(grid.columns)]
    widths = [max(map(_letters, column)) + BETWEEN for column in texts]
    title = max((_letters(title) for title, _ in grid.rows), default=0)
    made = [max(map(_letters, column)) + BETWEEN for column in zip(MADE, *grid.made, strict=True)]
    room = WIDEST - min(title, LONGEST) - BETWEEN - sum(made)
    starts, used = [0], 0
    for place, width in enumerate(widths):
        if used + width > room and place > starts[-1]:
            starts.append(place)
            used = 0
        used += width
    parts = [_columns(grid, slice(*ends)) for ends in zip(starts, [*starts[1:], len(widths)], strict=True)]
    if len(parts) == 1:
        return parts
    titles = [f"part {number} of {len(parts)}" for number in range(1, len(parts) + 1)]
    return [
        replace(part, title=", ".join(filter(None, (grid.title, title))))
        for part, title in zip(parts, titles, strict=True)
    ]


def _letters(text: str) -> int:
    """How long a text is printed; what fonts lack is its code point, in capitals, which are wide."""
    return sum(1 if one.isascii() or one in _SYMBOLS else 8 for one in text)


def _first(titles: Iterable[str]) -> str:
    """The letter of the first column, by its longest text."""
    return r"p{9.5cm}" if max(map(_letters, titles), default=0) > LONGEST else "l"


def _columns(grid: Grid, some: slice) -> Grid:
    return replace(
        grid, columns=grid.columns[some], rows=tuple((title, texts[some]) for title, texts in grid.rows),
        transfers=tuple(line[some] for line in grid.transfers),
        intervals=tuple(line[some] for line in grid.intervals), ceiling=grid.ceiling[some],
    )  # fmt: skip


def _grid(grid: Grid, about: str) -> str:
    caption = f"{about}: {grid.title}" if grid.title else about
    rows = []
    for (title, texts), intervals, made in zip(grid.rows, grid.intervals, grid.made, strict=True):
        cells = [_below(text, below) for text, below in zip(texts, intervals, strict=True)]
        rows.append([latex(title), *cells, *map(latex, made)])
    last = [["\\emph{ceiling}", *map(latex, grid.ceiling), "", ""]] if grid.ceiling else []
    columns = ["Fine-tuned on", *grid.columns, *MADE]
    form = _first(title for title, _ in grid.rows) + "r" * len(grid.columns) + "ll"
    return _longtable(caption, form, columns, rows, last)


def _text_table(table: TextTable, caption: str) -> str:
    rows = [[_below(one.text, one.below) for one in row] for row in table.rows]
    first = _first(row[0].text for row in table.rows)
    form = first + "l" * (table.words - 1) + "r" * (len(table.columns) - table.words)
    return _longtable(caption, form, table.columns, rows, [])


def _longtable(
    caption: str, form: str, columns: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[Sequence[str]]
) -> str:
    """One table, which may be longer than a page.

    Args:
        caption: Not yet escaped, as the columns.
        form: A letter a column.
        columns: Titles.
        rows: Escaped cells.
        last: Rows below a rule of their own.
    """
    lines = [
        f"\n{{\\footnotesize\n\\begin{{longtable}}{{{form}}}", f"\\caption{{{latex(caption)}}}\\\\", "\\toprule",
        " & ".join(map(latex, columns)) + r" \\", "\\midrule\n\\endhead", *(" & ".join(row) + r" \\" for row in rows),
    ]  # fmt: skip
    if last:
        lines += ["\\midrule", *(" & ".join(row) + r" \\" for row in last)]
    return "\n".join([*lines, "\\bottomrule\n\\end{longtable}\n}\n"])


def _below(text: str, below: str) -> str:
    return f"\\below{{{latex(text)}}}{{{latex(below)}}}" if below else latex(text)


def latex(text: str) -> str:
    """A text that LaTeX prints as it is: what it would act on is written out, and what its fonts lack by code point.

    Brackets and stars are options where they follow the end of a row; hyphens, or apostrophes, in a row are one sign.
    """
    plain, written = " ".join(text.split()), []
    for before, one in zip(f" {plain}", plain, strict=False):
        printable = one if one.isascii() and one.isprintable() else f"U+{ord(one):04X}"
        written.append("{}" * (one == before and one in "-'") + (_SYMBOLS.get(one) or printable))
    return "".join(written)
