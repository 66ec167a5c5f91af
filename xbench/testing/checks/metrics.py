"""Checks of metrics: the best is reached, order does not matter, draws agree with the scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from ...measures import Metric, MetricContext
from ...types import Dataset, Prediction, Row
from ..results import NotCheckedError, Problem
from ..shelf import perfect_predictions, schema_of
from ..subject import Subject
from .common import unknown_names, unversioned

ROWS = 48
CLOSE = 1e-6
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Sheet:
    """Rows with predictions to score."""

    dataset: Dataset
    rows: Sequence[Row]
    references: Sequence[Any]
    predictions: Sequence[Prediction]

    def taken(self, places: Sequence[int]) -> Sheet:
        """Some of the rows, in some order."""
        parts = ([column[place] for place in places] for column in (self.rows, self.references, self.predictions))
        return Sheet(self.dataset, *parts)

    def of(self, predictions: Sequence[Prediction]) -> Sheet:
        """The same rows with other predictions."""
        return Sheet(self.dataset, self.rows, self.references, predictions)

    def arguments(self) -> tuple[Sequence[Prediction], Sequence[Any], MetricContext]:
        """What a metric takes."""
        return self.predictions, self.references, MetricContext(self.dataset, self.rows)

    def score(self, metric: Metric) -> dict[str, float]:
        """The metric's scores."""
        return {name: float(value) for name, value in metric.compute(*self.arguments()).items()}

    @property
    def flawed(self) -> Sheet:
        """A third of the predictions are another row's, of one that says something else as often as can be."""
        count, said = len(self.rows), self.predictions

        def moved(by: int) -> list[Prediction]:
            return [said[(place + by) % count if place % 3 == 0 else place] for place in range(count)]

        def changed(by: int) -> int:
            return sum(one != other for one, other in zip(moved(by), said, strict=True))

        return self.of(moved(max(range(1, count), key=changed)))


def _sheets(about: Subject, metric: Metric) -> Iterator[Sheet]:
    """Perfect predictions on rows of a dataset of each schema that the metric takes.

    Raises:
        NotCheckedError: No rows are here that it takes.
    """
    candidates = [*about.shelf.scored_by(metric.name), *about.shelf.of_schemas(metric.schemas)]
    candidates = [one for one in candidates if not metric.schemas or one.schema in metric.schemas]
    done: set[str] = set()
    why = f"no rows for the metric {metric.name} are here"
    for dataset, rows in about.shelf.some(candidates, ROWS):
        if dataset.schema in done or len(rows) < 2:
            continue
        schema = schema_of(dataset, about.plugin.registry)
        sheet = Sheet(
            dataset, rows, [schema.reference(row) for row in rows], perfect_predictions(schema, rows)
        )  # fmt: skip
        try:
            metric.compute(*sheet.arguments())
        except UserError as error:  # such as a language that it does not know
            why = str(error)
            continue
        except Exception:  # noqa: BLE001, S110  # the check that asked will meet it too, and says so
            pass
        done.add(dataset.schema)
        yield sheet
    if not done:
        raise NotCheckedError(why)


def _differ(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) != math.isnan(other)
    return not math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)


def check_metric(about: Subject, metric: Metric) -> Iterator[Problem]:
    """Its bounds and titles name its scores, the worst lies below the best, and the rest is well formed."""
    where = about.plugin.where("metric", metric)
    yield from unversioned("metric", metric, where)
    yield from unknown_names(about.plugin.registry.schemas, metric.schemas, where)
    for name, worst in metric.worst.items():
        if name not in metric.best:
            yield Problem(
                f"`worst` names {name!r}, and `best` does not", where, f"say in `best` what a perfect {name} is"
            )
        elif not worst < metric.best[name]:
            yield Problem(f"the worst {name}, {worst}, is not below the best, {metric.best[name]}", where, "swap them")
    sheet = next(_sheets(about, metric))
    scores = sheet.flawed.score(metric)
    chance = {} if metric.chance is None else metric.chance(*sheet.arguments()[1:])
    for place, names in (("best", metric.best), ("titles", metric.titles), ("chance", chance)):
        for name in names:
            if name not in scores:
                yield Problem(
                    f"`{place}` names {name!r}, and its scores are {', '.join(scores) or 'none'}", where,
                    "write the names that `compute` gives",
                )  # fmt: skip
    for name, value in chance.items():
        if name in metric.best and not value <= metric.best[name]:
            yield Problem(f"`chance` gives {name} = {value}, above the best, {metric.best[name]}", where, "correct it")


