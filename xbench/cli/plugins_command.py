"""``xbench plugins``."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UserError, did_you_mean
from ..registry import load_registry, owners_of
from .json_stream import json_option
from .listing import print_list, print_one
from .options import plugin_option


@click.command("plugins")
@click.argument("name", required=False)
@plugin_option
@json_option
def command(name: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List the plugins with what they declare, broken ones with their error."""
    registry = load_registry(plugins)
    owned = owners_of(registry)
    rows = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "declares": owned.get(plugin.name, []),
            "error": plugin.error,
        }
        for plugin in registry.plugins
    ]
    if name is not None:
        known = {str(row["name"]): row for row in rows}
        if name not in known:
            raise UserError(f"unknown plugin {name!r}{did_you_mean(name, known)}")
        print_one(known[name], as_json)
        return
    print_list(rows, as_json, ("name", "distribution", "declares", "error"))
    for conflict in registry.conflicts():
        click.echo(f"warning: {conflict}", err=True)
