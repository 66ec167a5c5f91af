"""Scores predictions that were made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .data.rows import RowSet
from .data.schemas import value_error
from .errors import UserError
from .keys import finite
from .measures import Metric, MetricContext
from .registry import Plugin, Registry
from .tasks import OFFICIAL, dataset_and_split
from .types import Dataset, Prediction, Schema

Value = TypeVar("Value")


@dataclass(frozen=True)
class Scored:
    """What came of a file of predictions.

    Attributes:
        scores: By name, in the field's units; None where one is not defined.
        rows: Rows of the split.
        missing: Ids of rows without a prediction, in the rows' order.
        unknown: Ids in the file that no row has, in the file's order.
    """

    scores: Mapping[str, float | None]
    rows: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]


def choose_split(dataset: Dataset, split: str | None) -> str:
    """The split asked for; without one the test split, else the dev split.

    Raises:
        UserError: The dataset does not have it.
    """
    for name in ("test", "dev") if split is None else (split,):
        if name in dataset.splits:
            return name
    wanted = f"no split {split!r}" if split is not None else "neither a test nor a dev split"
    raise UserError(f"the dataset {dataset.name} has {wanted}, only {', '.join(dataset.splits)}: choose with --split")


def choose_metrics(dataset: Dataset, names: Sequence[str], registry: Registry) -> list[Metric]:
    """The metrics asked for; else the dataset's official ones; else those of a task that evaluates on it.

    Raises:
        UserError: A name is unknown, a metric does not understand the dataset's rows, or nobody says how it is scored.
    """
    chosen = list(names) or list(dataset.official)
    for task in registry.tasks if not chosen else ():
        if dataset.name in {dataset_and_split(text, "")[0] for text in task.eval}:
            chosen = [name for name in task.metrics if name != OFFICIAL]
            break
    if not chosen:
        raise UserError(f"nobody says how {dataset.name} is scored: name a metric with --metric")
    user = Plugin("--metric", "the command line")
    chosen = [registry.metric_name(name, Path(), user) for name in chosen]
    metrics = [registry.metrics.get(name, "--metric") for name in dict.fromkeys(chosen)]
    for metric in metrics:
        metric.check_takes(dataset)
    return metrics


def read_predictions(path: Path, schema: Schema) -> dict[str, Any]:
    """Read a JSON object from row id to prediction, as the official scorers take it.

    Args:
        path: The file.
        schema: Says what type a prediction has.

    Returns:
        Predictions by id; an answer of ``null`` is as good as none, and is left out.

    Raises:
        UserError: The file cannot be read, is no such object, names an id twice, or a prediction has the wrong type.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            seen: set[str] = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise UserError(f"{path}: the id {twice!r:.60} stands twice")
        return values

    try:
        values = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=unique)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f'{path}: expected one object from id to prediction, {{"ID": ..., ...}}, not {_kind(values)}')
    predictions = {name: value for name, value in values.items() if value is not None}
    if not predictions:
        raise UserError(f"{path}: holds no prediction{f' (all {len(values)} are null)' if values else ''}")
    for name, value in predictions.items():
        if schema.prediction == "float64" and type(value) is int and abs(value) < 2**53:
            predictions[name] = value = float(value)
        wrong = value_error(value, schema.prediction) if schema.prediction else None
        if wrong is not None:
            raise UserError(f"{path}: the prediction for {name!r:.60}: {wrong}")
    return predictions


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null", bool: "true or false"}.get(type(value), "a number")


def score_predictions(
    predictions: Mapping[str, Any], rows: RowSet, metrics: Sequence[Metric], schema: Schema
) -> Scored:
    """Score predictions against a split's rows.

    Args:
        predictions: By row id.
        rows: The split.
        metrics: The first one's scores keep their names; of further scores of one name, each goes under its metric's.
        schema: The dataset's.

    Raises:
        UserError: No id fits, or rows are missing that a metric cannot do without.
    """
    opened = rows.open()
    ids = [row["id"] for row in opened]
    known = set(ids)
    missing = tuple(name for name in ids if name not in predictions)
    unknown = tuple(name for name in predictions if name not in known)
    where = f"{rows.dataset.name}, split {rows.split}"
    if len(missing) == len(ids):
        raise UserError(
            f"none of the {len(predictions)} ids is one of {where} (whose first is {ids[0]!r:.60}): is it another "
            "dataset or split?"
        )
    whole = [metric.name for metric in metrics if not metric.unanswered]
    if missing and whole:
        raise UserError(
            f"{len(missing)} of {len(ids)} rows of {where} have no prediction, such as {missing[0]!r:.60}, "
            f"and {whole[0]} scores whole sets only"
        )
    about = MetricContext(rows.dataset, opened)
    references = [schema.reference(row) for row in opened]
    scores = compute_scores(metrics, [predictions.get(name) for name in ids], references, about)
    return Scored(scores, len(ids), missing, unknown)


def compute_scores(
    metrics: Sequence[Metric], predictions: Sequence[Prediction], references: Sequence[Any], about: MetricContext
) -> dict[str, float | None]:
    """The scores of several metrics, under the names of `name_scores`.

    Args:
        metrics: In order.
        predictions: One a row.
        references: One a row.
        about: The rows and their dataset.

    Returns:
        None for a score that is not defined.
    """
    computed = [(metric.name, metric.compute(predictions, references, about)) for metric in metrics]
    return {name: finite(value) for name, value in name_scores(computed).items()}


def chance_scores(
    metrics: Sequence[Metric], references: Sequence[Any], about: MetricContext
) -> dict[str, float | None]:  # fmt: skip
    """What a prediction that knows nothing reaches, of the metrics that say so, under the names of `name_scores`.

    Args:
        metrics: In order.
        references: One a row.
        about: The rows and their dataset.
    """
    known = [(metric.name, metric.chance(references, about)) for metric in metrics if metric.chance is not None]
    return {name: finite(value) for name, value in name_scores(known).items() if ":" not in name}


def score_bounds(metrics: Sequence[Metric]) -> dict[str, list[float]]:
    """The lowest and the highest value of the scores that are means between two bounds, named as by `name_scores`.

    Args:
        metrics: In order.
    """
    known = [
        (metric.name, {name: [worst, metric.best[name]] for name, worst in metric.worst.items()}) for metric in metrics
    ]
    return {name: ends for name, ends in name_scores(known).items() if ":" not in name}


def name_scores(computed: Sequence[tuple[str, Mapping[str, Value]]]) -> dict[str, Value]:
    """What several metrics gave, in one mapping.

    Two scorers may both give an F1: the first one's is the F1, the others' go under their scorer's name (``mlqa:f1``).

    Args:
        computed: Scores by metric, in order.
    """
    named: dict[str, Value] = {}
    for metric, values in computed:
        for name, value in values.items():
            named[f"{metric}:{name}" if name in named else name] = value
    return named
