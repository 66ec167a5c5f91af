"""Completion in a shell: names of models, tasks, datasets, heads and plugins, in comma lists and in curricula.

A table says what each option and argument takes. It is consulted only when a shell asks, so that nothing else pays for
it; and what is looked up are the plugins' declarations, which need no torch.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from ..project import find_project
from ..registry import Registry, load_registry

Names: TypeAlias = Callable[[Registry], Mapping[str, str]]
"""From a registry: names, each with a word about it."""
Completer: TypeAlias = Callable[[click.Context, str], list[CompletionItem[Any]]]
RECIPE = "recipe."


def _models(registry: Registry) -> dict[str, str]:
    return {one.name: one.description for one in (*registry.models, *registry.floors)}


def _tasks(registry: Registry) -> dict[str, str]:
    groups = {group: "group of tasks" for task in registry.tasks for group in task.groups}
    return {**{task.name: task.title for task in registry.tasks}, **groups}


def _datasets(registry: Registry) -> dict[str, str]:
    return {one.name: one.description for one in registry.datasets}


def _heads(registry: Registry) -> dict[str, str]:
    return {head.name: "" for head in registry.heads}


def _metrics(registry: Registry) -> dict[str, str]:
    return {metric.name: "" for metric in registry.metrics}


def _plugins(registry: Registry) -> dict[str, str]:
    return {plugin.name: plugin.distribution for plugin in registry.plugins}


def _trackers(registry: Registry) -> dict[str, str]:
    return dict.fromkeys(("tensorboard", "wandb", "mlflow"), "")


def _one(names: Names) -> Completer:
    """A single name."""

    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        return _items("", incomplete, names(_registry(ctx)))

    return complete


def _list(names: Names) -> Completer:
    """Names with commas between them; those that stand there already are not offered again."""

    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        before, comma, last = incomplete.rpartition(",")
        left = {name: about for name, about in names(_registry(ctx)).items() if name not in before.split(",")}
        return _items(before + comma, last, left)

    return complete


def _model_list(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Models; where none begins so, perhaps a folder."""
    return _list(_models)(ctx, incomplete) or [CompletionItem(incomplete, type="dir")]


def _plugin_or_file(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """A plugin; where none begins so, perhaps a file."""
    return _one(_plugins)(ctx, incomplete) or [CompletionItem(incomplete, type="file")]


def _curriculum(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Datasets with ``:`` and ``+`` between them: those that the chosen tasks train on, if any are chosen."""
    registry = _registry(ctx)
    known = registry.datasets.items
    chosen = [task for task in registry.tasks if {task.name, *task.groups} & set(_words(ctx, "tasks"))]
    trained = {name for task in chosen or registry.tasks for name in task.train}
    names = {name: known[name].description for name in known if name in trained}
    before, last = re.fullmatch(r"(.*[:+])?([^:+]*)", incomplete, re.DOTALL).groups(default="")  # type: ignore[union-attr]
    if not before:
        names["none"] = "the frozen encoder"
    return _items(before, last, {name: about for name, about in names.items() if name not in re.split("[:+]", before)})


def _setting(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """``recipe.KEY=``, of training and of all heads."""
    from ..recipe import CHOICES, Recipe

    options = {name for head in _registry(ctx).heads for name in head.options}
    keys = sorted({*Recipe().values(), *options})
    name, equals, begun = incomplete.removeprefix(RECIPE).partition("=")
    if equals:
        return _items(f"{RECIPE}{name}=", begun, dict.fromkeys(CHOICES.get(name, ()), ""))
    return _items("", incomplete, {f"{RECIPE}{key}=": "" for key in keys})


TAKES: Mapping[tuple[str, str], Completer] = {
    ("", "models"): _model_list, ("", "tasks"): _list(_tasks), ("", "datasets"): _list(_datasets),
    ("", "curricula"): _curriculum, ("", "head"): _one(_heads), ("", "overrides"): _setting,
    ("", "track"): _list(_trackers), ("", "metrics"): _list(_metrics),
    ("", "model"): _one(_models), ("compare", "first"): _one(lambda registry: _models(registry) | _datasets(registry)),
    ("compare", "second"): _one(lambda registry: _models(registry) | _datasets(registry)),
    ("compare", "train"): _curriculum, ("card", "train"): _curriculum, ("score", "dataset"): _one(_datasets),
    ("tasks", "name"): _one(_tasks), ("datasets", "name"): _one(_datasets), ("models", "name"): _one(_models),
    ("plugins", "name"): _one(_plugins), ("check", "plugin"): _plugin_or_file,
}  # fmt: skip
"""What a command's parameter takes, by the command's name and the parameter's; an empty command is any."""


def teach(name: str, command: click.Command) -> None:
    """Give a command's parameters what completes them.

    Args:
        name: The command's.
        command: It; of a group, the commands in it too.
    """
    for parameter in command.params:
        completer = TAKES.get((name, parameter.name or ""), TAKES.get(("", parameter.name or "")))
        if completer is not None:
            setattr(parameter, "shell_complete", completer)  # noqa: B010  # in the place of click's method
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            teach(inner, one)


def _items(before: str, begun: str, names: Mapping[str, str] | Iterable[str]) -> list[CompletionItem[Any]]:
    about = names if isinstance(names, Mapping) else dict.fromkeys(names, "")
    found = sorted(name for name in about if name.startswith(begun))
    return [CompletionItem(before + name, help=" ".join(about[name].split()) or None) for name in found]


def _words(ctx: click.Context, parameter: str) -> list[str]:
    """What a comma list holds that was given already."""
    return [word.strip() for word in str(ctx.params.get(parameter) or "").split(",")]


def _registry(ctx: click.Context) -> Registry:
    """What is installed, what ``--plugin`` names and what the project file does; files that are broken are left out."""
    files = [Path(file) for file in ctx.params.get("plugins") or ()]
    # What plugins print is no completion, and the line that somebody types is no place for it.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            project = None if ctx.find_root().params.get("no_project") else find_project()
            return load_registry([*files, *(project.plugins if project is not None else ())])
        except Exception:  # noqa: BLE001  # while somebody types is no time to complain
            return load_registry()


@add_completion_class
class Bash(BashComplete):
    """Click's own, but the line is split as the shell's user means it: bash breaks words at ``:`` and ``=`` too."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response type value completion
    response=$(COMP_WORDS="${COMP_LINE:0:$COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain)
                [[ $value == *= ]] && compopt -o nospace 2>/dev/null
                COMPREPLY+=("$value") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Words before the cursor, and the one that it stands in."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        self._begun = "" if not words or line[-1:].isspace() else words.pop()
        return words[1:], self._begun

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """The part that stands behind the last of bash's own breaks."""
        breaks = [mark for mark in ":=" if mark in os.environ.get("COMP_BREAKS", ":=")]
        cut = max((self._begun.rfind(mark) + 1 for mark in breaks), default=0)
        return f"{item.type},{item.value[cut:]}"


@add_completion_class
class Zsh(ZshComplete):
    """Click's own, but behind ``recipe.lr=`` no space is set: its value comes next."""

    source_template = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions\n",
        """local -a begun=(${(M)completions:#*=})
        completions=(${completions:#*=})
        (( $#begun )) && compadd -U -V unsorted -S '' -a begun
        (( $#completions )) && compadd -U -V unsorted -a completions\n""",
    )


@add_completion_class
class Fish(FishComplete):
    """Click's own, but a value may hold commas."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')
