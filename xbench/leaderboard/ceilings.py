"""The best that any prediction could reach, under the scores of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from .columns import column_key

Ceilings: TypeAlias = Mapping[str, Mapping[str, tuple[float, float]]]
"""By column and score: the lowest and the highest ceiling of the records there; they differ where settings do."""

CEILING = "ceiling"
NONE = "–"


def find_ceilings(records: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> Ceilings:
    """Collect the ceilings that records hold.

    Args:
        records: Of one table.
        columns: By `column_key`: the column's name and language.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for record in records:
        column = found.setdefault(columns[column_key(record)][0], {})
        for name, value in record.get("ceilings", {}).items():
            if value is not None:
                low, high = column.get(name, (value, value))
                column[name] = (min(low, value), max(high, value))
    return {column: own for column, own in found.items() if own}


def ceiling_text(own: Mapping[str, tuple[float, float]] | None, scores: Sequence[str]) -> str:
    """``99.63 (88.93)`` in the order of the cells' scores, ``–`` where there is none.

    Args:
        own: Of one column.
        scores: The names of the scores, the primary one first.
    """
    texts = [_span(*own[name]) if name in own else NONE for name in scores] if own else []
    while texts and texts[-1] == NONE:
        texts.pop()
    if not texts:
        return NONE
    return texts[0] + (f" ({', '.join(texts[1:])})" if texts[1:] else "")


def _span(low: float, high: float) -> str:
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f}–{high:.2f}"
