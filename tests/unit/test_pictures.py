"""Figures: drawn once, noted with what they are drawn from, and shown only as long as that holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from xbench_plugins.alignment.figures import FIGURES, Panel

from tests.pages import render_markdown
from tests.records import record, split_of
from xbench.errors import UserError
from xbench.keys import file_sha256
from xbench.leaderboard.markdown import INTRODUCTION
from xbench.leaderboard.pictures import INDEX, Shown, Undrawn, draw_figures, published
from xbench.measures import Figure, FigureContext, Picture
from xbench.registry import Registry, load_registry
from xbench.settings import Settings
from xbench.store import Store, sign

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
        self.version = 1
        self.skipped: set[str] = set()

    def __call__(self, about: FigureContext) -> Sequence[Picture]:
        self.asked += 1
        if self.error:
            raise self.error
        pictures = []
        for one in about.records:
            if one["key"] in self.skipped:
                continue
            path = about.folder / self.name.format(one["curriculum"])
            path.write_text(f"<svg>{one['scores']}</svg>")
            pictures.append(Picture(f"Bars of {one['curriculum']}", (path,), (one["key"],)))
        return pictures


@dataclass
class Drawn:
    """A leaderboard's folder, and the registry whose task is drawn there."""

    root: Path
    registry: Registry
    store: Store

    def __call__(self, *records: dict[str, Any]) -> list[Undrawn]:
        return draw_figures(["drawn"], records, self.registry, self.store, self.root)[1]

    def shown(self, *records: dict[str, Any], sample: bool = False) -> list[Shown]:
        return published(self.root, records, self.registry).get(("drawn", sample), [])

    def titles(self, *records: dict[str, Any], sample: bool = False) -> list[str]:
        return [one.title for one in self.shown(*records, sample=sample)]


@pytest.fixture
def draws() -> Draws:
    return Draws()


