"""Records of a real run, as somebody else would send them, and ways to alter them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.tiny import Bench, tiny_model
from xbench.registry import Registry
from xbench.store import sign

OVERRIDES = {"epochs": 1, "max_length": 32}


def run_for_records(root: Path, registry: Registry) -> Bench:
    """Fine-tune a tiny encoder in two stages and on a mixture, read it frozen, and score a floor.

    Args:
        root: Gets the model, the cache and ``out/results``.
        registry: Of the installed plugins.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a busy machine lets two of them wait for each other
    try:
        return _run(root, registry)
    finally:
        torch.set_num_threads(threads)


def _run(root: Path, registry: Registry) -> Bench:
    bench = Bench(root, str(tiny_model(root / "tiny", "bert")), registry)
    asked: dict[str, Any] = {"task": "mini-sts", "overrides": OVERRIDES, "limit_eval": 24}
    sets = ("mini-sts-en", "mini-sts-ko")
    for curricula, models, others in (
        (("mini-sts-en:mini-sts-ko", "mini-sts-en+mini-sts-ko"), (), {"limit_train": 24}),
        (("none",), (bench.model, "lexical-overlap"), {}),
    ):
        outcome, heard = bench.run(*curricula, models=models, datasets=sets, **asked, **others)
        assert not heard.failures, heard.failures
        assert outcome.records
    return bench


def load(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def altered(record: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A record with another value at a place such as ``eval.rows``, signed anew, as a forger would."""
    changed = copy.deepcopy(record)
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner: Any = changed
    for part in way:
        inner = inner[part]
    inner[last] = value
    return sign(changed)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a JSON document, tables and lists among them."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        yield (*way, name)
        yield from places(inner, (*way, name))
