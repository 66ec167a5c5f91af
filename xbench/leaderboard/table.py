"""From records to tables: rows are curricula, columns are evaluation datasets, as in the paper."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..curriculum import FLOOR
from ..keys import canonical
from ..recipe import ADAPTER, CHOICES, EXECUTION_ONLY, FULL, KNOWN, LAST, SELECTION_ONLY
from ..store import DONE
from ..types import Reading
from .ceilings import Ceilings, find_ceilings
from .cells import Record, TableCell, make_cell, trained_on
from .columns import column_key, order_columns
from .marks import marked_without, of_one_code


@dataclass(frozen=True)
class ScoreStyle:
    """How a score is written.

    Attributes:
        title: Such as ``P@1``.
        decimals: Digits behind the point.
        comparable: Whether a higher one means better: models and curricula are ranked by no other.
    """

    title: str
    decimals: int = 2
    comparable: bool = True


def decimals_of(styles: Mapping[str, ScoreStyle], score: str) -> int:
    """Digits behind the point of a score; two where nobody says."""
    return styles[score].decimals if score in styles else 2


@dataclass(frozen=True)
class Order:
    """What a task's file says of its tables.

    Attributes:
        curricula: In its order.
        datasets: Evaluation datasets in its order.
        split: The evaluation split.
        version: The task's; 0 where it is not known.
        recipes: By head, the task's own recipe: a row made with another says so.
        readings: In its order.
        scores: How its scores are written, in order.
        baselines: Evaluation dataset to its in-language curriculum.
        place: The task's among all: the order of chapters.
    """

    curricula: Sequence[str] = ()
    datasets: Sequence[str] = ()
    split: str = "test"
    version: int = 0
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    readings: Sequence[str] = ()
    scores: Mapping[str, ScoreStyle] = field(default_factory=dict)
    baselines: Mapping[str, str] = field(default_factory=dict)
    place: int = sys.maxsize


@dataclass(frozen=True)
class TableRow:
    """One curriculum with one head, read in one way.

    Attributes:
        curriculum: Its text.
        head: The head's name, or the floor's.
        reading: The reading's name; empty for a head that has only one.
        variant: Where its settings are not the task's own, or not those of another row of the same curriculum and
            head, such as ``epochs=1``; mostly empty. How the checkpoint was chosen is not among them.
        cells: By evaluation dataset.
        recipe: The hyper-parameters and versions that results depend on, as JSON: equal where rows were made alike.
        selection: How the checkpoint was chosen; empty where nothing was trained.
        candidates: From how many; 1 where it is the last one.
    """

    curriculum: str
    head: str
    reading: str
    variant: str
    cells: Mapping[str, TableCell]
    recipe: str = ""
    selection: str = ""
    candidates: int = 1

    @property
    def protocol(self) -> str:
        """How the checkpoint was chosen, where it is not the last one: ``source-dev of 4``; mostly empty."""
        if self.selection in ("", LAST):
            return ""
        return f"{self.selection} of {self.candidates}" if self.candidates > 1 else self.selection

    @property
    def is_floor(self) -> bool:
        """Whether no encoder was needed."""
        return bool(self.cells) and all(cell.transfer == FLOOR for cell in self.cells.values())


@dataclass(frozen=True)
class Table:
    """The results of one model on one task.

    Attributes:
        task: The task's name.
        model: The model's name, with its revision behind ``@`` where it has one, and its weights where others of that
            name have other ones.
        metrics: The names of the scores, the primary one first.
        columns: Evaluation datasets with their languages, in order.
        rows: In order.
        limits: ``train`` and ``eval``, rows at most; None where all were used.
        sample: Whether these are sample corpora.
        versions: Of the task and its metrics, and the weights: what tells tables of one name apart.
        task_version: The task's.
        several_versions: Whether other tables of the task are of another version, so that titles have to say it.
        environment: Versions and device of every record, each once.
        ceilings: The best that any prediction could reach, by column and score.
        styles: How its scores are written.
        found: What was computed of it and is asked for again.
    """

    task: str
    model: str
    metrics: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[TableRow, ...]
    limits: Mapping[str, int | None]
    sample: bool
    versions: str
    task_version: int
    several_versions: bool = False
    environment: tuple[str, ...] = field(default=())
    ceilings: Ceilings = field(default_factory=dict)
    styles: Mapping[str, ScoreStyle] = field(default_factory=dict)
    found: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def several_heads(self) -> bool:
        """Whether a row's title has to name its head."""
        return len({row.head for row in self.rows}) > 1

    @property
    def ranked_by(self) -> str:
        """The first of its scores of which a higher one means better."""
        fitting = (name for name in self.metrics if name not in self.styles or self.styles[name].comparable)
        return next(fitting, self.metrics[0])


class _RowKey(NamedTuple):
    """What makes records one row: its parts, and the settings as JSON."""

    curriculum: str
    reading: str
    head: str
    settings: str


