"""Every command takes --json: one document on stdout, all else on stderr, and mistakes are a line there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from xbench.cli import group, main

PUBLISHED = Path(__file__).parents[2] / "leaderboard"


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
    source = PUBLISHED / "results" / "sts" / "random-encoder"
    shutil.copytree(source, out / "results" / "sts" / "random-encoder")
    return out


@pytest.mark.parametrize(
    ("words", "status", "keys"),
    [
        (["leaderboard", "build"], 0, {"written", "damaged", "left_out"}),
        (["leaderboard", "check"], 0, {"differing", "damaged", "left_out"}),
        (["leaderboard", "refresh"], 0, {"refreshed", "left", "files"}),
        (["leaderboard", "merge", "--dry-run", str(PUBLISHED / "results" / "sts" / "random-encoder")], 0, {"here"}),
        (["verify", "--anchors", str(PUBLISHED / "anchors")], 0, {"findings"}),
        (["card", "random-encoder"], 0, {"model-index"}),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else None,
)
def test_stdout_is_one_document(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, keys: set[str]
) -> None:
    monkeypatch.setenv("XBENCH_CACHE", str(tmp_path / "cache"))
    if words[-1] == "check":
        CliRunner().invoke(group, ["leaderboard", "build", "--out", str(few)])
    done = CliRunner(catch_exceptions=False).invoke(group, [*words, "--out", str(few), "--json"], standalone_mode=False)
    assert (done.return_value or 0) == status, done.stderr
    found = json.loads(done.stdout)
    assert keys <= set(found)


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
