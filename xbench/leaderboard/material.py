"""What a leaderboard is rendered from, and its renderings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..record_files import RecordFiles
from ..registry import Registry
from ..store import read_records
from .cells import Record
from .entries import Entry, entries
from .flat import render_csv
from .latex import render_latex
from .markdown import render_markdown
from .orders import orders
from .payload import make_payload
from .pictures import published
from .plots import Plot, plots, with_plots
from .publish import FLAT, LATEX, MARKER, PAGE
from .table import Order, Table, build_tables


@dataclass(frozen=True)
class Material:
    """What a leaderboard is rendered from: its records, as tables.

    Attributes:
        records: The whole ones.
        damaged: The paths of the others.
        paths: Each record's file, from the leaderboard's folder, by key.
        tables: In order.
        entries: Every cell of them.
        orders: By task.
        titles: Of tasks, by name.
        plots: What is drawn of them.
    """

    records: list[Record]
    damaged: list[Path]
    paths: dict[str, PurePosixPath]
    tables: list[Table]
    entries: list[Entry]
    orders: dict[str, Order]
    titles: dict[str, str]
    plots: list[Plot]


def gather(out: Path, registry: Registry, files: RecordFiles | None = None) -> Material:
    """Read a results folder.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.
        files: Has read some of the records before.
    """
    found = list(read_records(out, files))
    records: list[Record] = [record for _, record in found if record is not None]
    titles, known = {task.name: task.title for task in registry.tasks}, orders(registry)
    tables = build_tables(records, known)
    return Material(
        records, [path for path, record in found if record is None],
        {record["key"]: PurePosixPath(path.relative_to(out)) for path, record in found if record is not None},
        tables, entries(tables, known), known, titles, plots(tables, titles),
    )  # fmt: skip


def render(out: Path, material: Material, registry: Registry) -> dict[Path, str]:
    """Render everything that is published, but for pictures, which must be there.

    Args:
        out: The leaderboard's folder.
        material: What it holds.
        registry: For the tasks' figures.

    Returns:
        Texts by path.
    """
    tables, known, titles, found = material.tables, material.orders, material.titles, material.entries
    shown = published(out, material.records, registry)
    page = render_markdown(tables, known, titles, with_plots(shown, material.plots, out))
    return {
        out / PAGE: f"{MARKER}\n{page}",
        out / FLAT: render_csv(found, material.paths),
        out / LATEX: render_latex(tables, known, titles),
    }


def render_html(material: Material) -> str:
    """The page to sort and to filter.

    Args:
        material: What the leaderboard holds.

    Raises:
        UserError: A library that it holds is not installed.
    """
    from .page import render_page

    return render_page(make_payload(material.entries, material.titles, material.paths))
