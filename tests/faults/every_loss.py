"""The program, which also writes the loss of every step into the file ``losses.jsonl``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from xbench.cli import main, progress
from xbench.plan import Stage
from xbench.training import sums


class Told(progress.PlainReporter):
    """Writes down what it is told."""

    def stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        """A line a step."""
        with Path("losses.jsonl").open("a", encoding="utf-8") as file:
            print(json.dumps([stage.label, step, loss]), file=file)


if __name__ == "__main__":
    progress.PlainReporter = Told  # type: ignore[misc]
    sums.BUCKET = 2000  # numbers, so that a tiny model's fill several, and some weights one alone
    sys.exit(main())
