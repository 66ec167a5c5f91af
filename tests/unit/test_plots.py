"""Pictures of the tables: drawn once, drawn anew when anything changes, and missed when they are not what they were."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_rgb

from tests.records import record, table_one
from xbench.errors import UserError
from xbench.keys import file_sha256
from xbench.leaderboard import drawing
from xbench.leaderboard.plots import INDEX, MOST_COLUMNS, MOST_ROWS, PLACE, Plot, draw_plots, plots, stale, with_plots
from xbench.leaderboard.table import build_tables

SVG = "{http://www.w3.org/2000/svg}"


def scored(curriculum: str, dataset: str, score: float | None, **changes: Any) -> dict[str, Any]:
    return record(curriculum, dataset, scores={"spearman": score}, draws=score is not None, **changes)


RECORDS = [scored("stsb", "stsb", 80.0), scored("stsb", "korsts", 70.0), scored("none", "korsts", 50.0)]


def of(*records: dict[str, Any], titles: dict[str, str] | None = None) -> list[Plot]:
    return plots(build_tables(records, {}), titles or {})


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures of `RECORDS`."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_plots(of(*RECORDS), folder)
    return folder


@pytest.fixture
def out(before: Path, tmp_path: Path) -> Path:
    shutil.copytree(before, tmp_path / "out")
    return tmp_path / "out"


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / PLACE).iterdir())


FILES = ["sts-intervals.png", "sts-intervals.svg", "sts-matrix.png", "sts-matrix.svg"]


def test_the_data_of_a_plot_are_the_tables() -> None:
    (plot,) = of(*RECORDS, titles={"sts": "Similarity"})
    assert (plot.task, plot.name, plot.title) == ("sts", "sts", "Similarity: Spearman")
    assert plot.rows == ("e5-small-q4: none (frozen) [siamese]", "e5-small-q4: stsb [cross-encoder]")
    assert plot.columns == ("Korean (korsts)", "English (stsb)")
    assert plot.values == ((50.0, None), (70.0, 80.0))
    assert plot.marks == (("", ""), ("†", "•"))
    assert plot.intervals[0][1] is None
    for value, interval in ((50.0, plot.intervals[0][0]), (80.0, plot.intervals[1][1])):
        assert interval is not None
        assert interval[0] < value < interval[1]


def test_pictures_are_drawn_once(out: Path) -> None:
    assert names(out) == sorted([*FILES, INDEX])
    stamps = {path: path.stat().st_mtime_ns for path in (out / PLACE).iterdir()}
    assert draw_plots(of(*RECORDS), out) == []
    assert {path: path.stat().st_mtime_ns for path in (out / PLACE).iterdir()} == stamps
    assert stale(of(*RECORDS), out) == []


def test_they_are_not_drawn_anew_by_another_matplotlib(out: Path) -> None:
    """The index, not this library's bytes, says whether a picture is that of the tables."""
    path = out / PLACE / FILES[0]
    path.write_bytes(path.read_bytes() + b"other version")
    index = json.loads((out / PLACE / INDEX).read_text())
    index["sts"]["files"][FILES[0]] = file_sha256(path)
    (out / PLACE / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    assert draw_plots(of(*RECORDS), out) == stale(of(*RECORDS), out) == []


@pytest.mark.parametrize(
    "changed",
    [
        [*RECORDS, scored("korsts", "korsts", 60.0)], [*RECORDS[1:], scored("stsb", "stsb", 80.01)],
        [*RECORDS[1:], record("stsb", "stsb", scores={"spearman": 80.0})],  # the interval is gone
        [*RECORDS[1:], scored("stsb", "stsb", 80.0, transfer="mixed")],
    ],
    ids=["row", "score", "interval", "mark"],
)  # fmt: skip
def test_a_change_is_missed_and_drawn(out: Path, changed: list[dict[str, Any]]) -> None:
    assert stale(of(*changed), out) == [out / PLACE / INDEX]
    assert with_plots({}, of(*changed), out) == {}  # the page shows none that is not of its tables
    assert len(draw_plots(of(*changed), out)) == 5
    assert stale(of(*changed), out) == []
    assert len(with_plots({}, of(*changed), out)["sts", False]) == 2


def test_a_new_title_is_drawn(out: Path) -> None:
    assert stale(of(*RECORDS, titles={"sts": "Other"}), out) != []


def test_the_last_digits_of_a_number_make_no_new_picture() -> None:
    """Another machine sums in another order."""
    (plot,) = of(*RECORDS)
    (other,) = of(*RECORDS[:1], scored("stsb", "korsts", 70.0 + 1e-12), RECORDS[2])
    assert plot.values == other.values


def test_what_nothing_is_drawn_from_any_more_is_taken_away(out: Path) -> None:
    own = out / PLACE / "mine.txt"
    own.write_text("not in the index")
    other = [scored("stsb", "stsb", 80.0, task="other")]
    draw_plots(of(*other), out)
    assert names(out) == sorted(["mine.txt", INDEX, *(name.replace("sts", "other") for name in FILES)])
    assert stale(of(*other), out) == []
    draw_plots([], out)
    assert names(out) == ["mine.txt", INDEX]
    assert stale([], out) == []


@pytest.mark.parametrize("name", [*FILES, INDEX])
def test_every_file_that_is_altered_or_gone_is_missed_and_made_again(out: Path, name: str) -> None:
    path, found = out / PLACE / name, of(*RECORDS)
    whole = path.read_bytes()
    for damage in (whole + b" ", whole[:-1], b"", None):
        path.unlink() if damage is None else path.write_bytes(damage)
        assert stale(found, out) == [out / PLACE / INDEX]
        draw_plots(found, out)
        assert path.read_bytes() == whole
        assert stale(found, out) == []


def with_index(out: Path, **changes: Any) -> None:
    index = json.loads((out / PLACE / INDEX).read_text())
    (out / PLACE / INDEX).write_text(json.dumps({"sts": {**index["sts"], **changes}}, indent=2) + "\n")


HOSTILE: dict[str, Any] = {
    "no files": {"files": {}},
    "one of them": {"files": {FILES[0]: "0" * 64}},
    "outside": {"files": {"../../secret.txt": "0" * 64}},
    "absolute": {"files": {"/etc/passwd": "0" * 64}},
    "a folder": {"files": {".": "0" * 64}},
    "no mapping": {"files": [1]},
    "no hash": {"made_from": 3},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_shows_and_deletes_nothing_outside_its_folder(out: Path, name: str) -> None:
    secret = out / "secret.txt"
    secret.write_text("keep")
    with_index(out, **HOSTILE[name])
    assert with_plots({}, of(*RECORDS), out) == {}
    assert stale(of(*RECORDS), out) == [out / PLACE / INDEX]
    draw_plots([], out)
    assert secret.read_text() == "keep"


@pytest.mark.parametrize("text", ["", "[]", "{", "3", '{"sts": 3}', '{"sts": {}}', "\xff", "null"])
def test_a_damaged_index_is_made_anew(out: Path, text: str) -> None:
    whole = (out / PLACE / INDEX).read_bytes()
    (out / PLACE / INDEX).write_text(text, encoding="latin-1")
    assert stale(of(*RECORDS), out) == [out / PLACE / INDEX]
    draw_plots(of(*RECORDS), out)
    assert (out / PLACE / INDEX).read_bytes() == whole


def test_the_same_plot_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    draw_plots(of(*reversed(RECORDS)), tmp_path / "again")
    for name in names(out):
        assert (out / PLACE / name).read_bytes() == (tmp_path / "again" / PLACE / name).read_bytes()


def test_the_index_does_not_tell_what_was_there_before(out: Path, tmp_path: Path) -> None:
    """Some kept, some new, or all new: the same records leave the same folder."""
    both = [scored("stsb", "stsb", 70.0, task="a"), *RECORDS]
    draw_plots(of(*both), out)
    draw_plots(of(*both), tmp_path / "fresh")
    assert (out / PLACE / INDEX).read_bytes() == (tmp_path / "fresh" / PLACE / INDEX).read_bytes()


NAMES = ("$x_1^2$", "$", "$$", r"\frac{1}{0}$a$", "a_b^c", "한국어 모델", "<b>&", "a\nb\tc", "\x00\x1b", "\ud800", "{",
         "%", "x" * 5000, "", " ")  # fmt: skip


def test_no_name_breaks_a_picture(tmp_path: Path) -> None:
    records = [
        one
        for name in NAMES
        for one in (
            scored("stsb", "stsb", 80.0, model__name=name),
            scored(f"{name}-", "korsts", 70.0, eval__dataset=name),
        )
    ]
    with warnings.catch_warnings(action="error"):  # nobody is told of each letter that a font lacks
        draw_plots(of(*records, titles={"sts": "$x_1^2 한국"}), tmp_path)
    for name in FILES:
        content = (tmp_path / PLACE / name).read_bytes()
        if name.endswith(".svg"):
            tree = ElementTree.fromstring(content)
            said = {"".join(one.itertext()) for one in tree.iter(f"{SVG}text")}
            assert {"$x_1^2$: stsb", "한국어 모델: stsb", "a_b^c: stsb", "<b>&: stsb"} <= {
                text.strip() for text in said
            }
        else:
            assert content.startswith(b"\x89PNG")
    assert stale(of(*records, titles={"sts": "$x_1^2 한국"}), tmp_path) == []


def test_scores_that_are_all_alike_or_all_undefined_are_drawn(tmp_path: Path) -> None:
    draw_plots(of(scored("stsb", "stsb", 80.0), scored("korsts", "stsb", 80.0), scored("stsb", "stsb", None, task="b")),
               tmp_path)  # fmt: skip
    tree = ElementTree.fromstring((tmp_path / PLACE / "sts-matrix.svg").read_bytes())
    scores = [one for one in tree.iter(f"{SVG}text") if "".join(one.itertext()).startswith("80.00")]
    assert len(scores) == 2
    assert all("fill: #ffffff" in one.get("style", "") for one in scores)  # on the map's darkest colour


def test_limits_and_versions_have_pictures_of_their_own_and_samples_none() -> None:
    found = of(
        scored("stsb", "stsb", 80.0), scored("stsb", "stsb", 70.0, limits__train=20),
        scored("stsb", "stsb", 60.0, task_version=2), scored("stsb", "stsb", 50.0, sample=True),
    )  # fmt: skip
    assert [(one.name, one.values) for one in found] == [
        ("sts", ((80.0,),)), ("sts-v2", ((60.0,),)), ("sts-train20", ((70.0,),))
    ]  # fmt: skip
    assert [one.title for one in found] == [
        "sts: Spearman, task version 1", "sts: Spearman, task version 2",
        "sts: Spearman, task version 1; limited: 20 training rows",
    ]  # fmt: skip


def test_two_plots_never_have_one_file() -> None:
    found = of(scored("stsb", "stsb", 80.0, task="a", task_version=2), scored("stsb", "stsb", 70.0, task="a-v2"),
               scored("stsb", "stsb", 70.0, task="A-V2"))  # fmt: skip
    assert len({name.casefold() for one in found for name in one.files}) == 3 * 4


def test_what_is_too_large_for_a_picture_is_left_to_the_page() -> None:
    rows = [scored(f"d{number}", "stsb", 50.0) for number in range(MOST_ROWS)]
    assert len(of(*rows)) == 1
    assert of(*rows, scored("one-more", "stsb", 50.0)) == []
    columns = [scored("stsb", f"d{number}", 50.0) for number in range(MOST_COLUMNS + 1)]
    assert (len(of(*columns[1:])), of(*columns)) == (1, [])


def test_they_stand_before_the_tasks_own_figures_on_the_page(out: Path) -> None:
    shown = with_plots({}, of(*RECORDS), out)["sts", False]
    assert [one.title for one in shown] == ["sts: Spearman (intervals)", "sts: Spearman (matrix)"]
    assert [name for one in shown for name in one.files] == [f"{PLACE}/{name}" for name in FILES]
    both = with_plots({("sts", False): [replace(shown[0], title="own")]}, of(*RECORDS), out)
    assert [one.title for one in both["sts", False]][-1] == "own"


def test_without_matplotlib_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw_plots([], tmp_path) == []
    with pytest.raises(UserError, match=r"matplotlib: pip install 'xbench\[figures\]'"):
        draw_plots(of(*RECORDS), tmp_path)


def test_the_papers_table_is_one_plot_of_its_six_rows() -> None:
    (plot,) = of(*table_one(draws=True))
    assert (len(plot.rows), len(plot.columns)) == (6, 4)
    assert all(interval is not None for line in plot.intervals for interval in line)


def test_floors_alone_are_not_drawn() -> None:
    floor = scored("none", "stsb", 40.0, head="a", transfer="floor", model__name="a", model__weights_sha256="")
    assert of(floor) == []
    (beside,) = of(floor, *RECORDS)
    assert "a" in beside.rows


def said(out: Path, name: str) -> list[str]:
    """The texts of a picture."""
    tree = ElementTree.fromstring((out / PLACE / name).read_bytes())
    return ["".join(one.itertext()).strip() for one in tree.iter(f"{SVG}text")]


def test_a_title_is_whole_and_the_axis_has_a_name(tmp_path: Path) -> None:
    one = scored("stsb", "stsb", 80.0, limits__train=200000, limits__eval=100000)
    title = "A task with a title that is as long as titles may be"
    draw_plots(of(one, titles={"sts": title}), tmp_path)
    for kind in ("intervals", "matrix"):
        texts = said(tmp_path, f"sts-eval100000-train200000-{kind}.svg")
        assert f"{title}: Spearman, limited: 200000 training rows, 100000 evaluation rows" in " ".join(texts)
    assert "Spearman; lines are 95% intervals" in said(tmp_path, "sts-eval100000-train200000-intervals.svg")


def test_a_picture_says_what_is_undefined_as_the_tables_do(tmp_path: Path) -> None:
    found = of(*RECORDS, scored("stsb", "sts17-es", None))
    assert found[0].texts == (("50.00", "", ""), ("70.00", "undefined", "80.00"))
    draw_plots(found, tmp_path)
    assert said(tmp_path, "sts-intervals.svg").count("undefined") == 1
    assert said(tmp_path, "sts-matrix.svg").count("undefined †") == 1


def test_every_number_is_legible_on_its_colour() -> None:
    (plot,) = of(*(scored("stsb", f"d{score}", float(score)) for score in range(0, 101, 4)))
    figure = drawing._draw_matrix(plot)
    (axes,) = figure.axes
    (image,) = axes.images
    assert len(axes.texts) == 27  # with the legend
    for text in axes.texts[:-1]:
        column, row = text.get_position()
        cell = luminance(image.to_rgba(plot.values[int(row)][int(column)]))
        ink = luminance(to_rgb(text.get_color()))
        assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) >= 4.5, text.get_text()


def luminance(colour: Any) -> float:
    """A colour's relative luminance (WCAG 2.2)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return float(sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)))


@pytest.mark.parametrize("rows", [1, MOST_ROWS])
def test_the_legend_stands_close_below_the_matrix(rows: int) -> None:
    (plot,) = of(*(scored(f"d{number}", "stsb", float(number)) for number in range(rows)))
    figure = drawing._draw_matrix(plot)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    gap = axes.get_window_extent().y0 - axes.texts[-1].get_window_extent().y1  # pixels, at 100 an inch
    assert 2 < gap < 20


def test_another_font_is_asked_only_for_letters_that_are_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """STIX, which matplotlib brings along, has letters that DejaVu has not."""
    monkeypatch.setattr(drawing, "OTHER_FONTS", ("No such font", "STIXNonUnicode"))
    assert drawing._fonts("stsb → korsts نموذج") == [drawing.FONT]
    assert drawing._fonts("한국어") == [drawing.FONT, "STIXNonUnicode"]
