"""The best span of each question over all of its windows, for many windows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xbench.api import Decoding

Ints = npt.NDArray[np.int64]
WINDOWS_AT_ONCE = 512
BEHIND = 1 << 40
"""A place behind every passage's end."""


def decode_spans(decoding: Decoding) -> list[str]:
    """The text of the best span of each question.

    A span's score is the sum of its start's and its end's logit. It begins and ends with tokens of the passage that
    stand for some of its text, in one window, and is no longer than ``max_answer_chars`` code points. Of equal scores
    the first window's, the earliest start and the earliest end are taken.

    Args:
        decoding: ``outputs`` are (2, length) logits of start and end for each window.

    Returns:
        One text a row; empty where no window has a token to answer with.
    """
    limit = int(decoding.context.recipe.options["max_answer_chars"])
    scores = np.empty(len(decoding.outputs), np.float64)
    places = np.empty((len(decoding.outputs), 2), np.int64)
    for first in range(0, len(decoding.outputs), WINDOWS_AT_ONCE):
        some = slice(first, first + WINDOWS_AT_ONCE)
        starts, ends, offsets = (decoding.extra[name][some] for name in ("starts", "ends", "offset"))
        scores[some], places[some] = best_spans(decoding.outputs[some], starts, ends, offsets, limit)
    best: list[int | None] = [None] * len(decoding.rows)
    for window, row in enumerate(decoding.row_of.tolist()):
        chosen = best[row]
        if scores[window] > -np.inf and (chosen is None or scores[window] > scores[chosen]):
            best[row] = window
    return [
        "" if window is None else row["context"][slice(*places[window].tolist())]
        for row, window in zip(decoding.rows, best, strict=True)
    ]


def best_spans(
    outputs: Sequence[npt.NDArray[np.float32]], starts: Sequence[npt.NDArray[np.int32]],
    ends: Sequence[npt.NDArray[np.int32]], offsets: Sequence[npt.NDArray[np.int32]], limit: int,
) -> tuple[npt.NDArray[np.float64], Ints]:  # fmt: skip
    """The best span of each of some windows.

    For every start token the best end is the highest end logit of the tokens from it to the last one that the limit
    allows: the maximum over a range, found for all starts at once with a table of maxima over powers of two.

    Args:
        outputs: (2, length) logits of each window.
        starts: (tokens,) Where the text of each passage token of a window begins.
        ends: (tokens,) And behind which place it ends.
        offsets: (1,) The position of a window's first passage token.
        limit: Code points of a span, at most.

    Returns:
        (windows,) scores, minus infinity where there is no span, and (windows, 2) the code points where the best span
        begins and ends.
    """
    lengths = np.array([len(one) for one in starts])
    width = max(1, int(lengths.max(initial=0)))
    begin, stop = (np.zeros((len(outputs), width), np.int64) for _ in range(2))  # (windows, width)
    opening, closing = (np.full((len(outputs), width), -np.inf) for _ in range(2))  # (windows, width)
    for row, (logits, first, last, offset) in enumerate(zip(outputs, starts, ends, offsets, strict=True)):
        count, at = lengths[row], int(offset[0])
        begin[row, :count], stop[row, :count] = first, last
        stop[row, count:] = BEHIND  # so that the places still rise
        usable = first < last
        opening[row, :count] = np.where(usable, logits[0, at : at + count], -np.inf)
        closing[row, :count] = np.where(usable, logits[1, at : at + count], -np.inf)
    furthest = _last_within(np.maximum.accumulate(stop, 1), begin + min(limit, BEHIND >> 1))  # (windows, width)
    sums = opening + _range_maxima(closing, furthest)  # (windows, width)
    starting = sums.argmax(1)  # (windows,)
    each = np.arange(len(outputs))
    columns = np.arange(width)
    allowed = (columns >= starting[:, None]) & (columns <= furthest[each, starting][:, None])
    # Of the sums, not of the end logits: a far smaller logit is lost in the sum, and then the earliest end is meant.
    ending = np.where(allowed, opening[each, starting][:, None] + closing, -np.inf).argmax(1)  # (windows,)
    return sums[each, starting], np.stack([begin[each, starting], stop[each, ending]], 1)


def _last_within(rising: Ints, bounds: Ints) -> Ints:
    """For each place the last column whose value is at most the bound; -1 where none is.

    Args:
        rising: (rows, width) not falling along a row.
        bounds: (rows, width).

    Returns:
        (rows, width)
    """
    # One search for all rows: each row's values are lifted above all of the row before.
    lift = np.arange(len(rising))[:, None] * (int(max(rising.max(), bounds.max())) + 1)
    found = np.searchsorted((rising + lift).reshape(-1), (bounds + lift).reshape(-1), side="right")
    columns: Ints = found.reshape(rising.shape) - 1 - np.arange(len(rising))[:, None] * rising.shape[1]
    return columns


def _range_maxima(values: npt.NDArray[np.float64], last: Ints) -> npt.NDArray[np.float64]:
    """The maximum of each row from each column to a last one; minus infinity where that lies before it.

    Args:
        values: (rows, width).
        last: (rows, width) Columns.

    Returns:
        (rows, width)
    """
    width = values.shape[1]
    table = [values]  # table[k][:, i] is the maximum over the columns i to i + 2**k - 1
    while 2 ** len(table) <= width:
        half = 2 ** (len(table) - 1)
        shifted = np.full_like(values, -np.inf)
        shifted[:, :-half] = table[-1][:, half:]
        table.append(np.maximum(table[-1], shifted))
    columns = np.arange(width)
    sizes = np.maximum(last - columns + 1, 1)  # (rows, width)
    level = np.frexp(sizes)[1] - 1  # the largest power of two that fits
    rows = np.arange(len(values))[:, None]
    maxima = np.stack(table)  # (levels, rows, width)
    right = np.clip(last - (1 << level) + 1, 0, width - 1)
    found = np.maximum(maxima[level, rows, columns], maxima[level, rows, right])
    return np.where(last >= columns, found, -np.inf)
