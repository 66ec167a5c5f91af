"""Seeds that failed, from the real program's run to everything that reads its records."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.fragile import SAME_OUTPUT, write_fragile
from xbench.cli import main

from .conftest import Program

EVAL = ("eval", "--plugin", "fragile.py", "--model", "./model", "--tasks", "pairs-unlucky", "--device", "cpu")
ON = ("--plugin", "fragile.py")
NAN = "in fp32 the loss is nan at step 1 of 10"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, tiny: Callable[..., Path]
) -> tuple[Program, CompletedProcess[str], CompletedProcess[str]]:
    """Two seeds, of which one fails, of two curricula; and a row whose only seed fails, at another learning rate."""
    program = Program(tmp_path_factory.mktemp("failed"))
    write_fragile(program.folder)
    shutil.copytree(tiny("bert"), program.folder / "model")  # a link would give records another name
    two = program(*EVAL, "--seeds", "0,1", "--train", "one", "--train", "two", "--json")
    none = program(*EVAL, "--train", "one", "--set", "recipe.lr=10")
    return program, two, none


@pytest.fixture
def program(ran: tuple[Program, Any, Any], tmp_path: Path) -> Program:
    """What the run has left, to do anything with."""
    folder = Path(shutil.copytree(ran[0].folder, tmp_path / "copy"))
    return Program(folder)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def reader(
    program: Program, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    """The program in this process: what reads records starts in no time here."""
    monkeypatch.chdir(program.folder)
    monkeypatch.setenv("XBENCH_CACHE", str(program.folder / "cache"))

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["xbench", *arguments, *ON])
        status = main()
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def files(program: Program) -> dict[str, bytes]:
    results = program.folder / "leaderboard" / "results"
    return {str(path.relative_to(results)): path.read_bytes() for path in sorted(results.rglob("*.json"))}


def test_the_run_ends_with_1_and_says_which_seeds_failed(ran: tuple[Program, Any, Any]) -> None:
    _, two, none = ran
    assert (two.returncode, none.returncode) == (1, 1)
    told = json.loads(two.stdout)
    assert [(one["status"], one["seed"]) for one in told] == [("done", 0)] * 4 + [("failed", 1)] * 4
    assert {one["error"] for one in told[4:]} == {one["reason"] for one in told[4:]} == {NAN}
    assert {one["scores"]["spearman"] for one in told[4:]} == {None}
    assert two.stderr.count(f"FAILED stage ./model unlucky one seed 1: {NAN}") == 1
    assert "4 cells failed" in two.stderr
    assert f"seed 1 failed ({NAN})" in " ".join(two.stderr.split())
    assert "kept as failed: delete " in two.stderr
    assert "Traceback" not in two.stderr + none.stderr
    assert re.search(r"│ one \[lr=10.0\] +│ +failed • \* +│ +failed † \* │", none.stdout), none.stdout
    assert SAME_OUTPUT in none.stderr


def test_the_same_run_again_trains_nothing_and_ends_alike(program: Program) -> None:
    before = files(program)
    again = program(*EVAL, "--seeds", "0,1", "--train", "one", "--train", "two", "--json")
    assert again.returncode == 1
    assert files(program) == before
    assert f"FAILED stage ./model unlucky one seed 1: failed before ({NAN}): delete " in again.stderr
    assert "trained " not in again.stderr
    dry = program(*EVAL, "--seeds", "0,1", "--train", "one", "--dry-run")
    assert dry.returncode == 0
    assert "unlucky one seed 1 failed before: delete " in " ".join(dry.stdout.split())


def test_the_leaderboard_marks_them_and_counts_them_nowhere(program: Program, reader: Callable[..., Said]) -> None:
    built = reader("leaderboard", "build")
    assert built.returncode == 0, built.stderr
    assert reader("leaderboard", "check").returncode == 0
    out = program.folder / "leaderboard"
    records = [json.loads(content) for content in files(program).values()]
    page = (out / "README.md").read_text(encoding="utf-8")
    page = page.replace("&#91;", "[").replace("&#93;", "]").replace("&#42;", "*")
    rows: dict[str, str] = {}
    for line in page.splitlines():
        if line.startswith("| ") and "*" in line:
            rows.setdefault(line.split(" | ")[0].strip("| "), line)  # the task's table is the first that has them
    for record in records:
        if record["status"] == "done":
            name = "one [lr=0.001]" if record["curriculum"] == "one" else "two"
            assert f"| {record['scores']['spearman']:.2f} (" in rows[name]
            assert rows[name].endswith("| last | 0 |")
    assert rows["one [lr=10.0]"] == "| one [lr=10.0] | failed • * | failed † * | last | – |"
    assert f"- two, one: seed 1 failed ({NAN})" in page
    assert f"- one [lr=10.0], two: seed 0 failed ({SAME_OUTPUT})" in page
    assert "| one [lr=10.0] | – | – |" in page  # among the ranks
    assert page.count("| one [lr=10.0] |") == 2  # and in no gap
    lines = list(csv.DictReader((out / "leaderboard.csv").read_text(encoding="utf-8").splitlines()))
    of_failed = [line for line in lines if "lr=10" in line["variant"]]
    assert [(line["value"], line["seeds"], line["gap"]) for line in of_failed] == [("", "", "")] * 2
    assert all(SAME_OUTPUT in line["marks"] and line["records"] for line in of_failed)
    others = [line for line in lines if line not in of_failed]
    assert all(line["seeds"] == "0" and line["value"] for line in others)
    latex = (out / "leaderboard.tex").read_text(encoding="utf-8")
    assert "failed $^{\\bullet}$ {*}" in latex
    html = (out / "index.html").read_text(encoding="utf-8")
    (payload,) = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    entries = json.loads(payload)["entries"]
    bad = [entry for entry in entries if entry.get("failed")]
    assert len(bad) == 2
    assert all(entry["scores"] == {} and not entry["gap"] and SAME_OUTPUT in entry["marks"][0] for entry in bad)
    assert len(entries) == 6


def test_a_card_leaves_them_out(program: Program, reader: Callable[..., Said]) -> None:
    card = reader("card", "model", "--json")
    assert card.returncode == 0, card.stderr
    (index,) = json.loads(card.stdout)["model-index"]
    metrics = [metric for result in index["results"] for metric in result["metrics"]]
    assert len(metrics) == 4
    assert all(metric["args"]["seeds"] == [0] for metric in metrics)
    (path, *_) = [name for name, content in files(program).items() if json.loads(content)["status"] == "failed"]
    alone = reader("card", f"leaderboard/results/{path}")
    assert alone.returncode == 2
    assert "is of a training that failed: there is no score for a card" in alone.stderr


def test_verify_names_them(program: Program, reader: Callable[..., Said]) -> None:
    done = reader("verify", "--anchors", str(ROOT / "leaderboard" / "anchors"), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["failed"]) == 6
    assert f"pairs-unlucky: model unlucky one on two/test, seed 1: failed ({NAN})" in told["failed"]
    assert told["comparisons"] == []
    plain = reader("verify", "--anchors", str(ROOT / "leaderboard" / "anchors"))
    assert plain.stdout.count(": failed (") == 6


def test_compare_does_not_count_them_and_says_so_where_nothing_is_left(
    program: Program, reader: Callable[..., Said]
) -> None:
    done = reader("compare", "one", "two", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 2
    results = program.folder / "leaderboard" / "results"
    for path in results.rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] == "done" and record["curriculum"] == "two":
            path.unlink()
    left = reader("compare", "one", "two")
    assert left.returncode == 2
    assert left.stderr.count("\n") == 1
    assert "every seed of " in left.stderr
    assert "two failed somewhere: there is nothing to compare" in left.stderr


def test_there_is_nothing_to_export_and_nothing_to_refresh(program: Program, reader: Callable[..., Said]) -> None:
    (path, *_) = [name for name, content in files(program).items() if json.loads(content)["status"] == "failed"]
    done = reader("export", f"leaderboard/results/{path}", "--to", "folder")
    assert done.returncode == 2
    assert "is the record of a training that failed: there is nothing to export" in done.stderr
    before = files(program)
    assert reader("leaderboard", "refresh").returncode == 0
    assert files(program) == before


def test_others_take_them_as_they_are(program: Program, reader: Callable[..., Said]) -> None:
    done = reader("leaderboard", "merge", "leaderboard", "--out", "theirs")
    assert done.returncode == 0, done.stderr
    taken = {str(path.relative_to(program.folder / "theirs" / "results")): path.read_bytes()
             for path in (program.folder / "theirs" / "results").rglob("*.json")}  # fmt: skip
    assert taken == files(program)
    again = reader("leaderboard", "merge", "leaderboard", "--out", "theirs")
    assert again.returncode == 0
