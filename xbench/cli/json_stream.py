"""JSON on stdout, piece by piece: a long answer is never in memory as one text."""

from __future__ import annotations

import itertools
import json
from typing import Any

import click

PIECES = 20_000
"""Of JSON's words and signs, written at once."""


def echo_json(value: Any) -> None:
    """Print what JSON can hold, indented, text as it is."""
    pieces = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    while some := "".join(itertools.islice(pieces, PIECES)):
        click.echo(some, nl=False)
    click.echo()
