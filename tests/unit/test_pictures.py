"""Figures: drawn once, noted with what they are drawn from, and shown only as long as that holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from xbench_plugins.alignment.figures import FIGURES

from tests.records import record
from xbench.errors import UserError
from xbench.leaderboard.markdown import INTRODUCTION, render_markdown
from xbench.leaderboard.pictures import INDEX, Shown, Undrawn, draw_figures, published
from xbench.measures import Figure, FigureContext, Picture
from xbench.registry import Registry, load_registry
from xbench.settings import Settings
from xbench.store import Store

PLUGIN = """
from xbench.api import Figure, hookimpl

TASK = '''
name = "drawn"
title = "t"
version = 1
train = ["stsb"]
eval = ["stsb"]
heads = ["siamese"]
metrics = ["spearman"]
curricula = ["stsb"]
figures = ["bars"]
'''

@hookimpl
def xbench_tasks():
    return [TASK]
"""


class Draws:
    """A figure that writes a file a record, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.name = "bars-{}.svg"

    def __call__(self, about: FigureContext) -> Sequence[Picture]:
        self.asked += 1
        if self.error:
            raise self.error
        pictures = []
        for one in about.records:
            path = about.folder / self.name.format(one["curriculum"])
            path.write_text(f"<svg>{one['scores']}</svg>")
            pictures.append(Picture(f"Bars of {one['curriculum']}", (path,), (one["key"],)))
        return pictures


@pytest.fixture
def draws() -> Draws:
    return Draws()


@pytest.fixture
def run(tmp_path: Path, draws: Draws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Undrawn]]:
    (tmp_path / "drawn.py").write_text(PLUGIN)
    registry = load_registry([tmp_path / "drawn.py"])
    found = registry.figures.get
    monkeypatch.setattr(
        registry.figures, "get", lambda name: Figure("bars", draws, "") if name == "bars" else found(name)
    )
    store = Store(Settings(cache=tmp_path / "cache", out=tmp_path))

    def draw(*records: dict[str, Any]) -> list[Undrawn]:
        return draw_figures(["drawn"], records, registry, store, tmp_path)

    return draw


ONE, TWO, OTHER = (
    record("stsb", task="drawn"), record("korsts", task="drawn"), record("stsb", "stsb", task="elsewhere"),
)  # fmt: skip


def test_a_figure_is_drawn_once_for_the_same_records(
    run: Callable[..., list[Undrawn]], draws: Draws, tmp_path: Path
) -> None:
    assert run(ONE, TWO, OTHER) == run(TWO, ONE) == []
    assert draws.asked == 1
    names = ("figures/drawn/bars-korsts.svg", "figures/drawn/bars-stsb.svg")
    expected = [Shown("Bars of korsts", names[:1]), Shown("Bars of stsb", names[1:])]
    assert published(tmp_path, [ONE, TWO, OTHER]) == {"drawn": expected}
    run(ONE)
    assert draws.asked == 2


def test_a_picture_without_its_records_or_with_other_bytes_is_not_shown(
    run: Callable[..., list[Undrawn]], draws: Draws, tmp_path: Path
) -> None:
    run(ONE, TWO)
    assert [one.title for one in published(tmp_path, [TWO])["drawn"]] == ["Bars of korsts"]
    (tmp_path / "figures/drawn/bars-stsb.svg").write_text("<svg>other</svg>")
    assert [one.title for one in published(tmp_path, [ONE, TWO])["drawn"]] == ["Bars of korsts"]
    run(ONE, TWO)  # drawn anew, since one is not what it was
    assert draws.asked == 2
    assert len(published(tmp_path, [ONE, TWO])["drawn"]) == 2


def test_a_picture_drawn_elsewhere_stays_as_long_as_its_records(
    run: Callable[..., list[Undrawn]], draws: Draws, tmp_path: Path
) -> None:
    """What its head kept may not be here: then the figure cannot draw it again."""
    run(ONE, TWO)
    draws.name = "later-{}.svg"
    three = record("sts17-es", task="drawn")
    assert run(ONE, three) == []
    titles = [(one.title, one.files) for one in published(tmp_path, [ONE, TWO, three])["drawn"]]
    assert ("Bars of stsb", ("figures/drawn/bars-stsb.svg",)) in titles
    assert "Bars of korsts" not in [title for title, _ in titles]  # its record was gone when it was drawn again


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"pictures": 3}', '{"pictures": [{"title": "t"}], "drawn": {}}', "\xff"]
)
def test_a_damaged_index_is_made_anew(
    run: Callable[..., list[Undrawn]], draws: Draws, tmp_path: Path, text: str
) -> None:
    run(ONE)
    (tmp_path / "figures/drawn" / INDEX).write_text(text, encoding="latin-1")
    assert published(tmp_path, [ONE]) == {}
    assert run(ONE) == []
    assert len(published(tmp_path, [ONE])["drawn"]) == 1


