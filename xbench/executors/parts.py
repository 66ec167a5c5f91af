"""What of a plan a turn needs: a node that does a turn finds only that, however large the plan is."""

from __future__ import annotations

from ..plan import Cell, Plan, Stage, chain_of
from ..work import Turn


class Parts:
    """The parts of a plan.

    Args:
        plan: The whole.
    """

    def __init__(self, plan: Plan) -> None:
        self._stages = {stage.id: stage for stage in plan.stages}
        self._reader: dict[str, Cell] = {}
        for cell in plan.cells:
            stage = cell.stage
            while stage is not None and stage not in self._reader:
                self._reader[stage] = cell
                stage = self._stages[stage].parent

    def of(self, turn: Turn) -> Plan:
        """The cells of a turn, with all stages that they go through.

        Args:
            turn: Of the plan. One without cells is done for the sake of others: one of those stands for them.
        """
        cells = [cell for group in turn.groups for cell in group]
        if not cells and turn.stage is not None:
            cells = [self._reader[turn.stage.id]]
        stages: dict[str, Stage] = {}
        for start in dict.fromkeys(cell.stage for cell in cells):
            stages.update((one.id, one) for one in chain_of(start, self._stages))
        return Plan(tuple(stages.values()), tuple(cells))
