"""How sure a finding's margin is, from the bootstrap draws that records hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from .results import Result

if TYPE_CHECKING:
    from ..stats import Estimate

Floats: TypeAlias = npt.NDArray[np.float64]


def finding_interval(inputs: Sequence[tuple[Result, str]], margin: Callable[[Floats], Floats]) -> Estimate | None:
    """The interval of a margin: the margin of the draws, draw by draw; scores over the same rows stay paired.

    Args:
        inputs: Cells and their scores.
        margin: From values, shape (inputs, ...), to the margin, shape (...).

    Returns:
        None where a record holds no draws, too few of them are defined, or those over the same rows are not over the
        same resamples.
    """
    from ..leaderboard.evidence import evidence
    from ..sampling import sample_of
    from ..stats import combine

    found = [evidence(result.records, score) if result.records else None for result, score in inputs]
    made = [one for one in found if one is not None]
    samples = {sample for one in made if (sample := sample_of(one.records[0])) is not None}
    if len(made) < len(found) or len({rows for rows, *_ in samples}) < len(samples):
        return None
    return combine(lambda *values: margin(np.stack(np.broadcast_arrays(*values))), *(one.part() for one in made))
