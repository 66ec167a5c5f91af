"""What the author of a plugin writes into tests of their own, run by pytest as they would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conforming import ON_THE_HUB, Broken, write_plugin

CONFORMANCE = """
from xbench.testing import parametrize_with_checks

@parametrize_with_checks("my_reviews.py", only=["loads", "credits", "pinned", "best-reached"])
def test_conformance(check):
    check()
"""
FIXTURES = """
from xbench.testing import find_plugin, run_checks

pytest_plugins = ["xbench.testing.pytest"]

def test_a_cell(xbench_bench):
    outcome, heard = xbench_bench("PLUGIN").run(
        "my-reviews-en", task="my-reviews", datasets=("my-reviews-de",), limit_eval=8
    )
    assert heard.failures == []
    (record,) = outcome.records
    assert 0 <= record["scores"]["near"] <= 100
    assert record["diagnostics"]["long-reviews"] == {"rows": 8}

def test_an_encoder_and_settings(tiny_encoder_folder, xbench_settings, tmp_path):
    from transformers import AutoModel, AutoTokenizer
    model = AutoModel.from_pretrained(tiny_encoder_folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder_folder)
    text = "Größe 안녕 مرحبا"
    ids = tokenizer(text, return_tensors="pt")
    assert model(**ids).last_hidden_state.shape[1] == len(text.encode()) + 2
    assert tokenizer.decode(ids["input_ids"][0], skip_special_tokens=True) == text
    assert xbench_settings.cache.parent == tmp_path and xbench_settings.offline

def test_a_registry(xbench_registry):
    assert "my-reviews" in xbench_registry("PLUGIN").tasks.items
"""
LIGHT = """
import sys

pytest_plugins = ["xbench.testing.pytest"]

def test_nothing_heavy_is_here():
    assert not {"torch", "transformers", "datasets", "pandas", "scipy", "numpy"} & set(sys.modules)
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in a folder of its own, as a program."""
    paths = [str(Path(path).resolve()) for path in sys.path if path]
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), "-vra", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "XBENCH_CACHE": str(folder / "cache")},
    )  # fmt: skip


def test_each_check_is_a_test_with_a_name_to_choose_it_by(tmp_path: Path) -> None:
    write_plugin(tmp_path)
    (tmp_path / "test_it.py").write_text(CONFORMANCE, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    for name in (
        "loads-my_reviews.py",
        "credits-my-reviews-de",
        "pinned-my-reviews-en/test",
        "best-reached-stars-near",
    ):
        assert f"test_conformance[{name}] PASSED" in done.stdout
    assert "8 passed" in done.stdout
    chosen = run_pytest(tmp_path, "-k", "pinned and my-reviews-en")
    assert "2 passed, 6 deselected" in chosen.stdout


def test_a_failure_shows_what_where_and_how_to_mend_it_and_no_inner_workings(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    broken = Broken("", "", [*ON_THE_HUB, ('licence="CC BY 4.0"', 'licence=""')])
    write_plugin(tmp_path, broken)
    (tmp_path / "tests" / "test_it.py").write_text(CONFORMANCE.replace('"my_', '"../my_'), encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "2 failed, 1 passed, 5 skipped" in done.stdout
    assert "what:  the dataset has no licence" in done.stdout
    assert "mend:  set licence: as its publisher states it" in done.stdout
    assert "hub dataset a/b: not in the hub cache" in done.stdout
    assert "runner.py" not in done.stdout.partition("short test summary")[0]


def test_a_plugin_that_is_not_there_is_an_error_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(CONFORMANCE, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 2
    assert "UserError: my_reviews.py: there is no such file" in done.stdout


def test_the_fixtures_train_and_score_for_real(tmp_path: Path) -> None:
    path = write_plugin(tmp_path)
    (tmp_path / "test_it.py").write_text(FIXTURES.replace("PLUGIN", str(path)), encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("source", [LIGHT, LIGHT.replace("pytest_plugins", "import xbench.testing\nplugins")])
def test_the_fixtures_cost_nothing_before_they_are_asked_for(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    done = run_pytest(tmp_path, "-p", "no:hypothesispytest", "-p", "no:anyio")
    assert done.returncode == 0, done.stdout


def test_nobody_elses_pytest_loads_ours() -> None:
    from importlib.metadata import entry_points

    assert not [point for point in entry_points(group="pytest11") if point.value.startswith("xbench")]
