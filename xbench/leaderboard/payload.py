"""What the page is made from: every entry with all that is shown of it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..languages import language_names
from ..stats import Estimate
from .entries import Entry, provenance
from .layout import FITTED_HERE, FITTED_HERE_MEANS, PEEKS, apart_text, score_title
from .report import overlap_notes_of
from .table import Table, decimals_of

TITLE = "xbench leaderboard"
DIGITS = 6
"""Decimals of numbers in the page: more than are shown, and the same on every machine."""


def make_payload(
    found: Sequence[Entry], titles: Mapping[str, str], paths: Mapping[str, PurePosixPath]
) -> dict[str, Any]:  # fmt: skip
    """The page's data.

    Args:
        found: The entries, in order.
        titles: Titles of tasks, by name.
        paths: Each record's file, by key.
    """
    tables: dict[tuple[str, bool], list[Table]] = {}
    for entry in found:
        own = tables.setdefault((entry.table.task, entry.table.sample), [])
        if entry.table not in own[-1:]:
            own.append(entry.table)
    return {
        "title": TITLE,
        "tasks": [_task(own, titles) for own in tables.values()],
        "entries": [_entry(entry, paths) for entry in found],
    }


def _task(tables: Sequence[Table], titles: Mapping[str, str]) -> dict[str, Any]:
    first = tables[0]
    scores = list(dict.fromkeys(name for table in tables for name in table.metrics))
    columns = dict.fromkeys(column for table in tables for column in table.columns)
    return {
        "name": first.task, "title": titles.get(first.task, first.task), "sample": first.sample,
        "primary": first.metrics[0],
        "scores": [
            {
                "name": name, "title": score_title(name, first.styles),
                "decimals": decimals_of(first.styles, name),
            }
            for name in scores
        ],
        "datasets": [
            {"name": name, "language": language, "languageName": language_names(language)} for name, language in columns
        ],
    }  # fmt: skip


def _entry(entry: Entry, paths: Mapping[str, PurePosixPath]) -> dict[str, Any]:
    table, row, cell = entry.table, entry.row, entry.cell
    marks = [*cell.marks, *([f"{FITTED_HERE} {FITTED_HERE_MEANS}"] if cell.fitted_here else [])]
    marks += [f"{PEEKS} {cell.peeks}"] if cell.peeks else []
    gap = entry.gap
    return {
        "id": entry.id, "task": table.task, "model": table.model, "head": row.head, "reading": row.reading,
        "curriculum": row.curriculum, "regime": entry.regime, "sources": entry.sources, "dataset": entry.column,
        "language": entry.language, "transfer": cell.transfer, "sample": table.sample,
        "scores": {name: _score(entry, name) for name in table.metrics if name in cell.scores},
        **({"failed": True} if entry.failed else {}),
        "primary": table.metrics[0], "seeds": list(cell.seeds), "limits": apart_text(table),
        "selection": row.protocol or row.selection, "variant": row.variant, "marks": marks,
        "gap": _span(gap.change, gap.interval) if gap else None,
        "degradation": _span(gap.degradation, gap.degradation_interval) if gap else None,
        "retention": _span(gap.retention, gap.retention_interval) if gap else None,
        "ceiling": {name: round(value, DIGITS) for name, value in entry.ceilings.items()} or None,
        "overlap": "; ".join(overlap_notes_of(entry.column, cell)),
        "provenance": [list(pair) for pair in provenance(entry, paths)],
    }  # fmt: skip


def _score(entry: Entry, name: str) -> dict[str, float | None]:
    """A score with its interval and its deviation over seeds; without a value where it is undefined."""
    deviation = entry.cell.deviations.get(name)
    span = _span(entry.cell.scores[name], entry.cell.estimates.get(name)) or {"value": None, "low": None, "high": None}
    return {**span, "sd": None if deviation is None else round(deviation, DIGITS)}


def _span(value: float | None, interval: Estimate | None) -> dict[str, float | None] | None:
    if value is None:
        return None
    return {
        "value": round(value, DIGITS),
        "low": round(interval.low, DIGITS) if interval else None,
        "high": round(interval.high, DIGITS) if interval else None,
    }
