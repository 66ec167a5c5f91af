"""What xbench asks of every plugin, and what the metric is to count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from named_entities.metrics import entities

from xbench.testing import parametrize_with_checks

PROJECT = Path(__file__).parents[1]


@parametrize_with_checks(PROJECT)
def test_conformance(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O O", set()),
        ("B-PER I-PER O B-LOC", {("PER", 0, 2), ("LOC", 3, 4)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("O I-ORG I-ORG", {("ORG", 1, 3)}),  # it goes on with nothing, and begins
        ("B-PER I-LOC", {("PER", 0, 1), ("LOC", 1, 2)}),
    ],
)
def test_entities_are_read_as_conlleval_reads_them(tags: str, expected: set[tuple[str, int, int]]) -> None:
    assert entities(tags.split()) == expected
