"""A well-formed row passes its schema, and any single corruption is named."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets.arrow_writer import ArrowWriter
from hypothesis import given
from hypothesis import strategies as st

from xbench.data.schemas import arrow_features, row_error, xbench_schemas
from xbench.types import Dataset, Schema

SCHEMAS = {schema.name: schema for schema in xbench_schemas()}
ASTRAL = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("𝒳😀𠮷é가ل\u200d\x85")), max_size=30)
LABELS = ("negative", "positive", "neutral")


def dataset(schema: str) -> Dataset:
    languages = ("en",) * SCHEMAS[schema].languages[0]
    return Dataset(
        "made-up", languages, schema, {}, "none", "none", "none", "none", labels=LABELS, score_range=(0.0, 5.0)
    )


@st.composite
def spans(draw: st.DrawFn) -> dict[str, Any]:
    """A context made of pieces, with some of the pieces as answers at their code points."""
    pieces = draw(st.lists(ASTRAL, min_size=1, max_size=6))
    starts = [sum(map(len, pieces[:at])) for at in range(len(pieces))]
    chosen = draw(st.lists(st.integers(0, len(pieces) - 1), max_size=3))
    answers = [{"text": pieces[at], "start": starts[at]} for at in chosen]
    return {"id": draw(ASTRAL), "context": "".join(pieces), "question": draw(ASTRAL), "answers": answers}


PAIR = {"id": ASTRAL, "sentence1": ASTRAL, "sentence2": ASTRAL}
ROWS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "pair-score": st.fixed_dictionaries({**PAIR, "score": st.floats(0, 5)}),
    "pair-label": st.fixed_dictionaries({**PAIR, "label": st.integers(0, 2)}),
    "text-label": st.fixed_dictionaries({"id": ASTRAL, "text": ASTRAL, "label": st.integers(0, 2)}),
    "span": spans(),
    "parallel": st.fixed_dictionaries(PAIR),
}
ANY_ROW = st.sampled_from(sorted(ROWS)).flatmap(lambda name: st.tuples(st.just(name), ROWS[name]))
WRONG: Mapping[type, list[Any]] = {
    str: [None, 3, 1.5, b"bytes", ["text"], {"text": "x"}],
    float: [None, "2.5", True, [1.0], math.nan, math.inf, -math.inf, np.float32(1.0)],
    int: [None, "1", True, 1.0, [1], np.int64(1)],
    list: [None, "text", {"text": "a", "start": 0}, ["text"], [{"text": "a"}], [None]],
}


def error(name: str, row: Mapping[str, Any]) -> str | None:
    return row_error(row, SCHEMAS[name], dataset(name))


def named(name: str, row: Mapping[str, Any]) -> str:
    """The error of a row that must have one, on one line."""
    message = error(name, row)
    assert message
    assert len(message.splitlines()) == 1
    return message


def test_the_schemas_of_the_design_are_there() -> None:
    assert set(SCHEMAS) == set(ROWS)


@given(ANY_ROW)
def test_a_well_formed_row_passes(case: tuple[str, dict[str, Any]]) -> None:
    assert error(*case) is None


@given(ANY_ROW, st.data())
def test_a_missing_field_is_named(case: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    name, row = case
    gone = data.draw(st.sampled_from(sorted(row)))
    del row[gone]
    before, after = named(name, row).split(";")
    assert gone in before
    assert gone not in after.replace("this row has", "").replace(" ", "").split(",")


@given(ANY_ROW, st.from_regex(r"[a-z]{3,8}_[a-z]{3,8}", fullmatch=True))
def test_an_extra_field_is_named(case: tuple[str, dict[str, Any]], extra: str) -> None:
    name, row = case
    assert extra in named(name, {**row, extra: "x"})


@given(ANY_ROW, st.data())
def test_a_value_of_another_type_is_named_with_its_field(case: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    name, row = case
    field = data.draw(st.sampled_from(sorted(row)))
    row[field] = data.draw(st.sampled_from(WRONG[type(row[field])]))
    assert named(name, row).startswith(f"{field}: ")


BROKEN_ANSWERS = [
    [{"text": "a"}],
    [{"start": 0}],
    [{"text": "a", "start": 0, "end": 1}],
    [{"text": "a", "start": 0.0}],
    [{"text": "a", "start": "0"}],
    [{"text": None, "start": 0}],
    [["a", 0]],
    [{"text": "a", "start": 0}, None],
]


@pytest.mark.parametrize("answers", BROKEN_ANSWERS)
def test_a_malformed_answer_is_named_wherever_it_is_broken(answers: list[Any]) -> None:
    row = {"id": "0", "context": "abc", "question": "?", "answers": answers}
    assert named("span", row).startswith("answers: ")


@given(ROWS["pair-score"], st.sampled_from([-1, 0, 3, 5]))
def test_a_whole_number_as_a_score_is_asked_to_be_a_float(row: dict[str, Any], score: int) -> None:
    message = named("pair-score", {**row, "score": score})
    assert message.startswith("score: ")
    assert "is not a number" not in message, "3 is a number; the message must say what kind is wanted"


@given(ROWS["pair-score"], st.one_of(st.floats(max_value=-1e-9), st.floats(min_value=5.000001)))
def test_a_score_out_of_range_is_named_with_the_range(row: dict[str, Any], score: float) -> None:
    message = named("pair-score", {**row, "score": score})
    assert str(score) in message
    if math.isfinite(score):
        assert "0.0 to 5.0" in message


@given(st.sampled_from(["pair-label", "text-label"]), st.data())
def test_a_label_out_of_range_is_named_with_the_range(name: str, data: st.DataObject) -> None:
    row = data.draw(ROWS[name])
    label = data.draw(st.sampled_from([-1, len(LABELS)]) | st.integers(max_value=-1) | st.integers(min_value=3))
    message = named(name, {**row, "label": label})
    assert str(label) in message
    assert "0 to 2" in message


@given(spans(), st.data())
def test_an_answer_that_is_not_at_its_offset_is_named(row: dict[str, Any], data: st.DataObject) -> None:
    row["context"] = row["context"] + "end"
    row["answers"].append({"text": "end", "start": len(row["context"]) - 3})
    broken = copy.deepcopy(row)
    answer = broken["answers"][-1]
    answer["start"] = data.draw(
        st.integers(-(2**40), 2**40).filter(lambda at: at < 0 or row["context"][at : at + 3] != "end")
    )
    assert error("span", row) is None
    assert f"code point {answer['start']} " in named("span", broken)


@given(st.text("😀𝒳𠮷", min_size=1, max_size=5), st.text("abc", min_size=1, max_size=5))
def test_answer_offsets_count_code_points_not_utf16_units_or_bytes(astral: str, answer: str) -> None:
    row = {"id": "0", "context": astral + answer, "question": "?"}
    assert error("span", {**row, "answers": [{"text": answer, "start": len(astral)}]}) is None
    for start in (len(astral.encode("utf-16-le")) // 2, len(astral.encode())):
        named("span", {**row, "answers": [{"text": answer, "start": start}]})


@given(spans(), st.integers(1, 2**70))
def test_an_empty_answer_beyond_its_context_is_named(row: dict[str, Any], beyond: int) -> None:
    row["answers"].append({"text": "", "start": len(row["context"]) + beyond})
    named("span", row)


def test_limits_that_a_dataset_does_not_declare_are_not_checked() -> None:
    free = Dataset("free", ("en",), "pair-score", {}, "none", "none", "none", "none")
    row = {"id": "0", "sentence1": "a", "sentence2": "b", "score": -99.5}
    assert row_error(row, SCHEMAS["pair-score"], free) is None


@given(data=st.data())
@pytest.mark.parametrize("name", sorted(ROWS))
def test_rows_come_back_from_arrow_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(ROWS[name], min_size=1, max_size=4))
    path = tmp_path_factory.mktemp("arrow") / "rows.arrow"
    assert read_back(path, SCHEMAS[name], rows) == rows


def read_back(path: Path, schema: Schema, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with ArrowWriter(path=str(path), features=arrow_features(schema)) as writer:
        for row in rows:
            writer.write(row)
        writer.finalize()
    return list(datasets.Dataset.from_file(str(path)))


def test_nested_fields_get_their_arrow_types() -> None:
    features = arrow_features(SCHEMAS["span"])
    assert features.arrow_schema.field("answers").type.value_type.field("start").type == "int64"
    assert arrow_features(SCHEMAS["pair-score"]).arrow_schema.field("score").type == "double"


@given(ROWS["span"])
def test_the_reference_of_a_span_row_is_its_answers_texts(row: dict[str, Any]) -> None:
    assert SCHEMAS["span"].reference(row) == [answer["text"] for answer in row["answers"]]


@pytest.mark.parametrize(("name", "field"), [("pair-score", "score"), ("pair-label", "label"), ("text-label", "label")])
def test_the_reference_of_a_labelled_row_is_its_gold_value(name: str, field: str) -> None:
    row = {"id": "0", "sentence1": "a", "sentence2": "b", "text": "c", field: 2}
    assert SCHEMAS[name].reference(row) == 2
