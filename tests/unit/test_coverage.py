"""What the intervals and p values of `xbench.stats` promise, by simulation: how often they hold the truth, or cry wolf.

A simulated model answers a row rightly where a sum of normal numbers is above 0: one for the row's passage and one for
the row, the same whoever reads it; one for the row under this model, one for the seed, one for the row under this seed.
So the accuracy over all rows and seeds that might have been drawn is known, and each cause has a share that is set.
2,000 repetitions: the standard error of a coverage of 95% is half a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr, ttest_ind

from xbench.stats import Difference, Estimate, Part, combine, difference, estimate, holm

REPEATS = 2000
DRAWS = 1000
Floats = NDArray[np.float64]


@cache
def counts(units: int, draws: int = DRAWS) -> Floats:
    """(draws, units): how often each unit stands in each resample; the same for all scores over these units."""
    generator = np.random.Generator(np.random.PCG64(units))
    return generator.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.float64)


@dataclass(frozen=True)
class World:
    """Rows, in passages of 2 to 60 where clustered, and whose share of what decides an answer is how large."""

    units: int
    row: float = 0.0
    passage: float = 0.0
    model: float = 0.0
    seed: float = 0.0
    clustered: bool = False

    def sizes(self, rng: int, repeats: int) -> NDArray[np.int64]:
        shape = repeats, self.units
        if not self.clustered:
            return np.ones(shape, dtype=np.int64)
        drawn = np.exp(np.random.default_rng(rng).normal(2.0, 0.6, shape))
        return np.clip(np.round(drawn), 2, 60).astype(np.int64)

    def answers(self, accuracies: Sequence[float], seeds: int, rng: int, repeats: int) -> list[NDArray[np.bool_]]:
        """Of each model: (seeds, rows of all repeats, passage by passage)."""
        generator = np.random.default_rng((rng, 1))
        sizes = self.sizes(rng, repeats)
        rows = np.sqrt(self.row) * generator.standard_normal(sizes.sum())
        rows += np.repeat(np.sqrt(self.passage) * generator.standard_normal(sizes.size), sizes.ravel())
        found, rows_each = [], sizes.sum(axis=1)
        for accuracy in accuracies:
            own = rows + np.sqrt(self.model) * generator.standard_normal(len(rows))
            shifts = norm.ppf(accuracy / 100) + np.sqrt(self.seed) * generator.standard_normal((seeds, repeats))
            rest = np.sqrt(1 - self.row - self.passage - self.model - self.seed)
            found.append(np.stack([own + np.repeat(shift, rows_each) + rest * generator.standard_normal(len(own)) > 0
                                   for shift in shifts]))  # fmt: skip
        return found

    def scores(
        self, accuracies: Sequence[float], seeds: int = 1, rng: int = 1, repeats: int = REPEATS
    ) -> list[tuple[Floats, Floats]]:
        """Of each model: (repeats, seeds) accuracies x100; (repeats, seeds, draws) of them over the same resamples."""
        sizes = self.sizes(rng, repeats)
        starts = np.cumsum(sizes.ravel()) - sizes.ravel()
        found = []
        for answers in self.answers(accuracies, seeds, rng, repeats):
            right = 100 * np.add.reduceat(answers, starts, axis=1, dtype=np.int64).reshape(seeds, *sizes.shape)
            right = right.swapaxes(0, 1).astype(np.float64)
            drawn = right @ counts(self.units).T / (sizes @ counts(self.units).T)[:, None]
            found.append((right.sum(axis=2) / sizes.sum(axis=1)[:, None], drawn))
        return found


def coverage(truth: float, found: Sequence[Estimate | Difference | None]) -> float:
    """Percent; None says that anything may be."""
    return 100 * float(np.mean([each is None or each.low <= truth <= each.high for each in found]))


def alarms(a: tuple[Floats, Floats], b: tuple[Floats, Floats], units: int, seeds: tuple[int, int] = (9, 9)) -> float:
    """Percent of the repeats in which two models are told apart at 5%."""
    tested = [difference(x[: seeds[0]], xs[: seeds[0]], y[: seeds[1]], ys[: seeds[1]], units)
              for x, xs, y, ys in zip(*a, *b, strict=True)]  # fmt: skip
    assert all((each.p < 0.05) == (each.low > 0 or each.high < 0) for each in tested if each)
    return 100 * float(np.mean([each is not None and each.p < 0.05 for each in tested]))


@pytest.mark.parametrize(("accuracy", "units"), [(50, 250), (90, 250), (50, 1379), (90, 1379)])
def test_intervals_of_an_accuracy_over_rows(accuracy: float, units: int) -> None:
    [(scores, draws)] = World(units).scores([accuracy])
    assert 93 <= coverage(accuracy, [estimate(*each, units) for each in zip(scores, draws, strict=True)]) <= 97


def rank_correlations(strength: float, rows: int, rng: int) -> tuple[Floats, Floats]:
    """(repeats,), (repeats, draws): Spearman's x100, of normal pairs, with the ranks of each resample anew.

    With the rows in the order of one side, the ranks of a resample are the running sums of its counts, less half of a
    row's own where it was drawn more than once, since ties have their mean rank.
    """
    generator = np.random.default_rng(rng)
    count = np.ascontiguousarray(counts(rows, 400).T)
    gold = np.cumsum(count, axis=0) - (count - 1) / 2 - (rows + 1) / 2
    within = (count * gold**2).sum(axis=0)
    scores, draws = [], []
    for _ in range(REPEATS):
        x = np.sort(generator.standard_normal(rows))
        order = np.argsort(strength * x + np.sqrt(1 - strength**2) * generator.standard_normal(rows))
        own = count[order]
        ranks = np.cumsum(own, axis=0) - (own - 1) / 2 - (rows + 1) / 2
        own *= ranks
        across = np.einsum("ij,ij->j", own, gold[order])
        draws.append(100 * across / np.sqrt(within * np.einsum("ij,ij->j", own, ranks)))
        scores.append(100 * np.corrcoef(order, np.arange(rows))[0, 1])
    return np.array(scores), np.array(draws)


def test_the_simulated_rank_correlations_are_scipys() -> None:
    generator = np.random.default_rng(1)
    x = np.sort(generator.standard_normal(60))
    y = 0.7 * x + generator.standard_normal(60)
    rows = np.repeat(np.arange(60), counts(60, 500)[7].astype(int))
    count = np.ascontiguousarray(counts(60, 500).T)
    gold, order = np.cumsum(count, axis=0) - (count - 1) / 2, np.argsort(y)
    ranks = np.empty_like(gold)
    ranks[order] = np.cumsum(count[order], axis=0) - (count[order] - 1) / 2
    weighted = np.cov(gold[:, 7], ranks[:, 7], fweights=count[:, 7].astype(int))
    expected = spearmanr(x[rows], y[rows]).statistic
    assert weighted[0, 1] / np.sqrt(weighted[0, 0] * weighted[1, 1]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("strength", [0.4, 0.85])
def test_intervals_of_a_rank_correlation(strength: float) -> None:
    scores, draws = rank_correlations(strength, 250, rng=3)
    truth = 600 / np.pi * np.arcsin(strength / 2)
    assert 93 <= coverage(truth, [estimate([x], xs[None], 250) for x, xs in zip(scores, draws, strict=True)]) <= 97


@pytest.mark.parametrize(("accuracy", "units"), [(60, 48), (80, 48), (90, 48), (80, 240)])
def test_intervals_over_passages_of_unequal_sizes(accuracy: float, units: int) -> None:
    [(scores, draws)] = World(units, passage=0.3, clustered=True).scores([accuracy])
    assert 93 <= coverage(accuracy, [estimate(*each, units) for each in zip(scores, draws, strict=True)]) <= 97


def test_rows_that_share_passages_resampled_one_by_one_are_held_for_too_well_known() -> None:
    world = World(48, passage=0.5, clustered=True)
    [(scores, _)] = world.scores([80])
    rows = world.sizes(1, REPEATS).sum(axis=1)
    noise = np.random.default_rng(2).standard_normal((REPEATS, 1, DRAWS))  # a row bootstrap's draws, all but normal
    draws = scores[..., None] + np.sqrt(scores * (100 - scores) / rows[:, None])[..., None] * noise
    assert coverage(80, [estimate(x, xs, int(n)) for x, xs, n in zip(scores, draws, rows, strict=True)]) < 75


SEEDS = [
    (World(250, row=0.7), 3),
    (World(250, row=0.7, seed=0.005), 3),
    (World(250, row=0.7, seed=0.05), 3),
    (World(250, row=0.7, seed=0.05), 5),
    (World(250, row=0.1, seed=0.002), 3),  # little but the interaction
    (World(250, row=0.1, seed=0.002), 5),
    (World(48, row=0.3, passage=0.3, seed=0.005, clustered=True), 3),
    (World(48, row=0.1, passage=0.2, seed=0.03, clustered=True), 3),
    (World(48, row=0.1, passage=0.2, seed=0.03, clustered=True), 5),
]


@pytest.mark.parametrize(("world", "seeds"), SEEDS, ids=str)
def test_intervals_of_a_mean_over_seeds(world: World, seeds: int) -> None:
    [(scores, draws)] = world.scores([80], seeds)
    found = [estimate(*each, world.units) for each in zip(scores, draws, strict=True)]
    assert 93 <= coverage(80, found) <= 97


def test_neither_rows_nor_seeds_alone_make_an_interval() -> None:
    [(scores, draws)] = World(250, row=0.7, seed=0.05).scores([80], 3, repeats=500)
    rows = [estimate([x.mean()], xs.mean(axis=0)[None], 250) for x, xs in zip(scores, draws, strict=True)]
    assert coverage(80, rows) < 75
    [(scores, draws)] = World(250, row=0.95).scores([80], 5, repeats=500)
    reach = 2.776 * scores.std(axis=1, ddof=1) / np.sqrt(5)
    assert 100 * np.mean(abs(scores.mean(axis=1) - 80) <= reach) < 60


TESTED = [
    World(250, row=0.7),
    World(250, row=0.97),
    World(1379, row=0.6, model=0.2),
    World(48, row=0.2, passage=0.5, clustered=True),
]


@pytest.mark.parametrize("world", TESTED, ids=str)
def test_two_models_as_good_as_each_other_are_told_apart_in_one_of_twenty_cases(world: World) -> None:
    assert 3.5 <= alarms(*world.scores([80, 80]), world.units) <= 6.5


@pytest.mark.parametrize(("seeds", "clustered"), [((3, 3), False), ((3, 3), True), ((3, 1), True)], ids=str)
def test_so_are_two_models_of_several_seeds(seeds: tuple[int, int], clustered: bool) -> None:
    """Of 12,000 repetitions of the first two, 4.0 and 3.9%; the standard error of 2,000 is 0.4."""
    world = World(250, row=0.5, model=0.3, seed=0.003)
    if clustered:
        world = World(48, row=0.2, passage=0.3, model=0.3, seed=0.003, clustered=True)
    if seeds[1] == 1:  # one model that training does not change: all seeds are the same
        world = World(world.units, row=world.row + 0.003, passage=world.passage, model=0.3, clustered=clustered)
    assert 3 <= alarms(*world.scores([80, 80], max(seeds)), world.units, seeds) <= 6.5


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, where all seeds of a side have one score
def test_where_nothing_but_seeds_differs_the_test_is_as_careful_as_welchs() -> None:
    """With three seeds a side and the same variance, Welch's own test alarms in 3.4% of all cases instead of 5."""
    a, b = World(250, row=0.7, seed=0.02).scores([80, 80], 3)
    welch = 100 * float(np.mean(ttest_ind(a[0], b[0], axis=1, equal_var=False).pvalue < 0.05))
    found = alarms(a, b, 250)
    assert 2.5 <= found <= 6.5
    assert abs(found - welch) < 0.7


