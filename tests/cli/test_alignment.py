"""README.md's plugin for one's own parallel sentences: maps, tables, and the figure on the page."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import WORDS

from .conftest import Program, readme_plugin

EVAL = ["eval", "--plugin", "my_pairs.py", "--model", "./model", "--tasks", "my-alignment"]


@pytest.fixture
def pairs(program: Program, tiny: Callable[..., Path]) -> Program:
    (program.folder / "my_pairs.py").write_text(readme_plugin("my-alignment"), encoding="utf-8")
    draw = random.Random(3)
    for split, count in (("train", 60), ("test", 20)):
        lines = []
        for _ in range(count):
            places = draw.sample(range(100), 5)
            lines.append("\t".join(" ".join(WORDS[start + place] for place in places) for start in (0, 128)))
        (program.folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (program.folder / "model").symlink_to(tiny("bert"))
    return program


def test_ones_own_pairs_are_mapped_scored_and_drawn(pairs: Program) -> None:
    done = pairs(*EVAL, "--json")
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert [(one["reading"], one["eval"]["split"]) for one in records] == [
        ("identity", "train"), ("least-squares", "train"), ("procrustes", "train"), ("identity", "test"),
        ("least-squares", "test"), ("procrustes", "test"),
    ]  # fmt: skip
    # 60 pairs in 32 dimensions: least squares is nearer than an orthogonal map on the pairs that it was fitted on.
    identity, least_squares, procrustes = (one["scores"]["mean_cosine"] for one in records[:3])
    assert identity < procrustes < least_squares
    page = (pairs.folder / "leaderboard" / "README.md").read_text(encoding="utf-8")
    pictures = sorted(path.name for path in (pairs.folder / "leaderboard/figures/my-alignment").iterdir())
    assert [Path(name).suffix for name in pictures] == [".json", ".png", ".svg", ".png", ".svg"]
    assert all(f"figures/my-alignment/{name}" in page for name in pictures if not name.endswith(".json"))
    assert "| none (frozen), procrustes | " in page
    assert pairs("leaderboard", "build", "--plugin", "my_pairs.py").returncode == 0
    again = pairs("leaderboard", "check", "--plugin", "my_pairs.py")
    assert again.returncode == 0, again.stderr


def test_without_the_libraries_that_draw_the_scores_are_there_and_a_line_says_how_to_get_them(pairs: Program) -> None:
    done = pairs(*EVAL, code="import sys; sys.modules['matplotlib'] = None")
    assert done.returncode == 0, done.stderr
    assert "not drawn: figure tsne of my-alignment: matplotlib is not installed: pip install" in done.stderr
    assert "Traceback" not in done.stderr
    assert "procrustes" in (pairs.folder / "leaderboard" / "README.md").read_text(encoding="utf-8")


def test_a_line_without_a_tab_is_one_line(pairs: Program) -> None:
    with (pairs.folder / "train.tsv").open("a", encoding="utf-8") as file:
        file.write("no translation\n")
    done = pairs(*EVAL, "--strict")
    assert done.returncode == 2
    assert "train.tsv, line 61: a sentence, a tab and its translation are needed" in done.stderr
    assert "Traceback" not in done.stderr
