"""Every row and column of every table as one flat entry: what files for programs and pages to filter are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..keys import content_key
from ..stats import Estimate
from .cells import Record, TableCell
from .table import Order, Table, TableRow, environment_text
from .transfer import Gap, gaps


@dataclass(frozen=True)
class Entry:
    """One cell with everything that is shown of it.

    Attributes:
        id: Twelve hexadecimal digits that only this cell of these records has.
        table: Where it stands.
        row: Its row.
        column: The evaluation dataset, as the table has it.
        language: Of the evaluation dataset.
        cell: The scores.
        gap: Its gap in the primary score, where it is zero-shot and has an in-language one beside it.
    """

    id: str
    table: Table
    row: TableRow
    column: str
    language: str
    cell: TableCell
    gap: Gap | None

    @property
    def records(self) -> tuple[Record, ...]:
        """One a seed; where every seed failed, those that say so."""
        return self.cell.records or self.cell.failed

    @property
    def failed(self) -> bool:
        """Whether the training of every seed has come to nothing, so that there is no score."""
        return not self.cell.records

    @property
    def regime(self) -> str:
        """``frozen``, ``single``, ``sequential``, ``mixed``, or ``floor``; a sequence with a mixture is sequential."""
        if self.cell.transfer == "floor":
            return "floor"
        trained = [part["stage"] for part in self.records[0]["train"]]
        if len(set(trained)) < 2:
            return "frozen" if not trained else "mixed" if len(trained) > 1 else "single"
        return "sequential"

    @property
    def sources(self) -> list[str]:
        """The languages that were trained on, each once, in order."""
        return list(dict.fromkeys(part["language"] for part in self.records[0]["train"]))

    @property
    def interval(self) -> Estimate | None:
        """Of the primary score."""
        return self.cell.estimates.get(self.table.metrics[0])

    @property
    def unit(self) -> str:
        """What the interval's bootstrap drew, such as ``1379 rows``; empty without one."""
        sampling = self.records[0].get("sampling")
        if not sampling or self.interval is None:
            return ""
        return f"{sampling['units']} {sampling['unit']}s"

    @property
    def ceilings(self) -> dict[str, float]:
        """The best that any prediction could reach, by score."""
        return {name: value for name, value in self.records[0].get("ceilings", {}).items() if value is not None}


def entries(tables: Sequence[Table], orders: Mapping[str, Order]) -> list[Entry]:
    """Flatten tables.

    Args:
        tables: In order.
        orders: For the tasks' in-language curricula.

    Returns:
        One a cell that has records, those whose every seed failed among them.
    """
    found = []
    for table in tables:
        order = orders.get(table.task, Order())
        lost = {(id(gap.row), gap.column): gap for gap in gaps(table, order.baselines, table.metrics[0])}
        for row in table.rows:
            for column, language in table.columns:
                cell = row.cells.get(column)
                records = (cell.records or cell.failed) if cell is not None else ()
                if cell is not None and records:
                    name = content_key("entry", {"keys": [record["key"] for record in records]})[:12]
                    found.append(Entry(name, table, row, column, language, cell, lost.get((id(row), column))))
    return found


def provenance(entry: Entry, paths: Mapping[str, PurePosixPath]) -> list[tuple[str, str]]:
    """What one would have to know to do it again, for people to read.

    Args:
        entry: The cell.
        paths: Each record's file, from the leaderboard's folder, by key.
    """
    first = entry.records[0]
    model, evaluated, about = first["model"], first["eval"], first["environment"]
    trained = [
        f"stage {part['stage'] + 1}: {part['dataset']}/{part['split']}, {part['rows']} rows, {part['rows_sha256'][:12]}"
        for part in first["train"]
    ]
    metrics = ", ".join(f"{name} {version}" for name, version in first["metric_version"].items())
    found = [
        ("Model", f"{model['name']}{'@' + model['revision'] if model['revision'] else ''}"),
        ("Parameters", f"{model['parameters']:,}" if model["parameters"] else ""),
        ("Weights", model["weights_sha256"]),
        ("Trained on", "; ".join(trained)),
        ("Fitted on", _fitted(first)),
        (
            "Scored on",
            f"{evaluated['dataset']}/{evaluated['split']}, {evaluated['rows']} rows, {evaluated['rows_sha256'][:12]}",
        ),
        ("Task and metrics", f"{first['task']} version {first['task_version']}; {metrics}"),
        ("Head", f"{first['head']} version {first['head_version']}"),
        ("Checkpoint", _checkpoint(entry) if first["train"] else ""),
        ("Recipe", ", ".join(f"{name}={value}" for name, value in first["recipe"].items())),
        ("Interval", f"{entry.interval.method}; {entry.unit}" if entry.interval else "none: the records hold no draws"),
        ("Stages", ", ".join(key[:12] for record in entry.records for key in record["stages"])),
        ("Made with", environment_text(about, python=True)),
        ("Time", _timing(entry.records)),
        ("Records", ", ".join(str(paths[record["key"]]) for record in entry.records if record["key"] in paths)),
    ]
    return [(name, text) for name, text in found if text]


def _checkpoint(entry: Entry) -> str:
    """How it was chosen, which one it is of each seed, and by what: ``source-dev of 4 (step 360) by stsb/dev``."""
    first = entry.records[0]
    if "selected" not in first:
        return str(first["selection"])
    steps = [str(record["selected"]["step"]) for record in entry.records if record["selected"]["step"]]
    by = ", ".join(f"{one['dataset']}/{one['split']} ({one['metric']})" for one in first["selected"]["dev"])
    return entry.row.protocol + (f" (step {', '.join(steps)})" if steps else "") + (f" by {by}" if by else "")


def _fitted(record: Record) -> str:
    fit = record["fit"]
    return f"{fit['dataset']}/{fit['split']}, {fit['rows']} rows, {fit['rows_sha256'][:12]}" if fit else ""


def _timing(records: Sequence[Record]) -> str:
    trained = sum(record["timing"]["train_s"] or 0 for record in records)
    read = sum(record["timing"]["eval_s"] or 0 for record in records)
    return f"trained in {trained:.0f} s, read in {read:.0f} s" if trained else f"read in {read:.0f} s"
