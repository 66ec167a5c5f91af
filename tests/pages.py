"""The published page, from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xbench.leaderboard import markdown
from xbench.leaderboard.pictures import Shown
from xbench.leaderboard.table import Order, build_tables


def render_markdown(
    records: Sequence[Mapping[str, Any]], orders: Mapping[str, Order], titles: Mapping[str, str],
    pictures: Mapping[tuple[str, bool], Sequence[Shown]] = markdown.NO_PICTURES,
) -> str:  # fmt: skip
    """The page, as the leaderboard makes it."""
    return markdown.render_markdown(build_tables(records, orders), orders, titles, pictures)
