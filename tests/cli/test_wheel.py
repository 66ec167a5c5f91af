"""A built wheel, installed elsewhere, is complete and puts nothing of a common name into site-packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # Built from a copy, so that a build leaves nothing in the tree.
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("leaderboard/", "tests/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source],
        check=True,
    )
    site = folder / "site"
    with zipfile.ZipFile(next(folder.glob("xbench-*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def run(installed: Path, code: str) -> str:
    """Run Python that finds the wheel's content before anything else, away from the source tree."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=installed.parent, env={**os.environ, "PYTHONPATH": str(installed)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_nothing_called_plugins_or_tasks_is_installed(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert names == {"xbench", "xbench_plugins", "xbench_tasks"}


def test_every_module_and_data_file_of_the_tree_is_in_the_wheel(installed: Path) -> None:
    for folder, package in (("xbench", "xbench"), ("plugins", "xbench_plugins"), ("tasks", "xbench_tasks")):
        source = {
            path.relative_to(ROOT / folder)
            for path in (ROOT / folder).rglob("*")
            if path.suffix in (".py", ".toml", ".tsv", ".md", ".typed", ".html", ".css", ".js")
        }
        wheel = {path.relative_to(installed / package) for path in (installed / package).rglob("*") if path.is_file()}
        assert source <= wheel


def test_the_installed_wheel_finds_its_plugins_and_tasks(installed: Path) -> None:
    code = (
        "import json, xbench\nfrom xbench.registry import load_registry\nregistry = load_registry()\n"
        "print(json.dumps([xbench.__file__, registry.problems(), sorted(registry.tasks.items),"
        " registry.tasks.get('sts').path, len(registry.datasets.items)]))"
    )
    file, problems, tasks, path, datasets = json.loads(run(installed, code))
    assert Path(file).is_relative_to(installed)
    assert Path(path).is_relative_to(installed)
    assert problems == []
    assert {"sts", "mini-sts"} <= set(tasks)
    assert datasets >= 12
