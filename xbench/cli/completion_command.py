"""``xbench completion``."""

from __future__ import annotations

import click

from . import COMPLETE
from .json_stream import echo_json, json_option

FILES = {
    "bash": "~/.local/share/bash-completion/completions/xbench",
    "zsh": "~/.zfunc/_xbench",
    "fish": "~/.config/fish/completions/xbench.fish",
}
NOTES = {
    "bash": "or, without the package bash-completion, put into ~/.bashrc: eval \"$(xbench completion bash)\"",
    "zsh": "and have in ~/.zshrc, once: fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    "fish": "new shells have it",
}  # fmt: skip


@click.command("completion")
@click.argument("shell", type=click.Choice(sorted(FILES)))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print the script that completes commands, options and names in a shell, and how to install it.

    The script goes to stdout, the advice to stderr.

    \b
    xbench completion bash > ~/.local/share/bash-completion/completions/xbench
    xbench completion zsh > ~/.zfunc/_xbench
    xbench completion fish > ~/.config/fish/completions/xbench.fish
    """  # noqa: D301  # click's mark for lines that stay as they are
    from click.shell_completion import get_completion_class

    from . import completion, group  # noqa: F401  # importing it puts its shells in the place of click's

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(group, {}, "xbench", COMPLETE)
    script = made.source_template % made.source_vars()  # not source(): it looks for a bash to ask for its version
    advice = f"install: xbench completion {shell} > {FILES[shell]} ({NOTES[shell]})"
    if as_json:
        echo_json({"shell": shell, "file": FILES[shell], "install": advice, "script": script})
        return
    click.echo(script, nl=False)
    click.echo(f"# {advice}", err=True)
