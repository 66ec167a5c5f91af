"""How much work a turn is, against others: enough to start the longest path first, and no estimate in seconds."""

from __future__ import annotations

from typing import NamedTuple

from ..work import Turn, Work

BACKWARD = 3
"""A step goes forward once, and back for about twice as long; reading only goes forward."""


class Effort(NamedTuple):
    """Of a turn, in weights times examples.

    Attributes:
        training: Of its stage; those that go on from it wait for this alone.
        reading: Of its cells.
    """

    training: float
    reading: float


def effort(turn: Turn, work: Work) -> Effort:
    """Weigh a turn by the size of its model, its rows and its epochs.

    Args:
        turn: What is to be done.
        work: Resolved names and rows.
    """
    training = 0.0
    if turn.stage is not None:
        stage = turn.stage
        rows = sum(work.rows[name, stage.split].rows for name in stage.mixture)
        drawn = rows if stage.limit is None else min(rows, stage.limit)
        training = float(BACKWARD * drawn * stage.recipe.epochs * work.models[stage.model].parameters)
    reading = 0.0
    for cell in (cell for group in turn.groups for cell in group):
        rows = work.rows[cell.dataset, cell.split].rows
        drawn = rows if cell.limit_eval is None else min(rows, cell.limit_eval)
        reading += drawn * (1 if cell.is_floor else work.models[cell.model].parameters)
    return Effort(training, reading)
