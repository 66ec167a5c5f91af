"""What every check gets: the plugin, rows to look at, and a tiny encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..types import Dataset, Row
from .places import place_of
from .plugin import PluginUnderTest
from .results import NotCheckedError, Problem
from .shelf import Shelf


@dataclass
class Subject:
    """A plugin, laid out to be checked.

    Attributes:
        plugin: The plugin.
        shelf: Its rows, and others.
    """

    plugin: PluginUnderTest
    shelf: Shelf = field(init=False)

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.plugin)

    @cached_property
    def encoder(self) -> Path:
        """A tiny random encoder's folder."""
        from .encoders import tiny_encoder

        return tiny_encoder(self.plugin.work / "tiny-encoder")

    def rows_for(self, name: str, datasets: list[Dataset], count: int) -> tuple[Dataset, list[Row]]:
        """Rows of the first dataset that has some here.

        Args:
            name: Who wants them.
            datasets: In the order in which they are wanted.
            count: How many rows, at most.

        Raises:
            NotCheckedError: None of them has any.
        """
        found = next(self.shelf.some(datasets, count), None)
        if found is None:
            tried = ", ".join(dict.fromkeys(dataset.name for dataset in datasets[:6]))
            raise NotCheckedError(
                f"no rows for {name} are here" + (f" (of {tried}): set --data or XBENCH_DATA" if tried else "")
            )
        return found

    def stumbled(self, error: Exception, doing: str, fallback: str) -> Problem:
        """What to say of an exception out of the plugin's code.

        Args:
            error: What was raised.
            doing: What was asked of it.
            fallback: Where, if the traceback does not tell.
        """
        line = " ".join(f"{type(error).__name__}: {error}".split())
        place = place_of(error, self.plugin.files)
        return Problem(
            f"{line}, while {doing}",
            f"{place}; {fallback}" if place else fallback,
            "mend what raises this at that place",
        )


Checker = Callable[[Subject, Any], Iterator[Problem]]


@dataclass(frozen=True)
class Check:
    """A named check.

    Attributes:
        name: Such as ``rows-fit``.
        kind: What it looks at: ``plugin``, ``split``, or a kind of the registry's, such as ``metric``.
        function: Gives the problems; none means that it passed.
        applies: Whether there is anything to check about a thing.
    """

    name: str
    kind: str
    function: Checker
    applies: Callable[[Any], bool] = lambda thing: True

    @property
    def description(self) -> str:
        """One line."""
        return (self.function.__doc__ or "").strip().splitlines()[0]
