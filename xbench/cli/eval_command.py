"""``xbench eval``: command line -> plan -> execute -> store -> leaderboard."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from ..execute import Outcome, execute
from ..plan import Plan, Request, make_plan
from ..recipe import parse_overrides
from ..registry import Registry, load_registry
from ..settings import Settings
from ..store import Store
from .options import json_option, make_settings, out_option, place_options, plugin_option, split_names
from .project_options import active, with_project_recipe
from .track_options import track_options, tracking


@click.command("eval")
@click.option("--model", "models", required=True, metavar="M[,M2...]", help="Names, hub ids or local folders.")
@click.option("--tasks", required=True, metavar="T[,T2...]", help="Tasks or groups of tasks, such as sts or mini.")
@click.option(
    "--train",
    "curricula",
    multiple=True,
    metavar="CURRICULUM",
    help="What to fine-tune on: a, a:b (then), a+b (mixed) or none; may be repeated.",
)
@click.option("--eval", "datasets", default="", metavar="D[,D2...]", help="Evaluation datasets instead of the task's.")
@click.option("--seeds", default="", metavar="0,1,2", help="Seeds instead of the task's.")
@click.option(
    "--set", "overrides", multiple=True, metavar="recipe.KEY=VALUE", help="Override a recipe value.",
    callback=with_project_recipe,
)  # fmt: skip
@click.option("--head", metavar="NAME", help="The head instead of the task's.")
@click.option("--limit-train", type=int, metavar="N", help="Train each stage on N rows, drawn by seed.")
@click.option("--limit-eval", type=int, metavar="N", help="Score on N rows, drawn once for all.")
@place_options
@out_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@track_options
@click.option("--strict", is_flag=True, help="Stop before any work when something is missing.")
@click.option("--trust-remote-code", is_flag=True, help="Let a model's repository run its own code on this machine.")
@plugin_option
@click.option("--dry-run", is_flag=True, help="Print the plan with what it will take, and stop.")
@json_option
def command(
    models: str, tasks: str, curricula: tuple[str, ...], datasets: str, seeds: str, overrides: tuple[str, ...],
    head: str | None, limit_train: int | None, limit_eval: int | None, data: Path | None, cache: Path | None,
    offline: bool, out: Path, device: str, strict: bool, trust_remote_code: bool, plugins: tuple[Path, ...],
    dry_run: bool, as_json: bool, track: str, track_dir: Path,
) -> int:  # fmt: skip
    """Fine-tune and score a model on tasks, and write the leaderboard.

    \b
    xbench eval --model e5-small-q4 --tasks mini-sts
    xbench eval --model xlm-roberta-large --tasks sts --seeds 0,1,2
    xbench eval --model e5-small-q4 --tasks sts --train none --eval stsb,korsts
    """  # noqa: D301  # click's mark for lines that stay as they are
    registry = load_registry(plugins)
    for problem in registry.problems():
        click.echo(f"warning: {problem}", err=True)
    request = Request(
        models=split_names(models), tasks=split_names(tasks), curricula=curricula, datasets=split_names(datasets),
        seeds=_seeds(seeds), head=head, overrides=parse_overrides(overrides), limit_train=limit_train,
        limit_eval=limit_eval,
    )  # fmt: skip
    plan = make_plan(request, registry)
    for line in plan.left_out:
        click.echo(f"note: {line}", err=True)
    settings = make_settings(data, cache, offline, out=out, device=device, trust_remote_code=trust_remote_code)
    if dry_run:
        from .dry_run import print_plan

        print_plan(plan, registry, settings, as_json, active())
        return 0
    from ..leaderboard.publish import check_out
    from .progress import make_reporter

    check_out(out)
    _check_device(device)
    with make_reporter(plan, registry) as shown, tracking(track, track_dir, plan, settings, shown) as reporter:
        outcome = execute(plan, registry, settings, reporter, strict)
    undrawn = _publish(plan, registry, settings)
    _print_outcome(outcome, registry, out, as_json)
    return 1 if outcome.failures or undrawn else 0


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in split_names(text))
    except ValueError:
        raise UserError(f"--seeds {text}: write whole numbers, such as --seeds 0,1,2") from None
    if any(seed < 0 for seed in seeds):
        raise UserError(f"--seeds {text}: seeds are not negative")
    return seeds


def _check_device(device: str) -> None:
    """Say at once that a device is not there; ``auto`` and ``cpu`` need no look, and so no torch.

    Raises:
        UserError: It is not there.
    """
    if device in ("auto", "cpu"):
        return
    from ..training.device import choose_device

    choose_device(device)


def _publish(plan: Plan, registry: Registry, settings: Settings) -> bool:
    """Write the leaderboard, then draw the tasks' figures and put them on it; tells whether a figure has a bug."""
    from ..leaderboard.pictures import draw_figures
    from ..leaderboard.publish import build, load_records

    for path in build(settings.out, registry).damaged:
        click.echo(f"warning: {path} is no whole record of this version and was left out", err=True)
    tasks = [task for task in dict.fromkeys(cell.task for cell in plan.cells) if registry.tasks.get(task).figures]
    if not tasks:
        return False
    drawn, undrawn = draw_figures(tasks, load_records(settings.out)[0], registry, Store(settings), settings.out)
    if drawn:
        build(settings.out, registry)
    for one in undrawn:
        word = "FAILED" if one.trace else "not drawn:"
        click.echo(f"{one.trace}{word} figure {one.figure} of {one.task}: {one.reason}", err=True)
    return any(one.trace for one in undrawn)


def _print_outcome(outcome: Outcome, registry: Registry, out: Path, as_json: bool) -> None:
    if as_json:
        failed: list[dict[str, Any]] = [
            {"status": "failed", "error": failure.reason, **_cell_names(failure.cell)} for failure in outcome.failures
        ]
        click.echo(json.dumps([*outcome.records, *failed], indent=2, ensure_ascii=False))
    from .tables import failure_table, print_tables

    print_tables(outcome.records, registry, to_stderr=as_json)
    if outcome.failures:
        failure_table(outcome.failures)
    print(f"results in {out}/results, leaderboard in {out}/README.md", file=sys.stderr)


def _cell_names(cell: Any) -> dict[str, Any]:
    values = dataclasses.asdict(cell)
    names = ("task", "model", "head", "curriculum", "reading", "dataset", "split", "seed", "transfer")
    return {name: values[name] for name in names}
