"""Tables to markdown that GitHub renders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..forms import unseen
from .ceilings import CEILING
from .layout import PEEKS, PEEKS_MEANS, Grid, any_peeks, apart_text, grids, mark_notes, table_title
from .pictures import Shown
from .report import (
    TextTable,
    about_table,
    circles_table,
    contests_table,
    curricula_table,
    floors_tables,
    is_floor,
    overlap_notes,
    stages_table,
    transfer_table,
)
from .standings import Contest, circles, side_by_side
from .table import Order, Table

INTRODUCTION = """# Leaderboard

How well what an encoder learns in one language works in another. A row is a curriculum, what the model was fine-tuned
on: `a` one dataset, `a → b` first one and then the other, `a + b` mixed, *none* the frozen encoder. A comma and a name
behind it is the reading, one of several ways to get predictions from one trained model; in square brackets stands
what else tells a row apart: its head, or a setting that is not the task's own. A column is the dataset that was scored.

Every number comes from a record in [`results/`](results/), with its whole provenance. `xbench leaderboard build` makes
this file from them, and beside it [`leaderboard.csv`](leaderboard.csv), [`leaderboard.tex`](leaderboard.tex) and
`index.html`, a page to sort and to filter.

| mark | meaning |
|---|---|
| † | zero-shot: fine-tuned, and never in the language scored |
| • | in-language: fine-tuned in the language scored alone |
| ◦ | mixed: fine-tuned in the language scored and in others |
| ‡ | fitted on rows of the very split that it is scored on: says little about other rows |
| * | a seed failed, or the like: see the notes below the model's own table |
| – | not run, or not known |
| *last* | the checkpoint at the end of the training; any other word names the protocol by which one was chosen |
| *undefined* | the score has no value, as a correlation with predictions that are all the same |
| *ceiling* | the best that any model could reach with this tokenizer: not all answers begin and end where tokens do |

Small numbers are 95% intervals. They come from a bootstrap over the evaluation rows, or over the passages that several
questions share; of one seed they say how much other rows would change the score of this one trained model, and of
several seeds also how much other seeds would (the sum of both variances, *t*). Of several seeds a score is the mean,
and ± the standard deviation over them.
"""
_NOTED = "| * | a seed failed"
SAMPLE = (
    "> **Sample corpora.** These are small corpora written for xbench. They show that things run; "
    "they are no benchmark, and say nothing about which model is better."
)
RANKS = (
    "A row of *Models compared*, further down, is one comparison. Models that were in the same ones have a table here. "
    "The range goes from the mean of the best ranks that the tests leave open to the mean of the worst."
)
LONG = 12
"""Rows of a table in the report beyond which it is folded."""
NO_PICTURES: Mapping[tuple[str, bool], Sequence[Shown]] = {}


def render_markdown(
    tables: Sequence[Table], orders: Mapping[str, Order], titles: Mapping[str, str],
    pictures: Mapping[tuple[str, bool], Sequence[Shown]] = NO_PICTURES,
) -> str:  # fmt: skip
    """The leaderboard as one markdown document.

    Args:
        tables: In order.
        orders: For the tasks' in-language curricula.
        titles: Titles of tasks, by name.
        pictures: To show after a task's tables, by task and whether they are of sample corpora.

    Returns:
        Markdown; the same tables give the same bytes.
    """
    chapters: dict[tuple[str, bool], list[Table]] = {}
    for table in tables:
        chapters.setdefault((table.task, table.sample), []).append(table)
    held = {chapter: side_by_side(own) for chapter, own in chapters.items()}
    peeks = f"| {PEEKS} | {PEEKS_MEANS} |\n" if any_peeks(tables) else ""
    parts = [INTRODUCTION.replace(_NOTED, peeks + _NOTED), *_average_ranks(held)]
    for (task, sample), own in chapters.items():
        parts.append(f"\n## {escape(titles.get(task, task))}\n")
        if sample:
            parts.append(f"\n{SAMPLE}\n")
        parts += _chapter(own, held[task, sample], orders.get(task, Order()))
        parts += _pictures(pictures.get((task, sample), ()))
    if not chapters:
        parts.append("\nThere are no records yet.\n")
    return "".join(parts)


def _average_ranks(held: Mapping[tuple[str, bool], Sequence[Sequence[Contest]]]) -> list[str]:
    """Of real corpora alone."""
    by_task: dict[str, list[Contest]] = {}
    for (task, sample), groups in held.items():
        for group in groups if not sample else ():
            by_task.setdefault(task, []).extend(group)
    drawn = [_text_table(circles_table(circle), "###") for circle in circles(by_task)]
    return [f"\n## Models\n\n{RANKS}\n", *drawn] if drawn else []


def _chapter(tables: Sequence[Table], held: Sequence[Sequence[Contest]], order: Order) -> list[str]:
    """The tables of one task, and the report below them."""
    trained = [table for table in tables if not is_floor(table)]
    parts = [_table(table) for table in trained]
    floors = [table for table in tables if is_floor(table)]
    parts += [_text_table(one, "###") for one in floors_tables(floors)]
    notes = [line for table in floors for line in _notes(table) if line]
    parts += ["\n", *(f"{line}\n" for line in notes)] if notes else []
    drawn = [contests_table(group) for group in held]
    for table in trained:
        own = (transfer_table(table, order.baselines), stages_table(table), curricula_table(table))
        drawn += [replace(one, title=f"{one.title}: {table.model}{about_table(table)}") for one in own if one]
    return [*parts, *(_text_table(one, "###") for one in _told_once([one for one in drawn if one]))]


def _told_once(tables: Sequence[TextTable]) -> list[TextTable]:
    """How to read a table is said above the first one of its kind."""
    said: set[str] = set()
    found = []
    for table in tables:
        found.append(replace(table, about="") if table.about in said else table)
        said.add(table.about)
    return found


def _table(table: Table) -> str:
    heads = {row.head for row in table.rows if not row.is_floor}
    about = [escape(text) for text in (f"Task {table.task}", table_title(table)) if text]
    about += [f"head {escape(next(iter(heads)))}"] if len(heads) == 1 else []
    if apart_text(table):
        about.append(f"**{apart_text(table)}**")
    lines = [f"\n### {escape(table.model)}\n", f"{' · '.join(about)}\n"]
    for grid in grids(table):
        lines += _grid(grid)
    lines += _notes(table)
    made = "; ".join(table.environment)
    lines.append(f"<sub>{escape(table.versions)}. Made with {escape(made)}.</sub>")
    return "\n".join(lines) + "\n"


def _notes(table: Table) -> list[str]:
    """A list of what a reader must know of a table's cells, with an empty line at its end; nothing for nothing."""
    notes = [f"- {escape(note)}" for note in (*mark_notes(table), *overlap_notes(table))]
    return [*notes, ""] if notes else []


