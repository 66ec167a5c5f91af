"""The transfer report by its definitions: gap, degradation, retention, forgetting and the gain of mixing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.records import record, split_of
from xbench.leaderboard.entries import entries
from xbench.leaderboard.evidence import evidence
from xbench.leaderboard.table import Order, Table, build_tables
from xbench.leaderboard.transfer import Compared, Gap, forgotten, gaps, mixing_gains
from xbench.stats import Estimate, Part, combine
from xbench.store import sign

ORDER = {
    "sts": Order(
        ("stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts"), ("stsb", "korsts", "sts17-es"),
        baselines={"stsb": "stsb", "korsts": "korsts"},
    )
}  # fmt: skip


def scored(curriculum: str, dataset: str, score: float | None, draws: bool = True, **changes: Any) -> dict[str, Any]:
    return record(curriculum, dataset, scores={"spearman": score}, draws=draws, **changes)


def one_table(*records: dict[str, Any]) -> Table:
    (table,) = build_tables(records, ORDER)
    return table


def found(*records: dict[str, Any], order: dict[str, Order] | None = None) -> list[Gap]:
    """The gaps of all tables."""
    known = ORDER if order is None else order
    return [
        gap
        for table in build_tables(records, known)
        for gap in gaps(table, known["sts"].baselines, table.metrics[0])
    ]  # fmt: skip


def unlike(records: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [sign({**one, **changes}) for one in records]


OWN, ZERO = scored("korsts", "korsts", 80.0), scored("stsb", "korsts", 70.0)


def parts(*records: dict[str, Any], rows: tuple[Any, ...] = ("same", "same")) -> list[Part]:
    """What `stats.combine` is given, made here by hand."""
    made = []
    for number, (one, label) in enumerate(zip(records, rows, strict=True)):
        own = evidence([one], "spearman")
        assert own is not None
        made.append(Part(own.scores, own.draws, 1379, label, number))
    return made


def width(interval: Estimate | None) -> float:
    assert interval is not None
    return interval.high - interval.low


def test_gap_degradation_and_retention_by_hand() -> None:
    (gap,) = found(OWN, ZERO)
    assert (gap.row.curriculum, gap.column, gap.against) == ("stsb", "korsts", "korsts")
    assert gap.change == pytest.approx(80 - 70)
    assert gap.degradation == pytest.approx(100 * 10 / 80)
    assert gap.retention == pytest.approx(100 * 70 / 80)


@pytest.mark.parametrize(("chance", "retention"), [(0.0, 87.5), (20.0, 100 * 50 / 60), (50.0, 100 * 20 / 30)])
def test_retention_is_counted_from_chance_and_degradation_is_not(chance: float, retention: float) -> None:
    (gap,) = found(*unlike([OWN, ZERO], chance={"spearman": chance}))
    assert gap.retention == pytest.approx(retention)
    assert gap.degradation == pytest.approx(12.5)


def test_a_transfer_that_gains_has_a_negative_gap() -> None:
    (gap,) = found(scored("korsts", "korsts", 70.0), scored("stsb", "korsts", 77.0))
    assert (gap.change, gap.degradation, gap.retention) == pytest.approx((-7.0, -10.0, 110.0))


def test_what_cannot_be_a_percentage_is_none() -> None:
    (gap,) = found(scored("korsts", "korsts", -1.0), scored("stsb", "korsts", -5.0))
    assert (gap.change, gap.degradation, gap.retention) == (4.0, None, None)
    assert gap.degradation_interval is gap.retention_interval is None
    (gap,) = found(*unlike([OWN, ZERO], chance={"spearman": 80.0}))  # in-language is no better than chance
    assert (gap.degradation, gap.retention) == (pytest.approx(12.5), None)


@pytest.mark.parametrize("chance", [{}, {"pearson": 0.0}, {"spearman": None}])
def test_without_a_chance_level_there_is_no_retention(chance: dict[str, Any]) -> None:
    (gap,) = found(*unlike([OWN, ZERO], chance=chance))
    assert (gap.change, gap.retention, gap.retention_interval) == (pytest.approx(10.0), None, None)


def test_a_record_of_before_has_a_gap_without_interval_and_retention() -> None:
    old = [
        sign({**{name: one[name] for name in one if name not in ("chance", "sampling", "overlap")},
              "schema": "xbench.record/2"})
        for one in (OWN, ZERO)
    ]  # fmt: skip
    (gap,) = found(*old)
    assert (gap.change, gap.degradation, gap.retention) == (pytest.approx(10.0), pytest.approx(12.5), None)
    assert gap.interval is gap.degradation_interval is gap.retention_interval is None


FITTED = {"reading": "map", "fit": split_of("pairs", "train", 9)}
UNDEFINED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "baseline not run": (scored("korsts", "stsb", 80.0), ZERO),
    "other recipe": (scored("korsts", "korsts", 80.0, recipe={"epochs": 1}), ZERO),
    "other head": (scored("korsts", "korsts", 80.0, head="siamese"), ZERO),
    "other version of the head": (scored("korsts", "korsts", 80.0, head_version=2), ZERO),
    "other checkpoint": (scored("korsts", "korsts", 80.0, selection="best"), ZERO),
    "other limits": (scored("korsts", "korsts", 80.0, limits__train=200), ZERO),
    "other version of the task": (scored("korsts", "korsts", 80.0, task_version=2), ZERO),
    "other model": (scored("korsts", "korsts", 80.0, model__name="labse"), ZERO),
    "other weights": (scored("korsts", "korsts", 80.0, model__weights_sha256="6" * 64), ZERO),
    "other rows": (scored("korsts", "korsts", 80.0, eval__rows_sha256="0" * 64), ZERO),
    "other metrics": (scored("korsts", "korsts", 80.0, metric_version={"spearman": 2}), ZERO),
    "other reading": (scored("korsts", "korsts", 80.0, reading="map"), ZERO),
    "other fit": (
        scored("korsts", "korsts", 80.0, reading="map", fit=split_of("others", "train", 9)),
        scored("stsb", "korsts", 70.0, **FITTED),
    ),
    "baseline failed": (scored("korsts", "korsts", None, status="failed"), ZERO),
    "baseline undefined": (scored("korsts", "korsts", None), ZERO),
    "zero-shot undefined": (OWN, scored("stsb", "korsts", None)),
    "sample": (scored("korsts", "korsts", 80.0, sample=True), ZERO),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDEFINED)
def test_without_a_baseline_run_alike_there_is_no_gap(name: str) -> None:
    assert found(*UNDEFINED[name]) == []


def test_a_fitted_readings_gap_is_to_the_same_reading_fitted_on_the_same_rows() -> None:
    other = scored("korsts", "korsts", 99.0, reading="map", fit=split_of("others", "train", 9))
    own, zero = scored("korsts", "korsts", 80.0, **FITTED), scored("stsb", "korsts", 70.0, **FITTED)
    assert [gap.change for gap in found(other, own, zero)] == [pytest.approx(10.0)]


def test_of_two_baselines_trained_on_other_rows_neither_is_the_one() -> None:
    again = scored("korsts", "korsts", 90.0, train=[{**split_of("korsts", "dev", 99), "stage": 0}])
    assert found(OWN, again, ZERO) == []


def test_a_task_that_names_no_in_language_curriculum_has_no_gaps() -> None:
    assert found(OWN, ZERO, order={"sts": Order(baselines={})}) == []
    assert found(OWN, ZERO, order={"sts": Order(baselines={"korsts": "stsb"})}) == []  # which is not in-language there


def test_only_zero_shot_cells_have_a_gap() -> None:
    mixed = scored("stsb+korsts", "korsts", 82.0)
    frozen = scored("none", "korsts", 60.0, head="cross-encoder")
    spanish = scored("korsts", "sts17-es", 50.0)
    assert [gap.row.curriculum for gap in found(OWN, ZERO, mixed, frozen, spanish)] == ["stsb"]


def test_the_intervals_are_those_of_combine_in_pairs_and_narrower_than_apart() -> None:
    (gap,) = found(OWN, ZERO)
    both = parts(OWN, ZERO)
    assert gap.interval == combine(lambda b, a: b - a, *both)
    assert gap.degradation_interval == combine(lambda b, a: 100 * (b - a), *both, over=lambda b, a: b)
    assert gap.retention_interval == combine(lambda b, a: 100 * a, *both, over=lambda b, a: b)
    apart = parts(OWN, ZERO, rows=("one", "another"))
    assert width(gap.interval) < 0.5 * width(combine(lambda b, a: b - a, *apart))
    assert gap.interval is not None
    assert gap.interval.low < gap.change < gap.interval.high


def test_retention_and_its_interval_are_counted_from_the_same_chance() -> None:
    (gap,) = found(*unlike([OWN, ZERO], chance={"spearman": 50.0}))
    expected = combine(lambda b, a: 100 * (a - 50), *parts(OWN, ZERO), over=lambda b, a: b - 50)
    assert gap.retention_interval == expected
    assert expected is not None
    assert gap.retention == pytest.approx(expected.value)


@pytest.mark.parametrize(
    "change", [{"draws": 500}, {"scheme": "pcg64/2"}, {"unit": "passage"}, {"units": 9}, {"units_sha256": "0" * 64}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_draws_over_other_resamples_give_the_gap_and_no_interval(change: dict[str, Any]) -> None:
    other = sign({**OWN, "sampling": {**OWN["sampling"], **change}})
    if "draws" in change:
        kept = {
            name: {**one, "data": one["data"][: 4 * 500 // 3 - 2]} for name, one in other["sampling"]["scores"].items()
        }
        other = sign({**other, "sampling": {**other["sampling"], "scores": kept}})
    (gap,) = found(other, ZERO)
    assert gap.change == pytest.approx(10.0)
    assert gap.interval is gap.degradation_interval is gap.retention_interval is None


def test_of_several_seeds_the_means_are_compared_and_the_seeds_widen_the_interval() -> None:
    records = [
        scored(curriculum, "korsts", score + step, seed=seed)
        for curriculum, score in (("korsts", 80.0), ("stsb", 70.0))
        for seed, step in enumerate((-3.0, 0.0, 3.0))
    ]
    (gap,) = found(*records)
    assert gap.change == pytest.approx(10.0)
    assert gap.interval is not None
    assert gap.interval.seeds == 3
    (single,) = found(OWN, ZERO)
    assert width(gap.interval) > 2 * width(single.interval)


def changes_of(made: list[Compared]) -> list[tuple[str, str, str, float]]:
    return [(one.row.curriculum, one.column, one.against, round(one.change, 6)) for one in made]


def test_forgetting_is_what_the_last_stage_takes_from_the_languages_before() -> None:
    table = one_table(
        scored("stsb", "stsb", 85.0), scored("stsb:korsts", "stsb", 80.0), scored("stsb:korsts", "korsts", 82.0),
        scored("stsb", "korsts", 70.0), scored("stsb", "sts17-es", 75.0), scored("stsb:korsts", "sts17-es", 60.0),
        scored("korsts:stsb", "korsts", 79.0), scored("stsb+korsts", "stsb", 84.0),
    )  # fmt: skip
    # Not Korean, which came last, nor Spanish, which was never learned; korsts alone was not scored.
    assert changes_of(forgotten(table, "spearman")) == [("stsb:korsts", "stsb", "stsb", 5.0)]


def test_of_three_stages_only_the_last_one_is_held_against_what_stood_before_it() -> None:
    table = one_table(
        scored("stsb", "stsb", 85.0), scored("stsb:korsts", "stsb", 80.0), scored("stsb:korsts:stsb", "stsb", 86.0),
        scored("stsb:korsts", "korsts", 83.0), scored("stsb:korsts:stsb", "korsts", 80.0),
        scored("stsb+korsts:stsb", "korsts", 70.0), scored("stsb+korsts", "korsts", 84.0),
    )  # fmt: skip
    assert changes_of(forgotten(table, "spearman")) == [
        ("stsb:korsts", "stsb", "stsb", 5.0), ("stsb:korsts:stsb", "korsts", "stsb:korsts", 3.0),
        ("stsb+korsts:stsb", "korsts", "stsb+korsts", 14.0),
    ]  # fmt: skip


def test_the_gain_of_mixing_is_over_the_dataset_in_the_language_scored() -> None:
    table = one_table(
        scored("stsb", "stsb", 85.0), scored("korsts", "stsb", 75.0), scored("stsb+korsts", "stsb", 87.0),
        scored("korsts", "korsts", 80.0), scored("stsb", "korsts", 70.0), scored("stsb+korsts", "korsts", 78.5),
        scored("stsb", "sts17-es", 60.0), scored("stsb+korsts", "sts17-es", 66.0), scored("stsb:korsts", "stsb", 80.0),
    )  # fmt: skip
    assert changes_of(mixing_gains(table, "spearman")) == [
        ("stsb+korsts", "stsb", "stsb", 2.0), ("stsb+korsts", "korsts", "korsts", -1.5)
    ]  # fmt: skip


def trained(*parts: tuple[str, int, int]) -> list[dict[str, Any]]:
    """Parts of ``train``: dataset, how many of its rows, stage."""
    return [{**split_of(name, "train", rows), "rows_sha256": f"{rows:064}", "stage": stage}
            for name, rows, stage in parts]  # fmt: skip


def test_a_sequence_is_held_against_the_very_stage_that_it_goes_on_from() -> None:
    after = scored("stsb:korsts", "stsb", 80.0, train=trained(("stsb", 9, 0), ("korsts", 9, 1)))
    before = [scored("stsb", "stsb", 85.0, train=trained(("stsb", rows, 0))) for rows in (9, 8)]
    assert changes_of(forgotten(one_table(before[0], after), "spearman")) == [("stsb:korsts", "stsb", "stsb", 5.0)]
    assert forgotten(one_table(before[1], after), "spearman") == []


def test_of_a_mixture_of_other_rows_than_its_dataset_has_alone_the_reader_is_told() -> None:
    """A limit on training rows is one on the whole mixture, so that it has fewer rows of each dataset."""
    alone = scored("stsb", "stsb", 85.0, train=trained(("stsb", 8, 0)))
    (whole, other) = trained(("stsb", 8, 0), ("korsts", 8, 0))
    for change, told in (
        ({}, ""), ({"rows": 4}, "4 rows of it mixed, 8 alone"),
        ({"rows_sha256": "e" * 64}, "other rows of it mixed than alone"),
    ):  # fmt: skip
        mixed = scored("stsb+korsts", "stsb", 87.0, train=[{**whole, **change}, other])
        (one,) = mixing_gains(one_table(alone, mixed), "spearman")
        assert (round(one.change, 6), one.unlike) == (2.0, told)


def test_a_mixture_of_other_training_code_than_its_dataset_alone_says_so() -> None:
    alone = scored("stsb", "stsb", 85.0, environment__training_version=3)
    mixed = scored("stsb+korsts", "stsb", 87.0, environment__training_version=2)
    (one,) = mixing_gains(one_table(alone, mixed), "spearman")
    assert (round(one.change, 6), one.unlike) == (2.0, "training code 2 mixed, 3 alone")


@pytest.mark.parametrize(
    ("made", "before", "after", "sign_of"),
    [(forgotten, "stsb", "stsb:korsts", 1), (mixing_gains, "stsb", "stsb+korsts", -1)],
)
def test_their_intervals_are_in_pairs_too(
    made: Callable[[Table, str], list[Compared]], before: str, after: str, sign_of: int
) -> None:
    one, other = scored(before, "stsb", 85.0), scored(after, "stsb", 80.0)
    (change,) = made(one_table(one, other), "spearman")
    assert change.change == pytest.approx(sign_of * 5.0)
    expected = combine(lambda b, a: sign_of * (b - a), *parts(one, other))
    assert expected is not None
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((expected.low, expected.high))
    (bare,) = made(one_table(scored(before, "stsb", 85.0, draws=False), other), "spearman")
    assert (bare.change, bare.interval) == (pytest.approx(sign_of * 5.0), None)


def test_what_two_stages_of_one_seed_share_cancels_and_two_trainings_share_nothing() -> None:
    """A sequence goes on from the very model of its first stage; a mixture is a training of its own."""
    steps = (-4.0, 0.0, 4.0)
    records = [
        scored(curriculum, "stsb", score + step, seed=seed)
        for curriculum, score in (("stsb", 85.0), ("stsb:korsts", 80.0), ("stsb+korsts", 80.0))
        for seed, step in enumerate(steps)
    ]
    table = one_table(*records)
    (lost,), (gained,) = forgotten(table, "spearman"), mixing_gains(table, "spearman")
    assert lost.change == pytest.approx(5.0)
    assert gained.change == pytest.approx(-5.0)
    assert width(lost.interval) < width(gained.interval) / 4


@pytest.mark.parametrize("name", ["a::b", "+", "a+a", "a:none", "", ":", "a → b"])
def test_a_text_that_is_no_curriculum_breaks_nothing(name: str) -> None:
    table = one_table(OWN, ZERO, scored(name, "korsts", 50.0))
    assert forgotten(table, "spearman") == mixing_gains(table, "spearman") == []
    assert {entry.row.curriculum for entry in entries([table], ORDER)} == {"korsts", "stsb", name}