@pytest.fixture
def run(tmp_path: Path, draws: Draws, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    (tmp_path / "drawn.py").write_text(PLUGIN)
    registry = load_registry([tmp_path / "drawn.py"])

    def figure(name: str) -> Figure:
        return Figure(name, draws, "", draws.version)

    monkeypatch.setattr(registry.figures, "get", figure)
    monkeypatch.setattr(type(registry.figures), "__iter__", lambda self: iter([figure("bars")]))
    return Drawn(tmp_path, registry, Store(Settings(cache=tmp_path / "cache", out=tmp_path)))


ONE, TWO, OTHER = (
    record("stsb", task="drawn"), record("korsts", task="drawn"), record("stsb", "stsb", task="elsewhere"),
)  # fmt: skip
LOST = record("sts17-es", task="drawn", kept={"bars": "0" * 64})
"""What its head kept is not here."""


def test_a_figure_is_drawn_once_for_the_same_records(run: Drawn, draws: Draws) -> None:
    assert run(ONE, TWO, OTHER) == run(TWO, ONE) == []
    assert draws.asked == 1
    names = ("figures/drawn/bars-korsts.svg", "figures/drawn/bars-stsb.svg")
    assert run.shown(ONE, TWO, OTHER) == [Shown("Bars of korsts", names[:1]), Shown("Bars of stsb", names[1:])]
    run(ONE)
    assert draws.asked == 2


def test_a_record_measured_again_under_its_key_is_drawn_again(run: Drawn, draws: Draws) -> None:
    """Another device gives other digits, and the same key."""
    again = sign({**ONE, "scores": {"spearman": 1.0}})
    assert again["key"] == ONE["key"]
    run(ONE)
    assert run.titles(again) == []
    run(again)
    assert draws.asked == 2
    assert run.titles(again) == ["Bars of stsb"]
    assert "'spearman': 1.0" in (run.root / "figures/drawn/bars-stsb.svg").read_text()


def test_a_picture_without_its_records_or_with_other_bytes_is_not_shown(run: Drawn, draws: Draws) -> None:
    run(ONE, TWO)
    assert run.titles(TWO) == ["Bars of korsts"]
    (run.root / "figures/drawn/bars-stsb.svg").write_text("<svg>other</svg>")
    assert run.titles(ONE, TWO) == ["Bars of korsts"]
    run(ONE, TWO)  # drawn anew, since one is not what it was
    assert draws.asked == 2
    assert run.titles(ONE, TWO) == ["Bars of korsts", "Bars of stsb"]


def test_what_cannot_be_drawn_again_stays_and_what_can_is_replaced(run: Drawn, draws: Draws) -> None:
    run(ONE, LOST)
    draws.name, draws.skipped = "later-{}.svg", {LOST["key"]}  # a figure cannot draw what is not here
    run(ONE, TWO, LOST)
    files = [one.files[0].rpartition("/")[2] for one in run.shown(ONE, TWO, LOST)]
    assert files == ["bars-sts17-es.svg", "later-korsts.svg", "later-stsb.svg"]
    assert run.titles(ONE, TWO) == ["Bars of korsts", "Bars of stsb"]


def test_pictures_of_an_older_figure_or_of_none_are_not_shown(run: Drawn, draws: Draws) -> None:
    run(ONE)
    draws.version = 2
    assert run.titles(ONE) == []
    run(ONE)
    assert draws.asked == 2
    assert run.titles(ONE) == ["Bars of stsb"]
    task = run.registry.tasks.get("drawn")
    run.registry.tasks.items["drawn"] = replace(task, figures=())
    assert run.titles(ONE) == []


def test_sample_corpora_have_their_pictures_apart(run: Drawn) -> None:
    sample = record("korsts", task="drawn", sample=True)
    run(ONE, sample)
    assert run.titles(ONE, sample) == ["Bars of stsb"]
    assert run.titles(ONE, sample, sample=True) == ["Bars of korsts"]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"pictures": 3}', '{"pictures": [{"title": "t"}], "drawn": {}}', "\xff",
        '{"pictures": [], "drawn": []}', '{"pictures": [1], "drawn": {"bars": "x"}}',
    ],
)  # fmt: skip
def test_a_damaged_index_is_made_anew(run: Drawn, text: str) -> None:
    run(ONE)
    (run.root / "figures/drawn" / INDEX).write_text(text, encoding="latin-1")
    assert run.titles(ONE) == []
    assert run(ONE) == []
    assert run.titles(ONE) == ["Bars of stsb"]


def test_an_index_names_no_file_outside_its_folder(run: Drawn) -> None:
    run(ONE)
    path = run.root / "figures/drawn" / INDEX
    index = json.loads(path.read_text())
    for name in ("../../secret.svg", "a b.svg", 'x".svg', ".hidden", "fine.svg"):
        file = path.parent / name
        file.write_text("<svg/>")
        index["pictures"][0]["files"] = {name: file_sha256(file)}
        path.write_text(json.dumps(index))
        assert len(run.titles(ONE)) == (name == "fine.svg")


def test_what_is_missing_is_one_line_and_a_bug_keeps_its_traceback(run: Drawn, draws: Draws) -> None:
    run(ONE)
    draws.error = UserError("pens are not installed")
    assert run(ONE, TWO) == [Undrawn("bars", "drawn", "pens are not installed", "")]
    draws.error = ZeroDivisionError("by nought")
    (undrawn,) = run(ONE, TWO)
    assert undrawn.reason == "ZeroDivisionError: by nought"
    assert "Traceback" in undrawn.trace
    assert run.titles(ONE, TWO) == ["Bars of stsb"]  # what was there stays
    draws.error, draws.name = None, "../{}.svg"
    (undrawn,) = run(ONE, TWO)
    assert "no plain name" in undrawn.reason


def test_a_folder_that_cannot_be_written_takes_no_scores_with_it(run: Drawn) -> None:
    (run.root / "figures").write_text("a file")
    (undrawn,) = run(ONE)
    assert "figures" in undrawn.reason


