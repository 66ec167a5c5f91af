"""Help and finished work need no torch: they must be there at once."""

from __future__ import annotations

import json
import sys

import pytest

from .conftest import Program

HEAVY = {"torch", "transformers", "datasets", "pandas", "scipy", "tokenizers"}


def modules(program: Program) -> set[str]:
    """What the last command had imported when it ended."""
    return set(json.loads((program.folder / "modules.json").read_text()))


def test_help_imports_click_and_nothing_heavy(program: Program) -> None:
    done = program("--help")
    assert done.returncode == 0
    assert "eval" in done.stdout
    assert not modules(program) & (HEAVY | {"rich", "pluggy", "numpy"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "--help"],
        ["verify", "--help"],
        ["tasks"],
        ["datasets"],
        ["models"],
        ["plugins"],
        ["eval", "--model", "xlm-roberta-large", "--tasks", "sts", "--dry-run"],
    ],
    ids=" ".join,
)
def test_looking_around_imports_nothing_heavy(program: Program, arguments: list[str]) -> None:
    done = program(*arguments)
    assert done.returncode == 0, done.stderr
    assert not modules(program) & HEAVY


MANY = """
from xbench.api import Dataset, Split, hookimpl

@hookimpl
def xbench_datasets():
    for index in range(10):
        yield Dataset(f"more-{__name__.split('_')[-2]}-{index}", ("en",), "pair-score", {"test": Split(())}, *[""] * 4)
"""


@pytest.mark.parametrize("command", [["--help"], ["tasks"], ["eval", "--model", "m", "--tasks", "sts", "--dry-run"]])
def test_more_plugins_and_datasets_import_nothing_but_themselves(program: Program, command: list[str]) -> None:
    alone, few = program(*command), modules(program)
    files = [program.folder / f"more_{number}.py" for number in range(30)]
    for file in files:
        file.write_text(MANY, encoding="utf-8")
    more = [] if command == ["--help"] else [word for file in files for word in ("--plugin", str(file))]
    again = program(*command, *more)
    assert (again.returncode, again.stdout) == (alone.returncode, alone.stdout)
    new = modules(program) - few
    assert len(new) == len(more) // 2
    assert all(name.startswith("xbench_plugin_more_") for name in new)


@pytest.mark.parametrize("command", ["eval", "score"])
def test_a_commands_examples_stand_in_lines_of_their_own(program: Program, command: str) -> None:
    lines = [line.strip() for line in program(command, "--help").stdout.splitlines()]
    assert len([line for line in lines if line.startswith(f"xbench {command} ")]) >= 2
    assert not any("\\b" in line for line in lines)


@pytest.mark.parametrize(
    "device", ["cuda", pytest.param("mps", marks=pytest.mark.skipif(sys.platform == "darwin", reason="it is there"))]
)
def test_a_device_that_is_not_there_stops_before_any_data_is_read(project: Program, device: str) -> None:
    (project.folder / "test.csv").unlink()  # whoever reads it stumbles
    command = ["eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--device", device]
    done = project(*command, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stderr == f"xbench: --device {device}: this machine has none; use --device cpu\n"
    assert not (project.folder / "cache").exists()
    planned = project(*command, "--dry-run", CUDA_VISIBLE_DEVICES="")
    assert planned.returncode == 0
    assert planned.stdout.endswith(f"no estimate: --device {device}: this machine has none; use --device cpu\n")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_device_that_is_always_there_costs_no_torch(project: Program, device: str) -> None:
    command = ["eval", "--plugin", "my_task.py", "--model", "./gone", "--tasks", "my-pairs", "--device", device]
    for split in ("train", "test"):
        (project.folder / f"{split}.csv").unlink()
    assert project(*command).returncode == 2
    assert not modules(project) & HEAVY


def test_what_was_counted_and_measured_is_estimated_again_without_torch(project: Program) -> None:
    command = ["eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--device", "cpu"]
    first = project(*command, "--dry-run")
    assert first.returncode == 0, first.stderr
    assert "torch" in modules(project)
    again = project(*command, "--dry-run")
    assert not modules(project) & HEAVY
    assert (again.stdout, again.stderr) == (first.stdout, "")


def test_a_finished_evaluation_is_found_again_without_torch(project: Program) -> None:
    command = ["eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--json"]
    first = project(*command, "--train", "none", "--train", "my-pairs-en:my-pairs-de")
    assert first.returncode == 0, first.stderr
    assert "torch" in modules(project)
    again = project(*command, "--train", "none", "--train", "my-pairs-en:my-pairs-de")
    assert again.returncode == 0, again.stderr
    assert not modules(project) & (HEAVY - {"scipy"})  # which the intervals of the leaderboard need
    assert again.stdout == first.stdout
