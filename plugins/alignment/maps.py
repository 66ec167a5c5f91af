"""Linear maps from one language's sentence embeddings to another's; a row is a sentence (the paper's section II.C).

The closed forms are computed in float64 from one pass over the pairs, a few thousand at a time, so that memory does not
grow with their number. Least squares goes through a QR decomposition that is carried along (R of what came before, on
top of the next pairs): forming A'A would square the condition number. Procrustes needs A'B alone, which is a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xbench.api import forget_pages

Matrix = npt.NDArray[np.float64]
Pairs = Callable[[], Iterator[tuple[Matrix, Matrix]]]
"""Gives the pairs from their start: blocks of (rows, d) of the source and of the target."""


@dataclass(frozen=True)
class LinearMap:
    """x -> x W + offset.

    Attributes:
        matrix: (d, d) W.
        offset: (d,) 0 where neither centring nor a bias was asked for.
    """

    matrix: Matrix
    offset: Matrix

    def __call__(self, rows: npt.NDArray[np.floating]) -> Matrix:
        """Map (n, d) embeddings."""
        mapped: Matrix = np.asarray(rows, np.float64) @ self.matrix + self.offset
        return mapped


@dataclass(frozen=True)
class FittedMap:
    """A map, and what it is one between.

    Attributes:
        map: From the embeddings of one language to those of the other.
        languages: ISO 639-1 codes of the pairs that it was fitted on, in their order.
        back: Whether it goes from the second to the first.
    """

    map: LinearMap
    languages: tuple[str, ...]
    back: bool


def blocks(outputs: npt.NDArray[np.floating], at_once: int, swapped: bool = False) -> Pairs:
    """Pairs out of a (pairs, 2, d) array, memory-mapped or not.

    Args:
        outputs: The embeddings of both sides.
        at_once: Pairs of a block.
        swapped: Whether the second side is the source.
    """

    def pairs() -> Iterator[tuple[Matrix, Matrix]]:
        for start in range(0, len(outputs), at_once):
            some = np.asarray(outputs[start : start + at_once], np.float64)  # (rows, 2, d)
            forget_pages(outputs)
            yield some[:, int(swapped)], some[:, 1 - int(swapped)]

    return pairs


def least_squares(pairs: Pairs, ridge: float = 0.0, centred: bool = False) -> LinearMap:
    """The W of the least ||A W - B||² + ridge ||W||², of several the one of least norm.

    Args:
        pairs: The embeddings.
        ridge: Zero for the plain normal equations' solution, (A'A)⁻¹ A'B.
        centred: Whether the means are taken away first; the map then takes mean to mean.

    Returns:
        The map.

    Raises:
        ValueError: There are no pairs.
    """
    triangle, width = _triangle(pairs, leading_one=centred)
    lead = int(centred)
    # Behind the column of ones stands R of the centred [A B]; its first row holds the means, times the root of n.
    upper = triangle[lead:, lead:]
    left, right = upper[:, :width], upper[:, width:]  # (rows, d) each
    if ridge > 0:
        left = np.vstack([left, math.sqrt(ridge) * np.eye(width)])
        right = np.vstack([right, np.zeros((width, width))])
    matrix: Matrix = np.linalg.lstsq(left, right, rcond=None)[0].astype(np.float64)  # (d, d)
    if not centred:
        return LinearMap(matrix, np.zeros(width))
    means = triangle[0, 1:] / triangle[0, 0]  # (2 d,)
    return LinearMap(matrix, means[width:] - means[:width] @ matrix)


def procrustes(pairs: Pairs, centred: bool = False) -> LinearMap:
    """The orthogonal W of the least ||A W - B||: U V' of the singular value decomposition U S V' of A'B.

    Schönemann (1966), "A generalized solution of the orthogonal Procrustes problem". The paper prints V U', which is
    the solution for the other direction.

    Args:
        pairs: The embeddings.
        centred: Whether the means are taken away first; the map then takes mean to mean.

    Returns:
        The map.

    Raises:
        ValueError: There are no pairs.
    """
    count = 0
    product: Matrix | None = None
    sums = [np.zeros(0), np.zeros(0)]
    for source, target in pairs():
        if product is None:
            product, sums = np.zeros((source.shape[1],) * 2), [np.zeros(source.shape[1]) for _ in range(2)]
        product += source.T @ target  # (d, d)
        sums = [sums[0] + source.sum(0), sums[1] + target.sum(0)]
        count += len(source)
    if product is None or count == 0:
        raise ValueError("no pairs to fit a map on")
    means = [one / count for one in sums]  # (d,) each
    if centred:
        product = product - count * np.outer(*means)
    left, _, right = np.linalg.svd(product)
    matrix = left @ right
    return LinearMap(matrix, means[1] - means[0] @ matrix if centred else np.zeros(len(matrix)))


def _triangle(pairs: Pairs, leading_one: bool) -> tuple[Matrix, int]:
    """R of [A B], or of [1 A B], and the width of A.

    Raises:
        ValueError: There are no pairs.
    """
    triangle: Matrix | None = None
    width = 0
    for source, target in pairs():
        width = source.shape[1]
        ones = [np.ones((len(source), 1))] if leading_one else []
        block = np.hstack([*ones, source, target])  # (rows, 2 d) or (rows, 1 + 2 d)
        stacked = block if triangle is None else np.vstack([triangle, block])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"), np.float64)
    if triangle is None or width == 0:
        raise ValueError("no pairs to fit a map on")
    return triangle, width
