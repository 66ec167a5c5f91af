"""Who is ahead of whom: only what paired tests tell apart, corrected together, among what was run alike."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.records import record, split_of
from xbench.keys import content_key
from xbench.leaderboard.cells import TableCell, make_cell
from xbench.leaderboard.evidence import Evidence, evidence
from xbench.leaderboard.standings import Circle, Contest, circles, contests, places, side_by_side
from xbench.leaderboard.table import Order, build_tables
from xbench.store import sign

NAMES = "ABCDEF"


def scored(model: str, score: float | None, dataset: str = "korsts", **changes: Any) -> dict[str, Any]:
    """A record of one model with draws."""
    values = {"curriculum": "stsb", "draws": True, "model__weights_sha256": content_key("m", {"m": model}), **changes}
    return record(dataset=dataset, scores={"spearman": score}, model__name=model, **values)


def cell(model: str, score: float | None, **changes: Any) -> TableCell:
    return make_cell([scored(model, score, **changes)])


def held(one: TableCell) -> Evidence:
    found = evidence(one.records, "spearman")
    assert found is not None
    return found


def apart(first: str, second: str, errors: float, **changes: Any) -> list[TableCell]:
    """Two models whose scores lie so many standard errors of their difference apart."""
    gap = held(cell(first, 80.0, **changes)).minus(held(cell(second, 80.0, **changes)))
    assert gap is not None
    return [cell(first, 80.0, **changes), cell(second, 80.0 - errors * gap.se, **changes)]


def ranges(group: list[TableCell | None]) -> dict[int, tuple[int, int]]:
    (found,) = places([group], "spearman")
    return {place: (low, high) for place, (_, low, high) in found.items()}


def test_not_told_apart_is_not_transitive_so_ranks_are_ranges() -> None:
    """A and C are told apart; B, between them, is told from neither."""
    spread = held(cell("A", 80.0)).minus(held(cell("B", 80.0)))
    assert spread is not None
    group = [cell(name, 80.0 - 1.7 * step * spread.se) for step, name in enumerate("ABC")]
    assert ranges([*group]) == {0: (1, 2), 1: (1, 3), 2: (2, 3)}
    assert ranges([*reversed(group)]) == {2: (1, 2), 1: (1, 3), 0: (2, 3)}


def test_clear_differences_give_clear_ranks() -> None:
    group: list[TableCell | None] = [cell(name, 80.0 - 10 * step) for step, name in enumerate("ABCD")]
    assert ranges(group) == {place: (place + 1, place + 1) for place in range(4)}


def test_the_correction_is_over_all_groups_together() -> None:
    """One test at 2.1 standard errors stands alone; among ten tests it does not."""
    pair = apart("A", "B", 2.1)
    gap = held(pair[0]).minus(held(pair[1]))
    assert gap is not None
    assert 0.025 < gap.p < 0.05
    assert ranges([*pair]) == {0: (1, 1), 1: (2, 2)}
    others = [apart(*names, 0.1) for names in itertools.combinations("CDEF", 2)][:4]
    found = places([pair, *others], "spearman")
    assert [one[1:] for one in found[0].values()] == [(1, 2), (1, 2)]
    # And in one group as well.
    assert ranges([*pair, cell("C", 80.0)])[0] == (1, 3)


def test_ties_share_their_mean_rank_and_are_not_told_apart() -> None:
    (found,) = places([[cell("A", 80.0), cell("B", 80.0), cell("C", 50.0), cell("D", 90.0)]], "spearman")
    assert found == {0: (2.5, 2, 3), 1: (2.5, 2, 3), 2: (4.0, 4, 4), 3: (1.0, 1, 1)}


def test_what_was_not_run_or_has_no_draws_has_no_place() -> None:
    group = [None, cell("A", 80.0), cell("B", 70.0, draws=False), cell("C", None), cell("D", 60.0)]
    assert ranges(group) == {1: (1, 1), 4: (2, 2)}
    assert places([], "spearman") == []
    assert places([[], [None]], "spearman") == [{}, {}]
    assert places([group], "no-such-score") == [{}]


@pytest.mark.parametrize("change", [{"units_sha256": "0" * 64}, {"scheme": "pcg64/2"}], ids=str)
def test_cells_over_other_resamples_are_ranked_by_value_and_never_told_apart(change: dict[str, Any]) -> None:
    one = scored("A", 80.0)
    other = sign({**scored("B", 20.0), "sampling": {**scored("B", 20.0)["sampling"], **change}})
    (found,) = places([[make_cell([one]), make_cell([other])]], "spearman")
    assert found == {0: (1.0, 1, 2), 1: (2.0, 1, 2)}


def test_seeds_that_disagree_keep_models_from_being_told_apart() -> None:
    """Six points and more than ten standard errors by rows alone; the seeds differ by as much."""

    def seeds(model: str, scores: tuple[float, ...]) -> TableCell:
        return make_cell([scored(model, score, seed=seed) for seed, score in enumerate(scores)])

    group: list[TableCell | None] = [seeds("A", (74.0, 80.0, 86.0)), seeds("B", (68.0, 74.0, 80.0))]
    assert ranges(group) == {0: (1, 2), 1: (1, 2)}
    group = [seeds("A", (80.0, 80.1, 79.9)), seeds("B", (74.0, 74.1, 73.9))]
    assert ranges(group) == {0: (1, 1), 1: (2, 2)}


def held_together(*records: dict[str, Any], order: Order | None = None) -> list[Contest]:
    (found,) = side_by_side(build_tables(records, {"sts": order or Order()})) or [[]]
    return found


def test_models_meet_where_both_were_run_alike() -> None:
    (contest,) = held_together(scored("A", 80.0), scored("B", 70.0), scored("B", 70.0, "stsb"))
    assert (contest.row.curriculum, contest.column, contest.language) == ("stsb", "korsts", "ko")
    assert contest.places == {"A": (1.0, 1, 1), "B": (2.0, 2, 2)}


UNLIKE: dict[str, dict[str, Any]] = {
    "curriculum": {"curriculum": "korsts"}, "recipe": {"recipe": {"epochs": 1}}, "head": {"head": "siamese"},
    "head version": {"head_version": 2}, "reading": {"reading": "map"}, "checkpoint": {"selection": "best"},
    "rows": {"eval__rows_sha256": "0" * 64}, "split": {"eval__split": "dev"},
    "metric": {"metric_version": {"spearman": 2}}, "task version": {"task_version": 2},
    "limits": {"limits__train": 200}, "eval limits": {"limits__eval": 200},
    "training rows": {"train": [{**split_of("stsb", "train", 5749), "rows_sha256": "0" * 64, "stage": 0}]},
    "fit": {"fit": split_of("pairs", "train", 9)}, "score": {"primary": "pearson"},
}  # fmt: skip


@pytest.mark.parametrize("name", UNLIKE)
def test_what_was_run_otherwise_is_no_contest(name: str) -> None:
    tables = build_tables([scored("A", 80.0), scored("B", 70.0, **UNLIKE[name])], {"sts": Order()})
    assert len(tables) == 2
    assert [contest for group in side_by_side(tables) for contest in group if None not in contest.cells.values()] == []
    alike = [scored(model, score, **UNLIKE[name]) for model, score in (("A", 80.0), ("B", 70.0))]
    assert len(held_together(*alike)) == 1


def test_two_models_of_one_name_keep_apart() -> None:
    """Each has its own column: neither is dropped, and none stands for the other."""
    records = [scored("A", 80.0), scored("B", 70.0), scored("C", 60.0)]
    renamed = [sign({**one, "model": {**one["model"], "name": "m"}}) for one in records]
    (contest,) = held_together(*renamed)
    names = {f"m (weights {one['model']['weights_sha256'][:8]})": one["scores"]["spearman"] for one in renamed}
    assert {name: one.scores["spearman"] for name, one in contest.cells.items() if one is not None} == names
    assert sorted(contest.places.values()) == [(1.0, 1, 1), (2.0, 2, 2), (3.0, 3, 3)]


def frozen(model: str, score: float, **changes: Any) -> dict[str, Any]:
    return scored(model, score, curriculum="none", **changes)


def floor(name: str, score: float, **changes: Any) -> dict[str, Any]:
    values = {"head": name, "transfer": "floor", "recipe": {"max_length": 1}, "draws": True, **changes}
    return record("none", "korsts", scores={"spearman": score}, model__name=name, model__weights_sha256="",
                  model__parameters=0, **values)  # fmt: skip


def test_floors_stand_beside_frozen_encoders_and_beside_nothing_else() -> None:
    records = [floor("a-floor", 40.0), frozen("B", 60.0), frozen("C", 50.0), scored("B", 80.0), scored("C", 81.0)]
    first, second = sorted(held_together(*records), key=lambda one: one.row.curriculum)
    assert first.row.curriculum == "none"
    assert not first.row.is_floor  # the row is called as the encoders' is
    assert {name: place[0] for name, place in first.places.items()} == {"a-floor": 3.0, "B": 1.0, "C": 2.0}
    assert set(second.places) == {"B", "C"}


def test_a_frozen_encoder_read_otherwise_is_no_rival_and_each_has_the_floor_beside_it() -> None:
    records = [floor("a-floor", 40.0), frozen("B", 60.0), frozen("C", 50.0, recipe={"max_length": 512})]
    found = held_together(*records)
    assert [sorted(contest.places) for contest in found] == [["B", "a-floor"], ["C", "a-floor"]]


def test_floors_alone_are_held_against_each_other() -> None:
    (contest,) = held_together(floor("a-floor", 40.0), floor("b-floor", 30.0), scored("B", 80.0))
    assert contest.row.is_floor
    assert contest.places == {"a-floor": (1.0, 1, 1), "b-floor": (2.0, 2, 2)}


def test_a_model_that_meets_nobody_has_no_column() -> None:
    (contest,) = held_together(scored("A", 80.0), scored("B", 70.0), scored("C", 60.0, recipe={"epochs": 1}))
    assert list(contest.cells) == ["A", "B"]


def test_full_and_limited_runs_are_held_together_apart() -> None:
    limited = {"limits__train": 200}
    records = [scored(name, 70.0 + place, **change) for place, name in enumerate("AB") for change in ({}, limited)]
    groups = side_by_side(build_tables(records, {"sts": Order()}))
    assert [[contest.table.limits["train"] for contest in group] for group in groups] == [[None], [200]]


def ranked(task: str, *scores: dict[str, float]) -> list[dict[str, Any]]:
    """Records of one task: of each column the models' scores."""
    return [
        scored(model, score, f"{task}-{column}", task=task)
        for column, own in enumerate(scores)
        for model, score in own.items()
    ]


