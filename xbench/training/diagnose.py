"""The measures beside a cell's scores."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from ..files import write_json
from ..keys import content_key, finite
from ..measures import Diagnostic, DiagnosticContext
from ..plan import Cell
from ..store import read_signed, sign

if TYPE_CHECKING:
    from ..work import Work
    from .record import Measured

Numbers = dict[str, int | float | None]


def diagnose(cell: Cell, measured: Measured, work: Work) -> tuple[dict[str, Numbers], Numbers]:
    """Compute the diagnostics that a cell's task asks for.

    Args:
        cell: What was asked.
        measured: What the head said.
        work: Resolved names, rows and keys.

    Returns:
        All diagnostics' numbers by name, and the ceilings of the scores by score name; none of a floor, since they tell
        how an encoder reads the rows.
    """
    if measured.read is None:
        return {}, {}
    table, context = measured.read
    truncated = np.zeros(len(measured.rows), np.bool_)
    np.logical_or.at(truncated, table.row_of, table.truncated)
    train = {name: work.rows[name, stage.split].open() for stage in work.chain(cell.stage) for name in stage.mixture}
    about = DiagnosticContext(
        measured.rows, measured.predictions, truncated, work.registry.datasets.get(cell.dataset), train,
        measured.fit_rows, table.row_of, table.extra(), work.models[cell.model].folder, context, cell.metrics,
    )  # fmt: skip
    found: dict[str, Numbers] = {}
    ceilings: Numbers = {}
    for name in work.registry.tasks.get(cell.task).diagnostics:
        diagnostic = work.registry.diagnostics.get(name)
        if diagnostic.ceiling:
            found[name] = _ceiling(diagnostic, about, table.key, cell, work)
            ceilings |= found[name]
        else:
            found[name] = _numbers(diagnostic, about)
    return found, ceilings


def _numbers(diagnostic: Diagnostic, about: DiagnosticContext) -> Numbers:
    numbers = diagnostic.compute(about)
    return {name: int(value) if isinstance(value, Integral) else finite(value) for name, value in numbers.items()}


def _ceiling(diagnostic: Diagnostic, about: DiagnosticContext, examples: str, cell: Cell, work: Work) -> Numbers:
    """A ceiling belongs to the rows and their examples: every curriculum and seed shares it."""
    metrics = {name: work.registry.metrics.get(name).version for name in cell.metrics}
    content = {
        "diagnostic": [diagnostic.name, diagnostic.version], "examples": examples, "metrics": metrics,
        "dataset": cell.dataset,
    }  # fmt: skip
    path = work.settings.cache / "ceilings" / f"{content_key('ceiling', content)[:32]}.json"
    kept = read_signed(path)
    if kept is None:
        with work.locks.wait("ceiling", path.stem, f"computes {diagnostic.name} of {cell.dataset}"):
            kept = read_signed(path)
            if kept is None:
                kept = sign({"numbers": _numbers(diagnostic, about)})
                write_json(path, kept)
    numbers: Numbers = kept["numbers"]
    return numbers
