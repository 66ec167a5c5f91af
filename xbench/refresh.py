"""Adds to records of an older form what newer ones hold, from the predictions that the cache still has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .data.rows import RowSet, prepare, select
from .errors import UserError
from .leaderboard.pictures import carry_over
from .measures import Metric, MetricContext
from .overlap import Overlaps
from .record_check import RecordCheck
from .registry import Registry
from .sampling import sample_scores
from .scoring import chance_scores, compute_scores, score_bounds
from .settings import Settings
from .store import DONE, RECORD_SCHEMA, Store, read_records
from .work import EVAL_DRAW_SEED

NEW_FIELDS = ("chance", "bounds", "sampling", "overlap")
CLOSE = 1e-9
"""A score computed again may differ from the recorded one in its last digits, on another machine."""


class Refreshed(NamedTuple):
    """What became of a record.

    Attributes:
        path: Its file.
        reason: Why it stays as it is; empty where it was refreshed.
    """

    path: Path
    reason: str


def refresh(registry: Registry, settings: Settings) -> Iterator[Refreshed]:
    """Complete every record of a results folder that can be completed.

    Args:
        registry: What the plugins declare.
        settings: ``out`` holds the records, the cache their predictions; rows are fetched as for a run.

    Yields:
        Each record of an older form; those that are whole already are passed over.
    """
    store, completion = Store(settings), _Completion(registry, settings)
    renewed: dict[str, tuple[str, str]] = {}
    try:
        for path, record in read_records(settings.out):
            if record is None or record["status"] != DONE:
                continue
            try:
                found = completion.lacking(record)
                if not found:
                    continue
                after = store.replace_record(path, {**record, **found})
                renewed[record["key"]] = (record["checksum"], after["checksum"])
            except (UserError, OSError) as error:
                yield Refreshed(path, str(error))
            else:
                yield Refreshed(path, "")
    finally:  # also where it is broken off
        carry_over(settings.out, renewed)


def _is_whole(record: Mapping[str, Any]) -> bool:
    return record["schema"] == RECORD_SCHEMA and all(name in record for name in NEW_FIELDS)


class _Completion:
    """Finds what records lack; each split is read once."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry, self._settings = registry, settings
        self._store, self._overlaps = Store(settings), Overlaps(registry, settings)
        self._check = RecordCheck(registry, settings)
        self._rows: dict[tuple[str, str], RowSet] = {}

    def lacking(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a record is to get; nothing where it is whole.

        Raises:
            UserError: It lacks something that cannot be had.
        """
        found = self._trained(record)
        if _is_whole(record):
            return found
        metrics = [_metric(name, version, self._registry) for name, version in record["metric_version"].items()]
        found["bounds"] = score_bounds(metrics)
        if any(name not in record for name in NEW_FIELDS if name != "bounds"):
            found |= self._drawn(record, metrics)
            found["overlap"] = self._overlaps.of_record(record)
        return found

    def _trained(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The environment with the version of the training code, where it lacks and can be had from the keys."""
        environment = record["environment"]
        version = None if "training_version" in environment else self._check.training_version(record)
        return {} if version is None else {"environment": {**environment, "training_version": version}}

    def _drawn(self, record: Mapping[str, Any], metrics: Sequence[Metric]) -> dict[str, Any]:
        """What takes one record's predictions to find.

        Raises:
            UserError: Predictions or rows are no longer those that the record was made with.
        """
        found = self._store.predictions(record)
        if found is None:
            raise UserError("its predictions are no longer in the cache: run the evaluation again")
        evaluated = record["eval"]
        dataset = self._registry.datasets.get(evaluated["dataset"])
        schema = self._registry.schemas.get(dataset.schema)
        where = (dataset.name, evaluated["split"])
        if where not in self._rows:
            self._rows[where] = prepare(dataset, evaluated["split"], schema, self._settings)
        if self._rows[where].rows_sha256 != evaluated["rows_sha256"]:
            raise UserError(f"{'/'.join(where)} has other rows now than the record was scored on")
        rows = select(self._rows[where].open(), record["limits"]["eval"], EVAL_DRAW_SEED)
        if [row["id"] for row in rows] != found.ids:
            raise UserError(f"its predictions are of other rows than {'/'.join(where)} has")
        references, about = [schema.reference(row) for row in rows], MetricContext(dataset, rows)
        scores = compute_scores(metrics, found.predictions, references, about)
        if not _same(scores, record["scores"]):
            raise UserError(f"its predictions now score {_brief(scores)}, and not {_brief(record['scores'])}")
        sampling = sample_scores(metrics, found.predictions, references, about, schema, record["scores"])
        return {"chance": chance_scores(metrics, references, about), "sampling": sampling}


def _metric(name: str, version: int, registry: Registry) -> Metric:
    metric = registry.metrics.get(name)
    if metric.version != version:
        raise UserError(f"the metric {name} is version {metric.version} here, and {version} in the record")
    return metric


def _same(scores: Mapping[str, float | None], recorded: Mapping[str, float | None]) -> bool:
    if scores.keys() != recorded.keys():
        return False
    pairs = [(scores[name], recorded[name]) for name in scores]
    return all(
        one == other or (one is not None and other is not None and abs(one - other) <= CLOSE * max(1, abs(other)))
        for one, other in pairs
    )


def _brief(scores: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value}" for name, value in scores.items())