def standing(circle: Circle) -> dict[str, tuple[float, float, float]]:
    return {one.model: (one.rank, one.low, one.high) for one in circle.standings}


def drawn(*records: dict[str, Any]) -> list[Circle]:
    by_task: dict[str, list[Contest]] = {}
    tables = build_tables(records, {})
    for task in dict.fromkeys(table.task for table in tables):
        by_task[task] = contests([table for table in tables if table.task == task])
    return circles(by_task)


def test_average_ranks_are_over_the_same_contests_and_tasks_weigh_alike() -> None:
    first = ranked("one", {"A": 90.0, "B": 80.0, "C": 70.0}, {"A": 90.0, "B": 80.0, "C": 70.0})
    second = ranked("two", {"A": 50.0, "B": 80.0, "C": 70.0})
    pair = ranked("pair", {"A": 10.0, "B": 80.0})
    all_three, two = drawn(*first, *second, *pair)
    assert (all_three.contests, all_three.tasks) == (3, ("one", "two"))
    assert standing(all_three) == {"B": (1.5, 1.5, 1.5), "A": (2.0, 2.0, 2.0), "C": (2.5, 2.5, 2.5)}
    assert [one.model for one in all_three.standings] == ["B", "A", "C"]
    # A's and B's own contest is in no average with C: with it, B would stand higher than it does.
    assert (two.contests, standing(two)) == (1, {"B": (1.0, 1.0, 1.0), "A": (2.0, 2.0, 2.0)})


def test_the_range_of_an_average_is_that_of_the_ranks_which_the_tests_leave_open() -> None:
    tied = ranked("one", {"A": 80.0, "B": 80.0}, {"A": 90.0, "B": 60.0})
    (circle,) = drawn(*tied)
    assert standing(circle) == {"A": (1.25, 1.0, 1.5), "B": (1.75, 1.5, 2.0)}


def test_contests_without_draws_are_in_no_average() -> None:
    assert drawn(*(sign({**one, "sampling": None}) for one in ranked("one", {"A": 80.0, "B": 60.0}))) == []
