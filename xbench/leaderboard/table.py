"""From records to tables: rows are curricula, columns are evaluation datasets, as in the paper."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..keys import canonical
from ..languages import language_name
from ..recipe import EXECUTION_ONLY
from .ceilings import Ceilings, find_ceilings
from .columns import column_key, order_columns

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """What a task's file says of its tables.

    Attributes:
        curricula: In its order.
        datasets: Evaluation datasets in its order.
        split: The evaluation split.
        version: The task's; 0 where it is not known.
        recipes: By head, the task's own recipe: a row made with another says so.
    """

    curricula: Sequence[str] = ()
    datasets: Sequence[str] = ()
    split: str = "test"
    version: int = 0
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class TableCell:
    """Some records of one cell, one a seed.

    Attributes:
        transfer: ``zero-shot``, ``in-language``, ``mixed`` or ``frozen``.
        scores: The mean over the seeds of each score, in the task's order; None where it is not defined.
        deviations: The standard deviation over the seeds, None for a single one.
        seeds: Which ones.
    """

    transfer: str
    scores: Mapping[str, float | None]
    deviations: Mapping[str, float | None]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class TableRow:
    """One curriculum with one head.

    Attributes:
        curriculum: Its text.
        head: The head's name.
        variant: Where its settings are not the task's own, or not those of another row of the same curriculum and
            head, such as ``epochs=1``; mostly empty.
        cells: By evaluation dataset.
    """

    curriculum: str
    head: str
    variant: str
    cells: Mapping[str, TableCell]


@dataclass(frozen=True)
class Table:
    """The results of one model on one task.

    Attributes:
        task: The task's name.
        model: The model's name, with its revision behind ``@`` where it has one.
        metrics: The names of the scores, the primary one first.
        columns: Evaluation datasets with their languages, in order.
        rows: In order.
        limits: ``train`` and ``eval``, rows at most; None where all were used.
        sample: Whether these are sample corpora.
        versions: Of the task and its metrics, and the weights: what tells tables of one name apart.
        environment: Versions and device of every record, each once.
        ceilings: The best that any prediction could reach, by column and score.
    """

    task: str
    model: str
    metrics: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[TableRow, ...]
    limits: Mapping[str, int | None]
    sample: bool
    versions: str
    environment: tuple[str, ...] = field(default=())
    ceilings: Ceilings = field(default_factory=dict)


def build_tables(records: Iterable[Record], orders: Mapping[str, Order]) -> list[Table]:
    """Group records into tables; what must not be compared never shares a table.

    Args:
        records: Finished ones.
        orders: By task; a task that is not there is ordered by name.

    Returns:
        A table for each task, model and limits, real corpora before samples.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(canonical(_group(record)), []).append(record)
    tables = [_table(group, orders.get(group[0]["task"], Order())) for group in groups.values()]
    return sorted(tables, key=_table_rank)


def _table_rank(table: Table) -> tuple[bool, str, str, str, str]:
    return (table.sample, table.task, table.model, canonical(dict(table.limits)), table.versions)


def _group(record: Record) -> list[Any]:
    """What a table's records have in common."""
    return [
        record["sample"], record["task"], record["task_version"], record["model"], record["limits"],
    ]  # fmt: skip


def _table(records: Sequence[Record], order: Order) -> Table:
    first = records[0]
    columns = order_columns(records, order.datasets, order.split)
    several = _fitted_apart(records, columns)
    rows: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        rows.setdefault((record["curriculum"], record["head"], canonical(_settings(record, several))), []).append(
            record
        )
    recipes = order.recipes if order.version == first["task_version"] else {}
    return Table(
        task=first["task"],
        model=_model(first),
        metrics=_metrics(records),
        columns=tuple(dict.fromkeys(columns.values())),
        rows=tuple(
            TableRow(curriculum, head, _variant(key, list(rows), recipes.get(head, {})), _cells(rows[key], columns))
            for key in sorted(rows, key=lambda key: (curriculum_rank(key[0], order.curricula), key))
            for curriculum, head, _ in [key]
        ),
        limits=first["limits"],
        sample=first["sample"],
        versions=_versions(records),
        environment=tuple(sorted({_environment(record) for record in records})),
        ceilings=find_ceilings(records, columns),
    )


def _model(record: Record) -> str:
    name, revision = record["model"]["name"], record["model"]["revision"]
    return f"{name}@{revision[:12]}" if revision and "@" not in name else str(name)


def _versions(records: Sequence[Record]) -> str:
    metrics = sorted({pair for record in records for pair in record["metric_version"].items()})
    named = ", ".join(f"{name} {version}" for name, version in metrics)
    task, weights = records[0]["task_version"], records[0]["model"]["weights_sha256"][:12]
    return f"Task version {task}, metric versions {named}, weights {weights}"


def _metrics(records: Sequence[Record]) -> tuple[str, ...]:
    """The primary score first, then the others by name, whatever the order of a record's keys.

    A score under its scorer's name (``mlqa:f1``) is a second opinion: it stays in the record.
    """
    primary = min(record["primary"] for record in records)
    names = {name for record in records for name in record["scores"] if ":" not in name}
    return (primary, *sorted(names - {primary}))


def _fitted_apart(records: Sequence[Record], columns: Mapping[str, tuple[str, str]]) -> bool:
    """Whether one reading was fitted on several sets of rows for one column: then its rows must be told apart."""
    seen: dict[tuple[str, str], set[str]] = {}
    for record in records:
        fit = "" if record["fit"] is None else canonical([record["fit"][name] for name in ("dataset", "rows_sha256")])
        seen.setdefault((columns[column_key(record)][0], record["reading"]), set()).add(fit)
    return any(len(fits) > 1 for fits in seen.values())


