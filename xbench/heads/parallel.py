"""What is said of parallel sentences: how near translations are, and whether each is found among all others.

Sentences are found by cosine, and by CSLS, which takes hubs down. CSLS is that of Conneau et al. (2018), "Word
Translation Without Parallel Data": 2 cos(x, y) - r(x) - r(y), where r is a sentence's mean cosine with its ten nearest
of the other language. Similarities are computed some rows at a time, so that memory grows with the number of
sentences, not with its square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Dense: TypeAlias = npt.NDArray[np.float32]
Vectors: TypeAlias = "Dense | csr_array"
"""(n, d) of length 1, or zero."""
Hits: TypeAlias = npt.NDArray[np.bool_ | np.float64]
"""(n,) Whether each is found, or with which probability."""
NEIGHBOURS = 10
ROWS_AT_ONCE = 1024
SHUFFLE = 0
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

    forward: Hits
    backward: Hits
    csls_forward: Hits
    csls_backward: Hits


def unit(vectors: npt.NDArray[np.floating]) -> Dense:
    """Scale each row to length 1; a zero row stays zero.

    Args:
        vectors: (n, d)
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    scaled: Dense = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def parallel_predictions(
    source: Vectors, target: Vectors, swapped: bool = False, draw_ties: bool = False
) -> list[dict[str, float]]:
    """What is said of each pair of parallel sentences, from their vectors.

    Args:
        source: (n, d), a row's first sentence each, of length 1 or zero; both dense, or both sparse.
        target: (n, d), its translation.
        swapped: ``source`` are the rows' second sentences.
        draw_ties: As `find`.

    Returns:
        A mapping a pair: ``cosine``; ``shuffled``, that with another row's translation; and for each way to look its
        translation up, whether it is found: ``forward`` from a row's first sentence to its second, ``backward``,
        ``csls_forward`` and ``csls_backward``.
    """
    found = find(target, source, draw_ties) if swapped else find(source, target, draw_ties)
    columns = {
        "cosine": cosines(source, target), "shuffled": cosines(source, target[derangement(target.shape[0])]),
        "forward": found.forward, "backward": found.backward,
        "csls_forward": found.csls_forward, "csls_backward": found.csls_backward,
    }  # fmt: skip
    return [{name: float(values[row]) for name, values in columns.items()} for row in range(target.shape[0])]


def cosines(source: Vectors, target: Vectors) -> npt.NDArray[np.float64]:
    """(n,) The cosine of each row of one with the same row of the other.

    Args:
        source: (n, d)
        target: (n, d)
    """
    if isinstance(source, np.ndarray) and isinstance(target, np.ndarray):
        return np.asarray(np.einsum("nd,nd->n", source, target, dtype=np.float64))
    return np.asarray((source * target).sum(1), np.float64)


def derangement(count: int) -> npt.NDArray[np.int64]:
    """(count,) An order, always the same one, in which nothing stays at its place (but for one alone)."""
    order = np.random.default_rng(SHUFFLE).permutation(count)
    places = np.empty(count, np.int64)
    places[order] = np.roll(order, 1)  # one cycle through all
    return places


def find(source: Vectors, target: Vectors, draw_ties: bool = False) -> Found:
    """Look up each sentence's nearest one of the other language.

    Args:
        source: (n, d) of length 1.
        target: (n, d) of length 1; row i is the translation of the source's row i.
        draw_ties: Where several are equally near, a translation among them is found by a draw: of k, with a probability
            of 1 / k. Else it counts as found, as suits vectors that differ unless the sentences are the same (one may
            stand in many pairs); of vectors that say nothing, all would be.
    """
    source_mean, target_mean = _neighbourhood(source, target), _neighbourhood(target, source)
    forward, csls_forward = _hits(source, target, target_mean, draw_ties)
    backward, csls_backward = _hits(target, source, source_mean, draw_ties)
    return Found(forward, backward, csls_forward, csls_backward)


def _some_cosines(queries: Vectors, start: int, others: Vectors) -> Dense:
    """(rows, n) The cosines of some queries with all others."""
    product: Any = queries[start : start + ROWS_AT_ONCE] @ others.T
    some: Dense = product if isinstance(product, np.ndarray) else product.toarray()
    return some


def _neighbourhood(queries: Vectors, others: Vectors) -> Dense:
    """(n,) Each query's mean cosine with its nearest others."""
    total = others.shape[0]
    count = min(NEIGHBOURS, total)
    means = np.empty(queries.shape[0], np.float32)
    for start in range(0, len(means), ROWS_AT_ONCE):
        nearest = np.partition(_some_cosines(queries, start, others), total - count, axis=1)[:, total - count :]
        means[start : start + ROWS_AT_ONCE] = nearest.mean(1)
    return means


def _hits(queries: Vectors, others: Vectors, mean: Dense, draw_ties: bool) -> tuple[Hits, Hits]:
    """(n,) each: whether no other one is nearer to a query than its own; the query's own r is the same for all."""
    hits, csls_hits = [], []
    for start in range(0, queries.shape[0], ROWS_AT_ONCE):
        some = _some_cosines(queries, start, others)
        hits.append(_own(some, start, draw_ties))
        csls_hits.append(_own(2 * some - mean, start, draw_ties))
    return np.concatenate(hits), np.concatenate(csls_hits)


def _own(scores: Dense, start: int, draw_ties: bool) -> Hits:
    """(rows,) Whether each row's own score, in column ``start`` and on, is the highest.

    Args:
        scores: (rows, n)
        start: The first row's number.
        draw_ties: Give a share of 1 to each of those that are equally high.
    """
    rows = np.arange(len(scores))
    nearest = scores.max(1) - TIE  # (rows,)
    own: npt.NDArray[np.bool_] = scores[rows, rows + start] >= nearest
    return own / (scores >= nearest[:, None]).sum(1) if draw_ties else own