def build_tables(records: Iterable[Record], orders: Mapping[str, Order]) -> list[Table]:
    """Group records into tables; what must not be compared never shares a table.

    Args:
        records: Finished ones.
        orders: By task; a task that is not there is ordered by name.

    Returns:
        A table for each task, model and limits, real corpora before samples.
    """
    groups: dict[str, list[Record]] = {}
    chapters: dict[tuple[str, bool], list[Record]] = {}
    weights: dict[str, set[str]] = {}
    for record in records:
        groups.setdefault(canonical(_group(record)), []).append(record)
        chapters.setdefault((record["task"], record["sample"]), []).append(record)
        weights.setdefault(_model(record), set()).add(record["model"]["weights_sha256"])
    tables = []
    for group in groups.values():
        order, chapter = orders.get(group[0]["task"], Order()), chapters[group[0]["task"], group[0]["sample"]]
        # Columns are named alike in all tables of a chapter, so that one name is one thing wherever tables meet.
        columns = order_columns(group, order.datasets, order.split, chapter)
        table = _table(group, columns, order, len(weights[_model(group[0])]) > 1)
        tables.append(replace(table, several_versions=len({record["task_version"] for record in chapter}) > 1))
    return sorted(tables, key=lambda table: _table_rank(table, orders.get(table.task, Order()).place))


def _table_rank(table: Table, place: int) -> tuple[Any, ...]:
    """What was run on all rows stands first in its chapter, then what was run most."""
    size = (any(table.limits.values()), -len(table.rows))
    return (table.sample, place, table.task, *size, table.model, canonical(dict(table.limits)), table.versions)


def _group(record: Record) -> list[Any]:
    """What a table's records have in common."""
    return [
        record["sample"], record["task"], record["task_version"], record["model"], record["limits"],
    ]  # fmt: skip


def _table(records: Sequence[Record], columns: Mapping[str, tuple[str, str]], order: Order, namesakes: bool) -> Table:
    """One table; ``namesakes``: whether other weights have the model's name as well, so that it alone is no name."""
    first = records[0]
    weights = f" (weights {first['model']['weights_sha256'][:8] or 'unknown'})" if namesakes else ""
    several = _fitted_apart(records, columns)
    rows: dict[_RowKey, list[Record]] = {}
    for record in records:
        reading = "" if record["reading"] == Reading().name else record["reading"]
        key = _RowKey(record["curriculum"], reading, record["head"], canonical(_settings(record, several)))
        rows.setdefault(key, []).append(record)
    recipes = order.recipes if order.version == first["task_version"] else {}
    ranked = sorted(
        rows,
        key=lambda key: (
            curriculum_rank(key.curriculum, order.curricula),
            _rank(key.reading, order.readings),
            _rank(rows[key][0]["selection"], CHOICES["selection"]),
            key,
        ),
    )
    return Table(
        task=first["task"],
        model=_model(first) + weights,
        metrics=_metrics(records, list(order.scores)),
        columns=tuple(dict.fromkeys(columns.values())),
        rows=of_one_code(
            TableRow(
                key.curriculum, key.head, key.reading, _variant(key, ranked, recipes.get(key.head, {})),
                _cells(rows[key], columns), canonical(_recipe(rows[key][0])),
                rows[key][0]["selection"] if rows[key][0]["train"] else "",
                _checkpoints(rows[key][0]),
            )
            for key in ranked
        ),
        limits=first["limits"],
        sample=first["sample"],
        versions=_versions(records),
        task_version=first["task_version"],
        environment=tuple(sorted({environment_text(record["environment"]) for record in records})),
        ceilings=find_ceilings(records, columns),
        styles=order.scores,
    )  # fmt: skip


def _model(record: Record) -> str:
    name, revision = record["model"]["name"], record["model"]["revision"]
    return f"{name}@{revision[:12]}" if revision and "@" not in name else str(name)


def _versions(records: Sequence[Record]) -> str:
    metrics = sorted({pair for record in records for pair in record["metric_version"].items()})
    named = ", ".join(f"{name} {version}" for name, version in metrics)
    task, weights = records[0]["task_version"], records[0]["model"]["weights_sha256"][:12]
    return f"Task version {task}, metric versions {named}" + (f", weights {weights}" if weights else "")


def _metrics(records: Sequence[Record], order: Sequence[str]) -> tuple[str, ...]:
    """The primary score first, then the others in the task's order or by name, whatever the order of a record's keys.

    A score under its scorer's name (``mlqa:f1``) is a second opinion: it stays in the record.
    """
    done = [record for record in records if record["status"] == DONE]  # of others the names are what metrics declare
    primary = min(record["primary"] for record in done or records)
    names = {name for record in done or records for name in record["scores"] if ":" not in name}
    return (primary, *sorted(names - {primary}, key=lambda name: _rank(name, order)))


