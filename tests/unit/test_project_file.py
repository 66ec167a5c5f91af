"""``xbench.toml``: where it is found, what it sets, what stands above it, and what it may not do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from xbench.cli import group
from xbench.errors import UserError
from xbench.project import find_project, read_project

PLUGIN = """
from xbench.api import Dataset, Split, hookimpl

@hookimpl
def xbench_datasets():
    return [Dataset("mine", ("en",), "pair-score", {"test": Split(())}, "CC0", "me", "https://example.org", "Mine")]
"""


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XBENCH_PROJECT", "XBENCH_DATA", "XBENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "xbench.toml"
    path.write_text(text, encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    return CliRunner(catch_exceptions=False).invoke(group, arguments)


def dry(*arguments: str) -> dict[str, object]:
    """What is planned, by the command line alone: no model is looked for."""
    import json

    done = run("eval", *arguments, "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_file_is_found_in_the_working_folder_and_up_to_the_repositorys_root(tmp_path: Path) -> None:
    root, deep = tmp_path / "repository", tmp_path / "repository" / "a" / "b"
    deep.mkdir(parents=True)
    (root / ".git").mkdir()
    write(tmp_path, "seeds = [9]")  # above the root: not ours
    assert find_project(deep) is None
    path = write(root, "seeds = [1, 2]")
    found = find_project(deep)
    assert found is not None
    assert (found.path, found.request, found.above) == (path, {"seeds": [1, 2]}, True)
    nearer = write(deep.parent, "[xbench]\nseeds = [3]")
    found = find_project(deep)
    assert found is not None
    assert found.path == nearer
    assert not read_project(nearer).above


def test_outside_a_repository_the_home_folder_is_the_last_and_elsewhere_only_the_folder_itself(tmp_path: Path) -> None:
    work = tmp_path / "home" / "work"
    work.mkdir(parents=True)
    path = write(tmp_path / "home", "offline = true")
    found = find_project(work)
    assert found is not None
    assert found.path == path
    (tmp_path / "shared" / "below").mkdir(parents=True)
    write(tmp_path / "shared", "offline = true")
    assert find_project(tmp_path / "shared" / "below") is None
    assert find_project(tmp_path / "shared") is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_above_is_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "home" / "below"
    below.mkdir(parents=True)
    path = write(tmp_path / "home", "offline = true")
    os.chown(path, 12345, -1)
    with pytest.raises(UserError, match="belongs to another user: accept it with XBENCH_PROJECT="):
        find_project(below)
    assert find_project(path.parent) is not None  # who works in a folder has chosen it
    monkeypatch.setenv("XBENCH_PROJECT", str(path))
    assert find_project(below) is not None


def test_the_variable_names_the_file_or_says_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "elsewhere", "seeds = [4]")
    write(tmp_path, "seeds = [5]")
    monkeypatch.setenv("XBENCH_PROJECT", str(path))
    found = find_project()
    assert found is not None
    assert found.request == {"seeds": [4]}
    monkeypatch.setenv("XBENCH_PROJECT", "")
    assert find_project() is None
    monkeypatch.setenv("XBENCH_PROJECT", str(tmp_path / "gone.toml"))
    with pytest.raises(UserError, match=r"gone\.toml: cannot be read"):
        find_project()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("taks = 'sts'", "unknown key 'taks' (did you mean 'tasks'?)"),
        ("seeds = 'all'", "seeds takes a list of whole numbers, not 'all'"),
        ("offline = 1", "offline takes true or false, not 1"),
        ("recipe = {lr = [1]}", "recipe takes a table of recipe settings"),
        ("seeds = [", "not TOML"),
        ("trust_remote_code = true", "is not taken from a file: pass --trust-remote-code"),
        ("[xbench]\ntrust_remote_code = true", "is not taken from a file: pass --trust-remote-code"),
        ("seeds = [1]\n[xbench]\nseeds = [2]", "seeds stands in [xbench] and outside of it"),
        ("plugins = ['../theirs.py']", "../theirs.py does not lie in"),
        ("plugins = ['/tmp/theirs.py']", "/tmp/theirs.py does not lie in"),
    ],
)
def test_what_a_file_may_not_say_is_one_line_with_its_path(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=r"^[^\n]+$") as caught:
        find_project()
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_link_out_of_the_folder_is_no_plugin_of_it(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("raise SystemExit")
    write(tmp_path / "project", "plugins = ['mine.py']")
    (tmp_path / "project" / "mine.py").symlink_to(tmp_path / "theirs.py")
    with pytest.raises(UserError, match=r"mine\.py does not lie in"):
        find_project(tmp_path / "project")


def test_the_command_line_stands_above_the_file_and_the_file_above_the_defaults(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
model = ["constant", "xlm-roberta-large"]
tasks = "mini-sts"
train = ["mini-sts-en", "none"]
eval = ["mini-sts-ko"]
seeds = [3, 4]
limit_train = 10
offline = true
[recipe]
epochs = 1
lr = 1e-4
optimizer = "adamw"
""",
    )
    planned = dry("--cache", "cache")
    cells = planned["cells"]
    assert isinstance(cells, list)
    assert {cell["model"] for cell in cells} == {"constant", "xlm-roberta-large"}
    assert {cell["curriculum"] for cell in cells} == {"mini-sts-en", "none"}
    assert {cell["dataset"] for cell in cells} == {"mini-sts-ko"}
    assert {cell["seed"] for cell in cells if cell["curriculum"] != "none"} == {3, 4}
    stages = planned["stages"]
    assert isinstance(stages, list)
    assert stages[0]["recipe"]["epochs"] == 1
    assert (stages[0]["recipe"]["lr"], stages[0]["recipe"]["optimizer"]) == (1e-4, "adamw")
    assert stages[0]["limit"] == 10
    assert planned["project"] == {
        "path": str(tmp_path / "xbench.toml"),
        "sets": {
            "offline": True, "model": ["constant", "xlm-roberta-large"], "tasks": "mini-sts", "eval": ["mini-sts-ko"],
            "train": ["mini-sts-en", "none"], "seeds": [3, 4], "limit_train": 10,
            "recipe": {"epochs": 1, "lr": 1e-4, "optimizer": "adamw"},
        },
    }  # fmt: skip
    own = dry("--cache", "cache", "--model", "xlm-roberta-large", "--seeds", "7", "--set", "recipe.epochs=3")
    stages = own["stages"]
    assert isinstance(stages, list)
    assert [stage["seed"] for stage in stages] == [7]
    assert (stages[0]["recipe"]["epochs"], stages[0]["recipe"]["lr"]) == (3, 1e-4)
    without = run("--no-project", "eval", "--dry-run")
    assert "Missing option '--model'" in without.output


