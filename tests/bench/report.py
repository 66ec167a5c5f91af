"""Medians, ratios and where they were measured: one table, and a dated file of all runs."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RATES = ("examples_per_s", "sentences_per_s", "starts_per_s", "loads_per_s")
PACKAGES = ("torch", "transformers", "accelerate", "sentence-transformers")
Figures = dict[str, Any]
Runs = dict[str, list[Figures]]


def machine() -> dict[str, str]:
    """The processor, its cores, the memory, and the versions of what is compared."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"machine": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB", **versions}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def medians(runs: Runs) -> dict[str, Figures]:
    """Of each contender's numbers, by figure."""
    return {
        name: {
            figure: statistics.median(run[figure] for run in found)
            for figure, value in found[0].items()
            if isinstance(value, int | float)
        }
        for name, found in runs.items()
    }


def table(works: Mapping[str, Runs]) -> str:
    """One table of all works; the last contender of each is held against the others."""
    about = machine()
    lines = [", ".join([about.pop("machine"), *(f"{name} {version}" for name, version in about.items())]), ""]
    lines.append(f"{'':<44} {'median':>8} {'peak MB':>8} {'the last is':>12}")
    for work, runs in works.items():
        lines.append(work)
        found = medians(runs)
        own = list(found.values())[-1]
        rate = next(name for name in RATES if name in own)
        for name, figures in found.items():
            faster, larger = own[rate] / figures[rate], own["peak_rss_mb"] / figures["peak_rss_mb"]
            share = figures.get("share_of_matrix_rate")
            of_rate = "" if share is None else f"; {share:.0%} of the machine's matrix rate"
            ratio = f"{faster:>6.1f}x as fast, {larger:.2f}x the memory"
            lines.append(f"  {name:<42} {figures[rate]:>8.2f} {figures['peak_rss_mb']:>8.0f} {ratio}{of_rate}")
    return "\n".join(lines)


def keep(folder: Path, work: str, runs: Runs, steps: int) -> Path:
    """Write all runs of a work into a file with today's date; gives its path."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    about = {"date": today, **machine(), "steps": steps, "medians": medians(runs), "runs": runs}
    path = folder / f"{today}-{work}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return path
