"""What a project file gives to the command line: defaults that ``--help`` shows, below options and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from ..project import Project, find_project

OPTIONS = {"model": "models", "train": "curricula", "eval": "datasets"}
"""Keys of the file whose options have another name inside the program."""
LISTS = ("train",)
"""What the command line takes by repeating the option, not by commas."""
VARIABLES = {"data": "XBENCH_DATA", "cache": "XBENCH_CACHE"}
"""The environment stands above the file; `make_settings` looks there."""
WITHOUT = ("doctor", "completion")
"""Commands that go on where the file cannot be read: doctor tells of it, and completion asks it nothing."""
RESULTS = Path("leaderboard")
"""The default of ``--out`` where it is the folder of results; elsewhere the word means something else."""


def use_project(ctx: click.Context) -> None:
    """Read the project file, if there is one, and make it the defaults of the command that is called.

    Raises:
        UserError: It cannot be read, or says what it may not.
    """
    try:
        ctx.obj = project = find_project()
    except UserError as error:
        if ctx.invoked_subcommand not in WITHOUT:
            raise
        ctx.obj, project = error, None
    if project is None or ctx.invoked_subcommand is None:
        return
    assert isinstance(ctx.command, click.Group)
    command = ctx.command.get_command(ctx, ctx.invoked_subcommand)
    if command is not None:
        ctx.default_map = {ctx.invoked_subcommand: _defaults(command, project, ctx)}


def _defaults(command: click.Command, project: Project, ctx: click.Context) -> dict[str, Any]:
    """The defaults of a command, or of a group's commands."""
    if isinstance(command, click.Group):
        inner = ((name, command.get_command(ctx, name)) for name in command.list_commands(ctx))
        return {name: _defaults(one, project, ctx) for name, one in inner if one is not None}
    options = {str(option.name): option for option in command.params if isinstance(option, click.Option)}
    found = dict(project.places)
    if "out" in options and options["out"].default != RESULTS:
        del options["out"]
    if options.keys() >= {"models", "tasks"}:  # a whole request: elsewhere the same words narrow something down
        found |= {OPTIONS.get(name, name): _as_option(name, value, project) for name, value in project.request.items()}
    named = {name for name, variable in VARIABLES.items() if os.environ.get(variable)}
    found = {name: value for name, value in found.items() if name in options and name not in named}
    for name in found:
        options[name].show_default = True  # so that --help tells what the file sets
    return found


def _as_option(name: str, value: Any, project: Project) -> Any:
    """A value as the command line would have it."""
    if name == "model":
        value = [_model(one, project) for one in ([value] if isinstance(value, str) else value)]
    if name in LISTS:
        return [value] if isinstance(value, str) else value
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _model(text: str, project: Project) -> str:
    """A model; a folder is one of the project's, seen from here: records name it so, and no machine's whole path."""
    if text.startswith(("./", "../")):
        return os.path.join(".", os.path.relpath(project.path.parent / text))
    return text


def active() -> Project | None:
    """The project file of the command that runs."""
    found = _found()
    return found if isinstance(found, Project) else None


def unreadable() -> UserError | None:
    """Why there is no project file for the command that runs, though there is one."""
    found = _found()
    return found if isinstance(found, UserError) else None


def _found() -> object:
    ctx = click.get_current_context(silent=True)
    return None if ctx is None else ctx.find_root().obj


def with_project_plugins(ctx: click.Context, option: click.Parameter, files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The project's plugins, then the command line's; those of a file above the working folder are named."""
    project = active()
    if project is None or not project.plugins or ctx.resilient_parsing:
        return files
    if project.above:
        click.echo(f"note: {project.path} loads {', '.join(file.name for file in project.plugins)}", err=True)
    seen = {file.resolve() for file in files}
    return (*(file for file in project.plugins if file.resolve() not in seen), *files)


def with_project_recipe(ctx: click.Context, option: click.Parameter, settings: tuple[str, ...]) -> tuple[str, ...]:
    """The project's recipe, then the command line's ``--set``, of which the last one counts."""
    project = active()
    return settings if project is None else (*project.settings(), *settings)


def project_json(project: Project | None) -> Mapping[str, Any] | None:
    """For programs: the file, and what it sets."""
    if project is None:
        return None
    plugins = [str(file) for file in project.plugins]
    values = {**project.places, **project.request, "plugins": plugins, "recipe": dict(project.recipe)}
    return {"path": str(project.path), "sets": {name: value for name, value in values.items() if value not in ([], {})}}
