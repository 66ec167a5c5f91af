"""``xbench tasks|datasets|models|plugins``: lists, and one thing in full."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xbench.keys import file_sha256

from .conftest import Program


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tasks", {"sts", "mini-sts"}),
        ("datasets", {"stsb", "korsts", "sts17-es", "sts17-ar", "sts17-en", "sts17-es-en", "mini-sts-ko"}),
        ("models", {"e5-small-q4", "all-minilm-l6-v2", "random-encoder", "xlm-roberta-large", "constant"}),
        ("plugins", {"sts", "e5_offline", "tasks"}),
    ],
)
def test_a_list_names_what_is_there(program: Program, kind: str, names: set[str]) -> None:
    listed = json.loads(program(kind, "--json").stdout)
    assert names <= {row["name"] for row in listed}
    table = program(kind).stdout
    assert all(name in table for name in names)


def test_a_dataset_in_full_names_licence_citation_rows_and_why_it_is_not_here(program: Program) -> None:
    shown = json.loads(program("datasets", "korsts", "--json").stdout)
    assert shown["licence"] == "CC BY-SA 4.0"
    assert "KorSTS" in shown["citation"]
    assert {split["split"]: split["rows"] for split in shown["splits"]} == {"train": 5749, "dev": 1500, "test": 1379}
    assert not any(split["here"] for split in shown["splits"])
    assert all("XBENCH_DATA" in split["why_not"] for split in shown["splits"])


@pytest.mark.parametrize(
    ("arguments", "why"), [([], "showing a dataset downloads nothing"), (["--offline"], "--offline")], ids=str
)
def test_a_dataset_in_full_says_why_its_address_was_not_tried(program: Program, arguments: list[str], why: str) -> None:
    shown = json.loads(program("datasets", "squad", "--json", *arguments).stdout)
    assert all(f"was not tried ({why})" in split["why_not"] for split in shown["splits"])


def test_the_hubs_own_switch_is_named_where_it_keeps_a_file_away(program: Program) -> None:
    (program.folder / "predictions.json").write_text('{"a": "b"}')
    done = program("score", "squad", "predictions.json")  # under HF_HUB_OFFLINE, as all commands here
    assert done.returncode == 2
    assert "was not tried (HF_HUB_OFFLINE is set)" in done.stderr


def test_a_dataset_under_the_data_root_is_here(program: Program, data_root: Path) -> None:
    shown = json.loads(program("datasets", "korsts", "--json", XBENCH_DATA=str(data_root)).stdout)
    assert all(split["here"] and split["from"] == "data root" for split in shown["splits"])


def test_a_dataset_on_the_terminal_tells_a_split_in_a_line(program: Program, data_root: Path) -> None:
    lines = program("datasets", "squad", XBENCH_DATA=str(data_root)).stdout.splitlines()
    train, reason, dev = (
        lines.index(line) for line in lines if "train: " in line or "not there" in line or "dev:" in line
    )
    assert lines[train].endswith("train: 87,599 rows, unpinned, not here")
    assert "squad-44 or tydiqa-en can stand in" in lines[reason]
    assert lines[dev].endswith("dev: 10,570 rows, sha256 700cd7f4b456, here (data root)")
    assert (train, reason, dev) == (train, train + 1, train + 2)
    assert any("from hub" in line and line.endswith("rajpurkar/squad@7b6d24c440a3") for line in lines)
    others = program("datasets", "xquad-es", XBENCH_DATA=str(data_root)).stdout.splitlines()
    assert any("not on hub" in line and "the hub's copy is other rows" in line for line in others)
    assert not any(line.startswith(("labels", "score range")) for line in lines)


def test_a_model_in_full_tells_the_folder_that_others_can_load(program: Program, tiny: Callable[..., Path]) -> None:
    folder = tiny("bert")
    shown = json.loads(program("models", str(folder), "--json").stdout)
    assert Path(shown["folder"]) == folder.resolve()
    assert shown["weights_sha256"] == file_sha256(folder / "model.safetensors")


def test_a_model_from_a_package_is_found_without_a_hub(program: Program) -> None:
    shown = json.loads(program("models", "all-minilm-l6-v2", "--json").stdout)
    assert (Path(shown["folder"]) / "model.safetensors").is_file()
    assert shown["languages"] == ["en"]


def test_a_floor_is_listed_among_the_models_and_shown_in_full(program: Program) -> None:
    kinds = {row["name"]: row["kind"] for row in json.loads(program("models", "--json").stdout)}
    assert (kinds["constant"], kinds["lexical-overlap"], kinds["e5-small-q4"]) == ("floor", "floor", "encoder")
    shown = json.loads(program("models", "lexical-overlap", "--json").stdout)
    assert (shown["kind"], shown["schemas"]) == ("floor", ["pair-score", "span", "parallel"])
    assert "folder" not in shown
    assert "floor constant" in json.loads(program("plugins", "floors", "--json").stdout)["declares"]


def test_a_plugin_file_is_listed_with_what_it_declares(project: Program) -> None:
    shown = json.loads(project("plugins", "my_task.py", "--plugin", "my_task.py", "--json").stdout)
    assert shown["declares"] == ["dataset my-pairs-en", "dataset my-pairs-de", "task my-pairs"]
    assert shown["error"] == ""