def _fitted_apart(records: Sequence[Record], columns: Mapping[str, tuple[str, str]]) -> bool:
    """Whether one reading was fitted on several sets of rows for one column: then its rows must be told apart."""
    seen: dict[tuple[str, str], set[str]] = {}
    for record in records:
        fit = "" if record["fit"] is None else canonical([record["fit"][name] for name in ("dataset", "rows_sha256")])
        seen.setdefault((columns[column_key(record)][0], record["reading"]), set()).add(fit)
    return any(len(fits) > 1 for fits in seen.values())


def _settings(record: Record, tell_fit: bool) -> dict[str, Any]:
    """What makes a row one of its own: the recipe as far as it changes results, and what was read of which data."""
    settings: dict[str, Any] = {}
    trained = [[stage, dataset, rows[:12]] for stage, dataset, rows in trained_on(record["train"])]
    if tell_fit and record["fit"] is not None:
        settings["fitted on"] = f"{record['fit']['dataset']}/{record['fit']['split']}"
        settings["fitted rows"] = record["fit"]["rows_sha256"][:12]
    return {**_recipe(record), **settings, "rows": trained}


def _recipe(record: Record) -> dict[str, Any]:
    left_out = EXECUTION_ONLY | SELECTION_ONLY
    settings = {name: value for name, value in record["recipe"].items() if name not in left_out}
    return {**settings, "head_version": record["head_version"], **selection_of(record)}


def selection_of(record: Record) -> dict[str, Any]:
    """How a record's checkpoint was chosen, as far as it tells rows apart."""
    settings = {"selection": record["selection"]}
    if "selected" in record:
        settings["candidates"] = record["selected"]["candidates"]
        limits = [split["limit"] for split in record["selected"]["dev"] if split["limit"] is not None]
        # Of a limit on the rows that are scored, which holds for these as well, the whole table says so.
        settings |= {"dev rows": max(limits)} if limits and max(limits) != record["limits"]["eval"] else {}
    return settings


def _checkpoints(record: Record) -> int:
    """How many a record's one was chosen from: a short training has fewer steps than were asked for."""
    selected = record.get("selected")
    return 1 if selected is None else len(selected["steps"]) or int(selected["candidates"])


def environment_text(about: Mapping[str, Any], python: bool = False) -> str:
    """What a record was made with, in a line.

    Args:
        about: The record's ``environment``.
        python: Whether to name Python's version as well.
    """
    named = f"Python {about['python']}, " if python else ""
    scored = f", scored in {about['precision']}" if about["precision"] else ""
    trained = f", trained in {about['training_precision']}" if about["training_precision"] else ""
    trained += f" (training code {about['training_version']})" if "training_version" in about else ""
    return (
        f"xbench {about['xbench']}, {named}torch {about['torch']}, transformers {about['transformers']}, "
        f"{about['device']}{scored}{trained}"
    )


def _rank(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def curriculum_rank(name: str, order: Sequence[str]) -> tuple[int, int, str]:
    """Frozen first, then the task's own order, then single datasets, sequences and mixtures by name."""
    kind = 0 if name == "none" else 1 + (":" in name) + 2 * ("+" in name)
    place, text = _rank(name, order)
    return (place if kind else -1, kind, text)


def _variant(key: _RowKey, keys: Sequence[_RowKey], recipe: Mapping[str, Any]) -> str:
    """The settings in which this row is not as the task's recipe, or rows of its kind differ.

    Where nothing is said of tuning, it is full; an adapter's options then have their defaults.
    """
    import json

    silent = {name: KNOWN[name] for name in ADAPTER | {"tuning"}}
    others = [{**silent, **json.loads(other.settings)} for other in keys if other[:3] == key[:3]]
    own, recipe = json.loads(key.settings), {**silent, **recipe}
    if recipe["tuning"] != FULL and "lr" in own:  # something was trained
        own = {"tuning": FULL, **own}
    differing = [
        name
        for name, value in own.items()
        if name not in SELECTION_ONLY
        and (recipe.get(name, value) != value or any(other.get(name) != value for other in others))
    ]
    return ", ".join(f"{name}={_setting(own[name])}" for name in sorted(differing))


def _setting(value: Any) -> str:
    """A setting as a title has it; of training rows, which are a list, each dataset with its identity."""
    return " ".join(f"{name} {rows}" for _, name, rows in value) if isinstance(value, list) else str(value)


def _cells(records: Sequence[Record], columns: Mapping[str, tuple[str, str]]) -> dict[str, TableCell]:
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        column, _ = columns[column_key(record)]
        by_dataset.setdefault(column, []).append(record)
    cells = {dataset: make_cell(group) for dataset, group in by_dataset.items()}
    seeds = {seed for cell in cells.values() for seed in cell.seeds}
    return {dataset: marked_without(cell, seeds) for dataset, cell in cells.items()}
