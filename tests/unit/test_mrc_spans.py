"""The best span is the one that trying them all finds, however the windows are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.mrc import spans
from xbench_plugins.mrc.heads import HEADS
from xbench_plugins.mrc.spans import best_spans, decode_spans

from xbench.recipe import build_recipe
from xbench.types import Dataset, Decoding, HeadContext, Row

INFINITY = float("inf")
DATASET = Dataset("made-up", ("en",), "span", {}, "CC0", "nobody", "", "")
CONTEXT = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Window:
    """Logits of start and end, and the tokens that they are of.

    Attributes:
        logits: (2, length)
        starts: Where each passage token's text begins.
        ends: And where it ends.
        offset: The position of the first of them.
    """

    logits: Sequence[Sequence[float]]
    starts: Sequence[int]
    ends: Sequence[int]
    offset: int = 0

    def scores(self, limit: int) -> dict[tuple[int, int], float]:
        """The score of every span of tokens that may be an answer, in the order in which ties are settled."""
        found = {}
        for first, start in enumerate(self.starts):
            for last, end in enumerate(self.ends):
                usable = start < self.ends[first] and self.starts[last] < end
                if usable and first <= last and end - start <= limit:
                    at = np.float64(self.logits[0][self.offset + first]), np.float64(self.logits[1][self.offset + last])
                    found[first, last] = float(sum(at))
        return found

    def best(self, limit: int) -> tuple[float, tuple[int, int] | None]:
        """The best span by trying them all, and the code points where it begins and ends."""
        best, where = -INFINITY, None
        for (first, last), score in self.scores(limit).items():
            if score > best:
                best, where = score, (self.starts[first], self.ends[last])
        return best, where


def search(windows: Sequence[Window], limit: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    return best_spans(
        [np.asarray(window.logits, np.float32).reshape(2, -1) for window in windows],
        [np.asarray(window.starts, np.int32) for window in windows],
        [np.asarray(window.ends, np.int32) for window in windows],
        [np.array([window.offset], np.int32) for window in windows],
        limit,
    )


def decode(windows: Sequence[Window], row_of: Sequence[int], contexts: Sequence[str], limit: int = 160) -> list[str]:
    rows: list[Row] = [
        {"id": str(at), "context": text, "question": "q", "answers": []} for at, text in enumerate(contexts)
    ]
    recipe = build_recipe({"max_answer_chars": limit}, "test", HEADS[0].options)
    outputs = [np.asarray(window.logits, np.float32).reshape(2, -1) for window in windows]
    extra = {
        "starts": [np.asarray(window.starts, np.int32) for window in windows],
        "ends": [np.asarray(window.ends, np.int32) for window in windows],
        "offset": [np.array([window.offset], np.int32) for window in windows],
    }
    about = HeadContext(recipe)
    return decode_spans(Decoding(rows, np.array(row_of, np.int64), outputs, extra, about, "default", DATASET))


def expected_texts(windows: Sequence[Window], row_of: Sequence[int], contexts: Sequence[str], limit: int) -> list[str]:
    """Over all windows of a question; the first of equal ones."""
    texts = []
    for index, context in enumerate(contexts):
        best, text = -INFINITY, ""
        for window, row in zip(windows, row_of, strict=True):
            score, where = window.best(limit)
            if row == index and where is not None and score > best:
                best, text = score, context[slice(*where)]
        texts.append(text)
    return texts


# Few values, so that they tie; minus infinity is what padding has.
LOGITS = st.sampled_from([-INFINITY, -3.0, -1.5, 0.0, 0.25, 0.5, 1.0, 7.0])
ROUGH = st.floats(-30, 30, width=32)
LIMITS = st.one_of(st.integers(1, 12), st.sampled_from([40, 160, 10**9]))


@st.composite
def drawn_windows(draw: st.DrawFn, logits: st.SearchStrategy[float] = LOGITS, longest: int = 12) -> Window:
    """Tokens in order, some with nothing between them and some with nothing of their own."""
    count = draw(st.integers(0, longest))
    starts, ends, place = [], [], draw(st.integers(0, 3))
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=count, max_size=count)):
        start = place + gap if length else place
        place = start + length
        starts.append(start)
        ends.append(place)
    offset, behind = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    size = offset + count + behind
    both = draw(st.lists(st.lists(logits, min_size=size, max_size=size), min_size=2, max_size=2))
    return Window(both, starts, ends, offset)


@given(windows=st.lists(drawn_windows(), min_size=1, max_size=6), limit=LIMITS)
def test_the_best_span_is_the_one_that_trying_them_all_finds(windows: list[Window], limit: int) -> None:
    scores, places = search(windows, limit)
    for window, score, where in zip(windows, scores, places, strict=True):
        expected, expected_place = window.best(limit)
        assert score == expected
        if expected_place is not None:
            assert tuple(where) == expected_place


@given(windows=st.lists(drawn_windows(ROUGH, 40), min_size=1, max_size=4), limit=LIMITS)
def test_so_it_is_for_logits_that_do_not_tie_and_longer_windows(windows: list[Window], limit: int) -> None:
    scores, places = search(windows, limit)
    for window, score, where in zip(windows, scores, places, strict=True):
        expected, expected_place = window.best(limit)
        assert score == expected
        if expected_place is not None:
            assert tuple(where) == expected_place


def test_of_ends_whose_difference_is_lost_in_the_sum_the_earliest_is_taken() -> None:
    window = Window([[1.0, 0.0, 0.0], [0.0, 1e-30, 0.0]], [0, 1, 2], [1, 2, 3])
    scores, places = search([window], 40)
    assert window.best(40) == (1.0, (0, 1))
    assert (scores.tolist(), places.tolist()) == ([1.0], [[0, 1]])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100])
def test_any_width_and_any_limit_in_tokens(width: int) -> None:
    """Tokens of one character: the limit is the number of tokens. The widths surround the powers of two."""
    drawn = np.random.default_rng(width).integers(-9, 9, (3, 2, width)) / 4
    windows = [Window(one.tolist(), range(width), range(1, width + 1)) for one in drawn]
    for limit in {1, 2, 3, width // 2 + 1, width - 1 or 1, width, width + 1}:
        scores, places = search(windows, limit)
        for window, score, where in zip(windows, scores, places, strict=True):
            expected, place = window.best(limit)
            assert (score, tuple(where)) == (expected, place)


def plain(starting: Sequence[float], ending: Sequence[float], size: int = 1) -> Window:
    """Tokens of ``size`` characters with nothing between them, behind two positions that are not of the passage."""
    count = len(starting)
    starts = [size * at for at in range(count)]
    return Window([[99, 99, *starting, 99], [99, 99, *ending, 99]], starts, [at + size for at in starts], 2)


@pytest.mark.parametrize(
    ("starting", "ending", "text"),
    [
        ([0, 5, 0, 0], [0, 0, 5, 0], "bc"),
        ([0, 0, 6, 0], [0, 5, 0, 0], "c"),  # 6 + 5 would end before it starts
        ([0, 0, 5, 0], [0, 5, 0, 0], "ab"),  # 0 + 5 beside 5 + 0, earlier
        ([0, 0, 0, 0], [0, 0, 0, 0], "a"),  # all alike: the earliest start, the earliest end
        ([0, 3, 0, 3], [0, 0, 0, 4], "bcd"),  # two starts alike
        ([0, 3, 0, 0], [0, 0, 4, 4], "bc"),  # two ends alike
        ([1, 0, 0, 0], [0, 0, 1, 0], "abc"),
        ([2, 0, 3, 0], [1, 0, 0, 0], "a"),  # 2 + 1 beside 3 + 0, later
        ([-INFINITY, 0, 0, 0], [0, -INFINITY, 0, 0], "bc"),
        ([-INFINITY] * 4, [0, 0, 0, 0], ""),
        ([0, 0, 0, -INFINITY], [-INFINITY] * 4, ""),
        ([-INFINITY, -INFINITY, -INFINITY, 5], [0, 0, 0, -INFINITY], ""),  # no start before an end
    ],
)
def test_what_is_chosen_by_hand(starting: list[float], ending: list[float], text: str) -> None:
    assert decode([plain(starting, ending)], [0], [CONTEXT]) == [text]


def test_the_limit_counts_code_points() -> None:
    window = plain([50, 0, 0, 0], [0, 1, 2, 9], size=3)
    assert [decode([window], [0], [CONTEXT], limit)[0] for limit in (12, 11, 9, 8, 6, 5, 3, 2)] == [
        "abcdefghijkl", "abcdefghi", "abcdefghi", "abcdef", "abcdef", "abc", "abc", ""
    ]  # fmt: skip
    emoji = "👍🏽👍🏽"
    assert decode([plain([5, 0, 0, 0], [0, 0, 0, 9])], [0], [emoji], 4) == [emoji]


def test_the_limit_counts_what_lies_between_tokens() -> None:
    window = Window([[5.0, 0.0], [0.0, 9.0]], [0, 10], [1, 11])
    assert decode([window], [0], [CONTEXT], 11) == ["abcdefghijk"]
    assert decode([window], [0], [CONTEXT], 10) == ["k"]  # 0 + 9


def test_a_token_without_a_text_neither_begins_nor_ends_an_answer() -> None:
    window = Window([[9.0, 0.0, 9.0, 0.0, 9.0], [9.0, 0.0, 9.0, 1.0, 9.0]], [0, 0, 2, 2, 4], [0, 2, 2, 4, 4])
    assert decode([window], [0], [CONTEXT]) == ["abcd"]
    assert decode([window], [0], [CONTEXT], 2) == ["cd"]


@pytest.mark.parametrize("window", [Window([[], []], [], []), Window([[1, 2, 3], [1, 2, 3]], [], [], 2),
                                    Window([[5, 5], [5, 5]], [0, 3], [0, 3])])  # fmt: skip
def test_without_a_token_to_answer_with_the_text_is_empty(window: Window) -> None:
    assert decode([window], [0], [CONTEXT]) == [""]
    other = plain([1, 0], [0, 1])
    assert decode([window, other], [0, 1], [CONTEXT, CONTEXT]) == ["", "ab"]
    assert decode([window, other], [0, 0], [CONTEXT]) == decode([other, window], [0, 0], [CONTEXT]) == ["ab"]


def test_a_row_without_a_window_has_an_empty_text() -> None:
    assert decode([plain([1], [1])], [1], [CONTEXT] * 3) == ["", "a", ""]
    assert decode([], [], []) == []


def shifted(by: int, window: Window) -> Window:
    """The same window further on in the passage."""
    return Window(window.logits, [at + by for at in window.starts], [at + by for at in window.ends], window.offset)


def test_the_best_of_several_windows_is_taken() -> None:
    windows = [plain([0, 1], [0, 1]), shifted(5, plain([2, 0], [0, 2])), shifted(9, plain([0, 1], [0, 2]))]
    assert decode(windows, [0, 0, 0], [CONTEXT]) == ["fg"]
    assert decode(windows, [0, 1, 0], [CONTEXT, CONTEXT]) == ["k", "fg"]
    assert decode(windows, [1, 0, 1], [CONTEXT, CONTEXT]) == ["fg", "k"]  # a row's windows need not lie together


def test_of_equal_windows_the_first_is_taken() -> None:
    windows = [shifted(at, plain([0, 1], [0, 1])) for at in (7, 0, 3)]
    assert decode(windows, [0, 0, 0], [CONTEXT]) == ["i"]
    assert decode(windows[1:], [0, 0], [CONTEXT]) == ["b"]


def test_scores_below_zero_are_scores() -> None:
    assert decode([plain([-90, -80], [-90, -80]), plain([-70], [-70])], [0, 1], [CONTEXT] * 2) == ["b", "a"]
    windows = [plain([-90], [-90]), Window([[0.0], [0.0]], [0], [0])]  # the second has no token to answer with
    assert decode(windows, [0, 0], [CONTEXT]) == ["a"]


def test_a_sum_too_fine_for_the_models_own_floats_still_decides() -> None:
    """2**24 + 1 has no place among 32-bit floats, whatever order they are added in."""
    assert decode([plain([2**24, 0], [0, 1])], [0], [CONTEXT]) == ["ab"]


@given(
    drawn=st.lists(st.tuples(drawn_windows(), st.integers(0, 3)), max_size=8),
    limit=LIMITS,
    at_once=st.integers(1, 9),
)  # fmt: skip
def test_texts_are_those_of_a_search_however_many_windows_are_taken_at_once(
    drawn: list[tuple[Window, int]], limit: int, at_once: int
) -> None:
    windows, row_of = [window for window, _ in drawn], [row for _, row in drawn]
    contexts = [CONTEXT[at:] + CONTEXT[:at] for at in range(4)]
    expected = expected_texts(windows, row_of, contexts, limit)
    assert decode(windows, row_of, contexts, limit) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "WINDOWS_AT_ONCE", at_once)
        assert decode(windows, row_of, contexts, limit) == expected


@given(
    own=st.lists(drawn_windows(), min_size=1, max_size=3),
    others=st.lists(drawn_windows(ROUGH, 30), max_size=4),
    limit=LIMITS,
    data=st.data(),
)  # fmt: skip
def test_windows_of_other_rows_change_nothing(
    own: list[Window], others: list[Window], limit: int, data: st.DataObject
) -> None:
    alone = decode(own, [0] * len(own), [CONTEXT], limit)
    kinds = data.draw(st.permutations([0] * len(own) + [1] * len(others)))
    places = [iter(own), iter(others)]
    mixed = [next(places[kind]) for kind in kinds]
    assert decode(mixed, kinds, [CONTEXT, CONTEXT * 4], limit)[:1] == alone


def test_more_windows_than_are_taken_at_once() -> None:
    """Each row's only window says its own number, across the edges of what is taken at once."""
    count = 2 * spans.WINDOWS_AT_ONCE + 3
    windows = []
    for index in range(count):
        logits = np.zeros((2, 3 + index % 5), np.float32)
        logits[:, index % (3 + index % 5)] = 1
        width = logits.shape[1]
        windows.append(Window(logits.tolist(), range(width), range(1, width + 1)))
    texts = decode(windows, range(count), [CONTEXT] * count)
    assert texts == [CONTEXT[index % (3 + index % 5)] for index in range(count)]


@pytest.mark.parametrize("limit", [10**9, 2**40, 2**62, 2**63 - 1])
def test_a_limit_that_limits_nothing(limit: int) -> None:
    windows = [plain([5, 0, 0, 0], [0, 0, 0, 9]), plain([0, 5, 0], [0, 0, 5]), plain([0, 1], [1, 0]), plain([0], [0])]
    assert decode(windows, range(4), [CONTEXT] * 4, limit) == ["abcd", "bc", "a", "a"]