def test_after_holm_a_false_alarm_among_fifteen_comparisons_is_as_rare_as_in_one() -> None:
    models = World(250, row=0.4, model=0.3).scores([75] * 6, repeats=1000)
    false, uncorrected = 0, 0
    for repeat in range(1000):
        p = [found.p for (x, xs), (y, ys) in combinations(models, 2)
             if (found := difference(x[repeat], xs[repeat], y[repeat], ys[repeat], 250))]  # fmt: skip
        assert len(p) == 15
        uncorrected += min(p) < 0.05
        false += min(holm(p)) < 0.05
    assert 1.5 <= false / 10 <= 6.5
    assert uncorrected / 10 > 25


def test_a_real_difference_is_found() -> None:
    """Three points on 1,379 rows, in most cases with one seed; six points, with three seeds and their noise."""
    assert alarms(*World(1379, row=0.7).scores([83, 80], repeats=500), 1379) > 70
    assert alarms(*World(1379, row=0.6, model=0.1, seed=0.001).scores([86, 80], 3, repeats=300), 1379) > 90
    # Each model's own interval is so wide that these would overlap: pairing is what finds it.
    (x, xs), (y, ys) = World(1379, row=0.9).scores([82, 80], repeats=500)
    apart = [a.low > b.high for *_, a, b in zip(x, y, [estimate(*each, 1379) for each in zip(x, xs, strict=True)],
             [estimate(*each, 1379) for each in zip(y, ys, strict=True)], strict=True) if a and b]  # fmt: skip
    assert np.mean(apart) < 0.2
    assert alarms((x, xs), (y, ys), 1379) > 60


