"""A leaderboard stands as long as nothing has changed of what it is made from, and is made anew as soon as it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.records import record
from xbench.files import write_json
from xbench.leaderboard.made import Made
from xbench.leaderboard.publish import FLAT, LATEX, PAGE, build
from xbench.record_files import RecordFiles
from xbench.registry import Registry, load_registry
from xbench.settings import Settings
from xbench.store import Store, sign


def put(settings: Settings, **changes: object) -> Path:
    one = record(**changes)  # type: ignore[arg-type]
    path = Store(settings).place_of(one)
    write_json(path, one)
    return path


@pytest.fixture
def settings(tmp_path: Path, registry: Registry) -> Settings:
    """A published leaderboard of two records, remembered."""
    settings = Settings(cache=tmp_path / "cache", out=tmp_path / "out")
    for seed in (0, 1):
        put(settings, seed=seed)
    build(settings.out, registry)
    made = Made(registry, settings)
    assert not made.stands(RecordFiles())
    made.keep(RecordFiles())
    assert made.stands(RecordFiles())
    return settings


def one_more(settings: Settings) -> None:
    put(settings, seed=2)


def one_fewer(settings: Settings) -> None:
    next((settings.out / "results").rglob("*.json")).unlink()


def another_score(settings: Settings) -> None:
    path = next((settings.out / "results").rglob("*.json"))
    whole = RecordFiles().read(path)
    assert whole is not None
    write_json(path, sign({**whole, "scores": {**whole["scores"], "spearman": 1.0}}))


def damaged(settings: Settings) -> None:
    path = next((settings.out / "results").rglob("*.json"))
    path.write_bytes(path.read_bytes()[:-40])


def a_picture(settings: Settings) -> None:
    (settings.out / "figures").mkdir()
    (settings.out / "figures" / "one.svg").write_text("<svg/>")


def edited(settings: Settings) -> None:
    path = settings.out / PAGE
    path.write_bytes(path.read_bytes() + b"more")


def no_table(settings: Settings) -> None:
    (settings.out / LATEX).unlink()


def no_csv(settings: Settings) -> None:
    (settings.out / FLAT).unlink()


@pytest.mark.parametrize(
    "change", [one_more, one_fewer, another_score, damaged, a_picture, edited, no_table, no_csv]
)  # fmt: skip
def test_what_has_changed_is_noticed(
    change: Callable[[Settings], None], settings: Settings, registry: Registry
) -> None:
    change(settings)
    assert not Made(registry, settings).stands(RecordFiles())


def test_another_declaration_is_noticed(settings: Settings) -> None:
    changed = load_registry()
    task = changed.tasks.get("sts")
    assert Made(changed, settings).stands(RecordFiles())
    changed.tasks.items["sts"] = replace(task, title="Another")
    assert not Made(changed, settings).stands(RecordFiles())
