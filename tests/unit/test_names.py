"""Names that plugins declare fit wherever a name stands: in curricula, lists, paths and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plans import forget_plugin_files
from xbench.curriculum import parse_curriculum
from xbench.errors import UserError
from xbench.registry import load_registry, owners_of

MADE = {
    "dataset": "Dataset(NAME, ('en',), 'pair-score', {'test': Split(())}, 'none', 'none', 'none', 'none')",
    "task": "TASK.format(name=json.dumps(NAME), group='mini')",
    "group": "TASK.format(name='\"made-up\"', group=NAME)",
    "metric": "Metric(NAME, 1, max, 'none')",
    "head": "Head(NAME, 1, ('pair-score',), 'none', len, len, len)",
    "floor": "Floor(NAME, 1, ('pair-score',), len, 'none')",
    "model": "Model(NAME, ('en',), 'none', 'none', 'none')",
    "schema": "Schema(NAME, {'id': 'string'}, len)",
    "diagnostic": "Diagnostic(NAME, len, 'none')",
    "figure": "Figure(NAME, max, 'none')",
}
PLUGIN = """
import json
from xbench.api import *

TASK = \'\'\'
name = {{name}}
title = "T"
version = 1
train = ["stsb"]
eval = ["stsb"]
heads = ["siamese"]
metrics = ["spearman"]
curricula = ["none"]
groups = ["{{group}}"]
\'\'\'
NAME = {name!r}

@hookimpl
def {hook}():
    return [{made}]
"""
Declare = Callable[[str, str], Path]


@pytest.fixture
def declare(tmp_path: Path) -> Iterator[Declare]:
    """Writes a plugin file that declares one thing of a kind under a name."""

    def write(kind: str, name: str) -> Path:
        hook = "xbench_tasks" if kind == "group" else f"xbench_{kind}s"
        path = tmp_path / "named.py"
        path.write_text(PLUGIN.format(name=name, hook=hook, made=MADE[kind]), encoding="utf-8")
        return path

    yield write
    forget_plugin_files()


def refused(plugin: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_registry([plugin])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "group"])
def test_small_letters_digits_and_three_signs_are_fine_whatever_is_named(kind: str, declare: Declare) -> None:
    plugin = declare(kind, "4.made_up-thing")
    assert owners_of(load_registry([plugin]))[str(plugin)] == [f"{kind} 4.made_up-thing"]


@pytest.mark.parametrize("kind", MADE)
def test_every_kind_of_name_is_checked(kind: str, declare: Declare) -> None:
    assert f"the {kind} name 'a:b' does not fit: write small letters" in refused(declare(kind, "a:b"))


BAD = ["a+b", "a,b", "../a", "a/b", "My-Pairs", "-a", ".a", "_a", "a b", " a", "a@1", "a\n", "größe", "", 7]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_a_curriculum_a_list_or_a_path_cannot_hold_breaks_its_plugin(name: str, declare: Declare) -> None:
    assert f"the dataset name {name!r} does not fit" in refused(declare("dataset", name))


def test_no_dataset_can_be_called_like_the_frozen_encoder(declare: Declare) -> None:
    assert parse_curriculum("none") == ()
    assert "no dataset can be called 'none'" in refused(declare("dataset", "none"))
    assert "none" in load_registry([declare("metric", "none")]).metrics.items


@pytest.mark.parametrize("fields", ["{}", "{'id': 'int64'}"])
def test_a_schema_has_ids(declare: Declare, fields: str) -> None:
    plugin = declare("schema", "made-up")
    plugin.write_text(plugin.read_text(encoding="utf-8").replace("{'id': 'string'}", fields), encoding="utf-8")
    assert "the schema made-up has no field 'id' of type 'string'" in refused(plugin)


@pytest.mark.parametrize("fields", ["{'id': 'string'}", "{'id': 'string', 'body': ['string']}"])
def test_a_schemas_texts_are_texts(declare: Declare, fields: str) -> None:
    plugin = declare("schema", "made-up")
    made = "Schema(NAME, {'id': 'string'}, len)"
    text = plugin.read_text(encoding="utf-8").replace(made, f"Schema(NAME, {fields}, len, texts=('body',))")
    plugin.write_text(text, encoding="utf-8")
    assert "the schema made-up has no text (or list of texts) 'body', which texts names" in refused(plugin)
