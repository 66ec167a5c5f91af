"""docs/guide.md, as a newcomer follows it: a fresh environment, a shell, every block in its order, what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import ROOT

GUIDE = ROOT / "docs" / "guide.md"
MARK = "=== block "
NUMBER = re.compile(r"\d[\d,]*(\.\d+)?")
# The fresh environment sees what is installed here, so that pip needs no network; xbench itself it installs for real.
SITE = "import site\nsite.addsitedir({folder!r})\n"


@dataclass(frozen=True)
class Block:
    """One block of the guide.

    Attributes:
        line: Where it stands.
        code: What is typed.
        shown: What the guide shows of its output; may be empty.
    """

    line: int
    code: str
    shown: str


def blocks() -> list[Block]:
    """The guide's shell blocks, each with the output that stands behind it."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.finditer(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", text, re.DOTALL)
    return [Block(text[: one.start()].count("\n") + 1, one[1], one[2] or "") for one in found]


BLOCKS = blocks()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """What each block said, by its line; the guide stops where a block fails."""
    home = tmp_path_factory.mktemp("home")
    _copy_source(home / "xbench")
    _share_packages(home / "site")
    script = "set -e\n" + "".join(f"echo '{MARK}{block.line}'\n{block.code}" for block in BLOCKS)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("XBENCH_", "PYTHON"))}
    done = subprocess.run(
        ["bash", "-c", script], cwd=home / "xbench", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", check=False,
        env={
            **inherited, "HOME": str(home), "PYTHONPATH": str(home / "site"), "XBENCH_CACHE": str(home / "cache"),
            "XBENCH_DATA": "", "HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "LC_ALL": "C.UTF-8",
        },
    )  # fmt: skip
    parts = re.split(rf"^{MARK}(\d+)\n", done.stdout, flags=re.MULTILINE)
    said = {int(line): text for line, text in zip(parts[1::2], parts[2::2], strict=True)}
    assert done.returncode == 0, f"the block at line {max(said, default=0)} failed:\n{done.stdout[-6000:]}"
    yield said
    subprocess.run(["rm", "-rf", home / "cache"], check=True)  # half a gigabyte of weights


def _share_packages(folder: Path) -> None:
    """What a fresh environment finds without a network: all that is installed here, and first of all its setuptools."""
    here = Path(sysconfig.get_path("purelib"))
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE.format(folder=str(here)), encoding="utf-8")
    for path in here.glob("setuptools*"):  # an environment's own one may be too old to build with
        (folder / path.name).symlink_to(path)


def _copy_source(target: Path) -> None:
    """The repository's files, so that a build leaves nothing in the tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("leaderboard/", "tests/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())


def pattern(line: str) -> re.Pattern[str]:
    """A shown line: any number will do for a number, any white space for white space, anything for ``...``."""
    parts = [re.escape(part) for part in NUMBER.sub("\0", " ".join(line.split())).split("\0")]
    text = r"[\d.,]+".join(parts).replace(r"\ ", r"\s+").replace(r"\.\.\.", ".*")
    return re.compile(text)


def test_the_guide_has_its_steps() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert len(BLOCKS) >= 15
    for command in ("new-task", "check", "eval", "leaderboard build", "leaderboard merge"):
        assert any(f"xbench {command}" in block.code for block in BLOCKS), command
    assert text.count("```") == 2 * (len(BLOCKS) + text.count("```text")), "a block that is neither shell nor output"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line-{block.line}")
def test_a_block_of_the_guide_runs_and_says_what_is_shown(outputs: dict[int, str], block: Block) -> None:
    rest = outputs[block.line]
    for line in filter(str.strip, block.shown.splitlines()):
        found = pattern(line).search(rest)
        assert found, f"{line!r} does not stand in what is left:\n{rest}"
        rest = rest[found.end() :]
