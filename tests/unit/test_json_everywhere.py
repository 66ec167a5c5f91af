"""Every command takes --json: one document on stdout, all else on stderr, and mistakes are a line there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from xbench.cli import group, main

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "leaderboard"
NOISY = """
from xbench.api import Dataset, Split, hookimpl

print("a plugin prints")

@hookimpl
def xbench_datasets():
    return [Dataset("mine", ("en",), "pair-score", {"test": Split(())}, "CC0", "나", "https://example.org", "Mine")]
"""


def commands(outer: click.Group = group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that can be run, with the words that name it."""
    context = click.Context(outer)
    for name in outer.list_commands(context):
        command = outer.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_takes_json(words: tuple[str, ...]) -> None:
    command = dict(commands())[words]
    (option,) = [one for one in command.params if one.name == "as_json"]
    assert "--json" in option.opts


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some published records, built: a leaderboard of one's own to work on."""
    out = tmp_path_factory.mktemp("few") / "leaderboard"
    for name in ("random-encoder", "constant"):
        shutil.copytree(PUBLISHED / "results" / "sts" / name, out / "results" / "sts" / name)
    return out


@pytest.fixture
def places(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What stands for names in `ASKED`: folders and files of this test's own."""
    for name in ("XBENCH_PROJECT", "XBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    said = {f"test-{number:03}": float(number % 5) for number in range(1, 113)}
    (tmp_path / "said.json").write_text(json.dumps(said), encoding="utf-8")
    shutil.copytree(few, tmp_path / "out")
    return {"OUT": str(tmp_path / "out"), "NOISY": str(tmp_path / "noisy.py"), "ANCHORS": str(PUBLISHED / "anchors"),
            "THEIRS": str(few), "SAID": str(tmp_path / "said.json"), "NEW": str(tmp_path / "new")}  # fmt: skip


ASKED: dict[tuple[str, ...], tuple[str, set[str]]] = {
    ("eval",): ("--model constant --tasks mini-sts --dry-run --out OUT", {"stages", "cells", "project"}),
    ("prefetch",): ("--model constant --tasks mini-sts --dry-run --offline", {"needs", "complete", "then"}),
    ("score",): ("mini-sts-en SAID", {"spearman", "rows", "missing", "unknown", "metric_version"}),
    ("compare",): ("random-encoder constant --out OUT", {"task", "dataset"}),
    ("tasks",): ("", {"name", "train", "eval", "curricula"}),
    ("datasets",): ("", {"name", "language", "schema", "splits"}),
    ("models",): ("", {"name", "languages", "licence"}),
    ("plugins",): ("", {"name", "distribution", "declares", "error"}),
    ("export",): ("--out OUT", set()),
    ("check",): ("NOISY --only loads,own-names", {"plugin", "passed", "failed", "skipped", "results"}),
    ("card",): ("random-encoder --out OUT", {"model-index"}),
    ("verify",): ("--out OUT --anchors ANCHORS", {"findings", "damaged"}),
    ("new-task",): ("mine --schema span --language en --dir NEW", {"files", "rows", "datasets", "follows"}),
    ("leaderboard", "build"): ("--out OUT", {"written", "damaged", "left_out"}),
    ("leaderboard", "check"): ("--out OUT", {"differing", "damaged", "left_out"}),
    ("leaderboard", "refresh"): ("--out OUT", {"refreshed", "left", "files"}),
    ("leaderboard", "merge"): ("--dry-run --out OUT THEIRS", {"taken", "here", "conflicts", "refused", "files"}),
    ("cache", "list"): ("--out OUT", {"cache", "bytes", "kinds"}),
    ("cache", "verify"): ("--out OUT", {"whole", "unchecked", "damaged", "removed"}),
    ("cache", "prune"): ("--out OUT", {"done", "bytes", "items", "needed", "busy"}),
    ("doctor",): ("--offline", {"broken", "findings", "project"}),
    ("completion",): ("bash", {"shell", "file", "install", "script"}),
}
"""For every command: what it is asked, and keys that its answer has, or each thing in it where that is a list."""

NO_PLUGINS = {("export",), ("new-task",), ("cache", "list"), ("cache", "verify"), ("cache", "prune"), ("completion",)}
"""What looks at no plugin that is named, as it is asked here."""


def strictly(text: str) -> Any:
    """JSON as every program reads it: one document, and no NaN or Infinity, which only Python knows."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_no_command_is_left_out() -> None:
    assert set(ASKED) == set(dict(commands()))


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_stdout_is_one_document_whatever_plugins_print(places: dict[str, str], words: tuple[str, ...]) -> None:
    asked, keys = ASKED[words]
    takes_plugins = any(option.name == "plugins" for option in dict(commands())[words].params)
    more = ["--plugin", places["NOISY"]] if takes_plugins else []
    arguments = [places.get(word, word) for word in asked.split()]
    done = CliRunner(catch_exceptions=False).invoke(group, [*words, *arguments, *more, "--json"], standalone_mode=False)
    found = strictly(done.stdout)
    if isinstance(found, list):
        assert all(keys <= set(one) for one in found)
        assert found or not keys
    else:
        assert keys <= set(found)
    assert "a plugin prints" in done.stderr or words in NO_PLUGINS


def test_what_is_printed_past_python_goes_to_stderr_too(places: dict[str, str], tmp_path: Path) -> None:
    """By a library in C, or by a child process; and the document is UTF-8 in every locale."""
    noise = "os.write(1, b'past Python\\n')", "subprocess.run([sys.executable, '-c', 'print(1)'])"
    more = "\n".join(["import os, subprocess, sys", *noise])
    (tmp_path / "noisy.py").write_text(NOISY + more, encoding="utf-8")

    def run(*words: str, kind: str = "--json") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "xbench", *words, "--plugin", "noisy.py", kind], cwd=tmp_path, check=True,
            capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"},
        )  # fmt: skip

    done = run("eval", "--model", "constant", "--tasks", "mini-sts", "--eval", "mini-sts-ko")
    (record,) = strictly(done.stdout.decode())
    assert record["eval"]["dataset"] == "mini-sts-ko"
    said = done.stderr.decode("latin-1").splitlines()
    assert {"a plugin prints", "past Python", "1"} <= set(said)
    assert json.loads(run("datasets", "mine").stdout.decode("utf-8"))["citation"] == "나"
    assert b"\\ub098" in run("datasets", "mine", kind="--offline").stdout  # for people: what the locale can show


def test_what_is_not_built_yet_differs_in_the_document_and_in_the_status(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "other"
    shutil.copytree(few / "results", out / "results")
    done = CliRunner().invoke(group, ["leaderboard", "check", "--out", str(out), "--json"], standalone_mode=False)
    assert done.return_value == 1
    assert str(out / "README.md") in json.loads(done.stdout)["differing"]


@pytest.mark.parametrize(
    "words", [["tasks", "nonsense"], ["leaderboard", "build", "--out", "nowhere"], ["nonsense"]], ids=" ".join
)
def test_a_mistake_is_a_line_on_stderr_and_nothing_on_stdout(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["xbench", *words, "--json"])
    assert main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("xbench: ")
    assert said.err.count("\n") == 1
