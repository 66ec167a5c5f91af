"""Tables to markdown that GitHub renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .ceilings import CEILING
from .layout import Grid, grids, limit_text, table_title
from .pictures import Shown
from .table import Order, Record, Table, build_tables

INTRODUCTION = """# Leaderboard

How well what an encoder learns in one language works in another. A row is a curriculum, what the model was fine-tuned
on: `a` one dataset, `a → b` first one and then the other, `a + b` mixed, *none* the frozen encoder. A column is the
dataset it was scored on. Every number comes from a record in [`results/`](results/), with its whole provenance;
`xbench leaderboard build` makes this file from them.

† zero-shot: the model was fine-tuned, and never in that language. ‡ fitted on rows of the split that it is scored
on: only others tell what it is worth. *ceiling*: the best that any model could reach with this tokenizer, whose tokens
do not all begin and end where answers do.
"""
SAMPLE = (
    "> **Sample corpora.** These are small corpora written for xbench. They show that things run; "
    "they are no benchmark, and say nothing about which model is better."
)
NO_PICTURES: Mapping[tuple[str, bool], Sequence[Shown]] = {}


def render_markdown(
    records: Sequence[Record], orders: Mapping[str, Order], titles: Mapping[str, str],
    pictures: Mapping[tuple[str, bool], Sequence[Shown]] = NO_PICTURES,
) -> str:  # fmt: skip
    """The leaderboard as one markdown document.

    Args:
        records: Finished ones.
        orders: The order of rows and columns, by task.
        titles: Titles of tasks, by name.
        pictures: To show after a task's tables, by task and whether they are of sample corpora.

    Returns:
        Markdown; the same records give the same bytes.
    """
    parts = [INTRODUCTION]
    task: tuple[str, bool] | None = None
    for table in build_tables(records, orders):
        if (table.task, table.sample) != task:
            parts += _pictures(task, pictures)
            task = (table.task, table.sample)
            parts.append(f"\n## {escape(titles.get(table.task, table.task))}\n")
            if table.sample:
                parts.append(f"\n{SAMPLE}\n")
        parts.append(_table(table))
    parts += _pictures(task, pictures)
    if task is None:
        parts.append("\nThere are no records yet.\n")
    return "".join(parts)


def _table(table: Table) -> str:
    heads = {row.head for row in table.rows if not row.is_floor}
    about = [escape(text) for text in (f"Task {table.task}", table_title(table)) if text]
    about += [f"head {escape(next(iter(heads)))}"] if len(heads) == 1 else []
    seeds = sorted({seed for row in table.rows for cell in row.cells.values() for seed in cell.seeds})
    about.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}")
    if limit_text(table.limits):
        about.append(f"**{limit_text(table.limits)}**")
    lines = [f"\n### {escape(table.model)}\n", f"{' · '.join(about)}\n"]
    for grid in grids(table):
        lines += _grid(grid)
    made = "; ".join(table.environment)
    lines.append(f"<sub>{escape(table.versions)}. Made with {escape(made)}.</sub>")
    return "\n".join(lines) + "\n"


def _grid(grid: Grid) -> list[str]:
    """The lines of one grid, with an empty one at its end."""
    lines = [f"**{escape(grid.title)}**\n"] if grid.title else []
    lines.append("| " + " | ".join(["Fine-tuned on", *map(escape, grid.columns)]) + " |")
    lines.append("|" + "---|" + "---:|" * len(grid.columns))
    for title, texts in grid.rows:
        lines.append("| " + " | ".join([escape(title), *texts]) + " |")
    if grid.ceiling:
        lines.append("| " + " | ".join([f"*{CEILING}*", *grid.ceiling]) + " |")
    return [*lines, ""]


def _pictures(
    task: tuple[str, bool] | None, pictures: Mapping[tuple[str, bool], Sequence[Shown]]
) -> list[str]:  # fmt: skip
    """A task's pictures, each with its title and its other formats."""
    parts = []
    for one in pictures.get(task, ()) if task else ():
        title, (first, *others) = escape(one.title), one.files
        links = "".join(f" · [{Path(other).suffix[1:].upper()}]({other})" for other in others)
        parts.append(f"\n![{title}]({first})\n\n<sub>{title}{links}</sub>\n")
    return parts


def escape(text: str) -> str:
    """Keep a text from being read as markdown, as HTML or as a table's edge: what could be, becomes an entity."""
    return "".join(f"&#{ord(one)};" if one in "\\`*_[]<>|~&#$!@" else one for one in " ".join(text.split()))