def test_the_page_shows_a_picture_after_its_tasks_tables_and_escapes_its_title() -> None:
    shown = {("sts", False): [Shown("a ![x](//e.example) <b>", ("figures/sts/a.png", "figures/sts/a.svg"))]}
    text = render_markdown([record(), record(task="zzz")], {}, {"zzz": "Later"}, shown).removeprefix(INTRODUCTION)
    tokens = [child for token in MarkdownIt("commonmark").parse(text) for child in token.children or []]
    images = [token.attrGet("src") for token in tokens if token.type == "image"]
    links = [token.attrGet("href") for token in tokens if token.type == "link_open"]
    assert (images, links) == (["figures/sts/a.png"], ["figures/sts/a.svg"])
    assert text.index("| Fine-tuned on") < text.index("figures/sts/a.png") < text.index("## Later")


PAIRS = {
    name: np.random.default_rng(place).standard_normal((40, 24)) for place, name in enumerate(("source", "target"))
}
PAIRS["mapped"] = PAIRS["target"] + 0.1 * np.random.default_rng(5).standard_normal((40, 24))


def kept(record: Any, name: str) -> np.ndarray | None:
    return None if record["curriculum"] == "lost" else PAIRS[name]


def aligned(reading: str, curriculum: str = "none", pairs: str = "en-ko", **changes: Any) -> dict[str, Any]:
    fit = None if reading == "identity" else {**split_of("pairs", "train", 40), "language": "en-ko"}
    values = {"scores": {"mean_cosine": 0.5}, "fit": fit, "eval__language": pairs, **changes}
    return record(curriculum, "pairs", task="alignment", reading=reading, **values)


def drawn(folder: Path, *records: dict[str, Any]) -> list[Picture]:
    folder.mkdir(exist_ok=True)
    return list(FIGURES[0].draw(FigureContext(records, kept, folder)))


READINGS = ("identity", "least-squares", "procrustes", "linear-net")


def test_fig_4_has_a_panel_a_map_in_the_heads_order_and_the_same_bytes_again(tmp_path: Path) -> None:
    records = [aligned(reading) for reading in reversed(READINGS)]
    (one,), (again,) = (drawn(tmp_path / name, *records, aligned("procrustes", "lost")) for name in ("a", "b"))
    assert one.title == (
        "t-SNE of sentence embeddings: e5-small-q4, frozen: pairs/test, 40 pairs; identity, least-squares, procrustes, "
        "linear-net"
    )
    assert one.keys == tuple(record["key"] for record in reversed(records))
    assert [path.suffix for path in one.files] == [".png", ".svg"]
    for path, other in zip(one.files, again.files, strict=True):
        assert path.read_bytes() == other.read_bytes()
    svg = one.files[1].read_text()
    assert all(words in svg for words in ("mean cosine 0.500", "English, mapped", "English, as it is", "Korean"))


def test_fig_4_shows_the_encoder_without_a_map_beside_the_maps_of_every_seed_and_limit(tmp_path: Path) -> None:
    plain = aligned("identity")
    maps = [aligned("procrustes", seed=seed, limits={"train": limit, "eval": None}) for seed, limit in
            ((0, None), (1, None), (0, 200))]  # fmt: skip
    pictures = drawn(tmp_path, plain, *maps)
    assert sorted(picture.keys for picture in pictures) == sorted((plain["key"], one["key"]) for one in maps)
    titles = {picture.title.split(": ", 2)[2].split(";")[0] for picture in pictures}
    assert titles == {
        "pairs/test, 40 pairs", "pairs/test, 40 pairs, seed 1", "pairs/test, 40 pairs, 200 training rows"
    }  # fmt: skip


