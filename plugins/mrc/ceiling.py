"""What the tokenizer lets a reader reach: the best scores of any answer that begins and ends with a token.

A reader can only point at tokens. Where an answer ends inside one (Korean particles are often part of their noun's
token), no prediction is exactly right, however good the model. The ceiling tells this apart from what the model misses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xbench.api import Diagnostic, DiagnosticContext, MetricContext, Row

from .metrics import METRICS, scorer_of
from .scorers import Scorer, counted_f1

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int32]

_WORD = re.compile(r"(\S*)\s*")
Bounds = tuple[Sequence[int], Sequence[int]]
"""Where the texts of a window's tokens begin and end; only tokens that have a text."""


@dataclass(frozen=True)
class Reference:
    """A gold answer.

    Attributes:
        normalised: As exact match compares it.
        units: What F1 counts.
    """

    normalised: str
    units: Sequence[str]


def tokenizer_ceiling(about: DiagnosticContext) -> Mapping[str, float]:
    """The best mean F1 and exact match x100 over all spans of tokens inside the windows.

    Args:
        about: Rows, and the places of the tokens of their windows; the first of the cell's metrics that is one of ours
            says how answers are compared.
    """
    ours = {metric.name for metric in METRICS}
    metric = next((name for name in about.metrics if name in ours), None)
    if metric is None:
        return {}
    scorer = scorer_of(metric, MetricContext(about.dataset, about.rows))
    f1 = exact = 0.0
    for row, own in zip(about.rows, _windows(about), strict=True):
        best = row_ceiling(row, own, scorer)
        f1, exact = f1 + best[0], exact + best[1]
    count = max(1, len(about.rows))
    return {"f1": 100.0 * f1 / count, "exact_match": 100.0 * exact / count}


def _windows(about: DiagnosticContext) -> Iterator[list[Bounds]]:
    """The windows of one row after the other; all rows' at once would be a kilobyte and more for each."""
    import numpy as np

    by_row = np.argsort(about.row_of, kind="stable")
    ends = np.searchsorted(about.row_of[by_row], np.arange(len(about.rows)), side="right")  # (rows,)
    start = 0
    for end in ends.tolist():
        own = by_row[start:end].tolist()
        yield [_bounds(about.extra["starts"][window], about.extra["ends"][window]) for window in own]
        start = end


def _bounds(starts: Places, ends: Places) -> Bounds:
    usable = starts < ends
    return starts[usable].tolist(), ends[usable].tolist()


def row_ceiling(row: Row, windows: Sequence[Bounds], scorer: Scorer) -> tuple[float, float]:
    """The best F1 and the best exact match, 0 to 1, that a span of one question's windows reaches.

    Args:
        row: A row of ``span``.
        windows: Its windows.
        scorer: How answers are compared.
    """
    # Blank ones too, as the scorers count them: a lone full stop is exactly right where a translation lost its answer.
    texts = [answer["text"] for answer in row["answers"]]
    f1 = exact = 0.0
    # Most answers lie on token boundaries: the span that just covers one is then exactly right.
    for start, end in _covering(row, windows):
        found = scorer.best(row["context"][start:end], texts)
        f1, exact = max(f1, found[0]), max(exact, found[1])
        if f1 == exact == 1.0:
            return f1, exact
    references = [Reference(text, list(scorer.units(text))) for text in map(scorer.normalise, texts)]
    return _search(row["context"], windows, references, scorer, f1, exact)


def _covering(row: Row, windows: Sequence[Bounds]) -> Iterator[tuple[int, int]]:
    """The smallest span of tokens around each answer, in each window that holds one."""
    for answer in row["answers"]:
        text = answer["text"].strip()
        if not text:
            continue
        start = answer["start"] + answer["text"].index(text)
        end = start + len(text)
        for starts, ends in windows:
            touched = [index for index in range(len(starts)) if ends[index] > start and starts[index] < end]
            if touched and starts[touched[0]] <= start and ends[touched[-1]] >= end:
                yield starts[touched[0]], ends[touched[-1]]


