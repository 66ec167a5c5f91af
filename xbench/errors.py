"""A user's mistake is one line that says what to do; a bug keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can mend. The command line prints it as one line and exits with status 2.

    Args:
        message: One line: what is wrong, where, and what to do about it.
    """


class StoppedError(UserError):
    """What is asked is right, but nothing more of it can be done now. One line too, and exit status 1."""


class DataError(UserError):
    """A dataset's rows cannot be had, or are not the rows that its declaration promises."""


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())


def named_line(error: BaseException, most: int) -> str:
    """``ValueError: what it says``, on one line.

    Args:
        error: It.
        most: Letters of what it says.
    """
    return f"{type(error).__name__}: {one_line(error):.{most}}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name.

    Args:
        name: What the user wrote.
        known: What would have been right.

    Returns:
        `` (did you mean 'x'?)``, or ``; there are: a, b, c`` when nothing is near, or an empty text.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" (did you mean {near[0]!r}?)"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; there are: {shown}"