def check_best(about: Subject, metric: Metric) -> Iterator[Problem]:
    """Perfect predictions score what `best` says."""
    missed: list[list[Problem]] = []
    for sheet in _sheets(about, metric):
        scores = sheet.score(metric)
        missed.append([
            Problem(
                f"perfect predictions of {len(sheet.rows)} rows of {sheet.dataset.name} score "
                f"{name} = {scores.get(name, math.nan):.6g}, and `best` says {best:.6g}",
                about.plugin.where("metric", metric),
                "see that `compute` reads predictions in the form in which heads give them, in the field's units (such "
                "as x100), or correct `best`",
            )
            for name, best in metric.best.items() if _differ(scores.get(name, math.nan), best)
        ])  # fmt: skip
    # What cannot be compared, such as a mean cosine, is best for some rows only: it asks nothing of the gold answers.
    if metric.comparable or all(missed):
        for problems in missed:
            yield from problems


def check_order(about: Subject, metric: Metric) -> Iterator[Problem]:
    """The order of the rows does not change its scores."""
    for sheet in _sheets(about, metric):
        flawed, count = sheet.flawed, len(sheet.rows)
        step = next(step for step in range(count // 2 + 1, 2 * count) if math.gcd(step, count) == 1)
        one, other = flawed.score(metric), flawed.taken([place * step % count for place in range(count)]).score(metric)
        for name, value in one.items():
            if _differ(value, other.get(name, math.nan)):
                yield Problem(
                    f"{name} is {value:.6g}, and {other.get(name, math.nan):.6g} with the same rows of "
                    f"{sheet.dataset.name} in another order", about.plugin.where("metric", metric),
                    "score each row by what it holds; where ties are broken, break them by more than the place",
                )  # fmt: skip


def check_resample(about: Subject, metric: Metric) -> Iterator[Problem]:
    """`resample` gives what `compute` gives: of all rows once, and of rows drawn more often or never."""
    import numpy as np

    for sheet in _sheets(about, metric):
        flawed, count = sheet.flawed, len(sheet.rows)
        drawn = [1] * count, [2 if place % 3 == 0 else place % 2 for place in range(count)]
        assert metric.resample is not None
        sampler = metric.resample(*flawed.arguments())
        found = {name: np.asarray(value, np.float64) for name, value in sampler(np.array(drawn, np.float64)).items()}
        for row, times in enumerate(drawn):
            wanted = flawed.taken([place for place in range(count) for _ in range(times[place])]).score(metric)
            for name, value in wanted.items():
                got = found.get(name, np.full(2, np.nan))
                if got.shape != (2,) or _differ(float(got[row]), value):
                    shape = f"{float(got[row]):.6g}" if got.shape == (2,) else f"of shape {got.shape}"
                    what = "all rows once" if not row else "rows drawn 0, 1 or 2 times"
                    yield Problem(
                        f"{name} of {what} ({sheet.dataset.name}): `resample` gives {shape}, `compute` {value:.6g}",
                        about.plugin.where("metric", metric),
                        "give a function from weights (draws, rows) to each score's draws (draws,); `resample_means` "
                        "does it for means",
                    )  # fmt: skip


def check_unanswered(about: Subject, metric: Metric) -> Iterator[Problem]:
    """Where it takes rows that were not answered, these cost score and raise nothing."""
    for sheet in _sheets(about, metric):
        left = sheet.of([None if place == 0 else one for place, one in enumerate(sheet.predictions)])
        where = about.plugin.where("metric", metric)
        try:
            scores = left.score(metric)
            if metric.resample is not None:
                import numpy as np

                metric.resample(*left.arguments())(np.ones((1, len(left.rows))))
        except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything
            yield about.stumbled(error, "scoring a prediction of None, which `unanswered` allows", where)
            continue
        for name, best in metric.best.items():
            left_with = scores.get(name, math.nan)
            if not left_with < best:
                yield Problem(
                    f"with a row not answered, {name} is {left_with:.6g}: no less than the best", where,
                    "give a row without a prediction the worst score",
                )  # fmt: skip
