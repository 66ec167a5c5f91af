"""``xbench tasks``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from ..tasks import Task
from .json_stream import json_option
from .listing import open_registry, print_list, print_one
from .options import plugin_option


@click.command("tasks")
@click.argument("name", required=False)
@plugin_option
@json_option
def command(name: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List the tasks, or show one in full."""
    registry = open_registry(plugins)
    if name is not None:
        print_one(_describe(registry.tasks.get(name)), as_json)
        return
    rows = [_describe(task) for task in registry.tasks]
    print_list(rows, as_json, ("name", "groups", "train", "eval", "description"))


def _describe(task: Task) -> dict[str, Any]:
    values = dataclasses.asdict(task)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