def test_fig_4_tells_maps_with_other_settings_or_of_other_pairs_apart(tmp_path: Path) -> None:
    other = {**split_of("others", "train", 9), "language": "en-ko"}
    pictures = drawn(tmp_path, aligned("procrustes", recipe={"ridge": 0.0}),
                     aligned("procrustes", recipe={"ridge": 1.0}), aligned("procrustes", fit=other))  # fmt: skip
    assert len({picture.title for picture in pictures}) == 3
    assert sum("ridge=1.0" in picture.title for picture in pictures) == 1


def test_fig_4_shows_no_two_checkpoints_of_one_stage_together(tmp_path: Path) -> None:
    def chosen(reading: str, protocol: str, step: int | None) -> dict[str, Any]:
        selected = {"candidates": 4, "steps": [3, 6, 9, 12], "step": step}
        return aligned(reading, "stsb", selection=protocol, selected=selected)

    records = [
        aligned("identity", "stsb"), aligned("procrustes", "stsb"), chosen("identity", "oracle", 6),
        chosen("procrustes", "oracle", 6), chosen("least-squares", "oracle", 9), chosen("procrustes", "average", None),
    ]  # fmt: skip
    pictures = drawn(tmp_path, *records)
    keys = [record["key"] for record in records]
    assert {picture.keys for picture in pictures} == {tuple(keys[:2]), tuple(keys[2:4]), (keys[4],), (keys[5],)}
    titles = {picture.keys[-1]: picture.title for picture in pictures}
    assert "oracle of 4, step 6" in titles[keys[3]]
    assert "average of 4" in titles[keys[5]]
    assert "checkpoint" not in titles[keys[1]]


@pytest.mark.parametrize(("pairs", "reading"), [("ko-en", "procrustes"), ("en-ko", "procrustes-back")])
def test_fig_4_draws_all_panels_in_the_direction_of_the_maps(tmp_path: Path, pairs: str, reading: str) -> None:
    """Rows may have their languages the other way round, and a map may go back: the legend is that of all panels."""
    (picture,) = drawn(tmp_path, aligned("identity", pairs=pairs), aligned(reading, pairs=pairs))
    source, target = ("Korean", "English") if reading.endswith("back") else ("English", "Korean")
    svg = picture.files[1].read_text()
    for label in (f"{source}, as it is", f"{source}, mapped", f"<!-- {target} -->"):
        assert label in svg
    assert f"{target}, mapped" not in svg
    panel = Panel(aligned("identity", pairs=pairs), PAIRS).turned(Panel(aligned(reading, pairs=pairs), PAIRS).direction)
    np.testing.assert_array_equal(panel.arrays["source"], PAIRS["target"])


def test_fig_4_leaves_out_what_it_cannot_draw(tmp_path: Path) -> None:
    strange = [
        aligned("of-another-head"),
        aligned("procrustes", pairs="en"),
        aligned("identity", scores={"p_at_1": 3.0}),
    ]
    (picture,) = drawn(tmp_path, *strange)
    assert picture.keys == (strange[2]["key"],)
    assert "mean cosine" not in picture.files[1].read_text()


def test_fig_4_without_its_libraries_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UserError, match=r"sklearn is not installed: pip install 'xbench\[figures\]'"):
        drawn(tmp_path, aligned("identity"))


def test_the_built_in_tasks_that_draw_are_the_alignments(registry: Registry) -> None:
    assert {task.name: task.figures for task in registry.tasks if task.figures} == {
        "alignment": ("tsne",),
        "mini-alignment": ("tsne",),
    }


def test_every_published_picture_is_on_the_leaderboard() -> None:
    """A picture whose records have changed since would lie in the repository, and be shown nowhere."""
    out = Path(__file__).parents[2] / "leaderboard"
    page, listed = (out / "README.md").read_text(encoding="utf-8"), set()
    for path in (out / "figures").glob(f"*/{INDEX}"):
        entries = json.loads(path.read_text())["pictures"]
        listed |= {f"figures/{path.parent.name}/{name}" for entry in entries for name in entry["files"]}
    assert len(listed) >= 12
    assert {name for name in listed if f"({name})" not in page} == set()