def parts(a: tuple[Floats, Floats], b: tuple[Floats, Floats], units: tuple[int, int], rows: str | None = None,
          run: str | None = None) -> list[tuple[Part, Part]]:  # fmt: skip
    return [(Part(x, xs, units[0], rows, run), Part(y, ys, units[1], rows, run))
            for x, xs, y, ys in zip(*a, *b, strict=True)]  # fmt: skip


@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_of_a_gap_between_other_rows(seeds: int) -> None:
    noise = 0.003 if seeds > 1 else 0.0  # one seed speaks for itself
    [a] = World(250, row=0.5, seed=noise).scores([70], seeds, rng=5)
    [b] = World(48, passage=0.4, seed=noise, clustered=True).scores([85], seeds, rng=6)
    assert 93 <= coverage(15, [combine(lambda a, b: b - a, *each) for each in parts(a, b, (250, 48))]) <= 97


def test_intervals_of_a_degradation_in_percent() -> None:
    a, b = World(250, row=0.5, seed=0.003).scores([80, 60], 3)
    found = [
        combine(lambda a, b: 100 * (b - a), *each, over=lambda a, b: a) for each in parts(a, b, (250, 250), "rows")
    ]
    assert 93 <= coverage(-25, found) <= 97


@pytest.mark.parametrize(("baseline", "most"), [(53, 100), (60, 97)])
def test_intervals_of_what_is_kept_above_chance(baseline: float, most: float) -> None:
    """Where the baseline is hardly above chance there is mostly no interval: whatever is kept, that is no error."""
    [a], [b] = World(250).scores([51], rng=7), World(250).scores([baseline], rng=8)
    found = [combine(lambda a, b: 100 * (a - 50), *each, over=lambda a, b: b - 50) for each in parts(a, b, (250, 250))]
    assert 93 <= coverage(100 / (baseline - 50), found) <= most
    undefined = np.mean([each is None for each in found])
    assert undefined > 0.8 if baseline == 53 else undefined < 0.2


def test_an_average_of_scores_of_the_same_runs_knows_that_their_seeds_are_the_same() -> None:
    [answers] = World(200, row=0.3, seed=0.03).answers([80], 3, 9, REPEATS)
    halves = 100.0 * answers.reshape(3, REPEATS, 2, 100).transpose(2, 1, 0, 3)
    a, b = ((half.mean(axis=2), half @ counts(100).T / 100) for half in halves)
    average = {run: [combine(lambda a, b: (a + b) / 2, *each) for each in parts(a, b, (100, 100), run=run)[:some]]
               for run, some in (("model", REPEATS), (None, 500))}  # fmt: skip
    assert 93 <= coverage(80, average["model"]) <= 97
    assert coverage(80, average[None]) < 92.5
