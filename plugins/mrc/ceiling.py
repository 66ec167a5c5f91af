"""What the tokenizer lets a reader reach: the best scores of any answer that begins and ends with a token.

A reader can only point at tokens. Where an answer ends inside one (Korean particles are often part of their noun's
token), no prediction is exactly right, however good the model. The ceiling tells this apart from what the model misses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xbench.api import Diagnostic, DiagnosticContext, MetricContext, Row

from .metrics import METRICS, scorer_of
from .scorers import Scorer, unit_f1

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int32]

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
    windows: list[list[Bounds]] = [[] for _ in about.rows]
    for row, starts, ends in zip(about.row_of.tolist(), about.extra["starts"], about.extra["ends"], strict=True):
        windows[row].append(_bounds(starts, ends))
    f1 = exact = 0.0
    for row, own in zip(about.rows, windows, strict=True):
        best = row_ceiling(row, own, scorer)
        f1, exact = f1 + best[0], exact + best[1]
    count = max(1, len(about.rows))
    return {"f1": 100.0 * f1 / count, "exact_match": 100.0 * exact / count}


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
    # A blank reference would make a lone full stop exactly right: it is no answer to reach.
    texts = [answer["text"] for answer in row["answers"] if answer["text"].strip()]
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
    """Try every span that could still be better.

    A span of p units against a reference of g has an F1 of at most 2 min(p, g) / (p + g). So once it is longer than
    g (2 - F1) / F1 units, a longer one cannot beat the best so far, nor be equal to the reference. (One unit more is
    let pass, since the last one may yet vanish: "th" is a word, and "the" an article.)
    """
    known = {unit for reference in references for unit in reference.units}
    longest = max((len(reference.units) for reference in references), default=0)
    seen: set[tuple[int, int]] = set()
    for starts, ends in windows:
        for first, start in enumerate(starts):
            for end in ends[first:]:
                if (start, end) in seen:  # neighbouring windows share tokens
                    continue
                seen.add((start, end))
                normalised = scorer.normalise(context[start:end])
                units = list(scorer.units(normalised))
                if len(units) - 1 > longest * (2 - f1) / max(f1, 1e-9):
                    break
                exact = max(exact, float(any(normalised == reference.normalised for reference in references)))
                if known.intersection(units):
                    f1 = max(f1, max(unit_f1(units, reference.units) for reference in references))
                if f1 == exact == 1.0:
                    return f1, exact
    return f1, exact


DIAGNOSTICS = [
    Diagnostic(
        "tokenizer-ceiling",
        tokenizer_ceiling,
        "The best F1 and exact match that any answer beginning and ending with a token of one window could reach.",
        ceiling=True,
    )
]
