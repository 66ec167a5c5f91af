"""What statistics are made from: the scores of some seeds, and their draws over shared resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..sampling import draws_of, same_sample, sample_of
from ..stats import Difference, Estimate, Part, difference, estimate


@dataclass(frozen=True, eq=False)
class Evidence:
    """One score of one cell.

    Attributes:
        scores: One a seed.
        draws: (seeds, draws) Over the same resamples for all seeds.
        records: One a seed.
        bounds: Between which the score is a mean over the rows; None where it is no such mean.
    """

    scores: tuple[float, ...]
    draws: npt.NDArray[np.float64]
    records: tuple[Mapping[str, Any], ...]

    @property
    def value(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.scores))

    @property
    def units(self) -> int:
        """How many units were resampled."""
        return int(self.records[0]["sampling"]["units"])

    bounds: tuple[float, float] | None = None

    @property
    def unit(self) -> str:
        """What a unit is: ``row``, or ``passage`` and the like where rows are clustered."""
        return str(self.records[0]["sampling"]["unit"])

    def estimate(self) -> Estimate | None:
        """The mean over the seeds with its interval; None where too few draws are defined."""
        return estimate(self.scores, self.draws, self.units, bounds=self.bounds)

    def part(self) -> Part:
        """For `xbench.stats.combine`: rows are those of the same resamples, runs of the same first stages."""
        return Part(self.scores, self.draws, self.units, sample_of(self.records[0]), self.runs)

    @property
    def runs(self) -> tuple[Any, ...]:
        """Which trained models they are of: the first stage of each seed, which those that go on from it share."""
        first = self.records[0]["model"]["weights_sha256"]
        return (first, *((record["seed"], *record["stages"][:1]) for record in self.records))

    def minus(self, other: Evidence) -> Difference | None:
        """The difference in pairs; None where they are not over the same rows."""
        if not same_sample(self.records[0], other.records[0]):
            return None
        return difference(
            self.scores, self.draws, other.scores, other.draws, self.units, same_runs=self.runs == other.runs
        )


def evidence(records: Sequence[Mapping[str, Any]], score: str) -> Evidence | None:
    """Collect the draws of one score.

    Args:
        records: Of one cell, one a seed.
        score: Its name.

    Returns:
        None where a record has none, or the seeds were not scored on the same rows.
    """
    found = [draws_of(record, score) for record in records]
    draws = [one for one in found if one is not None]
    if not draws or len(draws) < len(found) or any(not same_sample(records[0], other) for other in records):
        return None
    low_and_high = records[0].get("bounds", {}).get(score)
    return Evidence(
        tuple(record["scores"][score] for record in records), np.stack(draws), tuple(records),
        None if low_and_high is None else (low_and_high[0], low_and_high[1]),
    )  # fmt: skip
