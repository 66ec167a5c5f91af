"""Exact vocabulary restriction: which rows are held and where."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xbench.models.vocabulary import full_vocabulary, restricted_vocabulary

USED = st.lists(st.booleans(), min_size=1, max_size=80).map(lambda values: np.asarray(values, np.bool_))


@given(USED, st.data())
def test_the_padding_id_keeps_its_place(used: np.ndarray, data: st.DataObject) -> None:
    pad = data.draw(st.integers(0, len(used) - 1))
    vocabulary = restricted_vocabulary(used, pad)
    assert vocabulary.ids[pad] == pad
    assert vocabulary.place[pad] == pad


@given(USED, st.data())
def test_places_and_ids_are_each_others_inverse(used: np.ndarray, data: st.DataObject) -> None:
    pad = data.draw(st.none() | st.integers(0, len(used) - 1))
    vocabulary = restricted_vocabulary(used, pad)
    assert len(vocabulary.place) == len(used)
    assert len(set(vocabulary.ids.tolist())) == len(vocabulary.ids)
    assert [vocabulary.place[id_] for id_ in vocabulary.ids] == list(range(len(vocabulary.ids)))
    others = np.setdiff1d(np.arange(len(used)), vocabulary.ids)
    assert (vocabulary.place[others] == -1).all()


@given(USED, st.data())
def test_every_used_id_is_held_and_no_other_but_padding(used: np.ndarray, data: st.DataObject) -> None:
    pad = data.draw(st.none() | st.integers(0, len(used) - 1))
    vocabulary = restricted_vocabulary(used, pad)
    wanted = set(np.flatnonzero(used).tolist()) | ({pad} if pad is not None else set())
    held = set(vocabulary.ids.tolist())
    assert wanted <= held
    assert held == wanted or vocabulary.full


@given(USED, st.data())
def test_the_table_is_whole_exactly_when_the_padding_id_lies_beyond_the_used_ids(
    used: np.ndarray, data: st.DataObject
) -> None:
    pad = data.draw(st.integers(0, len(used) - 1))
    vocabulary = restricted_vocabulary(used, pad)
    wanted = set(np.flatnonzero(used).tolist()) | {pad}
    assert vocabulary.full == (pad >= len(wanted) or len(wanted) == len(used))


@given(USED, st.data())
def test_the_other_ids_stay_in_ascending_order(used: np.ndarray, data: st.DataObject) -> None:
    """So that the same data always gives the same table, whatever order it was looked at in."""
    pad = data.draw(st.integers(0, len(used) - 1))
    ids = restricted_vocabulary(used, pad).ids
    assert (np.diff(ids[ids != pad]) > 0).all()


def test_a_padding_id_beyond_the_used_ids_falls_back_to_the_whole_table() -> None:
    used = np.zeros(100, np.bool_)
    used[[0, 2, 3, 50]] = True
    assert not restricted_vocabulary(used, 4).full
    assert restricted_vocabulary(used, 5).full
    np.testing.assert_array_equal(restricted_vocabulary(used, 4).ids, [0, 2, 3, 50, 4])


@given(st.integers(1, 500))
def test_the_whole_table_maps_each_id_to_itself(size: int) -> None:
    vocabulary = full_vocabulary(size)
    assert vocabulary.full
    np.testing.assert_array_equal(vocabulary.ids, np.arange(size))
    np.testing.assert_array_equal(vocabulary.place, np.arange(size))
