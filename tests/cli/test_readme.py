"""What README.md tells a reader to type is understood, and what it names is there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from xbench.registry import Registry

from .conftest import ROOT, Program

README = (ROOT / "README.md").read_text(encoding="utf-8")


PLAN_ALONE = """
from xbench.cli import dry_run
dry_run.forecast = lambda *_: dry_run.Forecast()  # calibrating anew for each command would take minutes
"""
FILES = {"squad": "squad-v1.1/dev-v1.1.json", "korquad": "korquad-v1.0/KorQuAD_v1.0_dev.json"}


def commands() -> list[str]:
    """The xbench command lines in the README's shell blocks and in its text."""
    blocks = re.findall(r"```sh\n(.*?)```", README.replace("\\\n", ""), re.DOTALL)
    lines = [line.split("#")[0].strip().removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("xbench ")]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_is_understood(program: Program, line: str, data_root: Path) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[0] == "eval" and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    if arguments[0] == "score":
        articles = json.loads((data_root / FILES[arguments[1]]).read_text(encoding="utf-8"))["data"]
        question = articles[0]["paragraphs"][0]["qas"][0]
        (program.folder / "predictions.json").write_text(json.dumps({question["id"]: question["answers"][0]["text"]}))
    if arguments[0] == "verify":
        arguments += ["--out", str(ROOT / "leaderboard")]
    on_leaderboard = [["leaderboard", name] for name in ("build", "check", "refresh")]
    if arguments[0] in ("compare", "card") or arguments[:2] in on_leaderboard:
        shutil.copytree(ROOT / "leaderboard", program.folder / "leaderboard")  # the published one stays as it is
    if arguments[:2] == ["leaderboard", "merge"]:
        arguments[2] = str(ROOT / "leaderboard")  # into the program's own folder
    done = program(*arguments, code=PLAN_ALONE, XBENCH_DATA=str(data_root))
    assert done.returncode == 0, done.stderr


def test_the_models_and_datasets_of_the_readme_are_declared(registry: Registry) -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", README, re.MULTILINE)
    assert len(rows) >= 3
    readings = {reading.name for head in registry.heads for reading in head.readings}
    assert set(rows) - {"xbench"} <= {
        *registry.models.items,
        *registry.floors.items,
        *registry.datasets.items,
        *readings,
    }
    for name in re.findall(r"`(sts17-[a-z-]+|stsb|korsts)`", README):
        registry.datasets.get(name)
