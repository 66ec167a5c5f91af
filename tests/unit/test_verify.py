"""A record is held only against a number of the same model, metric and protocol; the status says what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.published import ANCHORS, as_published, cell, paper, save
from xbench.cli import main
from xbench.verify.anchors import Anchor, read_anchors
from xbench.verify.match import AGREES, DIFFERS, OPEN, Comparison, Unmatched, compare
from xbench.verify.results import from_records

STSB = {"spearman": 87.44, "pearson": 87.43}
RECIPE = {"optimizer": "radam", "lr": 4e-5, "warmup": 0.1, "schedule": "linear", "epochs": 4, "batch_size": 32}


def held(anchors: list[Anchor], *records: dict[str, Any]) -> tuple[list[Comparison], list[Unmatched]]:
    return compare(anchors, from_records(records))


def large(scores: dict[str, float | None] | None = None, **changes: Any) -> dict[str, Any]:
    """XLM-R large fine-tuned and scored on STSb, as the paper has it."""
    changes = {"task": "sts", "model__name": "xlm-roberta-large", "recipe": RECIPE, **changes}
    return cell(changes.pop("task"), "stsb", "stsb", scores or STSB, **changes)


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """The program itself: status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        command = ["xbench", "verify", "--anchors", str(ANCHORS), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        status = main()
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_papers_own_numbers_agree_everywhere(tmp_path: Path, verify: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = verify("--out", save(tmp_path, as_published(paper())), "--json")
    told = json.loads(out)
    assert status == 0
    # KorSTS from the KorNLU paper is of the same model and cell, and 1.3 points from Table I.
    assert (told["anchors"], told["agrees"], told["differs"], told["open"]) == (119, 106, 0, 0)
    assert told["without_record"] == 13
    own = [one for one in told["comparisons"] if one["anchor"]["publication"] == "paper"]
    assert len(own) == 105
    assert all(one["difference"] == 0 for one in own)


@pytest.mark.parametrize("shift", [-3.5, 3.5])
def test_shifted_numbers_miss_and_the_status_says_so(
    tmp_path: Path, verify: Callable[..., tuple[int, str, str]], shift: float
) -> None:
    tables = [anchor for anchor in paper() if anchor.table.name.startswith("Table I,")]
    status, out, _ = verify("--out", save(tmp_path, as_published(tables, shift)))
    assert status == 1
    assert f"{shift:+.2f}" in out
    assert "0 agree, 41 differ" in out  # Table I's 40, and KorNLU's number of one of its cells


def test_one_score_beyond_its_tolerance_is_one_miss(
    tmp_path: Path, verify: Callable[..., tuple[int, str, str]]
) -> None:
    out = save(tmp_path, [large({"spearman": 87.44, "pearson": 85.42})])
    status, text, _ = verify("--out", out)
    assert status == 1
    assert "1 agree, 1 differ." in text
    assert text.index("85.42") < text.index("87.44")  # what differs comes first


def test_a_difference_of_just_the_tolerance_agrees() -> None:
    (first, second), _ = held(paper(), large({"spearman": 85.44, "pearson": 85.429}))
    assert [first.verdict, second.verdict] == [AGREES, DIFFERS]


@pytest.mark.parametrize("name", ["xlm-roberta-large", "FacebookAI/xlm-roberta-large"])
def test_a_model_may_go_by_several_names(name: str) -> None:
    compared, unmatched = held(
        paper(), large(model__name=name, model__revision="c23d21b0620b635a76227c604d44e43a9f0ee389")
    )
    assert {one.verdict for one in compared} == {AGREES}
    assert len(unmatched) == 103
    assert compared[0].result.model == f"{name}@c23d21b0620b"


@pytest.mark.parametrize(
    "changes",
    [
        {"model__name": "xlm-roberta-base"}, {"head": "siamese"}, {"task": "mini-sts"}, {"split": "dev"},
        {"reading": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_another_model_head_task_split_or_reading_is_another_number(changes: dict[str, Any]) -> None:
    compared, unmatched = held(paper(), large(**changes))
    assert compared == []
    assert all(one.near == () for one in unmatched)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"limits": {"train": 2000, "eval": None}}, "limited: 2000 training rows"),
        ({"limits": {"train": None, "eval": 100}}, "limited: 100 evaluation rows"),
        ({"sample": True}, "sample corpora"),
        ({"recipe": {**RECIPE, "epochs": 1}}, "epochs=1 instead of 4"),
        ({"recipe": {**RECIPE, "optimizer": "adamw"}}, "optimizer=adamw instead of radam"),
        ({"recipe": {**RECIPE, "tuning": "lora", "lora_rank": 8}}, "tuning=lora instead of full"),
        ({"scores": {"spearman": None, "pearson": None}}, "no spearman"),
        ({"selection": "source-dev"}, "checkpoints by source-dev instead of last"),
        ({"selection": "average"}, "checkpoints by average instead of last"),
    ],
    ids=str,
)
def test_another_protocol_is_named_and_not_compared(changes: dict[str, Any], why: str) -> None:
    compared, unmatched = held(paper(), large(**changes))
    assert compared == []
    assert [why in one.near for one in unmatched if one.near] in ([True, True], [True, False])


def test_what_the_source_leaves_open_may_differ() -> None:
    compared, _ = held(paper(), large(recipe={**RECIPE, "score_scale": "raw", "max_length": 256}))
    assert len(compared) == 2


def test_where_the_source_may_have_chosen_a_checkpoint_so_may_a_record() -> None:
    anchors = [anchor for anchor in read_anchors(ANCHORS) if anchor.table.name == "KorSTS, XLM-R large"]

    def compared(**changes: Any) -> list[Comparison]:
        one = cell("sts", "korsts", "korsts", {"spearman": 84.0}, model__name="xlm-roberta-large", **changes)
        return held(anchors, one)[0]

    assert [one.verdict for one in compared(selection="source-dev")] == [AGREES]
    assert compared(selection="average") == []


def test_of_two_records_of_a_seed_the_one_in_the_leaderboard_is_held() -> None:
    """The newest form: of a record that was made again, and of the one before it, whichever key is the greater."""
    keys = [large({"spearman": 85.0, "pearson": 85.0}, key=letter * 64) for letter in "0f"]
    for old in (0, 1):
        records = [{**one, "schema": "xbench.record/2"} if place == old else one for place, one in enumerate(keys)]
        (result,) = from_records(records)
        assert [one["key"] for one in result.records] == [keys[1 - old]["key"]]


def test_of_several_seeds_the_mean_counts() -> None:
    records = [large({"spearman": 84.0 + seed, "pearson": 80.0}, seed=seed) for seed in (0, 1, 2)]
    (spearman, pearson), _ = held(paper(), *records)
    assert (spearman.measured, spearman.verdict, pearson.verdict) == (85.0, DIFFERS, DIFFERS)
    assert spearman.result.seeds == (0, 1, 2)
    (spearman, _), _ = held(paper(), *records, large({"spearman": 91.0, "pearson": 80.0}, seed=3))
    assert (spearman.measured, spearman.verdict) == (86.5, AGREES)


@pytest.mark.parametrize(
    "changes", [{"eval__rows_sha256": "e" * 64}, {"model__weights_sha256": "6" * 64}, {"task_version": 2}], ids=str
)
def test_other_rows_weights_or_versions_are_compared_by_themselves(changes: dict[str, Any]) -> None:
    compared, _ = held(paper(), large(), large({"spearman": 60.0, "pearson": 60.0}, seed=1, **changes))
    assert sorted(one.verdict for one in compared) == [AGREES, AGREES, DIFFERS, DIFFERS]


def test_a_mixture_is_one_whatever_its_order() -> None:
    mixed = {"spearman": 84.37, "pearson": 84.48}
    changes = {"model__name": "xlm-roberta-large", "recipe": RECIPE}
    compared, _ = held(paper(), cell("sts", "korsts+stsb", "korsts", mixed, **changes))
    assert [one.difference for one in compared] == [0.0, 0.0]


def test_a_stand_in_is_held_by_its_own_tolerance_and_named() -> None:
    anchors = read_anchors(ANCHORS)
    frozen = cell("sts", "none", "stsb", {"spearman": 83.97, "pearson": 82.46}, head="siamese")
    compared, unmatched = held(anchors, frozen)
    ((one,), near) = compared, {why for other in unmatched for why in other.near}
    assert (one.verdict, one.published, near) == (AGREES, 83.59, set())
    assert one.stand_in is not None
    assert "4 bits" in one.stand_in.reason
    (one,), _ = held(anchors, cell("sts", "none", "stsb", {"spearman": 81.5}, head="siamese"))
    assert one.verdict == DIFFERS
    own = cell("sts", "none", "stsb", {"spearman": 83.6}, head="siamese", model__name="intfloat/multilingual-e5-small")
    (one,), _ = held(anchors, own)
    assert one.stand_in is None
    assert held(anchors, cell("sts", "none", "stsb", {"spearman": 83.6}, head="siamese", model__name="labse"))[0] == []


def mapped(reading: str, spearman: float, cosine: float = 0.9) -> dict[str, Any]:
    scores = {"spearman": spearman, "pearson": spearman, "mean_cosine": cosine}
    changes = {"model__name": "xlm-roberta-large", "reading": reading}
    return cell("alignment-sts", "stsb", "stsb-korsts-sts", scores, head="alignment", **changes)


def test_a_number_that_can_be_read_in_ways_not_yet_tried_is_not_missed() -> None:
    readings = [f"{name}{side}" for name in ("least-squares", "procrustes", "linear-net") for side in ("", "-back")]
    table = [anchor for anchor in paper() if anchor.table.name == "Table IV, mapped"]
    (one,), _ = held(table, mapped("procrustes", 70.0), mapped("linear-net", 80.0))
    assert (one.verdict, one.ways, one.anchor.ways, one.measured) == (OPEN, 6, 18, 70.0)
    (one,), _ = held(table, mapped("procrustes", 70.0), mapped("linear-net", 80.0, 0.6))
    assert (one.verdict, one.score, one.measured) == (AGREES, "mean_cosine", 0.6)
    (one,), _ = held(table, *(mapped(name, 70.0) for name in readings))
    assert (one.verdict, one.ways) == (DIFFERS, 18)


def test_a_folder_without_any_counterpart_is_no_miss_and_says_so(
    tmp_path: Path, verify: Callable[..., tuple[int, str, str]]
) -> None:
    out = save(tmp_path, [large(model__name="<b>[red]other[/red]</b>")])
    status, text, _ = verify("--out", out)
    assert status == 0
    assert "Of 119 published numbers, 119 have no record to be held against: nothing was compared." in text
    assert "[red]other[/red]" in text  # as it is, not as markup
    assert "paper, xlm-roberta-large" in text
    assert "sts17-ar/test" not in text
    assert "sts17-ar/test" in verify("--out", out, "--all")[1]


def test_a_damaged_record_is_named(tmp_path: Path, verify: Callable[..., tuple[int, str, str]]) -> None:
    save(tmp_path, [large()])
    path = tmp_path / "results" / "sts" / "0.json"
    path.write_text(path.read_text().replace("87.44", "87.45"))
    status, _, err = verify("--out", tmp_path)
    assert status == 1
    assert err == f"{path} is damaged or of an older xbench: delete it and run the evaluation again\n"


def test_a_wrong_request_is_one_line(tmp_path: Path, verify: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = verify("--out", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "there are no records" in err
    save(tmp_path, [large()])
    status, _, err = verify("--out", tmp_path, "--anchors", tmp_path / "none")
    assert (status, err.count("\n")) == (2, 1)
    assert "there are no anchors" in err


def test_a_misspelt_name_is_warned_of(tmp_path: Path, verify: Callable[..., tuple[int, str, str]]) -> None:
    folder = tmp_path / "anchors"
    folder.mkdir()
    text = (ANCHORS / "paper-sentiment.toml").read_text().replace("nsmc = {", "nsmcc = {")
    (folder / "mine.toml").write_text(text)
    status, _, err = verify("--out", save(tmp_path, [large()]), "--anchors", folder)
    assert status == 0
    assert "warning:" in err
    assert "unknown dataset 'nsmcc' (did you mean 'nsmc'?)" in err
