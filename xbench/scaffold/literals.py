"""Texts and lists as Python and TOML write them, whatever is in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..errors import UserError

WIDTH = 120


def one_line(text: str, what: str) -> str:
    """A text on one line, without white space around it.

    Raises:
        UserError: It is empty, or no text that UTF-8 can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} {text!r:.60} is not UTF-8") from None
    line = " ".join(text.split())
    if not line:
        raise UserError(f"{what} is empty")
    return line


def toml_text(text: str) -> str:
    """A text as TOML, and Python, write it in double quotes; what cannot be seen becomes an escape."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in quoted)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def python_text(text: str) -> str:
    """A text as Python writes it, in the quotes that need fewer escapes, as formatters have it."""
    quoted = toml_text(text)
    if '"' not in text or text.count("'") >= text.count('"'):
        return quoted
    inner = re.sub(r"\\(.)", lambda found: found[1] if found[1] == '"' else found[0], quoted[1:-1])
    return "'" + inner.replace("'", "\\'") + "'"


def python_tuple(texts: Iterable[str], start: str, indent: int = 0) -> str:
    """``start`` and a tuple of texts: on one line where it fits, else a text a line, as formatters have it.

    Args:
        texts: The items.
        start: What stands before it, such as ``labels=``.
        indent: Blanks before ``start``.
    """
    items = [python_text(text) for text in texts]
    line = f"{' ' * indent}{start}({', '.join(items)}{',' * (len(items) == 1)})"
    if len(line) < WIDTH:  # one less, for what may follow
        return line
    inner = "".join(f"{' ' * (indent + 4)}{item},\n" for item in items)
    return f"{' ' * indent}{start}(\n{inner}{' ' * indent})"


def toml_list(name: str, texts: Iterable[str]) -> str:
    """A key and a list of texts, on one line where it fits."""
    items = [toml_text(text) for text in texts]
    line = f"{name} = [{', '.join(items)}]"
    return line if len(line) <= WIDTH else f"{name} = [\n" + "".join(f"    {item},\n" for item in items) + "]"


def toml_key(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else toml_text(name)


def toml_value(value: object) -> str:
    """A text, a number or a truth value."""
    return (
        str(value).lower() if isinstance(value, bool) else toml_text(value) if isinstance(value, str) else repr(value)
    )
