"""What a run tells while it goes on; the command line shows it, other programs may listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .plan import Cell, Stage
from .settings import Listener


class Reporter(Listener):
    """Hears everything and says nothing; override what is of interest."""

    def prepared(self, stage_keys: Mapping[str, str]) -> None:
        """Names are resolved, and work can begin; the content keys, by stage id, of all stages that can be trained."""

    def stage_started(self, stage: Stage, examples: int, steps: int) -> None:
        """A fine-tuning run begins."""

    def stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        """One optimizer step is done; ``passed`` examples so far."""

    def stage_done(self, stage: Stage, seconds: float, found: bool) -> None:
        """A stage is there: trained just now, or found in the cache."""

    def pass_step(self, label: str, passed: int, examples: int, share: float) -> None:
        """A model runs over examples to be read: so many of them are done, which is that share of the work.

        The first call says 0, the last one all of them.
        """

    def cell_done(self, cell: Cell, record: Mapping[str, Any], found: bool) -> None:
        """A cell has its record: scored just now, or found among the results."""

    def turn_done(self, stage: Stage | None, cells: Sequence[Cell]) -> None:
        """What belongs together has ended, or is put off: a stage with cells that read it, or cells without a stage.

        Between two such calls several stages may be heard of side by side.
        """

    def failed(self, label: str, reason: str, traceback: str = "") -> None:
        """A stage or cell failed; the traceback is there when it was not the user's doing."""


class Tee(Reporter):
    """Tells several reporters everything, in turn.

    Args:
        reporters: Who hears it.
    """

    def __init__(self, *reporters: Reporter) -> None:
        for name in (name for name in dir(Reporter) if not name.startswith("_")):
            setattr(self, name, _each([getattr(reporter, name) for reporter in reporters]))


def _each(calls: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def call(*values: Any, **named: Any) -> None:
        for one in calls:
            one(*values, **named)

    return call
