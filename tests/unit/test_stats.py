"""The statistics of the leaderboard, held against scipy and against numbers worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from xbench.stats import Part, combine, difference, estimate, holm, pair_p_values, rank_ranges

Floats = NDArray[np.float64]


def counts(units: int, draws: int = 4000, seed: int = 0) -> Floats:
    """(draws, units): how often each unit stands in each resample."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.float64)


def means(rows: Floats, seed: int = 0) -> tuple[Floats, Floats]:
    """The scores and draws of seeds (seeds, rows) whose score is the mean of its rows."""
    return rows.mean(axis=1), rows @ counts(rows.shape[1], seed=seed).T / rows.shape[1]


@pytest.fixture
def rows() -> Floats:
    """(3, 120): of three seeds, skewed, with something in common."""
    generator = np.random.default_rng(4)
    return 100 - 10 * (generator.exponential(size=120) + generator.exponential(size=(3, 120)))


def test_the_interval_of_one_seed_is_scipys_bca_but_for_the_correction_for_few_units(rows: Floats) -> None:
    found = estimate(*means(rows[:1]), 120)
    expected = scipy.stats.bootstrap((rows[0],), np.mean, n_resamples=20000, method="BCa", rng=1)
    assert found is not None
    assert found.se == pytest.approx(rows[0].std(ddof=1) / math.sqrt(120), rel=0.03)  # not the bootstrap's own n
    wider = scipy.stats.t.ppf(0.975, 119) / scipy.stats.norm.ppf(0.975) * math.sqrt(120 / 119)
    for end, other in zip((found.low, found.high), expected.confidence_interval, strict=True):
        assert end - found.value == pytest.approx(wider * (other - found.value), rel=0.06)
    assert (found.value, found.seeds, found.method) == (rows[0].mean(), 1, "BCa bootstrap")
    assert found.high - found.value < found.value - found.low  # scores near their upper end can fall further than rise


def test_the_interval_of_a_paired_difference_is_scipys_paired_bootstrap(rows: Floats) -> None:
    found = difference(*means(rows[:1]), *means(rows[1:2]), 120)
    expected = scipy.stats.bootstrap(
        (rows[0], rows[1]), lambda a, b, axis=-1: (a - b).mean(axis=axis), paired=True, n_resamples=9999, method="BCa",
        rng=1)  # fmt: skip
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval), abs=0.15)


def test_the_paired_test_of_a_mean_is_the_t_test_on_the_rows_differences(rows: Floats) -> None:
    for shift in (0.0, 2.0, 4.0):
        found = difference(*means(rows[:1] + shift), *means(rows[1:2]), 120)
        expected = scipy.stats.ttest_rel(rows[0] + shift, rows[1])
        interval = expected.confidence_interval(0.95)
        assert found is not None
        assert abs(scipy.stats.norm.isf(found.p / 2) - scipy.stats.norm.isf(expected.pvalue / 2)) < 0.12
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.1)


def test_seeds_that_differ_far_more_than_rows_are_compared_by_welchs_test() -> None:
    generator = np.random.default_rng(2)
    noise = 0.01 * generator.standard_normal((8, 200))
    a = np.array([80.1, 81.9, 79.2])[:, None] + noise[:3]
    b = np.array([75.0, 78.1, 76.4, 76.0, 77.2])[:, None] + noise[3:]
    found = difference(*means(a), *means(b), 200)
    expected = scipy.stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    assert found is not None
    assert found.p == pytest.approx(expected.pvalue, rel=0.02)
    single = estimate(*means(a), 200)
    interval = scipy.stats.t.interval(0.95, 2, a.mean(), scipy.stats.sem(a.mean(axis=1)))
    assert single is not None
    assert (single.low, single.high) == pytest.approx(interval, rel=0.002)


def test_seeds_of_the_same_runs_are_compared_pair_by_pair() -> None:
    generator = np.random.default_rng(2)
    run = np.array([-4.0, 0.5, 3.0, 1.0])[:, None]
    a, b = (at + run + generator.normal(0, 0.3, (4, 1)) + 0.01 * generator.standard_normal((4, 200)) for at in (81, 80))
    found = difference(*means(a), *means(b), 200, same_runs=True)
    expected = scipy.stats.ttest_rel(a.mean(axis=1), b.mean(axis=1))
    apart = difference(*means(a), *means(b), 200)
    assert found is not None
    assert apart is not None
    assert found.p == pytest.approx(expected.pvalue, rel=0.02)
    assert apart.p > 10 * found.p


