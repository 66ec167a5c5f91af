"""Checks of tasks: they plan without a file, and a tiny encoder goes through them from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...curriculum import FROZEN, parse_curriculum
from ...errors import UserError
from ...plan import Plan, Request
from ...planner import make_plan
from ...registry import Registry
from ...tasks import Task, dataset_and_split
from ..results import NotCheckedError, Problem
from ..subject import Subject
from .common import text_problems

TRAIN_ROWS, EVAL_ROWS = 16, 24
MODEL = "a-model"
OVERRIDES = {"epochs": 1, "precision": "fp32"}


def check_plans(about: Subject, task: Task) -> Iterator[Problem]:
    """It plans, without a file: all its names are known, and heads, metrics and datasets go together."""
    where = about.plugin.where("task", task)
    try:
        _plan(about, task, (*task.curricula, *task.baselines.values()))
    except UserError as error:
        yield Problem(str(error), where, "correct the name, or what does not go together")


def _plan(about: Subject, task: Task, curricula: tuple[str, ...]) -> Plan:
    return make_plan(Request((MODEL,), (task.name,), curricula), about.plugin.registry)


def check_task(about: Subject, task: Task) -> Iterator[Problem]:
    """It says what it is; its baselines are in-language curricula of its own for datasets that it evaluates on."""
    where = about.plugin.where("task", task)
    yield from text_problems("task", "title", task.title, where, "what tables call it")
    yield from text_problems("task", "description", task.description, where, "one line")
    evaluated = {dataset_and_split(text, task.eval_split)[0] for text in task.eval}
    for name, text in task.baselines.items():
        if name not in evaluated:
            yield Problem(
                f"[baselines] names {name}, on which the task does not evaluate", where,
                f"take it out, or add it to eval = [{', '.join(sorted(evaluated))}]",
            )  # fmt: skip
        if text not in task.curricula:
            yield Problem(
                f"the baseline {text!r} of {name} is none of its curricula: no gap would ever be shown", where,
                f"add {text!r} to curricula",
            )  # fmt: skip
        yield from _in_language(name, text, task, about.plugin.registry, where)
    for name in task.fit:
        if name != "*" and name not in about.plugin.registry.datasets.owners:
            yield Problem(f"[fit] names the unknown dataset {name}", where, "correct the name")


def _in_language(name: str, text: str, task: Task, registry: Registry, where: str) -> Iterator[Problem]:
    evaluated = registry.datasets.items.get(name)
    trained = [registry.datasets.items.get(one) for mixture in parse_curriculum(text, task.train) for one in mixture]
    spoken = {language for one in trained if one is not None for language in one.languages}
    if evaluated is not None and not spoken <= set(evaluated.languages):
        yield Problem(
            f"the baseline {text!r} of {name} is trained on {', '.join(sorted(spoken))}, and {name} is in "
            f"{evaluated.language}", where, "name a curriculum in its own language: a transfer gap is measured from it",
        )  # fmt: skip


def check_runs(about: Subject, task: Task) -> Iterator[Problem]:
    """A tiny encoder goes through it from end to end, on a few rows: training, scoring, diagnostics, records."""
    where = about.plugin.where("task", task)
    try:
        _plan(about, task, task.curricula)
    except UserError:
        raise NotCheckedError("it does not plan: see the check plans") from None
    evals = _here(about, [dataset_and_split(text, task.eval_split) for text in task.eval])
    if not evals:
        raise NotCheckedError(f"no rows of {', '.join(task.eval)} are here: set --data or XBENCH_DATA")
    curriculum = next(
        (text for text in sorted(task.curricula, key=len) if text != FROZEN and _trains(about, task, text)), ""
    )
    curriculum = curriculum or (FROZEN if FROZEN in task.curricula else "")
    if not curriculum:
        raise NotCheckedError(f"no training rows of {', '.join(task.train)} are here: set --data or XBENCH_DATA")
    fitted = set(_here(about, [dataset_and_split(text, task.train_split) for text in task.fit.values()]))
    wanted = {
        name: dataset_and_split(task.fit.get(name) or task.fit.get("*") or "", task.train_split) for name, _ in evals
    }
    evals = [(name, split) for name, split in evals if not task.fit or wanted[name] in fitted]
    if not evals:
        raise NotCheckedError("nothing that its readings are fitted on is here: set --data or XBENCH_DATA")
    from ..runs import Bench

    settings = about.plugin.settings
    bench = Bench(about.plugin.work / "bench", str(about.encoder), about.plugin.registry, settings.data)
    for name in ("datasets", "digests", "downloads"):  # what is prepared is not prepared again; all else goes
        _share(settings.cache / name, bench.root / "cache" / name)
    try:
        outcome, _ = bench.run(
            curriculum, task=task.name, datasets=tuple(f"{name}/{split}" for name, split in evals[:2]),
            overrides=OVERRIDES, limit_train=TRAIN_ROWS, limit_eval=EVAL_ROWS, seeds=(0,),
        )  # fmt: skip
    except UserError as error:
        yield Problem(str(error), where, "correct what does not go together")
        return
    for failure in outcome.failures:
        yield Problem(
            f"{curriculum} -> {failure.cell.dataset}: {failure.reason}", where,
            f"run it: xbench eval --tasks {task.name} --train {curriculum} --eval {failure.cell.dataset}",
        )  # fmt: skip
    for record in outcome.records:
        if record["scores"] == {}:
            yield Problem(f"{record['eval']['dataset']} got no score", where, "see that `compute` gives scores by name")


def _share(folder: Path, place: Path) -> None:
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder.resolve(), target_is_directory=True)


def _here(about: Subject, splits: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of some splits whose rows are here and as they should be."""
    found = []
    for name, split in splits:
        dataset = about.plugin.registry.datasets.items.get(name)
        if dataset is None or split not in dataset.splits:
            continue
        try:
            look = about.shelf.look(dataset, split)
        except NotCheckedError:
            continue
        if look.set is not None:
            found.append((name, split))
    return found


def _trains(about: Subject, task: Task, curriculum: str) -> bool:
    """Whether all that a curriculum trains on is here."""
    names = [name for mixture in parse_curriculum(curriculum, task.train) for name in mixture]
    return len(_here(about, [(name, task.train_split) for name in names])) == len(names)
