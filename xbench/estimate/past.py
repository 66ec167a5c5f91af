"""Keeps estimates, and holds those of stages that were trained since against what the stages took."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..files import write_json
from ..settings import Settings
from ..store import Store, read_signed, sign
from .costs import MB, Estimate
from .machine import Machine

FOLDER = "estimates"


@dataclass(frozen=True)
class Spread:
    """How far truths lay from estimates, as shares of the estimates: 0.1 is a tenth more than estimated.

    Attributes:
        lowest: Of all.
        median: Of all.
        highest: Of all.
    """

    lowest: float
    median: float
    highest: float


@dataclass(frozen=True)
class Past:
    """How far off past estimates were.

    Attributes:
        stages: How many were trained after they had been estimated, on a machine like this.
        time: Without the writing of the weights.
        memory: The most, of the GPU where there is one.
        disk: Of the weights.
    """

    stages: int
    time: Spread
    memory: Spread
    disk: Spread


def keep_estimate(key: str, estimate: Estimate, machine: Machine, settings: Settings) -> None:
    """Keep what a stage is estimated to cost, until it is trained; a later estimate takes its place.

    Args:
        key: The stage's.
        estimate: Of the stage.
        machine: That it was made for.
        settings: The cache.
    """
    content = {
        "key": key, "device": machine.device, "threads": machine.threads, "whole_s": estimate.whole_s,
        "memory_mb": estimate.memory_mb, "weights_mb": estimate.weights_mb,
    }  # fmt: skip
    write_json(settings.cache / FOLDER / f"{key}.json", sign(content))


def any_kept(settings: Settings) -> bool:
    """Whether any estimate was kept."""
    return (settings.cache / FOLDER).is_dir()


def past_errors(machine: Machine, settings: Settings) -> Past | None:
    """Compare all estimates that were kept with the stages trained since, on the same device with as many threads.

    Args:
        machine: This one.
        settings: The cache.

    Returns:
        How far off they were; None where there is nothing to compare.
    """
    store = Store(settings)
    found: list[tuple[float, float, float]] = []
    for path in sorted((settings.cache / FOLDER).glob("*.json")):
        kept, manifest = read_signed(path), store.stage(path.stem, used=False)
        if kept is not None and manifest is not None:
            with contextlib.suppress(KeyError, TypeError, ZeroDivisionError, OSError):
                weights_mb = store.stage_bytes(path.stem) / MB
                alone = manifest["environment"].get("processes", 1) == 1
                if alone and _same_place(kept, machine) and _same_place(manifest["environment"], machine):
                    found.append(_errors(kept, manifest["timing"], weights_mb))
    if not found:
        return None
    time, memory, disk = (_spread(values) for values in zip(*found, strict=True))
    return Past(len(found), time, memory, disk)


def _same_place(environment: Mapping[str, Any], machine: Machine) -> bool:
    return (environment["device"], environment["threads"]) == (machine.device, machine.threads)


def _errors(kept: Mapping[str, Any], timing: Mapping[str, Any], weights_mb: float) -> tuple[float, float, float]:
    memory_mb = timing["peak_rss_mb"] if timing["peak_gpu_mb"] is None else timing["peak_gpu_mb"]
    pairs = ((timing["whole_s"], "whole_s"), (memory_mb, "memory_mb"), (weights_mb, "weights_mb"))
    time, memory, disk = (truth / kept[name] - 1 for truth, name in pairs)
    return time, memory, disk


def _spread(values: Sequence[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))
