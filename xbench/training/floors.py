"""Scores floors: predictions that need no encoder, told and stored like all others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from ..data.rows import select
from ..plan import Cell
from ..work import eval_rows
from .heap import start_afresh
from .record import Measured, make_record

if TYPE_CHECKING:
    from ..work import Work

HOST = torch.device("cpu")


def score_cells(cells: Mapping[Cell, str], work: Work) -> Iterator[tuple[Cell, Mapping[str, Any] | Exception]]:
    """Predict and score.

    Args:
        cells: Cells of floors, with their keys.
        work: Resolved names, rows and keys.

    Yields:
        Each cell with its record, as soon as it is stored, or with what went wrong in it alone.
    """
    start_afresh(HOST)
    for cell, key in cells.items():
        try:
            yield cell, _score(cell, key, work)
        except Exception as error:  # noqa: BLE001  # one cell's failure must not take the others with it
            yield cell, error


def _score(cell: Cell, key: str, work: Work) -> Mapping[str, Any]:
    drawn = eval_rows(cell)
    here = work.rows[drawn.dataset, drawn.split]
    rows = select(here.open(), drawn.limit, drawn.seed)
    started = time.perf_counter()
    predictions = work.registry.floors.get(cell.model).predict(rows, here.dataset)
    return make_record(cell, key, Measured(rows, predictions, time.perf_counter() - started), HOST, work)