def _grid(grid: Grid) -> list[str]:
    """The lines of one grid, with an empty one at its end."""
    lines = [f"**{escape(grid.title)}**\n"] if grid.title else []
    lines.append("| " + " | ".join(["Fine-tuned on", *map(escape, grid.columns), "Checkpoint", "Seeds"]) + " |")
    lines.append("|---|" + "---:|" * len(grid.columns) + "---|---|")
    for (title, texts), intervals, made in zip(grid.rows, grid.intervals, grid.made, strict=True):
        cells = [_cell(escape(text), below) for text, below in zip(texts, intervals, strict=True)]
        lines.append("| " + " | ".join([escape(title), *cells, *map(escape, made)]) + " |")
    if grid.ceiling:
        lines.append("| " + " | ".join([f"*{CEILING}*", *grid.ceiling, "", ""]) + " |")
    return [*lines, ""]


def _cell(text: str, below: str) -> str:
    return f"{text}<br><sub>{below}</sub>" if below else text


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.split("\n"))


def _text_table(table: TextTable, level: str) -> str:
    lines = [f"\n{level} {escape(table.title)}\n", *([f"{escape(table.about)}\n"] if table.about else [])]
    folded = len(table.rows) > LONG
    if folded:
        lines.append(f"<details><summary>{len(table.rows)} rows</summary>\n")
    lines.append("| " + " | ".join(map(escape, table.columns)) + " |")
    lines.append("|" + "---|" * table.words + "---:|" * (len(table.columns) - table.words))
    lines += ["| " + " | ".join(_cell(escape(one.text), _lines(one.below)) for one in row) + " |" for row in table.rows]
    return "\n".join([*lines, "\n</details>"] if folded else lines) + "\n"


def _pictures(pictures: Sequence[Shown]) -> list[str]:
    """A task's pictures, each with its title and its other formats; all but the first are folded away."""
    parts = []
    for number, one in enumerate(pictures):
        title, (first, *others) = escape(one.title), one.files
        links = "".join(f" · [{Path(other).suffix[1:].upper()}]({other})" for other in others)
        parts.append(f"\n![{title}]({first})\n\n<sub>{title}{links}</sub>\n")
        if number == 0 and len(pictures) > 1:
            more = len(pictures) - 1
            parts.append(f"\n<details><summary>{more} more picture{'s' if more > 1 else ''}</summary>\n")
    return [*parts, "\n</details>\n"] if len(pictures) > 1 else parts


def escape(text: str) -> str:
    """Keep a text from being read as markdown, as HTML or as a table's edge: what could be, becomes an entity.

    What cannot be seen, or turns the text around it, is its code point.
    """
    seen = "".join(f"U+{ord(one):04X}" if unseen(one) else one for one in " ".join(text.split()))
    plain = "".join(f"&#{ord(one)};" if one in "\\`*_[]<>|~&#$!@" else one for one in seen)
    # GitHub links bare addresses, and draws :names: as small pictures.
    return re.sub(r":(?=//|[\w+-]+:)|(?<=[Ww]{3})\.", lambda found: f"&#{ord(found[0])};", plain)
