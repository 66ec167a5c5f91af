"""Content keys depend on the content alone, and on all of it."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xbench.keys import canonical, content_key, file_sha256, finite, row_line, rows_sha256, text_sha256

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=12)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
CONTENT = st.dictionaries(st.text(max_size=6), JSON, max_size=5)
ROW = st.fixed_dictionaries({"id": st.text(max_size=4), "text": st.text(max_size=12), "score": NUMBERS})
ROWS = st.lists(ROW, min_size=1, max_size=6)


def reversed_deep(value: Any) -> Any:
    """The same value with every mapping filled in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_deep(value[key]) for key in reversed(value)}
    return [reversed_deep(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_canonical_json_says_what_was_said(value: Any) -> None:
    assert json.loads(canonical(value)) == value


@given(JSON)
def test_the_order_of_keys_never_matters(value: Any) -> None:
    assert canonical(reversed_deep(value)) == canonical(value)


@given(JSON, JSON)
def test_different_values_have_different_canonical_forms(left: Any, right: Any) -> None:
    # repr tells 1, 1.0 and True apart, as the two forms must; sorting takes the order of keys away.
    def told_apart(value: Any) -> str:
        if isinstance(value, dict):
            return f"{{{sorted((key, told_apart(item)) for key, item in value.items())}}}"
        return repr([told_apart(item) for item in value]) if isinstance(value, list) else f"<{value!r}>"

    assert (canonical(left) == canonical(right)) == (told_apart(left) == told_apart(right))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_are_refused_at_any_depth(number: float) -> None:
    for value in (number, [1, number], {"a": {"b": [number]}}):
        with pytest.raises(ValueError, match="JSON"):
            canonical(value)


def test_a_key_is_the_same_on_every_machine_and_forever() -> None:
    """Pinned: a change here makes every cache and every published record a stranger."""
    row = {"id": "0", "sentence1": "훈련", "sentence2": "a\tb", "score": 2.5}
    line = '{"id":"0","score":2.5,"sentence1":"훈련","sentence2":"a\\tb"}\n'
    assert row_line(row) == line.encode()
    assert rows_sha256([row, row]) == hashlib.sha256(line.encode() * 2).hexdigest()


@given(CONTENT)
def test_keys_of_different_kinds_never_meet(content: dict[str, Any]) -> None:
    assert content_key("stage", content) != content_key("cell", content)


def test_a_content_that_names_a_kind_of_its_own_does_not_hide_the_kind() -> None:
    content = {"kind": "anything", "rows": 3}
    assert content_key("stage", content) != content_key("cell", content)
    assert content_key("stage", content) != content_key("stage", {**content, "kind": "stage"})


@given(CONTENT, st.text(max_size=6), JSON)
def test_every_part_of_the_content_is_in_the_key(content: dict[str, Any], name: str, value: Any) -> None:
    changed = {**content, name: value}
    assume(canonical(changed) != canonical(content))
    assert content_key("stage", changed) != content_key("stage", content)


@given(ROWS)
def test_a_row_is_itself_whatever_the_order_of_its_fields(rows: list[dict[str, Any]]) -> None:
    assert rows_sha256(map(reversed_deep, rows)) == rows_sha256(rows)


@given(ROWS, st.data())
def test_the_order_of_rows_is_part_of_their_identity(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    same = [row_line(row) for row in shuffled] == [row_line(row) for row in rows]
    assert (rows_sha256(shuffled) == rows_sha256(rows)) == same


@given(ROWS, st.data())
def test_every_value_of_every_row_is_part_of_their_identity(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(["id", "text", "score"]))
    value = data.draw(NUMBERS if name == "score" else st.text(max_size=12))
    assume(repr(value) != repr(rows[at][name]))
    changed = [*rows[:at], {**rows[at], name: value}, *rows[at + 1 :]]
    assert rows_sha256(changed) != rows_sha256(rows)


@given(ROWS)
def test_a_missing_or_doubled_row_is_noticed(rows: list[dict[str, Any]]) -> None:
    assert len({rows_sha256(rows), rows_sha256(rows[1:]), rows_sha256([*rows, rows[-1]])}) == 3


def test_a_text_that_holds_a_line_end_is_not_two_rows() -> None:
    assert rows_sha256([{"id": 'a"}\n{"id":"b'}]) != rows_sha256([{"id": "a"}, {"id": "b"}])


@pytest.mark.parametrize("size", [0, 1, 2**18, 2**18 + 7])
def test_a_file_has_the_checksum_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(index * 31 % 256 for index in range(size))
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_half_a_surrogate_pair_has_a_checksum_too() -> None:
    assert text_sha256("\ud800") != text_sha256("\ud801")


@pytest.mark.parametrize(
    ("score", "stored"), [(87.5, 87.5), (0, 0.0), (math.nan, None), (math.inf, None), (-math.inf, None)]
)
def test_an_undefined_score_is_stored_as_none(score: float, stored: float | None) -> None:
    assert finite(score) == stored
