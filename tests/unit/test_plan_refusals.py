"""A request that cannot be met is one line that names what is wrong and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plans import TASK, ask, made_up, own
from xbench.errors import UserError
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import Plugin, Registry
from xbench.tasks import load_task
from xbench.types import Split


def refused(request: Request, registry: Registry) -> str:
    with pytest.raises(UserError) as caught:
        make_plan(request, registry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "wrong", "nearest"),
    [
        ({"tasks": ("stss",)}, "task 'stss'", "'sts'"),
        ({"tasks": ("papr",)}, "'papr'", "'paper'"),
        ({"curricula": ("stbs",)}, "--train: unknown dataset 'stbs'", "'stsb'"),
        ({"curricula": ("stsb:korst",)}, "dataset 'korst'", "'korsts'"),
        ({"datasets": ("sts17_es",)}, "--eval: unknown dataset 'sts17_es'", "'sts17-es'"),
        ({"head": "cross_encoder"}, "head 'cross_encoder'", "'cross-encoder'"),
        ({"overrides": {"epoch": 1}}, "recipe key 'epoch'", "'epochs'"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(
    changes: dict[str, Any], wrong: str, nearest: str, registry: Registry
) -> None:
    message = refused(ask(**changes), registry)
    assert wrong in message
    assert f"did you mean {nearest}?" in message


@pytest.mark.parametrize(
    ("line", "kind", "nearest"),
    [
        ('metrics = ["spearman"]', "metric", "'spearman'"),
        ('heads = ["cross-encoder", "siamese"]', "head", "'cross-encoder'"),
        ('diagnostics = ["truncated-rows"]', "diagnostic", "'truncated-rows'"),
        ('eval = ["stsb", "sts17-es-en"]', "dataset", "'stsb'"),
        ('train = ["stsb", "korsts"]', "dataset", "'korsts'"),
    ],
)
def test_a_name_misspelled_in_a_task_is_found_before_anything_is_trained(line: str, kind: str, nearest: str) -> None:
    key = line.split(" = ")[0]
    lines = [old for old in TASK.format(name="t").splitlines() if not old.startswith(f"{key} =")]
    wrong = nearest.strip("'") + "x"
    message = refused(Request(("m",), ("t",)), own("\n".join([*lines, line.replace(nearest.strip("'"), wrong)])))
    assert f"unknown {kind} {wrong!r}" in message
    assert f"did you mean {nearest}?" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"curricula": ("other-schema",)}, ("cross-encoder", "pair-score", "other-schema", "pair-label")),
        ({"datasets": ("other-schema",)}, ("cross-encoder", "pair-score", "other-schema", "pair-label")),
        ({"curricula": ("other-labels",)}, ("other-labels", "stsb", "different labels")),
        ({"datasets": ("stsb", "other-labels")}, ("other-labels", "stsb", "different labels")),
        ({"curricula": ("test-only",)}, ("test-only", "no split 'train'", "only test")),
        ({"datasets": ("train-only",)}, ("train-only", "no split 'test'", "only train")),
        ({"curricula": ("none",), "head": "cross-encoder"}, ("cross-encoder", "frozen", "--head siamese")),
        ({"curricula": ("none+stsb",)}, ("none+stsb",)),
        ({"curricula": ("stsb:other-range",)}, ("other-range", "stsb", "score ranges")),
        ({"models": ()}, ("--model",)),
        ({"tasks": ()}, ("--tasks",)),
        ({"limit_train": 1}, ("--limit-train 1", "at least 2")),
        ({"limit_eval": 0}, ("--limit-eval 0", "at least 2")),
        ({"overrides": {"lr": -1.0}}, ("--set: lr", "above 0")),
    ],
)
def test_things_that_do_not_fit_together_are_named(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    split = Split(())
    registry = own(
        a=made_up("other-schema", schema="pair-label"), b=made_up("other-labels", labels=("no", "yes")),
        c=made_up("test-only", splits={"test": split}), d=made_up("train-only", splits={"train": split}),
        e=made_up("other-range", score_range=(0.0, 1.0)),
    )  # fmt: skip
    message = refused(ask(**changes), registry)
    assert all(word in message for word in words), message


def test_a_task_whose_heads_all_need_training_cannot_be_frozen() -> None:
    text = TASK.format(name="t").replace('["cross-encoder", "siamese"]', '["cross-encoder"]')
    assert "needs training" in refused(Request(("m",), ("t",), ("none",)), own(text))


def test_of_several_tasks_those_that_can_be_frozen_are(registry: Registry) -> None:
    alone = make_plan(Request(("m",), ("sts",), ("none",)), registry)
    both = make_plan(Request(("m",), ("mrc", "sts"), ("none",)), registry)
    assert both.cells == alone.cells != ()
    assert both.left_out == ("the task mrc is left out: --train none: every head of it needs training",)
    # What else is asked of it is not dropped in silence.
    assert "needs training" in refused(Request(("m",), ("mrc", "sts"), ("none", "squad")), registry)


def test_a_wrong_value_in_a_task_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(TASK.format(name="t") + "[recipe]\nepochs = 0\n", encoding="utf-8")
    registry = own()
    registry.tasks.add("t", load_task(path), Plugin("own", "own 1"))
    assert refused(Request(("m",), ("t",)), registry).startswith(f"{path} [recipe]: epochs = 0")