def test_the_environment_stands_above_the_file_and_below_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("filed", "named", "asked"):
        (tmp_path / name / "korsts").mkdir(parents=True)
    write(tmp_path, 'data = "filed"\ncache = "kept"\noffline = true')
    shown = run("datasets", "korsts", "--json")
    assert str(tmp_path / "filed" / "korsts") in shown.stdout
    assert (tmp_path / "kept").is_dir() or not (tmp_path / "cache").exists()
    monkeypatch.setenv("XBENCH_DATA", str(tmp_path / "named"))
    assert str(tmp_path / "named" / "korsts") in run("datasets", "korsts", "--json").stdout
    assert "asked/korsts" in run("datasets", "korsts", "--json", "--data", "asked").stdout


def test_help_tells_what_the_file_sets(tmp_path: Path) -> None:
    write(tmp_path, "tasks = 'mini-sts'\nseeds = [0, 1]\nout = 'published'")
    text = " ".join(run("eval", "--help").output.split())
    assert "[default: mini-sts; required]" in text
    assert "--track T[,T2...] Write losses and scores where they can be watched: tensorboard, wandb, mlflow. --" in text
    assert "[default: 0,1]" in text
    assert f"{tmp_path / 'published'}"[-12:] in text


def test_a_value_that_does_not_fit_is_said_to_be_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from xbench.cli import main

    path = write(tmp_path, "device = 'tpu'\nmodel = 'constant'\ntasks = 'mini-sts'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["xbench", "eval", "--dry-run"])
        assert main() == 2
    said = capsys.readouterr().err
    assert f"(in {path})" in said
    assert said.count("\n") == 1


def test_words_that_narrow_something_down_elsewhere_are_not_taken_from_the_file(tmp_path: Path) -> None:
    write(tmp_path, "tasks = 'paper'\nmodel = 'e5-small-q4'\ntrain = 'stsb'")
    assert "there are no records" in str(run_error("compare", "stsb", "korsts"))


def run_error(*arguments: str) -> BaseException | None:
    return CliRunner().invoke(group, arguments).exception


def test_plugins_of_the_file_are_loaded_with_those_of_the_command_line(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    write(root, "plugins = ['mine.py']")
    (root / ".git").mkdir()
    (root / "mine.py").write_text(PLUGIN, encoding="utf-8")
    (root / "more.py").write_text(PLUGIN.replace('"mine"', '"more"'), encoding="utf-8")
    (root / "below").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        done = run("datasets", "--json", "--plugin", "more.py")
        assert '"mine"' in done.stdout
        assert '"more"' in done.stdout
        assert done.stderr == ""
        assert '"mine"' in run("datasets", "--json", "--plugin", "./mine.py").stdout  # once: not its own rival
        patch.chdir(root / "below")
        above = run("datasets", "--json")
        assert '"mine"' in above.stdout
        assert above.stderr == f"note: {root / 'xbench.toml'} loads mine.py\n"
        assert '"mine"' not in run("--no-project", "datasets", "--json").stdout


def test_a_model_folder_is_the_projects_and_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "below").mkdir()
    write(root, "model = './mine'\ntasks = 'mini-sts'\ntrain = 'none'\noffline = true")
    monkeypatch.chdir(root / "below")
    cells = dry("--cache", "cache")["cells"]
    assert isinstance(cells, list)
    assert {cell["model"] for cell in cells} == {"./../mine"}
