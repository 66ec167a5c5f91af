"""Reads the records and writes what is published from them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..curriculum import curriculum_name, parse_curriculum
from ..errors import UserError
from ..files import write_atomic
from ..plan import task_recipe
from ..registry import Registry
from ..store import read_records
from ..tasks import OFFICIAL, Task, dataset_and_split
from ..types import Scalar
from .cells import Record
from .entries import Entry, entries
from .flat import render_csv
from .latex import render_latex
from .layout import score_title
from .markdown import render_markdown
from .payload import make_payload
from .pictures import published
from .plots import Plot, draw_plots, plots, stale, with_plots
from .table import Order, ScoreStyle, Table, build_tables

PAGE = "README.md"
FLAT = "leaderboard.csv"
LATEX = "leaderboard.tex"
HTML = "index.html"
"""Holds the libraries that it needs, some megabytes: it is made where it is to be shown, and not kept in a repository.
"""
MARKER = "<!-- made by: xbench leaderboard build -->"
"""The page's first line: a page without it is somebody else's, and is not overwritten."""


def orders(registry: Registry) -> dict[str, Order]:
    """The order of rows and columns, and the recipes, as the installed tasks name them."""
    return {
        task.name: Order(
            _as_planned(task), task.eval, task.eval_split, task.version, _recipes(task, registry),
            _readings(task, registry), _scores(task, registry), _baselines(task), place,
        )
        for place, task in enumerate(registry.tasks)
    }  # fmt: skip


def _readings(task: Task, registry: Registry) -> tuple[str, ...]:
    """The task's, or else its heads', in order."""
    with contextlib.suppress(UserError):
        every = [reading.name for name in task.heads for reading in registry.heads.get(name).readings]
        return task.readings or tuple(every)
    return task.readings


def _scores(task: Task, registry: Registry) -> dict[str, ScoreStyle]:
    """How the task's scores are written; those of a metric that is not installed as their names say."""
    names: list[str] = []
    for name in task.metrics:
        if name != OFFICIAL:
            names.append(name)
            continue
        for text in task.eval:
            with contextlib.suppress(UserError):
                names += registry.datasets.get(dataset_and_split(text, "")[0]).official
    styles: dict[str, ScoreStyle] = {}
    for name in dict.fromkeys(names):
        with contextlib.suppress(UserError):
            metric = registry.metrics.get(name)
            for score in dict.fromkeys([*metric.titles, *metric.best]):
                title = metric.titles.get(score, score_title(score, {}))
                styles.setdefault(score, ScoreStyle(title, metric.decimals, metric.comparable))
    return styles


def _recipes(task: Task, registry: Registry) -> dict[str, dict[str, Scalar]]:
    """The task's own recipe by head; a task that cannot be planned here has none to tell."""
    with contextlib.suppress(UserError):
        heads = [registry.heads.get(name) for name in task.heads]
        return {head.name: task_recipe(task, head, registry).values() for head in heads}
    return {}


def _as_planned(task: Task) -> tuple[str, ...]:
    """The task's curricula as a plan, and so a record, spells them."""
    return tuple(curriculum_name(parse_curriculum(text, task.train)) for text in task.curricula)


def _baselines(task: Task) -> dict[str, str]:
    """The task's in-language curricula, spelled as records spell them."""
    return {name: curriculum_name(parse_curriculum(text, task.train)) for name, text in task.baselines.items()}


def load_records(out: Path) -> tuple[list[Record], list[Path]]:
    """All records of a results folder.

    Args:
        out: The folder that holds ``results/``.

    Returns:
        The whole records, and the paths of those that are damaged.
    """
    found = list(read_records(out))
    return [record for _, record in found if record is not None], [path for path, record in found if record is None]


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


def gather(out: Path, registry: Registry) -> Material:
    """Read a results folder.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.
    """
    found = list(read_records(out))
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


def check_out(out: Path) -> None:
    """See that what is to be published would overwrite nobody's page.

    Args:
        out: The folder to publish in; it need not be there yet.

    Raises:
        UserError: It is no folder, or it holds a page that xbench has not made.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is not a folder")
    page = out / PAGE
    try:
        with page.open("rb") as file:
            ours = file.readline(len(MARKER) + 2).strip() == MARKER.encode()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(
            f"{page} cannot be read ({error.strerror}), and would be overwritten: see to it first"
        ) from None
    if not ours:
        raise UserError(
            f"{page} was not made by xbench and is not overwritten: name another folder with --out, or move it away"
        )


def render_html(material: Material) -> str:
    """The page to sort and to filter.

    Args:
        material: What the leaderboard holds.

    Raises:
        UserError: A library that it holds is not installed.
    """
    from .page import render_page

    return render_page(make_payload(material.entries, material.titles, material.paths))


@dataclass(frozen=True)
class Built:
    """What a build did.

    Attributes:
        written: The files written.
        damaged: The paths of damaged records.
        left_out: What was not made, and what to do about it.
    """

    written: list[Path]
    damaged: list[Path]
    left_out: list[str]


def build(out: Path, registry: Registry, whole: bool = False) -> Built:
    """Write what is published.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.
        whole: Draw the pictures of tables and make the page as well, which take some seconds; else pictures that are no
            longer right are left out, and the page stays as it is.

    Raises:
        UserError: It would overwrite a page that xbench has not made.
    """
    check_out(out)
    material = gather(out, registry)
    written: list[Path] = []
    left_out: list[str] = []
    if whole:
        try:
            written += draw_plots(material.plots, out)
        except UserError as error:
            left_out.append(str(error))
    texts = render(out, material, registry)
    if whole:
        try:
            texts[out / HTML] = render_html(material)
        except UserError as error:
            left_out.append(str(error))
    for path, text in texts.items():
        write_atomic(path, _bytes(text))
    return Built([*texts, *written], material.damaged, left_out)


def differing(out: Path, registry: Registry) -> Built:
    """What is published and is not what the records give.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.

    Returns:
        As ``written`` the files that a build would change. The page is looked at where it is there.
    """
    material = gather(out, registry)
    texts, left_out = render(out, material, registry), []
    if (out / HTML).is_file():
        try:
            texts[out / HTML] = render_html(material)
        except UserError as error:
            left_out.append(f"{out / HTML} is not looked at: {error}")
    wrong = [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != _bytes(text)]
    return Built([*wrong, *stale(material.plots, out)], material.damaged, left_out)


def _bytes(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which JSON may hold in a name and no text may, is a question mark."""
    return text.encode("utf-8", "replace")
