"""A finding is asked of cells that may be compared, and is supported or refuted only as far as an interval tells."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.published import ANCHORS, LANGUAGE, as_published, cell, paper, save, with_draws
from tests.records import split_of
from xbench.cli import main
from xbench.errors import UserError
from xbench.registry import Registry
from xbench.store import sign
from xbench.verify.claims import Measure
from xbench.verify.findings import Finding, load_findings, read_findings
from xbench.verify.outcomes import Outcome, ask, ask_publications
from xbench.verify.results import from_records

BASELINES = {
    "sts": {"stsb": "stsb", "korsts": "korsts"},
    "mrc": {"squad": "squad", "korquad": "korquad", "squad-es": "squad-es"},
    "sentiment": {"lmrd": "lmrd", "nsmc": "nsmc"},
}
FINDINGS = {finding.name: finding for finding in read_findings(ANCHORS)}
# By how many per cent a zero-shot cell is degraded, as the paper's text has it (truncated or rounded there).
DEGRADED = {
    "sts": [1.24, 3.40], "sentiment": [12.05, 7.63], "mrc": [9.67, 5.30, 18.89, 22.94, 4.57, 11.96]
}  # fmt: skip
GOOD = """
publication = "P"
[[finding]]
name = "n"
claim = "c"
source = "s"
kind = "order"
of = [{ task = "a", score = "x" }, { task = "b", score = "x" }]
"""


def asked(name: str, *records: dict[str, Any], **changes: Any) -> Outcome:
    """A finding asked of some records of one model."""
    finding = Finding(**{**vars(FINDINGS[name]), **changes})
    (outcome,) = ask([finding], from_records(records), BASELINES)
    return outcome


def drawn(
    curriculum: str, dataset: str, value: float, spread: float = 0.5, noise: int = 0, **changes: Any
) -> dict[str, Any]:
    """An STS record whose draws are spread about its score."""
    draws = value + np.random.default_rng([noise, *dataset.encode()]).normal(0, spread, 1000)
    record = cell("sts", curriculum, dataset, {"spearman": value, "pearson": value}, **changes)
    return with_draws(record, {"spearman": draws, "pearson": draws})


@pytest.fixture(scope="module")
def published(registry: Registry) -> dict[str, Outcome]:
    baselines = {task.name: task.baselines for task in registry.tasks}
    outcomes = ask_publications(list(FINDINGS.values()), paper(), registry, baselines)
    return {outcome.finding.name: outcome for outcome in outcomes}


def test_the_papers_degradations_are_those_of_its_text(published: dict[str, Outcome]) -> None:
    first, second = published["transfer-order"].steps
    means = {task: float(np.mean(values)) for task, values in DEGRADED.items()}
    assert first.value == pytest.approx(means["sentiment"] - means["sts"], abs=0.01)
    assert second.value == pytest.approx(means["mrc"] - means["sentiment"], abs=0.01)


@pytest.mark.parametrize(
    ("name", "verdict", "against"),
    [
        ("transfer-order", "supported", {"en → ko: mrc loses more than sentiment"}),
        ("last-language-gains", "supported", {"stsb:korsts on korsts"}),
        ("exact-match-falls-more", "supported", set()),
        ("spearman-agrees-with-pearson", "supported", {"stsb on sts17-ar"}),
        ("spearman-ranks-as-pearson", "supported", set()),
        ("mixing-gains", "refuted", {"squad+korquad on squad", "squad+korquad on korquad"}),
    ],
)
def test_where_the_papers_own_tables_refute_it(
    published: dict[str, Outcome], name: str, verdict: str, against: set[str]
) -> None:
    outcome = published[name]
    assert outcome.verdict == verdict
    assert {place.name for place in outcome.places if place.verdict == "refuted"} == against
    assert all(one.interval is None for one in (*outcome.steps, *outcome.places))


def test_the_numbers_behind_a_place_are_shown(published: dict[str, Outcome]) -> None:
    shown = {place.name: place for place in published["last-language-gains"].places}
    assert shown["stsb:korsts on korsts"].shown == "83.54 after stsb:korsts against 85.12 after korsts:stsb"
    mixed = {place.name: place for place in published["mixing-gains"].places}
    assert mixed["squad+korquad on squad"].value == pytest.approx(-4.40)
    assert len(mixed) == 9


def test_the_same_numbers_in_records_without_draws_leave_it_undecided() -> None:
    outcomes = ask(FINDINGS.values(), from_records(as_published(paper())), BASELINES)
    assert {outcome.verdict for outcome in outcomes} == {"undecided"}
    order = outcomes[0]
    assert [round(step.value, 2) for step in order.steps] == [7.52, 2.38]
    assert "no interval: not all records hold bootstrap draws" in order.notes


@pytest.mark.parametrize(
    ("gain", "verdict"), [(2.0, "supported"), (-2.0, "refuted"), (0.2, "undecided"), (-0.2, "undecided")]
)
def test_an_interval_decides(gain: float, verdict: str) -> None:
    outcome = asked(
        "last-language-gains", drawn("stsb:korsts", "korsts", 80 + gain), drawn("korsts:stsb", "korsts", 80, noise=1)
    )
    (step,) = outcome.steps
    assert (outcome.verdict, round(step.value, 6)) == (verdict, gain)
    assert step.interval is not None
    # The draws are independent, each with a standard deviation of 0.5.
    assert step.interval.high - step.interval.low == pytest.approx(2 * 1.96 * 0.5 * 2**0.5, rel=0.1)
    assert "one seed: intervals are of the rows, not of training" in outcome.notes


def test_scores_over_the_same_rows_are_paired() -> None:
    """The same draws, shifted: what the rows do to both is no doubt about their difference."""
    outcome = asked(
        "last-language-gains", drawn("stsb:korsts", "korsts", 80.2, 5.0), drawn("korsts:stsb", "korsts", 80.0, 5.0)
    )
    assert outcome.verdict == "supported"
    assert outcome.steps[0].interval is not None
    assert outcome.steps[0].interval.low == pytest.approx(0.2, abs=0.01)


def test_several_seeds_go_into_an_interval() -> None:
    records = [
        drawn(curriculum, "korsts", 80.0 + gain + seed, noise=seed, seed=seed)
        for curriculum, gain in (("stsb:korsts", 9.0), ("korsts:stsb", 0.0))
        for seed in (0, 1, 2)
    ]
    outcome = asked("last-language-gains", *records)
    (step,) = outcome.steps
    assert (outcome.verdict, round(step.value, 6)) == ("supported", 9.0)
    assert step.interval is not None
    assert step.interval.seeds == 3
    assert not any("seed" in note for note in outcome.notes)


def test_a_degradation_is_of_the_in_language_score_in_per_cent() -> None:
    records = [
        cell("mrc", "squad", "squad", {"f1": 80.0, "exact_match": 50.0}, "dev", "span"),
        cell("mrc", "korquad", "squad", {"f1": 60.0, "exact_match": 30.0}, "dev", "span"),
    ]
    outcome = asked("exact-match-falls-more", *records)
    ((place,), (step,)) = outcome.places, outcome.steps
    assert place.value == step.value == pytest.approx(40.0 - 25.0)
    assert place.shown == "40.00% against 25.00%"


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": {"train": 2000, "eval": None}}, {"recipe": {"epochs": 1}}, {"model__weights_sha256": "6" * 64},
        {"head": "other"}, {"eval__rows_sha256": "e" * 64}, {"task_version": 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_baseline_of_another_setup_or_of_other_rows_is_none(changes: dict[str, Any]) -> None:
    finding = Finding(**{**vars(FINDINGS["mixing-gains"]), "of": FINDINGS["mixing-gains"].of[:1]})
    mixed = cell("sts", "stsb+korsts", "stsb", {"spearman": 80.0})
    alone = cell("sts", "stsb", "stsb", {"spearman": 79.0})
    assert [one.steps[0].value for one in ask([finding], from_records([mixed, alone]), BASELINES)] == [1.0]
    other = cell("sts", "stsb", "stsb", {"spearman": 79.0}, **changes)
    outcomes = ask([finding], from_records([mixed, other]), BASELINES)
    assert not any(one.steps for one in outcomes)
    assert all("sts: no mixture beside one of its datasets alone" in one.notes for one in outcomes)


def part(name: str, rows: int, stage: int = 0) -> dict[str, Any]:
    return {**split_of(name, "train", rows), "language": LANGUAGE[name], "rows_sha256": f"{rows:064}", "stage": stage}


def test_of_two_baselines_trained_on_other_rows_neither_is_the_one() -> None:
    mixed = cell("sts", "stsb+korsts", "stsb", {"spearman": 80.0}, train=[part("stsb", 8), part("korsts", 8)])
    alone = [cell("sts", "stsb", "stsb", {"spearman": 79.0 - rows}, train=[part("stsb", rows)]) for rows in (8, 9)]
    assert [step.value for step in asked("mixing-gains", mixed, alone[0]).steps] == [9.0]
    assert asked("mixing-gains", mixed, *alone).steps == ()


def test_a_mixture_of_fewer_rows_says_so_where_its_numbers_are_shown() -> None:
    mixed = cell("sts", "stsb+korsts", "stsb", {"spearman": 80.0}, train=[part("stsb", 4), part("korsts", 4)])
    outcome = asked("mixing-gains", mixed, cell("sts", "stsb", "stsb", {"spearman": 79.0}, train=[part("stsb", 8)]))
    assert outcome.places[0].shown.endswith("against 79.00 trained on stsb; 4 rows of it mixed, 8 alone")


def test_what_a_sequence_shares_with_its_first_stage_is_known_to_findings_too() -> None:
    """Seeds that move all cells alike: the runs are the same, so that their noise does not average out."""
    records = [drawn(curriculum, "stsb", 80.0, 0.1, seed=seed) for curriculum in ("stsb", "stsb:korsts")
               for seed in (0, 1, 2)]  # fmt: skip
    for one in records:
        one["scores"]["pearson"] += one["seed"] - 1.0
    outcome = asked("spearman-agrees-with-pearson", *[with_draws(one, {
        name: one["scores"][name] + np.random.default_rng(0).normal(0, 0.1, 1000) for name in ("spearman", "pearson")
    }) for one in records])  # fmt: skip
    (step,), first = outcome.steps, outcome.places[0]
    assert step.interval is not None
    assert first.interval is not None
    assert step.interval.se == pytest.approx(first.interval.se, rel=0.01)


def test_over_the_same_rows_but_other_resamples_there_is_no_interval() -> None:
    one, other = (drawn(name, "korsts", 80.0 + gain, 5.0, noise)
                  for name, gain, noise in (("stsb:korsts", 0.2, 0), ("korsts:stsb", 0.0, 1)))  # fmt: skip
    fewer = with_draws(other, {name: 80.0 + np.random.default_rng(1).normal(0, 5, 500) for name in other["scores"]})
    outcome = asked("last-language-gains", one, fewer)
    assert (outcome.verdict, outcome.steps[0].interval) == ("undecided", None)
    other["sampling"]["scheme"] = "pcg64/2"
    assert asked("last-language-gains", one, sign(other)).steps[0].interval is None


def pair(gain: float, **changes: Any) -> list[dict[str, Any]]:
    return [
        cell("sts", "stsb:korsts", "korsts", {"spearman": 80.0 + gain}, **changes),
        cell("sts", "korsts:stsb", "korsts", {"spearman": 80.0}, **changes),
    ]


def test_settings_are_never_averaged_and_what_is_limited_comes_last_and_is_said() -> None:
    limited = {"limits": {"train": 2000, "eval": 500}}
    outcome = asked("last-language-gains", *pair(5.0, **limited))
    assert "sts limited: 2000 training rows, 500 evaluation rows" in outcome.notes
    outcome = asked("last-language-gains", *pair(5.0, **limited), *pair(1.0))
    assert [step.value for step in outcome.steps] == [1.0]
    assert "other settings of sts left out: 1" in outcome.notes
    assert not any("limited" in note for note in outcome.notes)
    sample = asked("last-language-gains", *pair(1.0), *pair(5.0, sample=True))
    assert [step.value for step in sample.steps] == [1.0]


def test_an_order_lacking_a_measure_is_not_supported() -> None:
    records = [
        drawn("stsb", "korsts", 80.0), drawn("korsts", "korsts", 80.4),
        *(
            with_draws(
                cell("sentiment", name, "nsmc", {"accuracy": value}, head="classification"),
                {"accuracy": value + np.random.default_rng(3).normal(0, 0.5, 1000)},
            )
            for name, value in (("lmrd", 70.0), ("nsmc", 90.0))
        ),
    ]  # fmt: skip
    outcome = asked("transfer-order", *records)
    assert [step.verdict for step in outcome.steps] == ["supported"]
    assert outcome.verdict == "undecided"
    assert "mrc: no zero-shot cell with its in-language baseline" in outcome.notes
    of = FINDINGS["transfer-order"].of[:2]
    assert asked("transfer-order", *records, of=of).verdict == "supported"
    assert asked("transfer-order", *records, of=of[::-1]).verdict == "refuted"


def test_a_language_pair_is_a_place_of_an_order() -> None:
    outcome = ask([FINDINGS["transfer-order"]], from_records(as_published(paper())), BASELINES)[0]
    first, second = "sentiment loses more than sts", "mrc loses more than sentiment"
    expected = {f"{pair}: {step}" for pair in ("ko → en", "en → ko") for step in (first, second)}
    assert {place.name for place in outcome.places} == expected
    assert len(outcome.places) == 4


def test_an_order_may_be_of_two_scores_of_one_task() -> None:
    of = tuple(Measure("mrc", score) for score in ("f1", "exact_match"))
    finding = Finding(**{**vars(FINDINGS["transfer-order"]), "of": of})
    (outcome,) = ask([finding], from_records(as_published(paper())), BASELINES)
    (step,) = outcome.steps
    assert step.name == "mrc exact_match loses more than mrc f1"
    assert step.value == pytest.approx(10.63, abs=0.01)
    assert len(outcome.places) == 6


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(5)
    curricula = ["stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts"]
    values = {name: rng.normal(80, 3, (2, 2)) for name in curricula}
    records = [
        cell("sts", name, dataset, {"spearman": both[0], "pearson": both[1]})
        for name, pairs in values.items()
        for dataset, both in zip(("stsb", "korsts"), pairs, strict=True)
    ]
    (step,) = asked("spearman-ranks-as-pearson", *records).steps
    flat = np.concatenate(list(values.values()))
    assert step.value == pytest.approx(float(spearmanr(*flat.T).statistic) - 0.9)


def test_frozen_models_are_asked_nothing() -> None:
    assert ask(FINDINGS.values(), from_records([cell("sts", "none", "stsb", {"spearman": 80.0})]), BASELINES) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("claim =", "claims =", "n: unknown key 'claims' (did you mean 'claim'?)"),
        ('"order"', '"orders"', "n: unknown kind 'orders' (did you mean 'order'?)"),
        ('task = "a"', 'tsk = "a"', "n: of: unknown key 'tsk' (did you mean 'task'?)"),
        ('task = "a", ', "", "n: of: the key 'task' is missing or empty"),
        ('task = "a"', 'task = "a", other = "y"', "n: of: order compares no two scores: leave out 'other'"),
        ('{ task = "a", score = "x" }, ', "", "n: an order takes two measures or more"),
        ('"order"', '"falls-more"', "n: of: the key 'other' is missing or empty"),
        ('kind = "order"', 'kind = "order"\nwithin = 2', "n: order takes no 'within' or 'correlation'"),
        ('kind = "order"', 'kind = "order"\nwithin = "2"', "n: within takes a number, not '2'"),
        ('publication = "P"', "", "n: the key 'publication' is missing or empty"),
        ('name = "n"', "", "finding 1: the key 'name' is missing or empty"),
        ("[[finding]]", "[[findings]]", "unknown key 'findings' (did you mean 'finding'?)"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        load_findings(GOOD.replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_agreement_takes_exactly_one_limit() -> None:
    agree = GOOD.replace('"order"', '"agree"').replace('score = "x"', 'score = "x", other = "y"')
    for more, good in (
        ("", False),
        ("within = 1", True),
        ("correlation = 0.5", True),
        ("within = 1\ncorrelation = 1", False),
    ):
        text = f"{agree}{more}"
        if good:
            assert load_findings(text)[0].kind == "agree"
        else:
            with pytest.raises(UserError, match="exactly one of 'within' and 'correlation'"):
                load_findings(text)


def test_two_findings_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="two findings are called 'n'"):
        load_findings(GOOD + GOOD.split('"P"')[1])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["xbench", "verify", "--anchors", str(ANCHORS), *map(str, arguments)])
    return main()


def test_the_papers_tables_are_asked_without_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--paper", "--out", tmp_path / "none") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "does not hold" in text
    assert "-4.40 (84.41 trained on" in text
    assert run(monkeypatch, "--paper", "--json", "--out", tmp_path / "none") == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["findings"]
    assert all(one["as_published"] for one in told["findings"])


def test_a_refuted_finding_is_no_miss_and_stands_beside_the_papers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [drawn("stsb:korsts", "korsts", 70.0), drawn("korsts:stsb", "korsts", 80.0, noise=1)]
    out = save(tmp_path, records)
    assert run(monkeypatch, "--out", out) == 0
    assert "refuted" in capsys.readouterr().out
    assert run(monkeypatch, "--out", out, "--json") == 0
    both = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["finding"] == "last-language-gains"]
    assert [(one["asked_of"], one["verdict"]) for one in both] == [("paper", "supported"), ("e5-small-q4", "refuted")]
    assert both[1]["steps"][0]["high"] < 0
    assert both[1]["steps"][0]["margin"] == pytest.approx(-10.0)