def test_an_index_names_no_file_outside_its_folder(run: Callable[..., list[Undrawn]], tmp_path: Path) -> None:
    run(ONE)
    path = tmp_path / "figures/drawn" / INDEX
    secret = tmp_path / "secret.svg"
    secret.write_text("<svg/>")
    index = json.loads(path.read_text())
    for name in ("../../secret.svg", str(secret), "a b.svg", 'x".svg', ".hidden", ""):
        index["pictures"][0]["files"] = {name: "0" * 64}
        path.write_text(json.dumps(index))
        assert published(tmp_path, [ONE]) == {}


def test_what_is_missing_is_one_line_and_a_bug_keeps_its_traceback(
    run: Callable[..., list[Undrawn]], draws: Draws, tmp_path: Path
) -> None:
    draws.error = UserError("pens are not installed")
    assert run(ONE) == [Undrawn("bars", "drawn", "pens are not installed", "")]
    draws.error = ZeroDivisionError("by nought")
    (undrawn,) = run(ONE)
    assert undrawn.reason == "ZeroDivisionError: by nought"
    assert "Traceback" in undrawn.trace
    draws.error, draws.name = None, "../{}.svg"
    (undrawn,) = run(ONE)
    assert "no plain name" in undrawn.reason


def test_the_page_shows_a_picture_after_its_tasks_tables_and_escapes_its_title() -> None:
    shown = {"sts": [Shown("a ![x](//e.example) <b>", ("figures/sts/a.png", "figures/sts/a.svg"))]}
    text = render_markdown([record(), record(task="zzz")], {}, {"zzz": "Later"}, shown).removeprefix(INTRODUCTION)
    tokens = [child for token in MarkdownIt("commonmark").parse(text) for child in token.children or []]
    images = [token.attrGet("src") for token in tokens if token.type == "image"]
    links = [token.attrGet("href") for token in tokens if token.type == "link_open"]
    assert (images, links) == (["figures/sts/a.png"], ["figures/sts/a.svg"])
    assert text.index("| Fine-tuned on") < text.index("figures/sts/a.png") < text.index("## Later")


def kept(width: int = 24, pairs: int = 40) -> Callable[[Any, str], np.ndarray | None]:
    generator = np.random.default_rng(1)
    target = generator.standard_normal((pairs, width))
    arrays = {
        "source": generator.standard_normal((pairs, width)), "target": target,
        "mapped": target + 0.1 * generator.standard_normal((pairs, width)),
    }  # fmt: skip
    return lambda record, name: arrays[name] if record["curriculum"] != "lost" else None


def aligned(reading: str, curriculum: str = "none", **changes: Any) -> dict[str, Any]:
    fit = None if reading == "identity" else {"dataset": "pairs", "language": "en-ko"}
    return record(
        curriculum, "pairs", task="alignment", reading=reading, fit=fit, eval__language="en-ko",
        scores={"mean_cosine": 0.5}, **changes,
    )  # fmt: skip


def test_fig_4_has_a_panel_a_map_in_the_heads_order_and_the_same_bytes_again(tmp_path: Path) -> None:
    readings = ["procrustes", "linear-net", "identity", "least-squares"]
    records = [aligned(reading) for reading in readings]
    # Another recipe's record is another picture's, and what is no longer here is drawn in none.
    records += [aligned("procrustes", recipe={"ridge": 1.0}), aligned("procrustes", "lost")]
    folders = [tmp_path / name for name in ("a", "b")]
    drawn = []
    for folder in folders:
        folder.mkdir()
        drawn.append(FIGURES[0].draw(FigureContext(records, kept(), folder)))
    first, second = drawn[0]
    assert first.title.endswith("40 pairs; identity, least-squares, procrustes, linear-net")
    by_reading = {record["reading"]: record["key"] for record in records[:4]}
    assert first.keys == tuple(by_reading[name] for name in ("identity", "least-squares", "procrustes", "linear-net"))
    assert second.keys == (records[4]["key"],)
    assert [path.suffix for path in first.files] == [".png", ".svg"]
    for one, again in zip(*drawn, strict=True):
        for path, other in zip(one.files, again.files, strict=True):
            assert path.read_bytes() == other.read_bytes()
    svg = first.files[1].read_text()
    assert all(words in svg for words in ("mean cosine 0.500", "English, mapped", "English, as it is", "Korean"))


def test_fig_4_without_its_libraries_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(UserError, match=r"sklearn is not installed: pip install 'xbench\[figures\]'"):
        FIGURES[0].draw(FigureContext([aligned("identity")], kept(), tmp_path))


def test_the_built_in_tasks_that_draw_are_the_alignments(registry: Registry) -> None:
    assert {task.name: task.figures for task in registry.tasks if task.figures} == {
        "alignment": ("tsne",),
        "mini-alignment": ("tsne",),
    }
