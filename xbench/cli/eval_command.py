"""``xbench eval``: command line -> plan -> execute -> store -> leaderboard."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from ..execute import Outcome, execute
from ..executors import EXECUTORS, make_executor
from ..launch import launched, leading
from ..measures import Access
from ..plan import Plan
from ..planner import make_plan
from ..record_files import RecordFiles
from ..registry import Registry, load_registry
from ..settings import Settings
from ..store import FAILED, Store
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import make_settings, out_option, place_options, plugin_option
from .project_options import active
from .request import command_line, make_request, request_options
from .terminal import say
from .track_options import track_options, tracking


@click.command("eval")
@request_options
@place_options
@out_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@click.option(
    "--executor", type=click.Choice(list(EXECUTORS)), default="local", show_default=True,
    help="Where the work is done: on this machine, or on the Ray cluster that RAY_ADDRESS names.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(0), default=0, metavar="N",
    show_default="one a CUDA device, else 1; on a cluster what fits",
    help="How many fine-tuning runs or passes go on side by side. They share the processor's threads, whose number can "
    "change a score's last digits; rounded scores are the same.",
)  # fmt: skip
@track_options
@click.option("--strict", is_flag=True, help="Stop before any work when something is missing.")
@click.option("--trust-remote-code", is_flag=True, help="Let the repository of a model or metric run its code here.")
@plugin_option
@click.option("--dry-run", is_flag=True, help="Print the plan with what it will take, and stop.")
@json_option
def command(
    data: Path | None, cache: Path | None, offline: bool, out: Path, device: str, strict: bool, trust_remote_code: bool,
    plugins: tuple[Path, ...], dry_run: bool, as_json: bool, track: str, track_dir: Path, executor: str,
    workers: int, **asked: Any,
) -> int:  # fmt: skip
    """Fine-tune and score a model on tasks, and write the leaderboard.

    \b
    xbench eval --model e5-small-q4 --tasks mini-sts
    xbench eval --model xlm-roberta-large --tasks sts --seeds 0,1,2
    xbench eval --model e5-small-q4 --tasks sts --train none --eval stsb,korsts
    xbench eval --model e5-small-q4 --tasks sts --train stsb --set recipe.selection=source-dev
    """  # noqa: D301  # click's mark for lines that stay as they are

    def ask(registry: Registry) -> tuple[Plan, Registry, Settings]:
        settings = make_settings(data, cache, offline, out=out, device=device, trust_remote_code=trust_remote_code)
        registry.access = Access(settings.offline or dry_run, trust_remote_code)
        return make_plan(make_request(asked), registry), registry, settings

    if launched().follows:
        return 0 if dry_run else _follow(device, lambda: ask(load_registry(plugins)))
    plan, registry, settings = ask(open_registry(plugins))
    for line in plan.left_out:
        say(f"note: {line}", err=True)
    if dry_run:
        from .dry_run import print_plan

        print_plan(plan, registry, settings, as_json, active())
        return 0
    from ..leaderboard.publish import check_out
    from .progress import make_reporter, telling

    check_out(out)
    where = make_executor(executor, workers, device)
    if offline:
        places = {"data": data, "cache": cache, "plugins": plugins, "trust_remote_code": trust_remote_code}
        _check_here(plan, registry, settings, command_line("prefetch", {**asked, **places}))
    with (
        leading(device),
        make_reporter(plan, registry) as shown,
        telling(shown),
        tracking(track, track_dir, plan, settings, shown) as reporter,
    ):
        outcome = execute(plan, registry, settings, reporter, strict, where)
    undrawn = _publish(plan, registry, settings, outcome.files)
    _print_outcome(outcome, registry, out, as_json)
    return 1 if outcome.failures or undrawn else 0


def _follow(device: str, ask: Callable[[], tuple[Plan, Registry, Settings]]) -> int:
    from ..training.follow import follow

    return follow(device, ask)


def _check_here(plan: Plan, registry: Registry, settings: Settings, fetch_all: str) -> None:
    """Say at once, where the network may not be used, all that is missing, instead of one thing after the other.

    Raises:
        UserError: Something is missing.
    """
    from ..prefetch import look, needs

    findings = [look(need, registry, settings) for need in needs(plan, registry)]
    missing = [found.need.label for found in findings if not found.here]
    if missing:
        raise UserError(
            f"--offline: not here: {', '.join(missing)}; on a machine with network: {fetch_all} "
            "(HF_HUB_OFFLINE=1 instead of --offline does what can be done without)"
        )


def _publish(plan: Plan, registry: Registry, settings: Settings, files: RecordFiles) -> bool:
    """Write the leaderboard, then draw the tasks' figures and put them on it; tells whether a figure has a bug."""
    from ..leaderboard.made import Made
    from ..leaderboard.pictures import draw_figures
    from ..leaderboard.publish import build, load_records, publishing

    def note(text: str) -> None:
        say(f"note: {text}", err=True)

    made = Made(registry, settings)
    if made.stands(files):
        return False
    for path in build(settings.out, registry, note=note, files=files).damaged:
        say(f"warning: {path} is no whole record of this version and was left out", err=True)
    tasks = [task for task in dict.fromkeys(cell.task for cell in plan.cells) if registry.tasks.get(task).figures]
    if not tasks:
        made.keep(files)
        return False
    with publishing(settings.out, note):
        records = load_records(settings.out, files)[0]
        drawn, undrawn = draw_figures(tasks, records, registry, Store(settings), settings.out)
    if drawn:
        build(settings.out, registry, note=note, files=files)
    if not undrawn:
        made.keep(files)
    for one in undrawn:
        word = "FAILED" if one.trace else "not drawn:"
        say(f"{one.trace}{word} figure {one.figure} of {one.task}: {one.reason}", err=True)
    return any(one.trace for one in undrawn)


def _print_outcome(outcome: Outcome, registry: Registry, out: Path, as_json: bool) -> None:
    if as_json:
        failed: list[dict[str, Any]] = [
            {"status": FAILED, **(failure.record or _cell_names(failure.cell)), "error": failure.reason}
            for failure in outcome.failures
        ]
        echo_json([*outcome.records, *failed])
    from .tables import failure_table, print_tables

    failed_records = [failure.record for failure in outcome.failures if failure.record is not None]
    print_tables([*outcome.records, *failed_records], registry, to_stderr=as_json)
    if outcome.failures:
        failure_table(outcome.failures)
    print(f"results in {out}/results, leaderboard in {out}/README.md", file=sys.stderr)


def _cell_names(cell: Any) -> dict[str, Any]:
    values = dataclasses.asdict(cell)
    names = ("task", "model", "head", "curriculum", "reading", "dataset", "split", "seed", "transfer")
    return {name: values[name] for name in names}
