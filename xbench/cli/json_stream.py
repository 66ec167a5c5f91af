"""JSON on stdout: one document, written piece by piece, and nothing else, whatever prints meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
PIECES = 20_000
"""Of JSON's words and signs, written at once: a long answer is never in memory as one text."""
DOCUMENT = f"{__name__}.document"
"""Where a command's context keeps the way to stdout."""
STDOUT, STDERR = 1, 2
"""File descriptors."""


def json_option(command: F) -> F:
    """``--json``: from then on stdout is for `echo_json` alone."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON on stdout, everything else on stderr.", callback=_alone,
    )(command)  # fmt: skip


def echo_json(value: Any) -> None:
    """Print what JSON can hold, indented, text as it is."""
    context = click.get_current_context(silent=True)
    file = None if context is None else context.meta.get(DOCUMENT)
    pieces = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    while some := "".join(itertools.islice(pieces, PIECES)):
        click.echo(some, file=file, nl=False)
    click.echo(file=file)


def _alone(ctx: click.Context, option: click.Parameter, as_json: bool) -> bool:
    if as_json and not ctx.resilient_parsing:
        ctx.meta[DOCUMENT] = ctx.with_resource(kept_for_the_document())
    return as_json


@contextlib.contextmanager
def kept_for_the_document() -> Iterator[IO[str]]:
    """Send to stderr what is printed meanwhile: by plugins, by libraries in C, by child processes.

    Yields:
        The way to stdout, in UTF-8 whatever the locale says. Half a surrogate pair is written as JSON's escape.
    """
    if not _is_stdout(sys.stdout):  # somebody has put another file in its place
        before = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            yield before
        return
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    document = os.fdopen(kept, "w", encoding="utf-8", errors="backslashreplace", newline="\n", closefd=False)
    try:
        yield document
    finally:
        with contextlib.suppress(BrokenPipeError):  # whoever read has gone, and the command has ended for it
            document.close()
        sys.stdout.flush()
        os.dup2(kept, STDOUT)
        os.close(kept)


def _is_stdout(file: IO[str]) -> bool:
    """Whether a file is this process's stdout, and there is a stderr to take its place."""
    try:
        os.fstat(STDERR)
        return file.fileno() == STDOUT
    except (OSError, ValueError, AttributeError):
        return False