def test_the_variance_of_rows_under_one_seed_is_counted_once() -> None:
    """Seeds that share nothing: the interaction is all there is, and it is in both of the variances."""
    generator = np.random.default_rng(6)
    ratios = []
    for _ in range(60):
        rows = generator.standard_normal((5, 200))
        found = estimate(*means(rows), 200)
        assert found is not None
        ratios.append(found.se**2 * 5 * 200)
    assert np.mean(ratios) == pytest.approx(1, abs=0.25)  # 2 if it were counted twice


def test_equal_seeds_say_no_more_than_one(rows: Floats) -> None:
    scores, draws = means(rows[:1])
    one, three = estimate(scores, draws, 120), estimate(np.repeat(scores, 3), np.repeat(draws, 3, axis=0), 120)
    assert one is not None
    assert three is not None
    assert (three.low, three.high, three.se) == pytest.approx((one.low, one.high, one.se))
    assert three.seeds == 3


def test_a_constant_score_has_an_interval_of_no_length_and_at_a_bound_clopper_and_pearsons() -> None:
    scores, draws = [100.0], np.full((1, 1000), 100.0)
    found, bounded = estimate(scores, draws, 50), estimate(scores, draws, 50, bounds=(0, 100))
    exact = scipy.stats.binomtest(50, 50).proportion_ci(0.95, "exact")
    assert found is not None
    assert bounded is not None
    assert (found.low, found.high, found.se, found.method) == (100, 100, 0, "no variation")
    assert (bounded.low, bounded.high) == pytest.approx((100 * exact.low, 100))
    bottom, middle = estimate([0.0], 0 * draws, 50, bounds=(0, 100)), estimate(scores, draws, 50, bounds=(-100, 200))
    assert bottom is not None
    assert middle == found
    assert (bottom.low, bottom.high) == pytest.approx((0, 100 - 100 * exact.low))


def test_bounds_cut_what_seeds_reach_beyond() -> None:
    generator = np.random.default_rng(3)
    scores, draws = means(100.0 * (generator.random((3, 250)) < np.array([[0.999], [0.97], [0.99]])))
    wide, cut = estimate(scores, draws, 250), estimate(scores, draws, 250, bounds=(0, 100))
    assert wide is not None
    assert cut is not None
    assert wide.high > 100
    assert (cut.low, cut.high, cut.se) == (wide.low, 100, wide.se)


def test_models_that_never_differ_are_equal_and_those_that_always_differ_alike_are_not() -> None:
    scores, draws = means(100.0 * (np.random.default_rng(1).random((1, 50)) < 0.6))
    same, apart = difference(scores, draws, scores, draws, 50), difference(scores + 1, draws + 1, scores, draws, 50)
    assert same is not None
    assert apart is not None
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert (apart.low, apart.high) == pytest.approx((1, 1))
    assert apart.p == scipy.stats.binomtest(50, 50).pvalue


@pytest.mark.parametrize("units", [5, 6])
def test_so_few_that_agree_by_chance_are_no_difference(units: int) -> None:
    """Five rows say the same in one of sixteen cases: an interval that holds nothing but the value would be a claim."""
    right, wrong = means(np.full((1, units), 100.0)), means(np.zeros((1, units)))
    found = difference(*right, *wrong, units)
    assert (found is None) == (units == 5)
    assert found is None or (found.low, found.high, found.p) == (100, 100, 2 / 64)


def test_undefined_draws_are_left_out_and_said_and_too_many_leave_no_interval(rows: Floats) -> None:
    scores, draws = means(rows)
    whole = estimate(scores, draws, 120)
    draws[1, :40] = math.nan
    some = estimate(scores, draws, 120)
    assert whole is not None
    assert some is not None
    assert (some.low, some.high) == pytest.approx((whole.low, whole.high), abs=0.1)
    assert some.method == f"{whole.method} (40 of 4,000 resamples undefined)"
    compared = difference(scores, draws, scores[:1] - 3, draws[:1] - 3, 120)
    assert compared is not None
    assert compared.method.endswith("where there are seeds (40 of 4,000 resamples undefined)")
    draws[0, -200:] = math.nan
    assert estimate(scores, draws, 120) is None
    assert difference(scores, draws, scores, draws, 120) is None
    assert estimate([math.nan], draws[2:], 120) is None
    assert estimate(scores[:1], draws[:1], 1) is None


