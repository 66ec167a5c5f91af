"""Finding a sentence's translation among all others: by cosine, and by CSLS, which takes hubs down.

CSLS is that of Conneau et al. (2018), "Word Translation Without Parallel Data": 2 cos(x, y) - r(x) - r(y), where r is a
sentence's mean cosine with its ten nearest of the other language. Similarities are computed some rows at a time, so
that memory grows with the number of sentences, not with its square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
NEIGHBOURS = 10
ROWS_AT_ONCE = 1024
TIE = 1e-6
"""A product of matrices may give the same two vectors cosines that differ in the last digits."""


@dataclass(frozen=True)
class Found:
    """Whether each sentence's nearest one of the other language is its own translation.

    Attributes:
        forward: (n,) From the source to the target, by cosine.
        backward: (n,) From the target to the source, by cosine.
        csls_forward: (n,) As ``forward``, by CSLS.
        csls_backward: (n,) As ``backward``, by CSLS.
    """

    forward: npt.NDArray[np.bool_]
    backward: npt.NDArray[np.bool_]
    csls_forward: npt.NDArray[np.bool_]
    csls_backward: npt.NDArray[np.bool_]


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Scale each row to length 1; a zero row stays zero.

    Args:
        vectors: (n, d)
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    scaled: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def find(source: Vectors, target: Vectors) -> Found:
    """Look up each sentence's nearest one of the other language.

    Where several are equally near (the same sentence may stand in many pairs), it is found if its translation is one of
    them.

    Args:
        source: (n, d) of length 1.
        target: (n, d) of length 1; row i is the translation of the source's row i.
    """
    source_mean, target_mean = _neighbourhood(source, target), _neighbourhood(target, source)
    forward, csls_forward = _hits(source, target, target_mean)
    backward, csls_backward = _hits(target, source, source_mean)
    return Found(forward, backward, csls_forward, csls_backward)


def _neighbourhood(queries: Vectors, others: Vectors) -> Vectors:
    """(n,) Each query's mean cosine with its nearest others."""
    count = min(NEIGHBOURS, len(others))
    means = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), ROWS_AT_ONCE):
        cosines = queries[start : start + ROWS_AT_ONCE] @ others.T  # (rows, n)
        nearest = np.partition(cosines, len(others) - count, axis=1)[:, len(others) - count :]
        means[start : start + ROWS_AT_ONCE] = nearest.mean(1)
    return means


def _hits(queries: Vectors, others: Vectors, mean: Vectors) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(n,) each: whether no other one is nearer to a query than its own; the query's own r is the same for all."""
    hits, csls_hits = np.empty(len(queries), np.bool_), np.empty(len(queries), np.bool_)
    for start in range(0, len(queries), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        cosines = queries[some] @ others.T  # (rows, n)
        rows = np.arange(len(cosines))
        hits[some] = cosines[rows, rows + start] >= cosines.max(1) - TIE
        scores = 2 * cosines - mean  # (rows, n)
        csls_hits[some] = scores[rows, rows + start] >= scores.max(1) - TIE
    return hits, csls_hits
