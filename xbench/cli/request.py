"""The options that say what is asked for, which `xbench eval` and `xbench prefetch` share."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from ..errors import UserError
from ..plan import Request
from ..recipe import parse_overrides
from .options import F, split_names
from .project_options import with_project_recipe

OPTIONS = {
    "models": click.option(
        "--model", "models", required=True, metavar="M[,M2...]", help="Names, hub ids or local folders."
    ),
    "tasks": click.option(
        "--tasks", required=True, metavar="T[,T2...]", help="Tasks or groups of tasks, such as sts or mini."
    ),
    "curricula": click.option(
        "--train", "curricula", multiple=True, metavar="CURRICULUM",
        help="What to fine-tune on: a, a:b (then), a+b (mixed) or none; may be repeated.",
    ),
    "datasets": click.option(
        "--eval", "datasets", default="", metavar="D[,D2...]", help="Evaluation datasets instead of the task's."
    ),
    "seeds": click.option("--seeds", default="", metavar="0,1,2", help="Seeds instead of the task's."),
    "overrides": click.option(
        "--set", "overrides", multiple=True, metavar="recipe.KEY=VALUE", help="Override a recipe value.",
        callback=with_project_recipe,
    ),
    "head": click.option("--head", metavar="NAME", help="The head instead of the task's."),
    "limit_train": click.option(
        "--limit-train", type=int, metavar="N", help="Train each stage on N rows, drawn by seed."
    ),
    "limit_eval": click.option("--limit-eval", type=int, metavar="N", help="Score on N rows, drawn once for all."),
}  # fmt: skip
FLAGS = {
    "models": "--model", "tasks": "--tasks", "curricula": "--train", "datasets": "--eval", "seeds": "--seeds",
    "overrides": "--set", "head": "--head", "limit_train": "--limit-train", "limit_eval": "--limit-eval",
    "data": "--data", "cache": "--cache", "trust_remote_code": "--trust-remote-code", "plugins": "--plugin",
}  # fmt: skip
"""By the name that click gives them, in the order in which a command line shows them."""


def request_options(command: F) -> F:
    """``--model``, ``--tasks`` and what narrows or changes them."""
    for option in reversed(OPTIONS.values()):
        command = option(command)
    return command


def make_request(given: Mapping[str, Any]) -> Request:
    """What the user asked for.

    Args:
        given: The values of `request_options`, by name.

    Raises:
        UserError: A value cannot be read.
    """
    return Request(
        models=split_names(given["models"]), tasks=split_names(given["tasks"]), curricula=given["curricula"],
        datasets=split_names(given["datasets"]), seeds=_seeds(given["seeds"]), head=given["head"],
        overrides=parse_overrides(given["overrides"]), limit_train=given["limit_train"],
        limit_eval=given["limit_eval"],
    )  # fmt: skip


def command_line(command: str, given: Mapping[str, Any], *more: str) -> str:
    """The command line that asks a command for the same.

    Args:
        command: Such as ``eval``.
        given: Values by name; those that `FLAGS` does not have are left out.
        more: Flags for its end.

    Returns:
        Quoted for a shell.
    """
    words = ["xbench", command]
    for name, flag in FLAGS.items():
        value = given.get(name)
        values = value if isinstance(value, (tuple, list)) else [value]
        for one in values:
            if one is True:
                words.append(flag)
            elif one or (isinstance(one, int) and one is not False):
                words += [flag, str(one)]
    return shlex.join([*words, *more])


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in split_names(text))
    except ValueError:
        raise UserError(f"--seeds {text}: write whole numbers, such as --seeds 0,1,2") from None
    if any(seed < 0 for seed in seeds):
        raise UserError(f"--seeds {text}: seeds are not negative")
    return seeds
