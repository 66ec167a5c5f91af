"""What ``tasks``, ``datasets``, ``models`` and ``plugins`` share: a list, or one thing in full, as text or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..registry import Registry, load_registry
from .json_stream import echo_json
from .terminal import say


def open_registry(plugins: Sequence[Any]) -> Registry:
    """Load the plugins and tell, on stderr, what is wrong with any."""
    registry = load_registry(plugins)
    for problem in registry.problems():
        say(f"warning: {problem}", err=True)
    return registry


def print_list(rows: Sequence[Mapping[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    """Print rows as JSON, or some of their columns as a table."""
    if as_json:
        echo_json(rows)
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from .tables import wide_console

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(row[column])) for column in columns))
    wide_console(to_stderr=False).print(table)


def size_text(count: int) -> str:
    """So many bytes, for people: 1 KB is 1024 of them."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def print_one(values: Mapping[str, Any], as_json: bool) -> None:
    """Print one thing in full."""
    if as_json:
        echo_json(values)
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        lines = _lines(value)
        click.echo(f"{name.replace('_', ' '):<{width}}  {lines[0]}")
        for line in lines[1:]:
            click.echo(f"{'':<{width}}  {line}")


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [f"{name}: {_text(inner)}" for name, inner in value.items()]
    if isinstance(value, str) and value:
        return value.splitlines()
    return [_text(None if value == "" else value)]


def _text(value: Any) -> str:
    if value is None or value in ((), [], {}):
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return str(value)