def test_shapes_that_do_not_fit_are_refused(rows: Floats) -> None:
    scores, draws = means(rows)
    with pytest.raises(ValueError, match="seeds, draws"):
        estimate(scores, draws[:2], 120)
    with pytest.raises(ValueError, match="same rows"):
        difference(scores, draws, scores, draws[:, :100], 120)
    with pytest.raises(ValueError, match="same run"):
        difference(scores, draws, scores[:2], draws[:2], 120, same_runs=True)


def test_a_gap_over_the_same_rows_is_the_difference_and_over_others_the_sum_of_variances(rows: Floats) -> None:
    (a, a_draws), (b, b_draws) = means(rows[:1]), means(rows[1:2])
    paired = combine(lambda a, b: a - b, Part(a, a_draws, 120, "same"), Part(b, b_draws, 120, "same"))
    expected = difference(a, a_draws, b, b_draws, 120)
    apart = combine(lambda a, b: a - b, Part(a, a_draws, 120), Part(b, b_draws, 120))  # though the draws go together
    alone = [estimate(a, a_draws, 120), estimate(b, b_draws, 120)]
    assert paired is not None
    assert expected is not None
    assert apart is not None
    assert (paired.value, paired.se) == pytest.approx((expected.value, expected.se))
    assert (paired.low, paired.high) == pytest.approx((expected.low, expected.high), abs=0.3)
    assert apart.se == pytest.approx(math.hypot(*(each.se for each in alone if each)), rel=1e-6)
    assert apart.high - apart.low == pytest.approx(2 * 1.97 * apart.se, rel=0.05)


def test_a_ratio_is_fiellers_closed_form(rows: Floats) -> None:
    """The roots of a quadratic, as in Fieller (1954), for one set of rows and one seed."""
    (a, a_draws), (b, b_draws) = means(rows[:1] - 60), means(rows[1:2] - 60)
    found = combine(lambda a, b: a, Part(a, a_draws, 120, "same"), Part(b, b_draws, 120, "same"), over=lambda a, b: b)
    covariance = np.cov(np.stack([a_draws[0], b_draws[0]])) * 120 / 119
    t = scipy.stats.t.ppf(0.975, 119)
    roots = np.roots([b[0] ** 2 - t**2 * covariance[1, 1], -2 * (a[0] * b[0] - t**2 * covariance[0, 1]),
                      a[0] ** 2 - t**2 * covariance[0, 0]])  # fmt: skip
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(sorted(roots)), rel=1e-5)
    assert found.value == pytest.approx(a[0] / b[0])
    assert found.method == "Fieller, bootstrap variances"


def test_a_ratio_far_from_a_denominator_of_zero_is_what_the_draws_say(rows: Floats) -> None:
    arguments = [Part(*means(rows), 120, "same"), Part(*means(rows[::-1] - 8), 120, "same")]
    ratio = combine(lambda a, b: 100 * (b - a), *arguments, over=lambda a, b: a)
    drawn = combine(lambda a, b: 100 * (b - a) / a, *arguments)
    assert ratio is not None
    assert drawn is not None
    assert ratio.value == pytest.approx(drawn.value)
    assert (ratio.low, ratio.high, ratio.se) == pytest.approx((drawn.low, drawn.high, drawn.se), rel=0.02)


def test_what_is_divided_by_what_may_be_zero_has_no_interval() -> None:
    """A baseline a standard error above chance: what is kept of it is anyone's guess; at chance, it is undefined."""
    generator = np.random.default_rng(1)
    a, near, far = (means(100.0 * (generator.permutation(400) < right)[None], seed=seed)
                    for seed, right in enumerate((220, 210, 320)))  # fmt: skip
    assert combine(lambda a, b: 100 * (a - 50), Part(*a, 400), Part(*near, 400), over=lambda a, b: b - 50) is None
    kept = combine(lambda a, b: 100 * (a - 50), Part(*a, 400), Part(*far, 400), over=lambda a, b: b - 50)
    assert kept is not None
    assert kept.value == pytest.approx(100 / 6)
    assert kept.low < 0.5 < kept.value < kept.high
    assert combine(lambda a, b: 100 * (a - 50), Part(*a, 400), Part([50.0], [[50.0] * 9], 400),
                   over=lambda a, b: b - 50) is None  # fmt: skip
    assert combine(lambda a, b: (a - 50) / (b - 50), Part(*a, 400), Part([50.0], [[50.0] * 9], 400)) is None


