"""Tables to LaTeX: one document that compiles as it is, and whose tables can be taken out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .layout import PEEKS_MEANS, Grid, any_peeks, grids, limit_text, table_title
from .report import TextTable, transfer_table
from .table import Order, Table

HEAD = r"""% made by: xbench leaderboard build
\documentclass[10pt]{article}
\usepackage[a4paper,landscape,margin=1.5cm]{geometry}
\usepackage{booktabs}
\usepackage{longtable}
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
    r"\noindent $^{\dagger}$ zero-shot; $^{\bullet}$ in-language; $^{\circ}$ mixed; $^{\ddagger}$ fitted on rows of "
    "the split that it is scored on; {*} see README.md. Small numbers are 95\\% intervals.\n"
)


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
            chapter = (table.task, table.sample)
            sample = " (sample corpora: no benchmark)" if table.sample else ""
            parts.append(f"\n\\clearpage\n\\section*{{{latex(titles.get(table.task, table.task) + sample)}}}\n")
        about = ", ".join(text for text in (table.model, table_title(table), limit_text(table.limits)) if text)
        parts += [_grid(grid, about) for grid in grids(table)]
        report = transfer_table(table, orders.get(table.task, Order()).baselines)
        parts += [_text_table(report, f"{table.model}: transfer")] if report else []
    return "".join([*parts, "\n\\end{document}\n"])


def _grid(grid: Grid, about: str) -> str:
    caption = f"{about}: {grid.title}" if grid.title else about
    rows = []
    for (title, texts), intervals, made in zip(grid.rows, grid.intervals, grid.made, strict=True):
        cells = [_below(text, below) for text, below in zip(texts, intervals, strict=True)]
        rows.append([latex(title), *cells, *map(latex, made)])
    last = [["\\emph{ceiling}", *map(latex, grid.ceiling), "", ""]] if grid.ceiling else []
    columns = ["Fine-tuned on", *grid.columns, "Checkpoint", "Seeds"]
    return _longtable(caption, "l" + "r" * len(grid.columns) + "ll", columns, rows, last)


def _text_table(table: TextTable, caption: str) -> str:
    rows = [[_below(one.text, one.below) for one in row] for row in table.rows]
    form = "l" * table.words + "r" * (len(table.columns) - table.words)
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
