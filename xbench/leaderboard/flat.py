"""Everything as one flat file for programs: a line for every score of every cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..stats import Estimate
from .entries import Entry
from .layout import FITTED_HERE_MEANS, limit_text
from .report import overlap_notes_of

COLUMNS = (
    "task", "sample", "model", "weights_sha256", "parameters", "head", "reading", "curriculum", "regime", "sources",
    "variant", "selection", "dataset", "split", "language", "rows", "transfer", "score", "primary", "value", "low",
    "high", "se", "interval_method", "units", "deviation", "seeds", "gap", "gap_low", "gap_high", "degradation",
    "degradation_low", "degradation_high", "retention", "retention_low", "retention_high", "ceiling", "limits", "marks",
    "overlap", "task_version", "records",
)  # fmt: skip


FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a spreadsheet takes a text for a formula by; some read wide signs as plain ones."""


def render_csv(found: Sequence[Entry], paths: Mapping[str, PurePosixPath]) -> str:
    """A table with a header, UTF-8, comma-separated, as RFC 4180 has it but for plain line ends.

    Args:
        found: The entries, in order.
        paths: Each record's file, by key.
    """
    written = io.StringIO()
    writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in found:
        for line in _lines(entry, paths):
            writer.writerow({name: _plain(value) for name, value in line.items()})
    return written.getvalue()


def _lines(entry: Entry, paths: Mapping[str, PurePosixPath]) -> Iterator[dict[str, Any]]:
    first, table, cell = entry.records[0], entry.table, entry.cell
    for score in table.metrics:
        if score not in cell.scores and not (entry.failed and score == table.metrics[0]):
            continue
        interval = cell.estimates.get(score)
        yield {
            "task": table.task, "sample": table.sample, "model": table.model,
            "weights_sha256": first["model"]["weights_sha256"], "parameters": first["model"]["parameters"],
            "head": entry.row.head, "reading": entry.row.reading, "curriculum": entry.row.curriculum,
            "regime": entry.regime, "sources": " ".join(entry.sources), "variant": _variant(entry),
            "selection": entry.row.selection, "dataset": entry.column, "split": first["eval"]["split"],
            "language": entry.language, "rows": first["eval"]["rows"], "transfer": cell.transfer, "score": score,
            "primary": score == table.metrics[0], "value": cell.scores.get(score),
            **_ends("", interval), "se": interval.se if interval else None,
            "interval_method": interval.method if interval else "", "units": entry.unit,
            "deviation": cell.deviations.get(score), "seeds": " ".join(map(str, cell.seeds)),
            **(_gap(entry) if score == table.metrics[0] else {}),
            "ceiling": entry.ceilings.get(score), "limits": limit_text(table.limits),
            "marks": "; ".join(filter(None, (*cell.marks, FITTED_HERE_MEANS * cell.fitted_here, cell.peeks))),
            "overlap": "; ".join(overlap_notes_of(entry.column, cell)), "task_version": table.task_version,
            "records": " ".join(str(paths[record["key"]]) for record in entry.records if record["key"] in paths),
        }  # fmt: skip


def _variant(entry: Entry) -> str:
    """A row's settings, and how many checkpoints it chooses from, which is no setting of the last one."""
    row = entry.row
    return ", ".join(part for part in (row.variant, f"candidates={row.candidates}" * (row.candidates > 1)) if part)


def _gap(entry: Entry) -> dict[str, Any]:
    gap = entry.gap
    if gap is None:
        return {}
    return {
        "gap": gap.change, **_ends("gap_", gap.interval), "degradation": gap.degradation,
        **_ends("degradation_", gap.degradation_interval), "retention": gap.retention,
        **_ends("retention_", gap.retention_interval),
    }  # fmt: skip


def _ends(prefix: str, interval: Estimate | None) -> dict[str, Any]:
    return {f"{prefix}low": interval.low, f"{prefix}high": interval.high} if interval else {}


def _plain(value: Any) -> Any:
    """A number to six decimals, the same on every machine; a text on one line, which no spreadsheet computes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:.6f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    if isinstance(value, str):
        line = value if value.isprintable() else "".join(one if one.isprintable() else " " for one in value)  # one line
        return f"'{line}" if line.lstrip().startswith(FORMULAS) else line
    return value
