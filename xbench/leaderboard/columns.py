"""The columns of a table: what was scored, and only what was scored alike shares one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..keys import canonical
from ..tasks import dataset_and_split


def order_columns(
    records: Sequence[Mapping[str, Any]], datasets: Sequence[str], task_split: str,
    beside: Sequence[Mapping[str, Any]] = (),
) -> dict[str, tuple[str, str]]:  # fmt: skip
    """What a record was scored on, to the column's name and language, in the task's order.

    Another split than the task's, other rows or another version of the metrics is another column, whose name says so.

    Args:
        records: Of one table.
        datasets: The task's evaluation datasets, in order; ``dataset/split`` for another split.
        task_split: The task's evaluation split.
        beside: Records of other tables that these columns may be held against: what differs from them is named too.

    Returns:
        By `column_key`: the column's name and language.
    """
    scored: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for record in (*records, *beside):
        split, rows, metrics = _scored_on(record)
        seen = scored.setdefault((record["eval"]["dataset"], split), (set(), set()))
        seen[0].add(rows)
        seen[1].add(metrics)
    columns = {}
    for record in records:
        dataset, (split, rows, metrics) = record["eval"]["dataset"], _scored_on(record)
        several_rows, several_metrics = (len(values) > 1 for values in scored[dataset, split])
        notes = [f"rows {rows[:8]}"] * several_rows + [metrics] * several_metrics
        name = ", ".join([dataset if split == task_split else f"{dataset}/{split}", *notes])
        columns[column_key(record)] = (name, record["eval"]["language"], (dataset, split))
    places = [dataset_and_split(text, task_split) for text in datasets]
    ranked = sorted(columns.items(), key=lambda item: (_place(item[1][2], places), item[1][0]))
    return {key: (name, language) for key, (name, language, _) in ranked}


def _place(name: tuple[str, str], places: Sequence[tuple[str, str]]) -> int:
    return places.index(name) if name in places else len(places)


def _scored_on(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """The split, the identity of its rows, and the metrics with their versions."""
    metrics = ", ".join(f"{name} {version}" for name, version in sorted(record["metric_version"].items()))
    return record["eval"]["split"], record["eval"]["rows_sha256"], metrics


def column_key(record: Mapping[str, Any]) -> str:
    """What a record's column is told by: the dataset, the split, its rows, and the metrics with their versions."""
    return canonical([record["eval"]["dataset"], *_scored_on(record)])
