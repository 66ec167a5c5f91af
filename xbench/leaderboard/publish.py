"""Reads the records and writes what is published from them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..curriculum import curriculum_name, parse_curriculum
from ..errors import UserError
from ..files import write_atomic
from ..plan import task_recipe
from ..registry import Registry
from ..store import read_records
from ..tasks import OFFICIAL, Task, dataset_and_split
from ..types import Scalar
from .layout import score_title
from .markdown import render_markdown
from .pictures import published
from .table import Order, Record, ScoreStyle

PAGE = "README.md"
MARKER = "<!-- made by: xbench leaderboard build -->"
"""The page's first line: a page without it is somebody else's, and is not overwritten."""


def orders(registry: Registry) -> dict[str, Order]:
    """The order of rows and columns, and the recipes, as the installed tasks name them."""
    return {
        task.name: Order(
            _as_planned(task), task.eval, task.eval_split, task.version, _recipes(task, registry),
            _readings(task, registry), _scores(task, registry),
        )
        for task in registry.tasks
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
                styles.setdefault(score, ScoreStyle(title, metric.decimals))
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


def load_records(out: Path) -> tuple[list[Record], list[Path]]:
    """All records of a results folder.

    Args:
        out: The folder that holds ``results/``.

    Returns:
        The whole records, and the paths of those that are damaged.
    """
    found = list(read_records(out))
    return [record for _, record in found if record is not None], [path for path, record in found if record is None]


def render(out: Path, registry: Registry) -> tuple[dict[Path, str], list[Path]]:
    """Render everything that is published.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.

    Returns:
        Texts by path, and the paths of damaged records.
    """
    records, damaged = load_records(out)
    titles = {task.name: task.title for task in registry.tasks}
    return {
        out / PAGE: f"{MARKER}\n{render_markdown(records, orders(registry), titles, published(out, records, registry))}"
    }, damaged


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


def build(out: Path, registry: Registry) -> tuple[list[Path], list[Path]]:
    """Write what is published.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.

    Returns:
        The paths written and those of damaged records.

    Raises:
        UserError: It would overwrite a page that xbench has not made.
    """
    check_out(out)
    texts, damaged = render(out, registry)
    for path, text in texts.items():
        write_atomic(path, text.encode())
    return list(texts), damaged


def differing(out: Path, registry: Registry) -> list[Path]:
    """The published files that are not what the records give."""
    texts, _ = render(out, registry)
    return [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != text.encode()]
