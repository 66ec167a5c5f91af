"""The command line. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import io
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__, stopping
from ..errors import StoppedError, UserError, did_you_mean
from ..launch import launched

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "eval": "Fine-tune and score a model on tasks, and write the leaderboard.",
    "prefetch": "Fetch and check all that an evaluation needs, for a machine without a network.",
    "score": "Score predictions made elsewhere with a dataset's official scorer.",
    "compare": "Two models, or two curricula, side by side, and the rows on which they differ most.",
    "tasks": "List the tasks, or show one in full.",
    "datasets": "List the datasets, or show one in full.",
    "models": "List the named models, or show one in full.",
    "plugins": "List the plugins and what they declare.",
    "export": "Write a fine-tuned stage as a folder that transformers or sentence-transformers load.",
    "check": "Check a plugin: what it declares, its data, metrics, heads and tasks.",
    "card": "A model's results as the metadata of a model card (model-index).",
    "verify": "Hold records against published numbers and findings.",
    "new-task": "Write a plugin with a task of your own, ready to install.",
    "leaderboard": "Build or check the published leaderboard, or take records of others.",
    "cache": "List, verify or prune what the cache keeps.",
    "doctor": "Tell what works on this machine, and how to mend what does not.",
    "completion": "Print the script that completes commands, options and names in a shell.",
}
COMPLETE = "_XBENCH_COMPLETE"
"""The variable through which a shell's script asks for completions."""


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own: ``xbench.cli.NAME_command``, attribute ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}_command").command
        if COMPLETE in os.environ:
            from .completion import teach

            teach(cmd_name, command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UserError(f"unknown command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Complete a command's name, or the group's own options, without importing the commands."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=about) for name, about in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xbench")
@click.option("--no-project", is_flag=True, help="Read no project file (xbench.toml).")
@click.pass_context
def group(ctx: click.Context, no_project: bool) -> None:
    """Measure how well what a multilingual encoder learns in one language works in another."""
    if not no_project:
        from .project_options import use_project

        use_project(ctx)


def main() -> int:
    """Run a command.

    Returns:
        0 when all is done, 1 when some cell failed or the disk is full, 2 when the request is wrong, 130 when
        interrupted, 143 when terminated.
    """
    if COMPLETE in os.environ:
        from . import completion  # noqa: F401  # its shells take the place of click's
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a locale has no letters for is shown, and stops nothing
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with stopping.listening():
            status = group.main(prog_name="xbench", complete_var=COMPLETE, standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except StoppedError as error:
        return _complain(str(error), 1)
    except UserError as error:
        return _complain(str(error))
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return _complain(f"{error.format_message()}{_from_project(error)}{where}")
    except click.ClickException as error:
        return _complain(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return _interrupted(stopping.Interrupted(signal.SIGINT))
    except stopping.Interrupted as stop:
        return _interrupted(stop)
    except Exception as error:
        from ..disk import refusal

        refused = refusal(error)
        if refused is None:  # a bug keeps its traceback
            raise
        return _complain(refused.line(Path()), 1)
    return status if isinstance(status, int) else 0


def _interrupted(stop: stopping.Interrupted) -> int:
    """Say what stands, and how to go on."""
    stopping.die_by_the_next()
    what = stop.standing or "finished work is kept"
    if not launched().follows:
        print(f"xbench: {stop.why}: {what}; the same command goes on from there", file=sys.stderr)
    return 128 + stop.number


def _from_project(error: click.UsageError) -> str:
    """Where a value came from that does not fit, if it was a project file."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return ""
    source = error.ctx.get_parameter_source(error.param.name or "")
    if source is not click.core.ParameterSource.DEFAULT_MAP:
        return ""
    return f" (in {error.ctx.find_root().obj.path})"


def _complain(message: str, status: int = 2) -> int:
    from .terminal import seen

    if not launched().silent:
        print("xbench: " + seen(" ".join(message.split())), file=sys.stderr)
    return status