def _settings(record: Record, tell_fit: bool) -> dict[str, Any]:
    """What makes a row one of its own: the recipe as far as it changes results, and what was read of which data."""
    settings = {name: value for name, value in record["recipe"].items() if name not in EXECUTION_ONLY}
    trained = [[part["stage"], part["dataset"], part["rows_sha256"][:12]] for part in record["train"]]
    if tell_fit and record["fit"] is not None:
        settings["fitted on"] = f"{record['fit']['dataset']}/{record['fit']['split']}"
        settings["fitted rows"] = record["fit"]["rows_sha256"][:12]
    return {
        **settings, "reading": record["reading"], "head_version": record["head_version"],
        "selection": record["selection"], "rows": trained,
    }  # fmt: skip


def _environment(record: Record) -> str:
    about = record["environment"]
    trained = f", trained in {about['training_precision']}" if about["training_precision"] else ""
    return (
        f"xbench {about['xbench']}, torch {about['torch']}, transformers {about['transformers']}, "
        f"{about['device']}, scored in {about['precision']}{trained}"
    )


def _rank(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def curriculum_rank(name: str, order: Sequence[str]) -> tuple[int, int, str]:
    """Frozen first, then the task's own order, then single datasets, sequences and mixtures by name."""
    kind = 0 if name == "none" else 1 + (":" in name) + 2 * ("+" in name)
    place, text = _rank(name, order)
    return (place if kind else -1, kind, text)


def _variant(key: tuple[str, str, str], keys: Sequence[tuple[str, str, str]], recipe: Mapping[str, Any]) -> str:
    """The settings in which this row is not as the task's recipe, or rows of its curriculum and head differ."""
    import json

    others = [json.loads(other[2]) for other in keys if other[:2] == key[:2]]
    own = json.loads(key[2])
    differing = [
        name
        for name, value in own.items()
        if recipe.get(name, value) != value or any(other.get(name) != value for other in others)
    ]
    return ", ".join(f"{name}={own[name]}" for name in sorted(differing))


def _cells(records: Sequence[Record], columns: Mapping[str, tuple[str, str]]) -> dict[str, TableCell]:
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        column, _ = columns[column_key(record)]
        by_dataset.setdefault(column, []).append(record)
    return {dataset: _cell(group) for dataset, group in by_dataset.items()}


def _cell(records: Sequence[Record]) -> TableCell:
    # One record a seed: of several (an older version of the code may have left one) the last by key stands.
    records = list({record["seed"]: record for record in sorted(records, key=lambda one: str(one["key"]))}.values())
    names = sorted({name for record in records for name in record["scores"]})
    values = {name: [record["scores"].get(name) for record in records] for name in names}
    defined = {name: [value for value in found if value is not None] for name, found in values.items()}
    complete = {name: len(defined[name]) == len(records) for name in names}
    return TableCell(
        transfer=records[0]["transfer"],
        scores={name: math.fsum(defined[name]) / len(records) if complete[name] else None for name in names},
        deviations={
            name: statistics.stdev(defined[name]) if complete[name] and len(records) > 1 else None for name in names
        },
        seeds=tuple(sorted(record["seed"] for record in records)),
    )


def cell_text(cell: TableCell | None, metrics: Sequence[str]) -> str:
    """``87.44 (87.43)``, the primary score first, others in brackets; ``†`` marks zero-shot.

    Args:
        cell: What to show; None where there is no record.
        metrics: The names of the scores.

    Returns:
        The text; a score that is not defined is ``undefined``, one that the cell does not have a dash.
    """
    if cell is None:
        return "–"
    last = max((place for place, name in enumerate(metrics, 1) if name in cell.scores), default=1)
    texts = [
        _score_text(cell.scores[name], cell.deviations.get(name)) if name in cell.scores else "–"
        for name in metrics[:last]
    ]
    rest = f" ({', '.join(texts[1:])})" if texts[1:] else ""
    return texts[0] + rest + (" †" if cell.transfer == "zero-shot" else "")


def _score_text(score: float | None, deviation: float | None) -> str:
    if score is None:
        return "undefined"
    return f"{score:.2f}" + (f" ± {deviation:.2f}" if deviation is not None else "")


def row_title(row: TableRow, several_heads: bool) -> str:
    """The curriculum as the paper writes it, with what tells the row from its neighbours."""
    frozen = row.curriculum == "none"
    title = "none (frozen)" if frozen else row.curriculum.replace(":", " → ").replace("+", " + ")
    notes = [row.head] if several_heads else []
    notes += [row.variant] if row.variant else []
    return title + (f" [{'; '.join(notes)}]" if notes else "")


def column_title(dataset: str, language: str) -> str:
    """``Korean (korsts)``."""
    names = [language_name(part) for part in language.split("-")]
    return f"{'–'.join(names)} ({dataset})"


def metric_title(metrics: Sequence[str]) -> str:
    """``Spearman (Pearson)``."""
    titles = [name.replace("_", " ").capitalize() for name in metrics]
    return titles[0] + (f" ({', '.join(titles[1:])})" if titles[1:] else "")


def limit_text(limits: Mapping[str, int | None]) -> str:
    """``limited: 200 training rows, 100 evaluation rows``, or an empty text."""
    parts = [
        f"{limits[part]} {word} rows" for part, word in (("train", "training"), ("eval", "evaluation")) if limits[part]
    ]
    return f"limited: {', '.join(parts)}" if parts else ""
