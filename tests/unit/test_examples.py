"""Tokenised examples on the disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.errors import UserError
from xbench.recipe import Recipe
from xbench.training.examples import ROWS_AT_ONCE, ExampleTable, build_examples
from xbench.types import Example, Head, HeadContext, Row, Tokens

CONTEXT = HeadContext(Recipe())
IDS = st.integers(0, 2**31 - 1)
FLOATS = st.floats(width=32, allow_nan=False)


def head_of(examples: Callable[[Sequence[Row], int], Iterator[Example]]) -> Head:
    """A head that only makes examples."""

    def unused(*_: Any) -> Any:
        raise AssertionError("nobody asked for it")

    return Head("h", 1, (), "", lambda rows, first, tokenizer, context: examples(rows, first), unused, unused)


def built(examples: Sequence[Example], folder: Path) -> ExampleTable:
    rows: list[Row] = [{"index": index} for index in range(len(examples))]
    head = head_of(lambda some, first: (examples[row["index"]] for row in some))
    return build_examples(folder, rows, head, None, CONTEXT)  # type: ignore[arg-type]  # the head needs no tokenizer


@st.composite
def example_lists(draw: st.DrawFn) -> list[Example]:
    """Ragged examples that agree in what a head keeps alike: sequences, numbers, segment ids and extras."""
    sequences, numbers, with_types = draw(st.integers(1, 3)), draw(st.integers(0, 3)), draw(st.booleans())
    names = draw(st.lists(st.sampled_from(["offsets", "ids", "spans"]), unique=True))

    def tokens() -> Tokens:
        ids = draw(st.lists(IDS, min_size=1, max_size=9))
        size = len(ids)
        return Tokens(ids, draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)) if with_types else None)

    return [
        Example(
            draw(st.integers(0, 2**40)),
            tuple(tokens() for _ in range(sequences)),
            tuple(draw(st.lists(FLOATS, min_size=numbers, max_size=numbers))),
            draw(st.booleans()),
            {name: draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5)) for name in names},
        )
        for _ in range(draw(st.integers(1, 8)))
    ]


@given(example_lists())
def test_examples_come_back_as_they_were(examples: list[Example]) -> None:
    with TemporaryDirectory() as folder:
        table = built(examples, Path(folder) / "table")
        extra = table.extra()
        assert (table.count, table.sequences) == (len(examples), len(examples[0].sequences))
        assert extra.keys() == examples[0].extra.keys()
        for index, example in enumerate(examples):
            assert table.row_of[index] == example.row
            assert table.truncated[index] == example.truncated
            np.testing.assert_array_equal(table.targets[index], np.asarray(example.target, np.float32))
            assert table.lengths[index].tolist() == [len(tokens.ids) for tokens in example.sequences]
            for name, values in example.extra.items():
                assert extra[name][index].tolist() == list(values)
            ids, mask, types = table.pad(np.array([index]), _Same(), 7)  # type: ignore[arg-type]
            for at, tokens in enumerate(example.sequences):
                real = mask[at] == 1
                assert ids[at][real].tolist() == list(tokens.ids)
                assert (types is None) == (tokens.types is None)
                if types is not None:
                    assert types[at][real].tolist() == list(tokens.types or ())


class _Same:
    """A place for every id that an example may hold: its own. A real array of 2**31 places would not fit."""

    def __getitem__(self, ids: np.ndarray) -> np.ndarray:
        return ids


def test_pad_lays_first_sequences_before_second_ones(tmp_path: Path) -> None:
    def pair(first: list[int], second: list[int]) -> tuple[Tokens, Tokens]:
        return Tokens(first, [0] * len(first)), Tokens(second, [1] * len(second))

    sequences = [pair([5, 6], [7]), pair([8], [5, 7, 9]), pair([9, 9], [6, 6])]
    table = built([Example(i, pair_, (0.0,)) for i, pair_ in enumerate(sequences)], tmp_path / "table")
    place = np.array([-1, 1, -1, -1, -1, 0, 2, 3, 4, 5], np.int32)
    ids, mask, types = table.pad(np.array([1, 0]), place, pad_id=1)
    assert ids.tolist() == [[4, 1, 1], [0, 2, 1], [0, 3, 5], [3, 1, 1]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert types is not None
    assert types.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0]]


def test_used_ids_are_marked_and_no_others(tmp_path: Path) -> None:
    table = built(
        [Example(0, (Tokens([3, 5]), Tokens([5])), ()), Example(1, (Tokens([9]), Tokens([0])), ())], tmp_path / "t"
    )
    used = np.zeros(12, np.bool_)
    used[11] = True
    table.mark_used(used)
    assert np.flatnonzero(used).tolist() == [0, 3, 5, 9, 11]


def test_a_table_is_found_again_and_not_built_again(tmp_path: Path) -> None:
    built([Example(0, (Tokens([3]),), (1.5,))], tmp_path / "table")

    def never(rows: Sequence[Row], first: int) -> Iterator[Example]:
        raise AssertionError("tokenised twice")

    again = build_examples(tmp_path / "table", [{}], head_of(never), None, CONTEXT)  # type: ignore[arg-type]
    assert again.targets.tolist() == [[1.5]]


@pytest.mark.parametrize("damage", ["meta.json", "ids.bin", "targets.bin"])
def test_a_table_that_lost_a_file_is_built_again(tmp_path: Path, damage: str) -> None:
    examples = [Example(index, (Tokens([3, index]),), (1.5,)) for index in range(5)]
    built(examples, tmp_path / "table")
    (tmp_path / "table" / damage).unlink()
    assert built(examples, tmp_path / "table").count == 5


def test_a_table_that_was_cut_short_is_built_again(tmp_path: Path) -> None:
    examples = [Example(index, (Tokens([3, index]),), (1.5,)) for index in range(5)]
    built(examples, tmp_path / "table")
    path = tmp_path / "table" / "ids.bin"
    path.write_bytes(path.read_bytes()[:-8])
    ids, _, _ = built(examples, tmp_path / "table").pad(np.array([4]), np.arange(9, dtype=np.int32), 1)
    assert ids.tolist() == [[3, 4]]


def test_a_head_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def half(rows: Sequence[Row], first: int) -> Iterator[Example]:
        yield Example(0, (Tokens([3]),), ())
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        build_examples(tmp_path / "table", [{}], head_of(half), None, CONTEXT)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_head_without_any_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no example of 2 rows"):
        build_examples(tmp_path / "table", [{}, {}], head_of(lambda *_: iter(())), None, CONTEXT)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_large_columns_are_memory_mapped(tmp_path: Path) -> None:
    table = built([Example(index, (Tokens([index]),), (0.5,)) for index in range(9)], tmp_path / "table")
    for column in (table._ids, table.row_of, table.targets):
        base: Any = column
        while not isinstance(base, np.memmap) and base is not None:
            base = base.base
        assert isinstance(base, np.memmap)
        assert not column.flags.writeable


def test_a_head_sees_the_rows_in_pieces_with_their_first_index(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def examples(rows: Sequence[Row], first: int) -> Iterator[Example]:
        seen.append((first, len(rows)))
        for index, row in enumerate(rows):
            assert row["index"] == first + index
            yield Example(first + index, (Tokens([1]),), ())

    rows = [{"index": index} for index in range(2 * ROWS_AT_ONCE + 3)]
    table = build_examples(tmp_path / "table", rows, head_of(examples), None, CONTEXT)  # type: ignore[arg-type]
    assert seen == [(0, ROWS_AT_ONCE), (ROWS_AT_ONCE, ROWS_AT_ONCE), (2 * ROWS_AT_ONCE, 3)]
    np.testing.assert_array_equal(table.row_of, np.arange(len(rows)))


def test_a_row_may_give_many_examples_and_another_none(tmp_path: Path) -> None:
    examples = {0: 3, 1: 0, 2: 1}
    head = head_of(lambda rows, first: (Example(i, (Tokens([i]),), ()) for i in examples for _ in range(examples[i])))
    table = build_examples(tmp_path / "table", [{}] * 3, head, None, CONTEXT)  # type: ignore[arg-type]
    assert table.row_of.tolist() == [0, 0, 0, 2]


def test_an_example_unlike_the_first_is_refused(tmp_path: Path) -> None:
    """Else the flat columns would be read at the wrong places."""
    good = Example(0, (Tokens([3, 4], [0, 1]),), (1.0,))
    for name, bad in {
        "sequences": dataclasses.replace(good, sequences=good.sequences * 2),
        "types": dataclasses.replace(good, sequences=(Tokens([3, 4]),)),
        "half-types": dataclasses.replace(good, sequences=(Tokens([3, 4], [0]),)),
        "target": dataclasses.replace(good, target=(1.0, 2.0)),
    }.items():
        with pytest.raises(Exception, match=r"."):  # the table may be refused as it is built or opened
            built([good, bad], tmp_path / name).pad(np.array([0, 1]), np.arange(9, dtype=np.int32), 1)
