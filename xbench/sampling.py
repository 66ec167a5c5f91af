"""Bootstrap draws of a cell's scores, made when it is scored and kept in its record.

The draws resample units: rows, or what a schema says that rows are clustered by. How often a unit is drawn depends on
nothing but who the rows are, so that two records over the same rows hold draws over the same resamples: their
difference, draw by draw, is a paired bootstrap, made from the records alone.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .keys import canonical
from .measures import Metric, MetricContext
from .scoring import name_scores
from .types import Prediction, Schema

Floats: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]
Sampler: TypeAlias = Callable[[Floats], Mapping[str, Floats]]
"""From how often each row is drawn, (draws, rows), to each score's draws, (draws,)."""

SCHEME = "pcg64/1"
"""Raised when the same rows would be drawn otherwise."""
DRAWS = 1000
NUMBERS_AT_ONCE = 4_000_000
"""Draws go through a metric some at a time: so many numbers of weights, 32 MB of them."""
STEPS = 32_767
"""A draw is kept as its distance from the score in so many steps each way: 16 bits a draw."""


class Units:
    """What is drawn: each row's unit, and who the rows are.

    Args:
        rows: The evaluation rows.
        schema: Says what clusters them.

    Attributes:
        count: How many units there are.
        of_row: (rows,) The number of each row's unit.
        sha256: Over the rows' ids and units: the same rows, in the same clusters, and no others.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], schema: Schema) -> None:
        numbers: dict[str, int] = {}
        digest = hashlib.sha256()
        places = np.empty(len(rows), np.int64)
        for place, row in enumerate(rows):
            name = row["id"] if schema.cluster is None else schema.cluster(row)
            places[place] = number = numbers.setdefault(name, len(numbers))
            digest.update(f"{canonical(row['id'])}\t{number}\n".encode("utf-8", "surrogatepass"))
        self.count, self.of_row, self.sha256 = len(numbers), places, digest.hexdigest()

    def weights(self, draws: int) -> Iterator[Floats]:
        """How often each row is drawn.

        Args:
            draws: How many resamples.

        Yields:
            (some draws, rows), until all are there.
        """
        at_once = max(1, NUMBERS_AT_ONCE // max(1, len(self.of_row), self.count))
        source = np.random.PCG64(int(self.sha256[:16], 16))
        for start in range(0, draws, at_once):
            counts = np.stack([_counts(source, self.count) for _ in range(min(at_once, draws - start))])
            yield counts[:, self.of_row].astype(np.float64)  # (some draws, rows)


def _counts(source: np.random.PCG64, units: int) -> Whole:
    """(units,) How often each of them is drawn in ``units`` draws.

    Raw bits alone: numpy promises them for ever, and its distributions only for a version.
    """
    high = source.random_raw(units).astype(np.uint64) >> np.uint64(32)
    drawn = (high * np.uint64(units)) >> np.uint64(32)
    return np.bincount(drawn.astype(np.int64), minlength=units)


def sample_scores(
    metrics: Sequence[Metric], predictions: Sequence[Prediction], references: Sequence[Any], about: MetricContext,
    schema: Schema, scores: Mapping[str, float | None],
) -> dict[str, Any]:  # fmt: skip
    """Draw the scores of a cell.

    Args:
        metrics: In the cell's order.
        predictions: One a row.
        references: One a row.
        about: The rows and their dataset.
        schema: The dataset's.
        scores: What the metrics gave for the rows themselves.

    Returns:
        What a record holds as ``sampling``. A second opinion (``mlqa:f1``) and a score that is not defined, or not
        defined in more than half of the draws, are left out.
    """
    units = Units(about.rows, schema)
    samplers = [(metric.name, sampler_of(metric, predictions, references, about)) for metric in metrics]
    found: dict[str, list[Floats]] = {}
    for weights in units.weights(DRAWS):
        for name, values in name_scores([(name, sampler(weights)) for name, sampler in samplers]).items():
            found.setdefault(name, []).append(values)
    kept = {}
    for name, parts in found.items():
        draws, score = np.concatenate(parts), scores.get(name)  # (draws,)
        if score is not None and ":" not in name and np.isfinite(draws).mean() > 0.5:
            kept[name] = _encode(draws, score)
    return {
        "scheme": SCHEME, "unit": schema.unit, "units": units.count, "units_sha256": units.sha256, "draws": DRAWS,
        "scores": kept,
    }  # fmt: skip


def sampler_of(
    metric: Metric, predictions: Sequence[Prediction], references: Sequence[Any], about: MetricContext
) -> Sampler:
    """A function from how often each row is drawn to a metric's scores.

    Args:
        metric: With or without a ``resample`` of its own; without, only whole numbers of draws.
        predictions: One a row.
        references: One a row.
        about: The rows and their dataset.
    """
    if metric.resample is not None:
        return metric.resample(predictions, references, about)

    def computed(weights: Floats) -> Mapping[str, Floats]:
        """A metric that says nothing of weights is computed over the rows as often as they are drawn."""
        scores: dict[str, list[float]] = {}
        for one in weights.astype(np.int64):
            places = np.repeat(np.arange(len(one)), one).tolist()  # (rows drawn,)
            drawn = replace(about, rows=[about.rows[place] for place in places])
            values = metric.compute(
                [predictions[place] for place in places], [references[place] for place in places], drawn
            )
            for name, value in values.items():
                scores.setdefault(name, []).append(value)
        return {name: np.asarray(values, np.float64) for name, values in scores.items()}

    return computed


def resample_means(values: Mapping[str, npt.ArrayLike]) -> Sampler:
    """What `Metric.resample` gives where a score is the mean of a number a row.

    Args:
        values: (rows,) By score.
    """
    names = list(values)
    table = np.stack([np.asarray(values[name], np.float64) for name in names], axis=1)  # (rows, scores)

    def sampler(weights: Floats) -> Mapping[str, Floats]:
        means = weights @ table / weights.sum(1, keepdims=True)  # (draws, scores)
        return {name: means[:, place] for place, name in enumerate(names)}

    return sampler


def _encode(draws: Floats, score: float) -> dict[str, Any]:
    """Sixteen bits a draw; the lowest number stands for a draw in which the score is not defined."""
    apart = draws - score
    scale = float(np.nanmax(np.abs(apart))) / STEPS
    steps = np.zeros(len(draws), "<i2") if scale == 0 else np.nan_to_num(np.rint(apart / scale), nan=-STEPS - 1)
    return {"scale": scale, "data": base64.b64encode(steps.astype("<i2").tobytes()).decode()}


def draws_of(record: Mapping[str, Any], score: str) -> Floats | None:
    """The draws of one of a record's scores.

    Args:
        record: With or without draws.
        score: Its name.

    Returns:
        (draws,) in the score's units, NaN where it was not defined; None where the record holds none.
    """
    sampling, value = record.get("sampling"), record["scores"].get(score)
    kept = sampling["scores"].get(score) if sampling else None
    if sampling is None or kept is None or value is None or not math.isfinite(kept["scale"]):
        return None
    steps = np.frombuffer(base64.b64decode(kept["data"], validate=True), "<i2").astype(np.float64)
    if len(steps) != sampling["draws"]:
        return None
    return np.where(steps < -STEPS, np.nan, value + steps * kept["scale"])


def sample_of(record: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Which resamples of which rows a record's draws are over; None where it holds none.

    Args:
        record: With or without draws.
    """
    sampling = record.get("sampling")
    if not sampling:
        return None
    names = ("scheme", "unit", "units", "units_sha256", "draws")
    return (record["eval"]["rows_sha256"], *(sampling[name] for name in names))


def same_sample(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two records hold draws over the same resamples of the same rows: they can be compared in pairs.

    Args:
        first: A record.
        second: Another.
    """
    one = sample_of(first)
    return one is not None and one == sample_of(second)