def test_draws_that_do_not_surround_the_score_give_only_their_standard_error(rows: Floats) -> None:
    scores, draws = means(rows[:1])
    found = estimate(scores, draws - 5, 120)
    assert found is not None
    assert found.method == "t, bootstrap's standard error"
    assert found.high - found.value == pytest.approx(found.value - found.low)
    assert found.high - found.value == pytest.approx(scipy.stats.t.ppf(0.975, 119) * found.se)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_other_levels_nest(rows: Floats, level: float) -> None:
    found, usual = estimate(*means(rows[:1]), 120, level=level), estimate(*means(rows[:1]), 120)
    assert found is not None
    assert usual is not None
    assert (found.low < usual.low) == (level > 0.95) == (found.high > usual.high)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferronis_and_keeps_the_order(p: list[float]) -> None:
    corrected = holm(p)
    assert all(one <= new <= min(1, len(p) * one) for one, new in zip(p, corrected, strict=True))
    assert min(corrected) == min(1, len(p) * min(p))
    ranked = [new for _, new in sorted(zip(p, corrected, strict=True))]
    assert ranked == sorted(ranked)


def test_ranks_are_ranges_where_not_told_apart_is_not_transitive() -> None:
    """The first is better than the last alone; the middle one is told apart from neither."""
    better = [[False, False, True], [False, False, False], [False, False, False]]
    assert rank_ranges([3.0, 2.0, 1.0], better) == [(1, 2), (1, 3), (2, 3)]
    assert rank_ranges([2.0, 3.0], [[False, False], [True, False]]) == [(2, 2), (1, 1)]
    assert rank_ranges([], []) == []
    with pytest.raises(ValueError, match="both ways"):
        rank_ranges([1.0, 2.0], [[False, True], [True, False]])


@pytest.mark.parametrize(("seed", "seeds", "units"), [(0, 2, 300), (1, 3, 40), (2, 5, 5), (3, 1, 300)])
def test_all_pairs_of_several_seeds_at_once_have_the_p_values_of_each(seed: int, seeds: int, units: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(0, 1, 400) * np.array([0, 0.5, 1, 2, 2, 0])[:, None, None]  # alike for all
    draws = 80 + rows + random.normal(0, [[[1.0]], [[0.3]], [[2.0]], [[1.0]], [[0.0]], [[0.0]]], (6, seeds, 400))
    scores = draws.mean(axis=2) + random.normal(0, [[0.5], [2], [0.1], [0], [0.4], [0]], (6, seeds))
    found = pair_p_values(scores, draws, units)
    for i, j in itertools.permutations(range(6), 2):
        alone = difference(scores[i], draws[i], scores[j], draws[j], units)
        assert alone is not None
        assert found[i, j] == pytest.approx(alone.p, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_at_once_have_the_p_values_of_each(seed: int) -> None:
    random = np.random.default_rng(seed)
    shared = random.normal(0, 1, 400)
    draws = 80 + np.stack([shared * own + random.normal(0, 1, 400) for own in (0, 0.5, 1, 2)])
    draws = np.concatenate([draws, draws[:1], np.full((2, 400), 50.0)])  # a twin, and two that nothing changes
    scores = draws.mean(axis=1) + random.normal(0, 0.5, 7) * np.array([1, 1, 1, 1, 0, 0, 0])
    scores[4] = scores[0]
    scores[6] += 1
    found = pair_p_values(scores, draws, 300)
    for i, j in itertools.product(range(7), repeat=2):
        if i != j:
            alone = difference(scores[i : i + 1], draws[i : i + 1], scores[j : j + 1], draws[j : j + 1], 300)
            assert alone is not None
            assert found[i, j] == pytest.approx(alone.p, rel=1e-6, abs=1e-300)
