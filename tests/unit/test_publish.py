"""What is published is a function of the records alone, and `check` misses no change to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import xbench
from tests.not_root import NOT_EVEN_ROOT
from tests.published import save, with_draws
from tests.records import record, table_one
from xbench.cli.leaderboard_command import command
from xbench.errors import UserError
from xbench.leaderboard.publish import MARKER, build, differing
from xbench.record_form import MOST_SCORE, record_errors
from xbench.registry import Registry

RECORDS = [
    *table_one(seeds=(0, 1), draws=True),
    *(record("none", dataset, scores={"spearman": 50.0, "pearson": 49.0}, draws=True, model__name="all-minilm-l6-v2",
             model__weights_sha256="6" * 64) for dataset in ("stsb", "korsts")),
    record("stsb", limits__train=200, draws=True), record("stsb", "mini", task="mini-sts", sample=True, draws=True),
]  # fmt: skip
AGAIN = """
import locale, os, pathlib, random, sys
whole = os.walk
def turned(*arguments, **named):  # a file system lists its files in any order
    for place, folders, files in reversed(list(whole(*arguments, **named))):
        yield place, sorted(folders, reverse=True), sorted(files, reverse=True)
os.walk = turned
from xbench.leaderboard.publish import build
from xbench.registry import load_registry
build(pathlib.Path(sys.argv[1]), load_registry(), whole=True)
print(locale.getpreferredencoding(False), hash("a"))
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A leaderboard that was built."""
    folder = save(tmp_path_factory.mktemp("published") / "out", RECORDS)
    build(folder, registry, whole=True)
    return folder


@pytest.fixture
def out(before: Path, tmp_path: Path) -> Path:
    shutil.copytree(before, tmp_path / "out")
    return tmp_path / "out"


def published(out: Path) -> dict[str, bytes]:
    """Every file but the records."""
    files = [path for path in out.rglob("*") if path.is_file() and "results" not in path.relative_to(out).parts]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_building_again_changes_nothing(out: Path, registry: Registry) -> None:
    first = published(out)
    assert {"README.md", "index.html", "leaderboard.csv", "leaderboard.tex", "figures/report/plots.json"} < first.keys()
    build(out, registry, whole=True)
    assert published(out) == first
    assert differing(out, registry).written == []


def test_another_process_locale_hash_seed_and_order_of_files_give_the_same_bytes(out: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(out / "results", fresh / "results")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", AGAIN, str(fresh)], capture_output=True, encoding="utf-8", check=False,
        env={**inherited, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "123",
             "TZ": "Asia/Seoul", "COLUMNS": "20", "PYTHONPATH": str(Path(xbench.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] != "UTF-8"
    assert published(fresh) == published(out)


def check(out: Path) -> tuple[int, str]:
    done = CliRunner().invoke(command, ["check", "--out", str(out)], standalone_mode=False)
    return done.return_value, done.output


def test_every_published_file_that_is_altered_or_gone_fails_the_check(out: Path, registry: Registry) -> None:
    files = published(out)
    assert len(files) == 5 + 2 * 4
    page = files.pop("index.html")
    (out / "index.html").write_bytes(page + b" ")
    assert [path.name for path in differing(out, registry).written] == ["index.html"]
    (out / "index.html").unlink()  # it is not kept in a repository, and looked at where it is there
    assert check(out) == (0, "")
    for name, whole in files.items():
        for damage in (whole[:-1], None):
            (out / name).unlink() if damage is None else (out / name).write_bytes(damage)
            status, said = check(out)
            assert status == 1, name
            assert "run xbench leaderboard build" in said
            (out / name).write_bytes(whole)
    assert check(out) == (0, "")


def test_a_record_more_less_or_altered_fails_the_check(out: Path, registry: Registry) -> None:
    one, *_ = sorted((out / "results").rglob("*.json"))
    whole = one.read_text(encoding="utf-8")
    one.unlink()
    assert {path.name for path in differing(out, registry).written} >= {
        "README.md",
        "leaderboard.csv",
        "leaderboard.tex",
    }
    one.write_text(whole.replace('"seed": 0', '"seed": 7'), encoding="utf-8")
    done = CliRunner().invoke(command, ["check", "--out", str(out)], standalone_mode=False)
    assert done.return_value == 1
    assert "is damaged" in done.output
    one.write_text(whole, encoding="utf-8")
    assert CliRunner().invoke(command, ["check", "--out", str(out)], standalone_mode=False).return_value == 0
    more = out / "results" / "sts" / "more.json"
    more.write_text(json.dumps(record("korsts", "sts17-es", seed=5)), encoding="utf-8")
    assert out / "README.md" in differing(out, registry).written


def test_a_folder_that_cannot_be_read_stops_the_build_and_the_check(out: Path) -> None:
    """Without its records the leaderboard would be wrong, and nothing would say so."""
    before, closed = published(out), out / "results" / "sts"
    (one, *_) = sorted(closed.rglob("*.json"))
    for place, said in (
        (closed, "cannot be read (Permission denied)"),
        (one, "cannot be read: see whom it belongs to"),
    ):
        mode = place.stat().st_mode
        place.chmod(0)
        try:
            for name in ("check", "build") if place == closed else ("check",):
                program = [*NOT_EVEN_ROOT, sys.executable, "-P", "-m", "xbench", "leaderboard", name, "--out", str(out)]
                done = subprocess.run(program, capture_output=True, text=True, check=False)
                assert done.returncode, name
                assert f"{place} {said}" in done.stderr
                assert "delete" not in done.stderr
                assert "Traceback" not in done.stderr
        finally:
            place.chmod(mode)
    assert published(out) == before


def test_the_largest_scores_that_a_record_may_have_are_built(tmp_path: Path, registry: Registry) -> None:
    most = MOST_SCORE / 2  # its draws are no larger than the largest score
    drawn = np.random.default_rng(0).normal(0, most / 100, 1000)
    made = [with_draws(record(curriculum, "korsts", seed=seed, scores={"spearman": score}, overlap=None),
                       {"spearman": score + drawn})
            for curriculum, score in (("korsts", most), ("stsb", -most)) for seed in (0, 1)]  # fmt: skip
    assert [record_errors(one) for one in made] == [[]] * 4
    save(tmp_path / "out", made)
    assert build(tmp_path / "out", registry, whole=True).left_out == []
    more = with_draws(record("korsts", "korsts", scores={"spearman": 1e200}), {"spearman": 1e200 * (1 + drawn / most)})
    (tmp_path / "out" / "results" / "more.json").write_text(json.dumps(more), encoding="utf-8")
    with pytest.raises(UserError, match=r"more\.json is no record: scores\.spearman: 1e\+200 is above 1e\+30"):
        build(tmp_path / "out", registry)


def test_half_a_letter_in_a_name_stops_no_build(tmp_path: Path, registry: Registry) -> None:
    """JSON can hold half a surrogate pair, and UTF-8 cannot."""
    name = "a\ud800b"
    changes: dict[str, Any] = {"model__name": name, "head": name, "eval__dataset": name}
    for curriculum in ("stsb", "korsts"):
        path = tmp_path / "results" / f"{curriculum}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record(curriculum, **changes)), encoding="utf-8")  # as an escape: "a\\ud800b"
    assert build(tmp_path, registry, whole=True).damaged == []
    assert "aU+D800b" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert differing(tmp_path, registry).written == []


def test_an_empty_leaderboard_is_built_and_checked(tmp_path: Path, registry: Registry) -> None:
    built = build(tmp_path, registry, whole=True)
    assert [path.name for path in built.written] == ["README.md", "leaderboard.csv", "leaderboard.tex", "index.html"]
    assert (built.damaged, built.left_out, differing(tmp_path, registry).written) == ([], [], [])
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith(MARKER)
