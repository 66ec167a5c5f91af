"""The real program in a real process, and a small project of a user's own for it to work on."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tiny import WORDS

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "de")


@dataclass(frozen=True)
class Program:
    """Runs ``xbench`` with a cache of its own, in a folder of its own."""

    folder: Path

    def __call__(self, *arguments: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command line, or some Python before it in the same process."""
        start = f"{code}\nimport sys; from xbench.cli import main; status = main()\n"
        end = "import json; print(json.dumps(sorted(sys.modules)), file=open('modules.json', 'w')); sys.exit(status)"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("XBENCH_")}
        return subprocess.run(
            [sys.executable, "-c", start + end, *arguments], cwd=self.folder, capture_output=True, text=True,
            encoding="utf-8", check=False,
            env={**inherited, "XBENCH_CACHE": str(self.folder / "cache"), "HF_HUB_OFFLINE": "1", **environment},
        )  # fmt: skip


def readme_plugin(task: str) -> str:
    """The plugin with this task that README.md shows, as it stands there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [part.split("```", 1)[0] for part in text.split("```python\n")[1:]]
    (plugin,) = [block for block in blocks if f'name = "{task}"' in block]
    return plugin


def write_rows(folder: Path, split: str, count: int) -> None:
    """Scored pairs in two languages: the share of words that a pair has in common is its score."""
    draw = random.Random(split)
    with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["language", "a", "b", "score"])
        for index in range(count):
            for place, language in enumerate(LANGUAGES):
                words = draw.sample(WORDS[128 * place : 128 * place + 128], 10)
                same = index % 6
                writer.writerow([language, " ".join(words[:5]), " ".join(words[5 - same : 10 - same]), same])


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """``xbench`` in an empty folder."""
    return Program(tmp_path)


@pytest.fixture
def project(program: Program, tiny: Callable[..., Path]) -> Program:
    """README.md's plugin with its data, and a tiny model in the folder ``model``."""
    (program.folder / "my_task.py").write_text(readme_plugin("my-pairs"), encoding="utf-8")
    write_rows(program.folder, "train", 36)
    write_rows(program.folder, "test", 18)
    (program.folder / "model").symlink_to(tiny("bert"))
    return program
