"""Tables to markdown that GitHub renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .ceilings import CEILING, ceiling_text
from .table import Order, Record, Table, build_tables, cell_text, column_title, limit_text, metric_title, row_title

INTRODUCTION = """# Leaderboard

How well what an encoder learns in one language works in another. A row is a curriculum, what the model was fine-tuned
on: `a` one dataset, `a → b` first one and then the other, `a + b` mixed, *none* the frozen encoder. A column is the
dataset it was scored on. Every number comes from a record in [`results/`](results/), with its whole provenance;
`xbench leaderboard build` makes this file from them.

† zero-shot: the model was fine-tuned, and never in that language. *ceiling*: the best that any model could reach with
this tokenizer, whose tokens do not all begin and end where answers do.
"""
SAMPLE = (
    "> **Sample corpora.** These are small corpora written for xbench. They show that things run; "
    "they are no benchmark, and say nothing about which model is better."
)


def render_markdown(records: Sequence[Record], orders: Mapping[str, Order], titles: Mapping[str, str]) -> str:
    """The leaderboard as one markdown document.

    Args:
        records: Finished ones.
        orders: The order of rows and columns, by task.
        titles: Titles of tasks, by name.

    Returns:
        Markdown; the same records give the same bytes.
    """
    parts = [INTRODUCTION]
    task = None
    for table in build_tables(records, orders):
        if (table.task, table.sample) != task:
            task = (table.task, table.sample)
            parts.append(f"\n## {escape(titles.get(table.task, table.task))}\n")
            if table.sample:
                parts.append(f"\n{SAMPLE}\n")
        parts.append(_table(table))
    if task is None:
        parts.append("\nThere are no records yet.\n")
    return "".join(parts)


def _table(table: Table) -> str:
    heads = {row.head for row in table.rows}
    about = [f"Task {escape(table.task)}", escape(metric_title(table.metrics))]
    about += [f"head {escape(next(iter(heads)))}"] if len(heads) == 1 else []
    seeds = sorted({seed for row in table.rows for cell in row.cells.values() for seed in cell.seeds})
    about.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}")
    if limit_text(table.limits):
        about.append(f"**{limit_text(table.limits)}**")
    lines = [f"\n### {escape(table.model)}\n", f"{' · '.join(about)}\n"]
    titles = ["Fine-tuned on", *(escape(column_title(*column)) for column in table.columns)]
    lines.append("| " + " | ".join(titles) + " |")
    lines.append("|" + "---|" + "---:|" * len(table.columns))
    for row in table.rows:
        cells = [cell_text(row.cells.get(dataset), table.metrics) for dataset, _ in table.columns]
        lines.append("| " + " | ".join([escape(row_title(row, len(heads) > 1)), *cells]) + " |")
    if table.ceilings:
        cells = [ceiling_text(table.ceilings.get(dataset), table.metrics) for dataset, _ in table.columns]
        lines.append("| " + " | ".join([f"*{CEILING}*", *cells]) + " |")
    made = "; ".join(table.environment)
    lines.append(f"\n<sub>{escape(table.versions)}. Made with {escape(made)}.</sub>")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Keep a text from being read as markdown, as HTML or as a table's edge: what could be, becomes an entity."""
    return "".join(f"&#{ord(one)};" if one in "\\`*_[]<>|~&#$!@" else one for one in " ".join(text.split()))
