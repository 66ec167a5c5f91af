"""How sure a finding's margin is, from the bootstrap draws that records hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from ..keys import canonical
from .results import Result

if TYPE_CHECKING:
    from ..stats import Estimate, Part

Floats: TypeAlias = npt.NDArray[np.float64]


def finding_interval(inputs: Sequence[tuple[Result, str]], margin: Callable[[Floats], Floats]) -> Estimate | None:
    """The interval of a margin: the margin of the draws, draw by draw; scores over the same rows stay paired.

    Args:
        inputs: Cells and their scores.
        margin: From values, shape (inputs, ...), to the margin, shape (...).

    Returns:
        None where a record holds no draws, or too few of them are defined.
    """
    from ..stats import combine

    parts = []
    for result, score in inputs:
        part = _part(result, score)
        if part is None:
            return None
        parts.append(part)
    if len({np.shape(part.draws)[1] for part in parts}) != 1:
        return None
    return combine(lambda *values: margin(np.stack(np.broadcast_arrays(*values))), *parts)


def _part(result: Result, score: str) -> Part | None:
    """One score of a cell: its values and draws, seed by seed."""
    from ..sampling import draws_of, same_sample
    from ..stats import Part

    if not result.records:
        return None
    first = result.records[0]
    draws = [draws_of(record, score) for record in result.records]  # a seed: (draws,)
    if any(one is None for one in draws) or not all(same_sample(first, record) for record in result.records):
        return None
    sampling = first["sampling"]
    rows = canonical([first["eval"]["rows_sha256"], *(sampling[name] for name in ("scheme", "units_sha256", "draws"))])
    run = canonical([record["stages"] for record in result.records])
    return Part(
        list(result.scores[score]), np.stack([one for one in draws if one is not None]), sampling["units"], rows, run
    )
