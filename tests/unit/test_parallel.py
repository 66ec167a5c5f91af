"""A translation is found where a plain look at all similarities finds it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from xbench.heads import parallel
from xbench.heads.parallel import Found, derangement, find, parallel_predictions, unit


def drawn(count: int, width: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    source = generator.standard_normal((count, width))
    return unit(source), unit(source + noise * generator.standard_normal((count, width)))


def by_looking_at_all(source: np.ndarray, target: np.ndarray) -> list[list[bool]]:
    cosines = [[float(np.float32(one @ other)) for other in target] for one in source]

    def neighbourhood(values: list[float]) -> float:
        nearest = sorted(values)[-10:]
        return sum(nearest) / len(nearest)

    n = len(source)
    r_source = [neighbourhood(cosines[i]) for i in range(n)]
    r_target = [neighbourhood([cosines[i][j] for i in range(n)]) for j in range(n)]
    csls = [[2 * cosines[i][j] - r_source[i] - r_target[j] for j in range(n)] for i in range(n)]
    return [
        [max(table[i]) - table[i][i] < 1e-6 for i in range(n)] if forward
        else [max(table[i][j] for i in range(n)) - table[j][j] < 1e-6 for j in range(n)]
        for table in (cosines, csls)
        for forward in (True, False)
    ]  # fmt: skip


def listed(found: Found) -> list[list[bool]]:
    return [
        each.tolist() for each in (found.forward, found.backward, found.csls_forward, found.csls_backward)
    ]  # fmt: skip


@given(count=st.integers(1, 30), width=st.integers(2, 6), seed=st.integers(0, 999), noise=st.sampled_from([0.1, 0.8]))
def test_what_is_found_is_what_a_look_at_all_finds(count: int, width: int, seed: int, noise: float) -> None:
    source, target = drawn(count, width, noise, seed)
    assert listed(find(source, target)) == by_looking_at_all(source, target)


@pytest.mark.parametrize("at_once", [1, 7, 40, 100])
def test_the_number_of_rows_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    source, target = drawn(40, 5, 0.8)
    expected = listed(find(source, target))
    monkeypatch.setattr(parallel, "ROWS_AT_ONCE", at_once)
    assert listed(find(source, target)) == expected


def test_exact_translations_are_all_found_and_unrelated_ones_by_chance() -> None:
    source, _ = drawn(300, 16, 0.0)
    assert all(all(hits) for hits in listed(find(source, source)))
    other, _ = drawn(300, 16, 0.0, seed=1)
    assert all(sum(hits) < 8 for hits in listed(find(source, other)))


def test_csls_takes_a_hub_down() -> None:
    """One target is near to all sources: by cosine it is each one's nearest, by CSLS each finds its own."""
    generator = np.random.default_rng(0)
    common = np.zeros(40)
    common[0] = 3.0
    source = unit(generator.standard_normal((30, 40)) + common)
    target = source.copy()
    target = unit(target + 1.3 * unit(generator.standard_normal((30, 40))))
    target[0] = unit(source.mean(0)[None])[0]
    found = find(source, target)
    assert found.csls_forward[1:].sum() > found.forward[1:].sum()


def test_the_same_sentence_in_two_pairs_is_found_in_both() -> None:
    source, target = drawn(10, 6, 0.0)
    source[1], target[1] = source[0], target[0]
    assert find(source, target).forward.all()


def test_a_zero_vector_stays_zero() -> None:
    assert unit(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0.0, 0.0], pytest.approx([0.6, 0.8])]


def shares(nearness: list[list[float]]) -> list[float]:
    """Of each row, how likely a draw among its highest ones hits the one on the diagonal."""
    drawn = []
    for at, row in enumerate(nearness):
        best = [place for place, value in enumerate(row) if value > max(row) - 1e-6]
        drawn.append(best.count(at) / len(best))
    return drawn


@given(
    vectors=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12),
    at_once=st.sampled_from([1, 5, 64]),
)
def test_ties_are_drawn_dense_and_sparse_alike(vectors: list[tuple[int, int]], at_once: int) -> None:
    """Of five vectors, one of them nothing, most are alike: ties are the rule."""
    some = unit(np.array([[0, 0], [1, 0], [0, 1], [1, 1], [1, 2]]))
    source, target = (np.stack([some[pair[side]] for pair in vectors]) for side in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "ROWS_AT_ONCE", at_once)
        dense = parallel_predictions(source, target, draw_ties=True)
        sparse = parallel_predictions(csr_array(source), csr_array(target), draw_ties=True)
        plain = find(source, target)
    nearness = (source.astype(float) @ target.T.astype(float)).tolist()
    assert [one["forward"] for one in dense] == pytest.approx(shares(nearness))
    assert [one["backward"] for one in dense] == pytest.approx(
        shares([list(row) for row in zip(*nearness, strict=True)])
    )
    assert [one["cosine"] for one in dense] == pytest.approx([nearness[at][at] for at in range(len(vectors))])
    order = derangement(len(vectors))
    assert [one["shuffled"] for one in dense] == pytest.approx([nearness[at][other] for at, other in enumerate(order)])
    for one, other in zip(dense, sparse, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert (plain.forward == [one["forward"] > 0 for one in dense]).all()
    assert (plain.csls_backward == [one["csls_backward"] > 0 for one in dense]).all()


def test_swapped_sides_change_the_names_and_nothing_else() -> None:
    source, target = drawn(30, 5, 0.9)
    names = {"forward": "backward", "csls_forward": "csls_backward"}
    names |= {other: name for name, other in names.items()}
    plain, swapped = parallel_predictions(source, target), parallel_predictions(source, target, swapped=True)
    assert plain != swapped
    assert [{names.get(name, name): value for name, value in one.items()} for one in swapped] == plain


@pytest.mark.parametrize("count", [2, 3, 50])
def test_nothing_stays_at_its_place(count: int) -> None:
    order = derangement(count)
    assert sorted(order) == list(range(count))
    assert all(place != other for place, other in enumerate(order))
