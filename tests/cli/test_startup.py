"""Help and finished work need no torch: they must be there at once."""

from __future__ import annotations

import json

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


def test_a_finished_evaluation_is_found_again_without_torch(project: Program) -> None:
    command = ["eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs", "--json"]
    first = project(*command, "--train", "none", "--train", "my-pairs-en:my-pairs-de")
    assert first.returncode == 0, first.stderr
    assert "torch" in modules(project)
    again = project(*command, "--train", "none", "--train", "my-pairs-en:my-pairs-de")
    assert again.returncode == 0, again.stderr
    assert not modules(project) & HEAVY
    assert again.stdout == first.stdout