def _search(
    context: str, windows: Sequence[Bounds], references: Sequence[Reference], scorer: Scorer, f1: float, exact: float
) -> tuple[float, float]:
    """Try every span that could still be better; words are normalised one by one, since white space parts them for all.

    A span of p units against a reference of g has an F1 of at most 2 min(p, g) / (p + g). So once its whole words are
    more than g (2 - F1) / F1 units, a longer one can neither beat the best so far nor be equal to the reference; nor
    once the last word's part is too, whose last unit alone may still vanish (``th`` becomes ``the``). And a span whose
    first word shares nothing is no better than the same span without it.
    """
    known = {unit for reference in references for unit in reference.units}
    longest = max((len(reference.units) for reference in references), default=0)
    seen: set[tuple[int, int]] = set()
    for starts, ends in windows:
        beginnings = set(starts)
        for first, start in enumerate(starts):
            word_end, following = _word(context, start)
            idle = following in beginnings and known.isdisjoint(scorer.units(scorer.normalise(context[start:word_end])))
            words, parsed = Words(scorer, references), start
            for end in ends[first:]:
                if idle and end > word_end:
                    break
                while (stop := _word(context, parsed)[0]) < end:
                    words.add(context[parsed:stop])
                    parsed = _word(context, parsed)[1]
                if words.count > _most(longest, f1):
                    break
                if (start, end) not in seen:  # neighbouring windows share tokens
                    seen.add((start, end))
                    found, units = words.best(context[parsed:end])
                    f1, exact = max(f1, found[0]), max(exact, found[1])
                    if f1 == exact == 1.0:
                        return f1, exact
                    if units - 1 > _most(longest, f1):
                        break
    return f1, exact


def _most(expected: int, f1: float) -> float:
    """The most units of a span whose F1 against so many can still reach this one."""
    return expected * (2 - f1) / max(f1, 1e-9)


def _word(context: str, start: int) -> tuple[int, int]:
    """Where the word that stands at a place ends, and where the next one begins."""
    found = _WORD.match(context, start)
    assert found is not None
    return found.end(1), found.end()


class Words:
    """A span's whole words so far, counted against each reference.

    Args:
        scorer: How answers are compared.
        references: The gold answers.

    Attributes:
        count: Units of the whole words.
    """

    def __init__(self, scorer: Scorer, references: Sequence[Reference]) -> None:
        self.scorer = scorer
        self.references = references
        self.count = 0
        self._texts: list[str] = []
        self._common = [0] * len(references)
        self._left = [Counter(reference.units) for reference in references]

    def add(self, word: str) -> None:
        """Add a whole word."""
        text = self.scorer.normalise(word)
        units = list(self.scorer.units(text))
        self.count += len(units)
        if text:
            self._texts.append(text)
        for index, left in enumerate(self._left):
            for unit in units:
                if left[unit] > 0:
                    left[unit] -= 1
                    self._common[index] += 1

    def best(self, last: str) -> tuple[tuple[float, float], int]:
        """The best F1 and exact match of the words so far and one more, which may be a part of a word; their units."""
        text = self.scorer.normalise(last)
        more = Counter(self.scorer.units(text))
        size = self.count + more.total()
        f1 = exact = 0.0
        for reference, left, before in zip(self.references, self._left, self._common, strict=True):
            common = before + sum(min(count, left[unit]) for unit, count in more.items())
            f1 = max(f1, counted_f1(common, size, len(reference.units)))
            if size == len(reference.units) and " ".join([*self._texts, *filter(None, [text])]) == reference.normalised:
                exact = 1.0
        return (f1, exact), size


DIAGNOSTICS = [
    Diagnostic(
        "tokenizer-ceiling",
        tokenizer_ceiling,
        "The best F1 and exact match that any answer beginning and ending with a token of one window could reach.",
        ceiling=True,
    )
]
