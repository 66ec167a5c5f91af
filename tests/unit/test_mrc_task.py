"""The reading comprehension tasks plan the paper's Table II, with its recipe and each data set's own scorer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import Bench
from xbench.errors import UserError
from xbench.plan import Cell, Plan, Request
from xbench.planner import make_plan
from xbench.registry import Registry

TABLE_II = Request(models=("m",), tasks=("mrc",))
# Fine-tuned on, then read in English, Korean and Spanish: zero-shot, in-language, mixed.
KINDS = {
    "squad": "izz",
    "korquad": "ziz",
    "squad-es": "zzi",
    "squad:korquad": "mmz",
    "squad:squad-es": "mzm",
    "korquad:squad": "mmz",
    "squad+korquad": "mmz",
    "squad+korquad+squad-es": "mmm",
}
EVALUATED = ("squad", "korquad", "squad-es")
LETTERS = {"z": "zero-shot", "i": "in-language", "m": "mixed"}
PAPERS = {
    "optimizer": "radam", "lr": 2e-5, "schedule": "linear", "warmup": 0.1, "epochs": 3, "batch_size": 48,
    "max_length": 384, "stride": 128,
}  # fmt: skip


def planned(registry: Registry, *tasks: str, **changes: Any) -> Plan:
    return make_plan(Request(("m",), tasks or ("mrc",), **changes), registry)


def marks(plan: Plan) -> dict[tuple[str, str], str]:
    return {(cell.curriculum, cell.dataset): cell.transfer for cell in plan.cells}


def test_table_two_is_eight_fine_tunings_and_24_cells(registry: Registry) -> None:
    plan = make_plan(TABLE_II, registry)
    names = {stage.id: stage.curriculum for stage in plan.stages}
    parents = {stage.curriculum: names.get(stage.parent or "") for stage in plan.stages}
    assert parents == {
        "squad": None, "korquad": None, "squad-es": None, "squad:korquad": "squad", "squad:squad-es": "squad",
        "korquad:squad": "korquad", "squad+korquad": None, "squad+korquad+squad-es": None,
    }  # fmt: skip
    assert len(plan.stages) == 8
    assert len(plan.cells) == len(marks(plan)) == 24
    assert {(cell.head, cell.split, cell.reading, cell.seed) for cell in plan.cells} == {("span", "dev", "default", 0)}
    assert {(stage.head, stage.split) for stage in plan.stages} == {("span", "train")}
    assert all(names[cell.stage or ""] == cell.curriculum for cell in plan.cells)


def test_both_tables_together_are_13_fine_tunings_and_44_cells(registry: Registry) -> None:
    plan = planned(registry, "sts", "mrc")
    assert (len(plan.stages), len(plan.cells)) == (13, 44)
    both = planned(registry, "sts").cells + planned(registry, "mrc").cells
    assert set(plan.cells) == set(both)


def test_the_kinds_of_transfer_are_told_apart(registry: Registry) -> None:
    expected = {
        (curriculum, dataset): LETTERS[letter]
        for curriculum, letters in KINDS.items()
        for dataset, letter in zip(EVALUATED, letters, strict=True)
    }
    assert marks(make_plan(TABLE_II, registry)) == expected


def test_a_part_that_stands_in_has_its_languages_marks(registry: Registry) -> None:
    plan = planned(registry, curricula=("squad-44", "tydiqa-en:tydiqa-ko"), datasets=(*EVALUATED, "mlqa-en-es"))
    assert marks(plan) == {
        ("squad-44", "squad"): "in-language", ("squad-44", "korquad"): "zero-shot",
        ("squad-44", "squad-es"): "zero-shot", ("squad-44", "mlqa-en-es"): "zero-shot",
        ("tydiqa-en:tydiqa-ko", "squad"): "mixed", ("tydiqa-en:tydiqa-ko", "korquad"): "mixed",
        ("tydiqa-en:tydiqa-ko", "squad-es"): "zero-shot", ("tydiqa-en:tydiqa-ko", "mlqa-en-es"): "zero-shot",
    }  # fmt: skip


def test_a_passage_and_a_question_in_two_languages_want_both(registry: Registry) -> None:
    plan = planned(registry, curricula=("squad", "squad+squad-es", "squad+korquad+squad-es"), datasets=("mlqa-es-en",))
    assert [cell.transfer for cell in plan.cells] == ["zero-shot", "in-language", "mixed"]


def test_the_recipe_is_the_papers(registry: Registry) -> None:
    plan = make_plan(TABLE_II, registry)
    recipes = {stage.recipe for stage in plan.stages} | {cell.recipe for cell in plan.cells}
    assert len(recipes) == 1
    values = recipes.pop().values()
    assert PAPERS.items() <= values.items()
    assert (values["max_question"], values["max_answer_chars"], values["weight_decay"]) == (64, 160, 0.0)


def test_every_baseline_is_in_language_and_every_data_set_has_one(registry: Registry) -> None:
    for name in ("mrc", "mini-mrc"):
        task, kinds = registry.tasks.get(name), marks(planned(registry, name))
        assert task.baselines
        for dataset, curriculum in task.baselines.items():
            assert kinds[curriculum, dataset] == "in-language"
        read = {dataset for _, dataset in kinds}
        assert read - set(task.baselines) == ({"mini-mrc-es", "mini-mrc-ar"} if name == "mini-mrc" else set())


def test_the_sample_task_has_the_tables_kinds_and_reads_arabic_too(registry: Registry) -> None:
    plan = planned(registry, "mini-mrc")
    kinds = {"en": "izzz", "ko": "zizz", "en:ko": "mmzz", "ko:en": "mmzz", "en+ko": "mmzz"}
    assert (len(plan.stages), len(plan.cells)) == (5, 20)
    assert marks(plan) == {
        (re.sub(r"\w+", r"mini-mrc-\g<0>", curriculum), f"mini-mrc-{language}"): LETTERS[letter]
        for curriculum, letters in kinds.items()
        for language, letter in zip(("en", "ko", "es", "ar"), letters, strict=True)
    }
    assert {cell.split for cell in plan.cells} == {"test"}


def scorers(cells: tuple[Cell, ...]) -> dict[str, tuple[str, ...]]:
    return {cell.dataset: cell.metrics for cell in cells}


def test_each_data_set_is_scored_by_its_own_scorer_first(registry: Registry) -> None:
    others = ("squad-es-small/dev", "xquad-es", "xquad-el", "xquad-ro", "xquad-zh", "mlqa-zh-en", "tydiqa-ko")
    names = (*EVALUATED, *others, "mini-mrc-ko/test", "mini-mrc-en/test")
    assert scorers(planned(registry, curricula=("squad",), datasets=names).cells) == {
        "squad": ("squad",), "korquad": ("korquad",), "squad-es": ("squad", "mlqa"),
        "squad-es-small": ("squad", "mlqa"), "xquad-es": ("squad", "mlqa"), "xquad-el": ("squad",),
        "xquad-ro": ("squad",), "xquad-zh": ("squad", "mlqa"), "mlqa-zh-en": ("mlqa",), "tydiqa-ko": ("squad",),
        "mini-mrc-ko": ("korquad",), "mini-mrc-en": ("squad",),
    }  # fmt: skip
    assert scorers(planned(registry, "mini-mrc").cells) == {
        "mini-mrc-en": ("squad",), "mini-mrc-ko": ("korquad",), "mini-mrc-es": ("squad",), "mini-mrc-ar": ("squad",)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"datasets": ("xquad-ko",)}, "unknown dataset 'xquad-ko' (did you mean 'xquad-"),
        ({"datasets": ("squad-44",)}, "the dataset squad-44 has no split 'dev', only train"),
        ({"curricula": ("xquad-en",)}, "the dataset xquad-en has no split 'train', only dev"),
        ({"curricula": ("stsb",)}, "the head span takes span, and the dataset stsb has rows of pair-score"),
        ({"curricula": ("none",)}, "--train none: every head of the task mrc needs training"),
        ({"overrides": {"max_answer": 30}}, "unknown recipe key 'max_answer' (did you mean 'max_answer_chars'?)"),
        ({"overrides": {"stride": 12.5}}, "stride takes a whole number, not 12.5"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(registry: Registry, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        planned(registry, **changes)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "trains", "reads"),
    [
        ("max_answer_chars", False, True), ("stride", True, False), ("max_question", True, False),
        ("max_length", True, True), ("micro_batch_tokens", False, False),
    ],
)  # fmt: skip
def test_an_option_is_in_the_keys_of_what_it_changes(
    registry: Registry, option: str, trains: bool, reads: bool
) -> None:
    head = registry.heads.get("span")
    recipes = [
        planned(registry, curricula=("squad",), overrides=overrides).cells[0].recipe
        for overrides in ({}, {option: 200})
    ]
    assert recipes[1].values()[option] == 200
    training = [recipe.training_identity(head.decoding) for recipe in recipes]
    decoding = [recipe.decoding_identity(head.decoding) for recipe in recipes]
    assert (training[0] != training[1], decoding[0] != decoding[1]) == (trains, reads)


def test_a_longer_answer_is_read_again_and_another_window_is_trained_again(
    tiny: Callable[..., Path], registry: Registry, tmp_path: Path, one_thread: None
) -> None:
    bench = Bench(tmp_path, str(tiny("xlm-roberta")), registry)
    settings = {"max_length": 96, "stride": 16, "max_question": 24, "epochs": 1, "precision": "fp32"}

    def run(**changes: int) -> tuple[list[str], dict[str, Any]]:
        """The curricula that were trained, and the record."""
        outcome, heard = bench.run(
            "mini-mrc-en", task="mini-mrc", datasets=("mini-mrc-ko",), limit_train=8, limit_eval=6,
            overrides={**settings, **changes},
        )  # fmt: skip
        assert (outcome.failures, heard.failures) == ([], [])
        (record,) = outcome.records
        return heard.trained, dict(record)

    trained, first = run()
    assert trained == ["mini-mrc-en"]
    assert (first["metric_version"], first["primary"]) == ({"korquad": 1}, "f1")
    assert set(first["scores"]) == {"f1", "exact_match"}
    assert set(first["diagnostics"]) == {"tokenizer-ceiling", "truncated-rows"}
    assert run() == ([], first)
    trained, shorter = run(max_answer_chars=3)
    assert trained == []
    assert shorter["stages"] == first["stages"]
    assert shorter["key"] != first["key"]
    assert shorter["predictions_sha256"] != first["predictions_sha256"]
    trained, wider = run(stride=24)
    assert trained == ["mini-mrc-en"]
    assert wider["stages"] != first["stages"]
    assert wider["key"] not in (first["key"], shorter["key"])
    assert {json.loads(path.read_text(encoding="utf-8"))["key"] for path in bench.records()} == {
        record["key"] for record in (first, shorter, wider)
    }  # fmt: skip
