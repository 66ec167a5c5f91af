"""What may be a stranger's goes to the terminal without anything that a terminal would obey."""

from __future__ import annotations

from typing import Any

import click

from ..forms import ascii_safe


def seen(text: str) -> str:
    """A text with an escape for each character that cannot be seen; ends of lines and tabs stay.

    Args:
        text: Such as a line with a file's name, or with what a server answered.
    """
    return "".join(part if part in "\n\t" else ascii_safe(part) for part in text)


def say(text: object, err: bool = False) -> None:
    """Print a line that may hold a stranger's text.

    Args:
        text: The line.
        err: On stderr.
    """
    click.echo(seen(str(text)), err=err)


def safe_console(**options: Any) -> Any:
    """Rich's console, which prints texts as `seen`; its own colours stay.

    Args:
        options: The console's.
    """
    from rich.console import Console
    from rich.text import Text

    class Safe(Console):
        """Every text in a table or a line passes here."""

        def render_str(self, text: str, **about: Any) -> Text:
            """A text, of which nothing moves the cursor."""
            return super().render_str(seen(text), **about)

    return Safe(**options)
