"""What several checks say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...data.schemas import value_error
from ...errors import UserError
from ...registry import Catalogue
from ...types import Row, Schema
from ..results import Problem

PLACEHOLDER = re.compile(r"\b(TODO|FIXME|TBD|XXX)\b")


def text_problems(kind: str, name: str, value: object, where: str, form: str) -> Iterator[Problem]:
    """A text that is missing, still a placeholder, or longer than a line."""
    if not isinstance(value, str) or not value.strip():
        yield Problem(f"the {kind} has no {name}", where, f"set {name}: {form}")
    elif PLACEHOLDER.search(value):
        yield Problem(f"the {kind}'s {name} is still a placeholder: {value!r:.80}", where, f"set {name}: {form}")
    elif "\n" in value:
        yield Problem(f"the {kind}'s {name} has more than one line", where, "write it in one line")


def unknown_names(catalogue: Catalogue[Any], names: Iterable[str], where: str) -> Iterator[Problem]:
    """Names that nobody declares."""
    for name in names:
        if name not in catalogue.owners:
            try:
                catalogue.get(name)
            except UserError as error:
                yield Problem(
                    str(error), where, f"name a {catalogue.kind} that is there, or declare it with {catalogue.hook}"
                )


def unversioned(kind: str, thing: Any, where: str) -> Iterator[Problem]:
    """A thing that does not say what it does, or in which version."""
    yield from text_problems(kind, "description", thing.description, where, "one line")
    if not isinstance(thing.version, int) or thing.version < 1:
        yield Problem(f"its version is {thing.version!r}", where, "begin with 1, and raise it when results change")


def prediction_problems(predictions: Any, rows: Sequence[Row], schema: Schema, where: str) -> Iterator[Problem]:
    """What is wrong with the predictions of rows.

    Args:
        predictions: As a head or a floor gave them.
        rows: The rows.
        schema: The rows'.
        where: Whose they are.
    """
    if not isinstance(predictions, Sequence) or isinstance(predictions, str):
        yield Problem(f"it gave {type(predictions).__name__} for {len(rows)} rows", where, "give a list, one a row")
        return
    if len(predictions) != len(rows):
        yield Problem(
            f"it gave {len(predictions)} predictions for {len(rows)} rows", where,
            "give one a row, in the rows' order; a row that is cut into windows has one as well",
        )  # fmt: skip
        return
    for index, prediction in enumerate(predictions):
        wrong = value_error(prediction, schema.prediction) if schema.prediction else _json_error(prediction)
        if wrong is not None:
            yield Problem(
                f"the prediction of row {index}: {wrong}", where,
                f"predictions of {schema.name} are {schema.prediction or 'what JSON can hold'}: numpy's numbers are "
                "no Python numbers, so wrap them in float(...) or int(...)",
            )  # fmt: skip
            return


def _json_error(value: Any) -> str | None:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        return f"{value!r:.60}: {error}"
    return None
