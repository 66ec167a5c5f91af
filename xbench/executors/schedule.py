"""Which turns are ready, which wait for others, and what has come of them; pure, and the same for every executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..plan import Cell
from ..work import Turn
from .effort import Effort
from .order import Load, longest_first
from .turn import TurnResult


class Schedule:
    """A DAG of turns on its way: a turn is ready when the stage that its own goes on from stands.

    Args:
        turns: A stage's parent stands before it, as `turns` gives them.
        records: Of cells that are done already.
        reasons: Of cells that cannot be done.
        ended: Told of each turn whose result is there.

    Attributes:
        records: Of all cells that are done.
        reasons: Why the others are not.
        waits_for: What other processes are doing meanwhile that turns were put off for, a line each.
    """

    def __init__(
        self, turns: Iterable[Turn], records: Mapping[Cell, Mapping[str, Any]], reasons: Mapping[Cell, str],
        ended: Callable[[Turn], None] = lambda turn: None,
    ) -> None:  # fmt: skip
        self.records, self.reasons = dict(records), dict(reasons)
        self.waits_for: dict[str, None] = {}
        self._ended = ended
        self._waiting = [one for turn in turns for one in _apart(turn)]
        self._postponed: list[Turn] = []
        self._running: list[Turn] = []
        self._standing: set[str] = set()
        self._broken: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, and nothing is being done."""
        return not (self._waiting or self._postponed or self._running)

    @property
    def left(self) -> int:
        """How many turns are not done."""
        return len(self._waiting) + len(self._postponed) + len(self._running)

    def take(self) -> Turn | None:
        """The next turn that is ready, to be done now; None where there is none at the moment.

        Turns that were put off come again only after `retry`.
        """
        for place, turn in enumerate(self._waiting):
            if turn.stage is None or turn.stage.parent is None or turn.stage.parent in self._standing:
                self._running.append(self._waiting.pop(place))
                return turn
        return None

    def retry(self) -> None:
        """Let turns that were put off come again, in their place before those that were never begun."""
        self._waiting[:0] = self._postponed
        self._postponed = []
        self.waits_for = {}

    def start_longest_first(self, effort: Callable[[Turn], Effort]) -> None:
        """From now on give out turns by the longest path from each to the end, for several that work side by side.

        Args:
            effort: How much work a turn is.
        """
        turns = {str(place): turn for place, turn in enumerate(self._waiting)}
        of_stage = {turn.stage.id: name for name, turn in turns.items() if turn.stage is not None}
        jobs = []
        for name, turn in turns.items():
            training, reading = effort(turn)
            parent = turn.stage.parent if turn.stage is not None else None
            jobs.append(Load(name, training + reading, of_stage.get(parent or ""), training))
        self._waiting = [turns[job.name] for job in longest_first(jobs)]

    def stood(self, turn: Turn) -> bool:
        """Whether it is known, and was told, that a turn's stage stands."""
        return turn.stage is not None and turn.stage.id in self._standing

    def stands(self, stage: str) -> None:
        """A stage is there, though its cells may still be scored: turns that go on from it are ready.

        Args:
            stage: Its id.
        """
        self._standing.add(stage)

    def finish(self, turn: Turn, result: TurnResult) -> None:
        """Take what came of a turn.

        Args:
            turn: As `take` gave it.
            result: What of it is left is put off until `retry`.
        """
        self._running.remove(turn)
        self.records.update(result.records)
        self.reasons.update(result.reasons)
        if result.broken:
            self._break(turn, result.broken)
        elif turn.stage is not None and result.stands:
            self.stands(turn.stage.id)
        if result.left is not None:
            self._postponed.append(result.left)
            self.waits_for[result.waits_for] = None
        self._ended(turn)

    def give_back(self, turn: Turn) -> None:
        """A turn was taken and could not be begun: it comes again.

        Args:
            turn: As `take` gave it.
        """
        self._running.remove(turn)
        self._waiting.insert(0, turn)

    def _break(self, turn: Turn, reason: str) -> None:
        """A stage cannot be had, and so nothing that goes on from it: their cells fail for the same reason."""
        assert turn.stage is not None
        self._broken[turn.stage.id] = reason
        stopped, kept = [turn], []
        for other in self._waiting:  # parents stand before their children; none of those was put off: none was begun
            if other.stage is not None and other.stage.parent in self._broken:
                self._broken[other.stage.id] = reason
                stopped.append(other)
            else:
                kept.append(other)
        self._waiting = kept
        self.reasons.update((cell, reason) for one in stopped for group in one.groups for cell in group)


def _apart(turn: Turn) -> list[Turn]:
    """Without a stage nothing holds groups together: each is a turn of its own."""
    return [turn] if turn.stage is not None else [Turn(None, [group]) for group in turn.groups if group]
