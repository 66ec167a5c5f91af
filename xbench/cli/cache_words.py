"""What ``xbench cache`` reads and writes in words: kinds, ages and sizes as users give them, and things in a line."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError, did_you_mean
from .listing import size_text
from .options import split_names

if TYPE_CHECKING:
    from ..caching.items import Item
    from ..caching.needs import Needs

SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
BYTES = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


def kinds_of(text: str) -> tuple[str, ...]:
    """Kinds with commas between them.

    Raises:
        UserError: One is none, or is never pruned.
    """
    from ..caching.kinds import KINDS

    kinds = split_names(text)
    for kind in kinds:
        if kind not in KINDS or not KINDS[kind].prunes:
            known = [name for name, one in KINDS.items() if one.prunes]
            raise UserError(f"--kind {kind}: there is no such kind{did_you_mean(kind, known)}")
    return kinds


def seconds_of(text: str) -> float:
    """``30d`` in seconds.

    Raises:
        UserError: It is written otherwise.
    """
    match = re.fullmatch(r"(\d{1,6})([hdw])", text.strip().lower())
    if match is None:
        raise UserError(f"--older-than {text}: write a number with h, d or w, such as 30d")
    return float(int(match[1]) * SECONDS[match[2]])


def bytes_of(text: str) -> int:
    """``20GB`` in bytes.

    Raises:
        UserError: It is written otherwise.
    """
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?)\s*([kmgt]?b?)", text.strip().lower())
    if match is None:
        raise UserError(f"--max-size {text}: write a number with KB, MB, GB or TB, such as 20GB")
    unit = match[2].upper()
    return int(float(match[1]) * BYTES[unit if unit in BYTES else f"{unit}B"])


def iso(used: float) -> str:
    """A time, of seconds since 1970, in UTC."""
    return datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds")


def age(since: str) -> str:
    """How long ago, in the largest unit that is not 0; of a time as `iso` writes it."""
    seconds = max(0.0, time.time() - datetime.fromisoformat(since).timestamp())
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def tell_item(item: Item, about: str, to_stderr: bool = False) -> None:
    """Print a thing in a line, with what there is to say about it."""
    from ..forms import ascii_safe

    label = f"  {ascii_safe(item.label)}" if item.label else ""
    name = f"{item.kind}/{ascii_safe(item.path.name)}"
    end = f"  ({ascii_safe(about)})" if about else ""
    click.echo(f"{size_text(item.bytes):>9}  {age(iso(item.used)):>14}  {name}{label}{end}", err=to_stderr)


def item_json(item: Item, needs: Needs) -> Mapping[str, Any]:
    """The same for programs."""
    return {
        "kind": item.kind, "key": item.key, "path": str(item.path), "label": item.label, "bytes": item.bytes,
        "last_used": iso(item.used), "needed_by": needs.by(item) or None, "stale": item.stale,
    }  # fmt: skip
