"""The schemas that come with xbench, checking a row against its schema, and Arrow types from a schema."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..hookspecs import hookimpl
from ..types import Dataset, Prediction, Row, Schema

if TYPE_CHECKING:
    from datasets import Features

_TYPES: Mapping[str, tuple[type, str]] = {
    "string": (str, "a text"),
    "float64": (float, "a float"),
    "int64": (int, "a whole number"),
}


def row_error(row: Row, schema: Schema, dataset: Dataset) -> str | None:
    """Check one row.

    Args:
        row: The row.
        schema: Its dataset's schema.
        dataset: For limits such as the score range.

    Returns:
        What is wrong with it, or None.
    """
    missing, unknown = schema.fields.keys() - row.keys(), row.keys() - schema.fields.keys()
    if missing or unknown:
        return f"the fields of {schema.name} are {', '.join(schema.fields)}; this row has {', '.join(row)}"
    for name, spec in schema.fields.items():
        if (error := value_error(row[name], spec)) is not None:
            return f"{name}: {error}"
    return schema.check(row, dataset)


def value_error(value: Any, spec: Any) -> str | None:
    """Check one value against the type of a field.

    Args:
        value: The value.
        spec: A type as `Schema.fields` has it.

    Returns:
        What is wrong with it, or None.
    """
    if isinstance(spec, str):
        kind, words = _TYPES[spec]
        fits = type(value) is kind and not (isinstance(value, float) and not math.isfinite(value))
        if fits and isinstance(value, str) and not _is_unicode(value):
            return f"{value!r:.60} holds half a surrogate pair, which no UTF-8 text can"
        return None if fits else f"{value!r:.60} is not {words}"
    if isinstance(spec, Mapping):
        if not isinstance(value, Mapping) or value.keys() != spec.keys():
            return f"{value!r:.60} does not have the fields {', '.join(spec)}"
        errors = (value_error(value[name], inner) for name, inner in spec.items())
    else:
        if not isinstance(value, (list, tuple)):
            return f"{value!r:.60} is not a list"
        errors = (value_error(item, spec[0]) for item in value)
    return next((error for error in errors if error), None)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def arrow_features(schema: Schema) -> Features:
    """The Arrow types of a schema's rows."""
    from datasets import Features, List, Value

    def convert(spec: Any) -> Any:
        if isinstance(spec, str):
            return Value(spec)
        if isinstance(spec, Mapping):
            return {name: convert(inner) for name, inner in spec.items()}
        return List(convert(spec[0]))

    return Features({name: convert(spec) for name, spec in schema.fields.items()})


def _score_in_range(row: Row, dataset: Dataset) -> str | None:
    if dataset.score_range is None:
        return None
    low, high = dataset.score_range
    return None if low <= row["score"] <= high else f"score {row['score']} lies outside {low} to {high}"


def _label_known(row: Row, dataset: Dataset) -> str | None:
    count = len(dataset.labels)
    return None if 0 <= row["label"] < count else f"label {row['label']} is not one of 0 to {count - 1}"


def _answers_fit(row: Row, dataset: Dataset) -> str | None:
    for answer in row["answers"]:
        start, text = answer["start"], answer["text"]
        if not 0 <= start <= len(row["context"]) or row["context"][start : start + len(text)] != text:
            return f"answer {text!r:.40} does not stand at code point {start} of its context"
    return None


def _found_by_all(rows: Sequence[Row]) -> Sequence[Prediction]:
    """Of parallel sentences: each translation has its sentence's vector, at right angles to all others."""
    import numpy as np

    from ..heads.parallel import parallel_predictions

    apart = np.eye(len(rows), dtype=np.float32)
    return parallel_predictions(apart, apart)


@hookimpl
def xbench_schemas() -> Iterable[Schema]:
    """The five schemas of the paper's tasks."""
    pair = {"id": "string", "sentence1": "string", "sentence2": "string"}
    both = ("sentence1", "sentence2")
    answer = {"text": "string", "start": "int64"}
    return [
        Schema(
            "pair-score",
            {**pair, "score": "float64"},
            lambda row: row["score"],
            (1, 2),
            _score_in_range,
            "float64",
            both,
        ),
        Schema("pair-label", {**pair, "label": "int64"}, lambda row: row["label"], (1, 2), _label_known, "int64", both),
        Schema(
            "text-label",
            {"id": "string", "text": "string", "label": "int64"},
            lambda row: row["label"],
            (1,),
            _label_known,
            "int64",
            ("text",),
        ),
        Schema(
            "span",
            {"id": "string", "context": "string", "question": "string", "answers": [answer]},
            lambda row: [answer["text"] for answer in row["answers"]],
            (1, 2),
            _answers_fit,
            "string",
            ("context", "question"),
            cluster=lambda row: str(row["context"]),
            unit="passage",
        ),
        Schema("parallel", pair, lambda row: row["sentence2"], (2,), texts=both, perfect=_found_by_all),
    ]
