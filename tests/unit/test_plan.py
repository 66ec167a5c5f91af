"""A plan is what the request means: each stage once, each cell once, from names alone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.plans import TABLE_I, TASK, ask, made_up, own
from xbench.keys import canonical
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.registry import Registry

WATCHED: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook hears of every file that the interpreter opens; it cannot be taken away, so it sleeps."""
    if WATCHED is not None and event in {"open", "os.listdir", "os.scandir", "socket.connect"}:
        WATCHED.append(f"{event} {arguments[:1]}")


sys.addaudithook(_watch)


def chains(plan: Plan) -> dict[str, str | None]:
    """Each stage's curriculum to its parent's."""
    names = {stage.id: stage.curriculum for stage in plan.stages}
    return {stage.curriculum: None if stage.parent is None else names[stage.parent] for stage in plan.stages}


def test_table_one_is_five_stages_and_twenty_cells(registry: Registry) -> None:
    plan = make_plan(TABLE_I, registry)
    assert chains(plan) == {
        "stsb": None, "korsts": None, "stsb:korsts": "stsb", "korsts:stsb": "korsts", "stsb+korsts": None
    }  # fmt: skip
    mixtures = {stage.curriculum: stage.mixture for stage in plan.stages}
    assert mixtures["stsb:korsts"] == ("korsts",)
    assert mixtures["stsb+korsts"] == ("stsb", "korsts")
    assert len(plan.cells) == 20
    pairs = Counter((cell.curriculum, cell.dataset) for cell in plan.cells)
    assert pairs == Counter((stage, name) for stage in mixtures for name in ("stsb", "korsts", "sts17-es", "sts17-ar"))
    names = {stage.id: stage.curriculum for stage in plan.stages}
    assert all(names[cell.stage or ""] == cell.curriculum for cell in plan.cells)
    assert {(cell.head, cell.seed, cell.split) for cell in plan.cells} == {("cross-encoder", 0, "test")}
    assert {(stage.head, stage.seed, stage.split) for stage in plan.stages} == {("cross-encoder", 0, "train")}


def test_table_one_tells_the_kinds_of_transfer_apart(registry: Registry) -> None:
    kinds = {(cell.curriculum, cell.dataset): cell.transfer for cell in make_plan(TABLE_I, registry).cells}
    for (curriculum, dataset), kind in kinds.items():
        trained = set(curriculum.replace("+", ":").split(":"))
        expected = "zero-shot" if dataset not in trained else "in-language" if len(trained) == 1 else "mixed"
        assert kind == expected, (curriculum, dataset)
    assert Counter(kinds.values()) == {"zero-shot": 12, "in-language": 2, "mixed": 6}


def test_the_recipe_is_the_papers(registry: Registry) -> None:
    recipes = {stage.recipe for stage in make_plan(TABLE_I, registry).stages}
    assert len(recipes) == 1
    assert {"lr": 4e-5, "epochs": 4, "batch_size": 32, "optimizer": "radam"}.items() <= recipes.pop().values().items()


def test_a_stage_that_two_curricula_pass_through_is_one(registry: Registry) -> None:
    plan = make_plan(ask(curricula=("stsb:korsts", "stsb:korsts+stsb", "stsb", "stsb : korsts")), registry)
    assert chains(plan) == {"stsb": None, "stsb:korsts": "stsb", "stsb:stsb+korsts": "stsb"}
    assert len(plan.cells) == 3 * 4


def test_two_tasks_share_the_stages_that_they_have_in_common() -> None:
    recipe = "[recipe]\nepochs = 1"
    registry = own(*(TASK.format(name=name) + recipe for name in ("one", "two")))
    plan = make_plan(Request(("m",), ("one", "two")), registry)
    assert len(plan.stages) == 1
    assert Counter(cell.task for cell in plan.cells) == {"one": 2, "two": 2}


