"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import UserError
from ..settings import Settings, default_cache
from .downloads import DownloadLines
from .project_options import with_project_plugins

F = TypeVar("F", bound=Callable[..., Any])

plugin_option = click.option(
    "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Also load this Python file as a plugin.", callback=with_project_plugins,
)  # fmt: skip
out_option = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("leaderboard"), show_default=True, metavar="DIR",
    help="Where results and the leaderboard go.",
)  # fmt: skip


def place_options(command: F) -> F:
    """``--data``, ``--cache`` and ``--offline``."""
    for option in (
        click.option(
            "--offline/--online", default=False, help="Never use the network; --online undoes a project file's."
        ),
        click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Cache folder, or XBENCH_CACHE."),
        click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Data root, or XBENCH_DATA."),
    ):
        command = option(command)
    return command


def make_settings(data: Path | None, cache: Path | None, offline: bool, **others: Any) -> Settings:
    """Settings from options, then from the environment, then defaults.

    Raises:
        UserError: The data root is not a folder.
    """
    data = data or _from_environment("XBENCH_DATA")
    if data is not None and not data.is_dir():
        raise UserError(f"the data root {data} is not a folder (--data or XBENCH_DATA)")
    cache = cache or _from_environment("XBENCH_CACHE") or default_cache()
    if not offline and _hub_is_off():
        offline, others = True, {"why_offline": "HF_HUB_OFFLINE is set", **others}
    return Settings(cache=cache.expanduser(), data=data, offline=offline, **{"listener": DownloadLines(), **others})


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value).expanduser() if value else None


def _hub_is_off() -> bool:
    """The switch that users of the hub's own tools know."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def split_names(text: str) -> tuple[str, ...]:
    """``a,b`` to its parts, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
