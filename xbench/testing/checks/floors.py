"""Checks of floors: what they say of rows has the form of what heads say."""

from __future__ import annotations

from collections.abc import Iterator

from ...types import Floor
from ..results import NotCheckedError, Problem
from ..shelf import schema_of
from ..subject import Subject
from .common import prediction_problems

ROWS = 24


def check_floor_predicts(about: Subject, floor: Floor) -> Iterator[Problem]:
    """It gives one prediction a row, in the form that its schema wants."""
    where, looked = about.plugin.where("floor", floor), False
    for name in floor.schemas:
        found = next(about.shelf.some(about.shelf.of_schemas([name]), ROWS), None)
        if found is None:
            continue
        (dataset, rows), looked = found, True
        schema = schema_of(dataset, about.plugin.registry)
        try:
            predictions = floor.predict(rows, dataset)
        except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything
            yield about.stumbled(error, f"predicting {len(rows)} rows of {dataset.name}", where)
            continue
        yield from prediction_problems(predictions, rows, schema, f"{where}, on {dataset.name}")
    if not looked:
        raise NotCheckedError(f"no rows of {', '.join(floor.schemas)} are here")