def test_every_stage_stands_after_its_parent(registry: Registry) -> None:
    plan = make_plan(ask(models=("m", "n"), seeds=(0, 1), curricula=("stsb:korsts:stsb", "korsts:stsb")), registry)
    seen: set[str | None] = {None}
    for stage in plan.stages:
        assert stage.parent in seen
        seen.add(stage.id)
    parents = {stage.id: stage for stage in plan.stages}
    for stage in plan.stages:
        if stage.parent is not None:
            assert (stage.model, stage.seed) == (parents[stage.parent].model, parents[stage.parent].seed)


@pytest.mark.parametrize(("models", "seeds"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_models_and_seeds_multiply(models: int, seeds: int, registry: Registry) -> None:
    request = ask(models=tuple(f"m{index}" for index in range(models)), seeds=tuple(range(seeds)))
    plan = make_plan(request, registry)
    assert len({stage.id for stage in plan.stages}) == len(plan.stages) == 5 * models * seeds
    assert len(set(plan.cells)) == len(plan.cells) == 20 * models * seeds


LARGE = """
import json, sys
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import load_registry

registry = load_registry()
request = Request(tuple(f"m{index}" for index in range(20)), ("sts",), seeds=tuple(range(5)))
modules, opened = set(sys.modules), []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
plan = make_plan(request, registry)
files = list(opened)
print(json.dumps([len(plan.stages), len(set(plan.cells)), files, sorted(set(sys.modules) - modules)]))
print(json.dumps(sorted(sys.modules)))
"""


def test_a_plan_of_two_thousand_cells_opens_no_file_and_imports_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, check=True, text=True)
    planned, modules = map(json.loads, done.stdout.splitlines())
    assert planned == [20 * 5 * 5, 20 * 5 * 20, [], []]
    assert not {"torch", "transformers", "datasets", "numpy", "pyarrow"} & set(modules)


def test_what_is_asked_for_twice_is_done_once(registry: Registry) -> None:
    twice = ask(
        models=("m", "m"), tasks=("sts", "sts"), seeds=(0, 0), curricula=("stsb", "stsb"),
        datasets=("korsts", "korsts"),
    )  # fmt: skip
    plan = make_plan(twice, registry)
    assert (len(plan.stages), len(plan.cells)) == (1, 1)


def test_a_frozen_encoder_is_read_by_siamese_once_whatever_the_seeds(registry: Registry) -> None:
    plan = make_plan(ask(curricula=("none",), seeds=(4, 5, 6), limit_train=50, limit_eval=60), registry)
    assert plan.stages == ()
    assert {(cell.head, cell.seed, cell.stage, cell.transfer) for cell in plan.cells} == {
        ("siamese", 0, None, "frozen")
    }
    assert {(cell.limit_train, cell.limit_eval) for cell in plan.cells} == {(None, 60)}
    assert len(plan.cells) == 4


def test_none_and_training_stand_side_by_side(registry: Registry) -> None:
    plan = make_plan(ask(curricula=("none", "stsb"), seeds=(1, 2)), registry)
    assert Counter((cell.curriculum, cell.head) for cell in plan.cells) == {
        ("none", "siamese"): 4, ("stsb", "cross-encoder"): 8
    }  # fmt: skip


def test_a_head_can_be_chosen(registry: Registry) -> None:
    plan = make_plan(ask(head="siamese"), registry)
    assert {cell.head for cell in plan.cells} == {stage.head for stage in plan.stages} == {"siamese"}
    assert len(plan.cells) == 20


def test_everything_that_is_learned_from_is_in_a_stages_identity(registry: Registry) -> None:
    changes: list[dict[str, Any]] = [
        {}, {"models": ("n",)}, {"head": "siamese"}, {"seeds": (1,)}, {"limit_train": 9}, {"overrides": {"epochs": 9}}
    ]  # fmt: skip
    ids = [make_plan(ask(curricula=("stsb",), **change), registry).stages[0].id for change in changes]
    assert len(set(ids)) == len(changes)
    assert make_plan(ask(curricula=("stsb",), limit_eval=9), registry).stages[0].id == ids[0]


def test_overrides_stand_above_the_task_and_the_task_above_the_defaults(registry: Registry) -> None:
    values = make_plan(ask(overrides={"epochs": 1, "score_scale": "raw"}), registry).cells[0].recipe.values()
    assert (values["epochs"], values["lr"], values["score_scale"], values["weight_decay"]) == (1, 4e-5, "raw", 0.0)


def test_an_option_of_the_trained_head_does_not_disturb_the_frozen_row(registry: Registry) -> None:
    plan = make_plan(ask(curricula=("none", "stsb"), overrides={"score_scale": "raw"}), registry)
    assert {cell.recipe.values().get("score_scale") for cell in plan.cells} == {None, "raw"}


def test_a_pair_is_zero_shot_until_both_languages_are_trained_on() -> None:
    registry = own(es=made_up("es-train", languages=("es",), score_range=(0.0, 5.0)))
    request = ask(curricula=("stsb", "stsb:es-train", "es-train+stsb"), datasets=("sts17-es-en", "sts17-es"))
    kinds = {(cell.curriculum, cell.dataset): cell.transfer for cell in make_plan(request, registry).cells}
    assert kinds == {
        ("stsb", "sts17-es-en"): "zero-shot", ("stsb", "sts17-es"): "zero-shot",
        ("stsb:es-train", "sts17-es-en"): "in-language", ("stsb:es-train", "sts17-es"): "mixed",
        ("stsb+es-train", "sts17-es-en"): "in-language", ("stsb+es-train", "sts17-es"): "mixed",
    }  # fmt: skip


def test_planning_opens_no_file(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    global WATCHED
    monkeypatch.delenv("XBENCH_DATA", raising=False)
    request = ask(tasks=("paper", "mini"), curricula=(), seeds=(0, 1))
    WATCHED = []
    try:
        Path(__file__).read_bytes()
        control = len(WATCHED)
        plan = make_plan(request, registry)
        opened = WATCHED[control:]
    finally:
        WATCHED = None
    assert control == 1
    assert opened == []
    assert len(plan.cells) >= 80


def test_a_plan_is_the_same_in_every_process(registry: Registry) -> None:
    """Sets are ordered by a hash that Python salts anew in each process."""
    code = (
        "from xbench.keys import canonical; from xbench.plan import Request; from xbench.planner import make_plan\n"
        "from xbench.registry import load_registry\n"
        "request = Request(('m', 'n'), ('paper', 'mini'), seeds=(0, 1))\n"
        "print(canonical(make_plan(request, load_registry()).as_json()), end='')"
    )
    run = [sys.executable, "-c", code]
    salted = [
        subprocess.run(run, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True).stdout
        for salt in ("1", "2")
    ]
    here = canonical(make_plan(Request(("m", "n"), ("paper", "mini"), seeds=(0, 1)), registry).as_json())
    assert [text.decode("utf-8") for text in salted] == [here, here]


def test_a_plan_is_json(registry: Registry) -> None:
    plan = make_plan(ask(curricula=("none", "stsb:korsts"), seeds=(3,)), registry)
    data = json.loads(json.dumps(plan.as_json(), allow_nan=False))
    assert [stage["curriculum"] for stage in data["stages"]] == ["stsb", "stsb:korsts"]
    assert data["stages"][1]["parent"] == data["stages"][0]["id"]
    assert [cell["stage"] for cell in data["cells"]] == [None] * 4 + [data["stages"][1]["id"]] * 4
    assert data["cells"][-1]["recipe"]["score_scale"] == "unit"
    assert {field.name for field in dataclasses.fields(plan.cells[0])} == set(data["cells"][0])


def test_the_papers_plan_shares_what_its_rows_have_in_common(registry: Registry) -> None:
    tasks = ("sts", "mrc", "sentiment", "alignment", "alignment-sts")
    plan = make_plan(ask(tasks=tasks), registry)
    # Section III.D and Table IV read the same encoders.
    rows = {(cell.head, cell.curriculum) for cell in plan.cells if cell.curriculum != "none"}
    scripts = sum(len(curriculum.split(":")) for _, curriculum in rows)
    assert (scripts, len(plan.stages)) == (27, 20)
