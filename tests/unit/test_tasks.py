"""A task file says what it means, or one line says which key of which file is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.errors import UserError
from xbench.tasks import Task, load_task

SHIPPED = sorted((Path(__file__).parents[2] / "tasks").glob("*.toml"))
GOOD = """
name = "t"
title = "T"
version = 1
train = ["stsb"]
eval = ["stsb", "korsts"]
heads = ["siamese"]
metrics = ["spearman"]
curricula = ["none", "stsb"]
"""
REQUIRED = ("name", "title", "version", "train", "eval", "heads", "metrics", "curricula")
LISTS = ("train", "eval", "heads", "metrics", "curricula", "groups", "diagnostics", "figures")
TEXTS = ("name", "title", "description", "source", "train_split", "eval_split")


def refused(source: Path | str) -> str:
    """The one line that a wrong task gets."""
    with pytest.raises(UserError) as caught:
        load_task(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{source}: " if isinstance(source, Path) else "task text: ")
    return message


def with_value(key: str, value: str) -> str:
    """The good task with one key's value replaced, or added."""
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{key} =")]
    return "\n".join([*lines, f"{key} = {value}"])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_task_says_what_its_file_says(path: Path) -> None:
    task, values = load_task(path), tomllib.loads(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        assert getattr(task, key) == (tuple(value) if isinstance(value, list) else value)
    assert task.name == path.stem
    assert task.path == str(path)
    assert task.description
    assert task.groups
    assert task.source


def test_the_tasks_of_this_release_are_all_there() -> None:
    assert {"sts.toml", "mini-sts.toml"} <= {path.name for path in SHIPPED}


def test_the_least_that_a_task_needs_is_enough() -> None:
    expected = Task(
        name="t", title="T", version=1, train=("stsb",), eval=("stsb", "korsts"), heads=("siamese",),
        metrics=("spearman",), curricula=("none", "stsb"), path="task text",
    )  # fmt: skip
    assert load_task(GOOD) == expected
    assert (expected.train_split, expected.eval_split, expected.seeds) == ("train", "test", (0,))


def test_a_file_and_its_text_are_the_same_task(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(GOOD, encoding="utf-8")
    from_file, from_text = load_task(tmp_path / "t.toml"), load_task(GOOD)
    assert {**vars(from_file), "path": ""} == {**vars(from_text), "path": ""}


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("titel", "title"), ("head", "heads"), ("metric", "metrics"), ("curriculum", "curricula"), ("Recipe", "recipe"),
     ("train-split", "train_split"), ("baseline", "baselines")],
)  # fmt: skip
def test_an_unknown_key_is_named_with_the_nearest_one(typo: str, meant: str, tmp_path: Path) -> None:
    path = tmp_path / "my task.toml"
    path.write_text(f'{GOOD}\n{typo} = "x"', encoding="utf-8")
    message = refused(path)
    assert f"unknown key {typo!r}" in message
    assert f"did you mean {meant!r}?" in message


def test_the_path_is_no_key() -> None:
    assert "unknown key 'path'" in refused(with_value("path", '"elsewhere"'))


@pytest.mark.parametrize("key", REQUIRED)
def test_a_key_that_must_be_there_is_asked_for(key: str) -> None:
    without = "\n".join(line for line in GOOD.splitlines() if not line.startswith(f"{key} ="))
    message = refused(without)
    assert repr(key) in message
    assert "missing" in message


@pytest.mark.parametrize("key", [key for key in REQUIRED if key != "version"])
def test_a_key_that_must_be_there_must_say_something(key: str) -> None:
    message = refused(with_value(key, '""' if key in TEXTS else "[]"))
    assert repr(key) in message
    assert "empty" in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        *((key, value, "a list of texts") for key in LISTS for value in ('"stsb"', "1", '["a", 1]', '[["a"]]', "{}")),
        *((key, value, "a text") for key in TEXTS for value in ("1", "true", '["a"]')),
        *(("version", value, "a whole number") for value in ('"1"', "1.0", "true")),
        *(("seeds", value, "a list of whole numbers") for value in ("0", "[0.0]", '["0"]', "[true]")),
        *(("recipe", value, "a table") for value in ('"x"', "[]")),
        *(("baselines", value, "a table of texts") for value in ('"x"', "{ korsts = 1 }", '{ korsts = ["korsts"] }')),
    ],
)
def test_a_wrong_type_is_named_with_what_is_expected(key: str, value: str, words: str) -> None:
    message = refused(with_value(key, value))
    assert f": {key} takes {words}, not " in message


@pytest.mark.parametrize("text", ["name = ", 'name = "a', "[recipe", "= 1", 'name = "a"\nname = "b"'])
def test_a_file_that_is_not_toml_says_where(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text, encoding="utf-8")
    message = refused(path)
    assert "not TOML" in message
    assert "(at " in message


def test_a_file_that_is_not_text_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_bytes(b'name = "\xff\xfe"')
    assert "not TOML" in refused(tmp_path / "t.toml")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent.toml")
    assert "Is a directory" in refused(tmp_path)


@given(st.text(max_size=30))
def test_no_text_is_more_than_a_users_mistake(text: str) -> None:
    with pytest.raises(UserError):
        load_task(text)
