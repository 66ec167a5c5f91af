"""Completion: what a shell asks in a real process, and what comes back; in a real bash as well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "datasets", "pandas", "scipy", "tokenizers", "rich", "huggingface_hub"}
START = "import sys; from xbench.cli import main; "
PLUGIN = """
from xbench.api import Dataset, Split, hookimpl

@hookimpl
def xbench_datasets():
    return [Dataset("zz-mine", ("en",), "pair-score", {"test": Split(())}, "CC0", "me", "https://example.org", "Mine")]
"""


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("XBENCH_", "COMP_"))}
    return {**own, "PYTHONPATH": str(ROOT), **more}


def ask(folder: Path, line: str, shell: str = "bash", code: str = "main()") -> subprocess.CompletedProcess[str]:
    words = {"COMP_WORDS": line}
    if shell == "zsh":
        words["COMP_CWORD"] = str(len(line.split(" ")) - 1)
    if shell == "fish":
        words["COMP_CWORD"] = line.rsplit(" ", 1)[-1]
    return subprocess.run(
        [sys.executable, "-P", "-c", START + code], cwd=folder, capture_output=True, text=True, encoding="utf-8",
        check=True, env=environment(_XBENCH_COMPLETE=f"{shell}_complete", **words),
    )  # fmt: skip


def offered(folder: Path, line: str) -> list[str]:
    """What bash is told, without the kinds."""
    done = ask(folder, line)
    assert done.stderr == ""
    return [one.partition(",")[2] for one in done.stdout.splitlines() if one]


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("xbench ", {"eval", "leaderboard", "doctor", "completion"}, {"--help"}),
        ("xbench lea", {"leaderboard"}, {"eval"}),
        ("xbench leaderboard ", {"build", "check", "merge"}, {"eval"}),
        ("xbench eval --t", {"--tasks", "--train", "--track"}, {"--model"}),
        ("xbench eval --tasks sts,m", {"sts,mrc", "sts,mini", "sts,mini-sts"}, {"sts,sts", "mrc"}),
        ("xbench eval --tasks sts,", {"sts,mrc"}, {"sts,sts"}),
        ("xbench eval --model e5-small-q4,con", {"e5-small-q4,constant"}, set()),
        ("xbench eval --tasks sts --eval stsb,kor", {"stsb,korsts"}, {"stsb,stsb"}),
        ("xbench eval --tasks mrc --train squad", {"squad", "squad-44"}, {"stsb"}),
        ("xbench eval --tasks sts --train ", {"none", "stsb", "korsts"}, {"squad"}),
        ("xbench eval --tasks sts --train stsb:", {"korsts"}, {"stsb", "none", "stsb:korsts"}),  # bash breaks at ':'
        ("xbench eval --tasks sts --train stsb+", {"stsb+korsts"}, {"stsb+stsb"}),
        ("xbench eval --head sia", {"siamese"}, set()),
        ("xbench eval --set recipe.lr", {"recipe.lr="}, {"recipe.epochs="}),
        ("xbench eval --set recipe.optimizer=", {"adamw", "radam"}, set()),
        ("xbench eval --track tensorboard,w", {"tensorboard,wandb"}, set()),
        ("xbench eval --device c", {"cpu", "cuda"}, {"mps"}),
        ("xbench datasets kor", {"korsts", "korquad"}, set()),
        ("xbench models e5", {"e5-small-q4"}, set()),
        ("xbench score squ", {"squad", "squad-es"}, set()),
        ("xbench plugins e5", {"e5_offline"}, set()),
        ("xbench completion ", {"bash", "zsh", "fish"}, set()),
        ("xbench nonsense --", set(), {"eval"}),
    ],
)
def test_names_are_offered(tmp_path: Path, line: str, some: set[str], none: set[str]) -> None:
    found = offered(tmp_path, line)
    assert some <= set(found), found
    assert not none & set(found)


def test_completing_names_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import atexit, json; atexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr)); main()"
    for line in ("xbench ", "xbench eval --tasks sts,m", "xbench eval --train stsb:", "xbench eval --set recipe."):
        done = ask(tmp_path, line, code=code)
        assert done.stdout
        assert not set(json.loads(done.stderr)) & HEAVY


def test_plugins_of_the_line_and_of_the_project_are_offered_too_and_broken_ones_are_silent(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "bad.py").write_text("raise RuntimeError('no')", encoding="utf-8")
    (tmp_path / "noisy.py").write_text("print('plain,zz-noise')\n" + PLUGIN, encoding="utf-8")
    assert offered(tmp_path, "xbench eval --plugin noisy.py --eval zz") == ["zz-mine"]
    assert offered(tmp_path, "xbench eval --plugin mine.py --eval zz") == ["zz-mine"]
    assert offered(tmp_path, "xbench eval --plugin bad.py --eval kors") == ["korsts"]
    assert offered(tmp_path, "xbench eval --eval zz") == []
    (tmp_path / "xbench.toml").write_text('plugins = ["mine.py"]', encoding="utf-8")
    assert offered(tmp_path, "xbench eval --eval zz") == ["zz-mine"]
    assert offered(tmp_path, "xbench --no-project eval --eval zz") == []
    (tmp_path / "xbench.toml").write_text("plugins = [", encoding="utf-8")
    assert offered(tmp_path, "xbench eval --eval kors") == ["korsts"]


TYPED = """
zmodload zsh/zpty
zpty -b inner 'TERM=dumb PS1= zsh -f -i'
wait_for() {
    local said="" part
    repeat 600; do
        while zpty -r -t inner part; do said+=$part; done
        [[ $said == *$1* ]] && break
        sleep 0.1
    done
    print -r -- "${said//[$'\\r\\n']/}"
}
zpty -w inner 'autoload -Uz compinit; compinit -u -d dump; source <(xbench completion zsh 2>/dev/null); print re''ady'
wait_for ready >/dev/null
zpty -w -n inner "$1"$'\\t'
wait_for "$2"
zpty -d inner
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh (apt-get install zsh)")
@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("xbench eval --tasks sts --train stsb:", "sts --train stsb:korsts "),
        ("xbench eval --set recipe.optim", "izer="),
    ],
)
def test_a_real_zsh_completes(tmp_path: Path, line: str, becomes: str) -> None:
    write_program(tmp_path)
    done = subprocess.run(
        ["zsh", "-f", "-c", TYPED, "zsh", line, becomes], cwd=tmp_path, capture_output=True, text=True,
        check=True, env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
    )  # fmt: skip
    assert done.stdout.rstrip("\n").endswith(becomes), done.stdout  # before it, what the terminal shows meanwhile


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish (apt-get install fish)")
def test_a_real_fish_completes(tmp_path: Path) -> None:
    write_program(tmp_path)
    script = "xbench completion fish 2>/dev/null | source; complete -C 'xbench eval --tasks sts,min'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}", HOME=str(tmp_path)),
    )  # fmt: skip
    assert "sts,mini-sts\tSemantic textual similarity (sample corpora)" in done.stdout.splitlines(), done.stderr


