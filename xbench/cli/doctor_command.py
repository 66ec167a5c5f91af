"""``xbench doctor``."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import click

from ..errors import UserError
from ..registry import load_registry
from .json_stream import echo_json, json_option
from .options import make_settings, out_option, place_options, plugin_option
from .project_options import active, project_json, unreadable
from .terminal import seen

COLOURS = {"ok": "green", "note": "yellow", "broken": "red"}


@click.command("doctor")
@place_options
@out_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@plugin_option
@json_option
def command(
    data: Path | None, cache: Path | None, offline: bool, out: Path, device: str, plugins: tuple[Path, ...],
    as_json: bool,
) -> int:  # fmt: skip
    """Tell what works on this machine, and how to mend what does not.

    Nothing is changed or fetched. Each line is ok, a note, or broken; exit status 1 when something is broken.
    """
    from ..doctor import BROKEN, OK, Finding, examine

    early: list[Finding] = []
    try:
        registry = load_registry(plugins)
    except UserError as error:
        registry = load_registry()
        early.append(Finding("plugin file", BROKEN, str(error), "mend it, or leave it out"))
    try:
        settings = make_settings(data, cache, offline, out=out, device=device)
    except UserError as error:
        early.append(Finding("data root", BROKEN, str(error), "name a folder that is there"))
        settings = dataclasses.replace(make_settings(Path(), cache, offline, out=out, device=device), data=None)
    found: list[Finding] = []
    for one in itertools.chain(early, examine(registry, settings, unreadable() or active())):
        found.append(one)
        if not as_json:
            click.echo(click.style(f"{one.state:<6}", COLOURS[one.state]) + seen(f"  {one.name}: {one.said}"))
            if one.mend and one.state != OK:
                click.echo(seen(f"        -> {one.mend}"))
    counts = Counter(one.state for one in found)
    if as_json:
        shown = {"findings": [dataclasses.asdict(one) for one in found], "project": project_json(active())}
        echo_json({"broken": counts[BROKEN], **shown})
    else:
        click.echo(", ".join(f"{counts[state]} {state}" for state in COLOURS))
    return 1 if counts[BROKEN] else 0
