"""``xbench eval --dry-run``: the plan, and what it will take on this machine."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import click

from ..estimate.costs import Estimate
from ..estimate.forecast import Forecast, PassForecast, forecast
from ..estimate.past import Past, Spread
from ..plan import Cell, Plan
from ..project import Project
from ..registry import Registry
from ..settings import Settings
from .json_stream import echo_json
from .project_options import project_json

COVERS = "training and passes over the rows, not fits, decoding and scoring"
DONE = "done"
SHARED = "same pass"
LINES_AT_ONCE = 1000
"""Of a plan: to flush each of 100,000 would take longer than to make them."""


def print_plan(
    plan: Plan, registry: Registry, settings: Settings, as_json: bool, project: Project | None = None
) -> None:  # fmt: skip
    """Estimate a plan, and print both.

    Args:
        plan: What would be done.
        registry: What the plugins declare.
        settings: Folders and switches.
        as_json: Print JSON, for programs.
        project: The project file that was read.
    """
    found = forecast(plan, registry, settings, lambda text: click.echo(f"note: {text}", err=True))
    if as_json:
        shown = {**_as_json(plan, found), "project": project_json(project)}
        echo_json(shown)
        return
    if project is not None:
        click.echo(f"settings of {project.path}: {', '.join((project_json(project) or {})['sets']) or 'none'}")
    lines = _lines(plan, found)
    while some := list(itertools.islice(lines, LINES_AT_ONCE)):
        click.echo("\n".join(some))


def _lines(plan: Plan, found: Forecast) -> Iterator[str]:
    """The plan with its costs, a line a stage, a choice and a cell, and what it takes in all."""
    yield f"{len(plan.stages)} fine-tunings, {len(plan.cells)} cells"
    curricula = {stage.id: stage.curriculum for stage in plan.stages}
    for stage in plan.stages:
        after = f", after {curricula[stage.parent]}" if stage.parent else ""
        cost = DONE if stage.id in found.done_stages else _cost(found.stages.get(stage.id))
        yield f"  train  {stage.label} on {'+'.join(stage.mixture)}{after}{cost and ': '}{cost}"
    for one in found.passes:
        if one.candidates:
            yield f"  choose {_chooses(one)}: {_cost(one.estimate)}"
    costs = _cell_costs(plan, found)
    for cell in plan.cells:
        cost = DONE if cell in found.done_cells else _cost(costs.get(cell))
        yield f"  score  {cell.label} ({cell.transfer}){cost and ': '}{cost}"
    yield from _summary(found)


def _cell_costs(plan: Plan, found: Forecast) -> dict[Cell, Estimate]:
    """What each cell adds: a pass stands at the first cell that needs it, and costs the others nothing."""
    costs: dict[Cell, Estimate] = {}
    for one in found.passes:
        for place, cell in enumerate(one.cells if not one.candidates else ()):
            added = one.estimate if place == 0 else dataclasses.replace(one.estimate, seconds=0.0, disk_mb=0.0)
            costs[cell] = _together([*([costs[cell]] if cell in costs else []), added])
    return {cell: costs[cell] for cell in plan.cells if cell in costs}


def _chooses(one: PassForecast) -> str:
    """``e5-small-q4 cross-encoder stsb seed 0 by source-dev: 4 checkpoints on stsb/dev``."""
    cell = one.cells[0]
    what = f"{cell.model} {cell.head} {cell.curriculum} seed {cell.seed} by {cell.selection}"
    return f"{what}: {one.candidates} checkpoints on {one.rows.dataset}/{one.rows.split}"


def _together(parts: list[Estimate]) -> Estimate:
    """One after the other: times and disk add up, and memory is the most of any."""
    return Estimate(
        sum(part.seconds for part in parts), sum(part.whole_s for part in parts),
        max((part.memory_mb for part in parts), default=0.0), sum(part.disk_mb for part in parts),
        sum(part.weights_mb for part in parts), any(part.sampled for part in parts),
    )  # fmt: skip


def _cost(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if not estimate.seconds:
        return SHARED
    disk = f", {size(estimate.disk_mb)} of disk" if estimate.disk_mb >= 1 else ""
    return f"{duration(estimate.seconds)}, {size(estimate.memory_mb)} of memory{disk}"


def _summary(found: Forecast) -> list[str]:
    """The lines below the plan."""
    lines = []
    if found.parts():
        total = _together(found.parts())
        rest = "; more for what has no estimate" if found.reasons else ""
        lines.append(
            f"in all {duration(total.seconds)}, {size(total.memory_mb)} of memory at most, "
            f"{size(total.disk_mb)} of disk ({COVERS}){rest}"
        )
    if found.machine is not None and found.calibrated:
        where = f"{found.machine.device}, {found.machine.threads} threads"
        lines.append(f"calibrated on {where}: {', '.join(found.calibrated)}")
    if found.past is not None:
        lines.append(past_line(found.past))
    elif found.machine is not None:
        lines.append("no earlier estimate to compare: none of a stage that was trained since")
    return [*lines, *(f"no estimate: {reason}" for reason in found.reasons)]


def past_line(past: Past) -> str:
    """How far off past estimates were, in a line."""
    parts = (("time", past.time), ("memory", past.memory), ("disk", past.disk))
    off = ", ".join(f"{name} {_spread(spread, past.stages)}" for name, spread in parts)
    which = "1 earlier estimate" if past.stages == 1 else f"{past.stages} earlier estimates"
    return f"{which} held against what was measured (+: it took more): {off}"


def _spread(spread: Spread, count: int) -> str:
    if count == 1:
        return percent(spread.median)
    return f"{percent(spread.lowest)} to {percent(spread.highest)} (median {percent(spread.median)})"


def percent(share: float) -> str:
    """A signed share for people: ``+14 %``."""
    return f"{round(100 * share):+d} %"


def duration(seconds: float) -> str:
    """A time for people, to about two digits."""
    for length, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * length:
            return f"{_two_digits(seconds / length)} {unit}"
    return f"{_two_digits(seconds)} s" if seconds >= 1 else "under 1 s"


def size(megabytes: float) -> str:
    """A size for people, to about two digits."""
    if megabytes >= 1000:
        return f"{_two_digits(megabytes / 1024)} GB"
    return f"{_two_digits(megabytes)} MB" if megabytes >= 1 else "under 1 MB"


def _two_digits(value: float) -> str:
    rounded = float(f"{value:.2g}")
    return f"{rounded:.1f}".removesuffix(".0") if rounded < 10 else f"{rounded:.0f}"


def _as_json(plan: Plan, found: Forecast) -> dict[str, Any]:
    """The plan with an ``estimate`` for each stage, each cell and all."""
    shown: dict[str, Any] = plan.as_json()
    costs = _cell_costs(plan, found)
    for stage, of_stage in zip(plan.stages, shown["stages"], strict=True):
        of_stage["estimate"] = _numbers(found.stages.get(stage.id), stage.id in found.done_stages)
    for cell, of_cell in zip(plan.cells, shown["cells"], strict=True):
        of_cell["estimate"] = _numbers(costs.get(cell), cell in found.done_cells)
    shown["choices"] = [
        {
            "stage": one.cells[0].stage, "selection": one.cells[0].selection, "candidates": one.candidates,
            "dataset": one.rows.dataset, "split": one.rows.split, "limit": one.rows.limit,
            "estimate": _numbers(one.estimate, done=False),
        }
        for one in found.passes
        if one.candidates
    ]  # fmt: skip
    machine = found.machine
    shown["estimate"] = {
        **(_numbers(_together(found.parts()), done=False) or {}), "covers": COVERS,
        "device": machine and machine.device, "threads": machine and machine.threads, "calibrated": found.calibrated,
        "no_estimate": found.reasons, "past": found.past and _past_json(found.past),
    }  # fmt: skip
    return shown


def _numbers(estimate: Estimate | None, done: bool) -> dict[str, Any] | None:
    """Seconds and MB; a pass that several cells share costs seconds and disk in the first of them."""
    if done:
        return {"done": True, "seconds": 0.0, "memory_mb": 0.0, "disk_mb": 0.0, "from_sample": False}
    if estimate is None:
        return None
    return {
        "done": False, "seconds": round(estimate.seconds, 1), "memory_mb": round(estimate.memory_mb, 1),
        "disk_mb": round(estimate.disk_mb, 1), "from_sample": estimate.sampled,
    }  # fmt: skip


def _past_json(past: Past) -> dict[str, Any]:
    """How much more than estimated it took, in percent of the estimate."""
    spreads = (("time_percent", past.time), ("memory_percent", past.memory), ("disk_percent", past.disk))
    return {
        "stages": past.stages,
        **{
            name: {word: round(100 * share, 1) for word, share in dataclasses.asdict(spread).items()}
            for name, spread in spreads
        },
    }