def write_program(folder: Path) -> None:
    """``xbench`` as a program that a shell finds."""
    program = folder / "xbench"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -P -c '{START}sys.exit(main())' \"$@\"\n")
    program.chmod(0o755)


def test_zsh_and_fish_are_told_whole_values_with_what_they_are(tmp_path: Path) -> None:
    kinds = ask(tmp_path, "xbench eval --tasks sts --train stsb:", "zsh").stdout.split("\n")
    assert kinds[:2] == ["plain", "stsb\\:korsts"]
    assert "KorSTS" in kinds[2]
    lines = ask(tmp_path, "xbench eval --tasks sts,m", "fish").stdout.splitlines()
    assert "plain,sts,mrc\t" in "\n".join(lines)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash (apt-get install bash)")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("xbench eval --tasks sts,mi", "sts,mini sts,mini-alignment sts,mini-mrc sts,mini-sentiment sts,mini-sts"),
        ("xbench eval --tasks sts --train stsb:", "korsts"),
        ("xbench eval --set recipe.optimizer=a", "adamw"),
        ("xbench eval --tasks sts,mi --dry", "--dry-run"),
    ],
)
def test_a_real_bash_completes(tmp_path: Path, line: str, replies: str) -> None:
    write_program(tmp_path)
    # What bash does at TAB: words broken at its own marks, the line and the point, the function that was registered.
    script = """
eval "$(xbench completion bash 2>/dev/null)"
COMP_LINE=$1 COMP_POINT=${#1}
function_of() { complete -p xbench | sed 's/.*-F \\([^ ]*\\).*/\\1/'; }
"$(function_of)" xbench "" ""
echo "${COMPREPLY[*]}"
"""
    done = subprocess.run(
        ["bash", "-c", script, "bash", line], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
    )  # fmt: skip
    assert done.stdout.strip() == replies, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_goes_to_stdout_and_how_to_install_it_to_stderr(tmp_path: Path, shell: str) -> None:
    from click.testing import CliRunner

    from xbench.cli import group

    done = CliRunner().invoke(group, ["completion", shell])
    assert "_XBENCH_COMPLETE" in done.stdout
    assert "xbench completion" not in done.stdout
    assert done.stderr.startswith(f"# install: xbench completion {shell} > ~/")
    shown = json.loads(CliRunner().invoke(group, ["completion", shell, "--json"]).stdout)
    assert shown["script"] == done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)
