"""Plugins are loaded one by one: the good ones work, and the others are named with what is wrong with them."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plans import forget_plugin_files
from xbench.errors import UserError
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import Registry, load_registry, owners_of
from xbench.types import Hub

Install = Callable[..., None]

GOOD = '''
from xbench.api import Dataset, Metric, Split, hookimpl

TASK = """
name = "stranger"
title = "A stranger's task"
version = 1
train = ["stranger-en"]
eval = ["stranger-en"]
heads = ["siamese"]
metrics = ["stranger-score"]
curricula = ["none", "stranger-en"]
groups = ["strange"]
"""

@hookimpl
def xbench_datasets():
    split = Split(())
    splits = {"train": split, "test": split}
    about = ("CC0", "nobody", "nowhere", "made up")
    yield Dataset("stranger-en", ("en",), "pair-score", splits, *about, score_range=(0.0, 5.0))

@hookimpl
def xbench_metrics():
    return [Metric("stranger-score", 1, lambda predictions, references: {"stranger-score": 1.0}, "Always one.")]

@hookimpl
def xbench_tasks():
    return [TASK]
'''
STSB = """
from xbench.api import Dataset, Split, hookimpl

@hookimpl
def xbench_datasets():
    split = Split(())
    return [Dataset("stsb", ("en",), "pair-score", {"train": split, "test": split}, "CC0", "nobody", "nowhere", "!")]
"""
HOOK = "from xbench.api import Dataset, Metric, Split, hookimpl\n\n@hookimpl\ndef "
BROKEN = {
    "fails-at-import": ("raise RuntimeError('no\\n  licence')", "RuntimeError: no licence"),
    "does-not-compile": ("def (:", "SyntaxError: "),
    "needs-more": ("import a_module_that_nobody_has", "ModuleNotFoundError: .*a_module_that_nobody_has"),
    "leaves-at-import": ("raise SystemExit(3)", "SystemExit: 3"),
    "hook-raises": (HOOK + "xbench_datasets():\n    return [1 / 0]", "ZeroDivisionError: division by zero"),
    "hook-raises-late": (HOOK + "xbench_metrics():\n    yield 1 / 0", "ZeroDivisionError: division by zero"),
    "unknown-hook": (HOOK + "xbench_dataset():\n    return []", "PluginValidationError: .*xbench_dataset"),
    "wants-arguments": (HOOK + "xbench_datasets(config):\n    return []", "PluginValidationError: .*config"),
    "not-a-list": (HOOK + "xbench_datasets():\n    return 7", "TypeError: "),
    "not-a-dataset": (HOOK + "xbench_datasets():\n    return ['stsb']", "TypeError: .*xbench_datasets"),
    "metric-as-dataset": (
        HOOK + "xbench_datasets():\n    return [Metric('m', 1, max, 'x')]", "TypeError: .*xbench_datasets"
    ),
    "task-is-wrong": (HOOK + "xbench_tasks():\n    return ['titel = 1']", "task text: unknown key 'titel'.*'title'"),
    "task-is-absent": (
        "from pathlib import Path\n" + HOOK + "xbench_tasks():\n    return [Path('absent.toml')]",
        "absent.toml: cannot be read",
    ),
}  # fmt: skip


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution where the import system finds it, as pip would: a package and its metadata."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def write(distribution: str, source: str, version: str = "1.0", points: str = "") -> None:
        package = distribution.replace("-", "_")
        (site / package).mkdir()
        (site / package / "__init__.py").write_text(source, encoding="utf-8")
        metadata = site / f"{package}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[xbench]\n{points or f'{package} = {package}'}\n")
        importlib.invalidate_caches()

    yield write
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def plugin_file(tmp_path: Path) -> Iterator[Path]:
    """One file with a dataset, a metric and a task, as ``--plugin`` takes it."""
    path = tmp_path / "my_task.py"
    path.write_text(GOOD, encoding="utf-8")
    yield path
    forget_plugin_files()


def errors(registry: Registry) -> dict[str, str]:
    return {plugin.name: plugin.error for plugin in registry.plugins if plugin.error}


def test_the_shipped_plugins_are_whole(registry: Registry) -> None:
    assert registry.problems() == []
    assert {"sts", "e5_offline", "minilm_offline", "hub_models", "floors", "tasks"} <= {
        one.name for one in registry.plugins
    }
    assert all(plugin.distribution.startswith("xbench ") for plugin in registry.plugins)


def test_every_shipped_dataset_says_whose_it_is_and_where_its_rows_are(registry: Registry) -> None:
    for dataset in registry.datasets:
        schema = registry.schemas.get(dataset.schema, dataset.name)
        assert len(dataset.languages) in schema.languages, dataset.name
        assert all(re.fullmatch("[a-z]{2}", language) for language in dataset.languages), dataset.name
        assert dataset.licence, dataset.name
        assert dataset.citation, dataset.name
        assert dataset.homepage, dataset.name
        for name, split in dataset.splits.items():
            assert split.sources, (dataset.name, name)
            assert re.fullmatch("[0-9a-f]{64}", split.rows_sha256 or "0" * 64), (dataset.name, name)
            pinned = [source.revision for source in split.sources if isinstance(source, Hub)]
            assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in pinned), (dataset.name, name)


def test_every_shipped_model_has_one_source_and_a_pinned_commit(registry: Registry) -> None:
    for model in registry.models:
        assert sum(way is not None for way in (model.write, model.folder, model.hub)) == 1, model.name
        assert model.hub is None or re.fullmatch("[0-9a-f]{40}", model.hub[1]), model.name


def test_every_shipped_task_plans(registry: Registry) -> None:
    for task in registry.tasks:
        plan = make_plan(Request(("m",), (task.name,), (*task.curricula, *task.baselines.values())), registry)
        assert {cell.dataset for cell in plan.cells} == {text.partition("/")[0] for text in task.eval}
        assert set(task.baselines) <= set(task.eval)


def test_a_strangers_plugin_is_as_good_as_a_built_in_one(install: Install) -> None:
    install("stranger-tasks", GOOD, "2.3")
    registry = load_registry()
    assert registry.problems() == []
    plan = make_plan(Request(("m",), ("strange",), ("none", "stranger-en", "stranger-en+stsb")), registry)
    assert [cell.curriculum for cell in plan.cells] == ["none", "stranger-en", "stranger-en+stsb"]
    (owner,) = registry.datasets.owners["stranger-en"]
    assert str(owner) == "stranger_tasks (stranger-tasks 2.3)"
    owned = ["dataset stranger-en", "metric stranger-score", "task stranger"]
    assert owners_of(registry)["stranger_tasks"] == owned


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_its_distribution_and_error(name: str, install: Install) -> None:
    source, error = BROKEN[name]
    install(name, source, "0.9")
    install("stranger-tasks", GOOD)
    registry = load_registry()
    (broken,) = (plugin for plugin in registry.plugins if plugin.error)
    assert (broken.name, broken.distribution) == (name.replace("-", "_"), f"{name} 0.9")
    assert re.match(error, broken.error)
    assert "\n" not in broken.error
    assert registry.problems() == [f"the plugin {broken} is broken: {broken.error}"]
    assert len(make_plan(Request(("m",), ("sts", "stranger")), registry).cells) == 22


def test_a_broken_plugin_declares_nothing_at_all(install: Install) -> None:
    install("half-good", GOOD + "\n@hookimpl\ndef xbench_models():\n    raise ValueError('late')\n")
    registry = load_registry()
    assert errors(registry) == {"half_good": "ValueError: late"}
    assert "half_good" not in owners_of(registry)
    with pytest.raises(UserError, match="unknown dataset 'stranger-en'"):
        registry.datasets.get("stranger-en")


def test_an_unknown_name_mentions_the_plugins_that_might_have_had_it(install: Install) -> None:
    for name in ("fails-at-import", "unknown-hook"):
        install(name, BROKEN[name][0])
    registry = load_registry()
    for catalogue in registry.catalogues():
        with pytest.raises(UserError) as caught:
            catalogue.get("imdb", "--tasks")
        message = str(caught.value)
        assert message.startswith(f"--tasks: unknown {catalogue.kind} 'imdb'")
        assert "fails_at_import (fails-at-import 1.0) is broken: RuntimeError: no licence" in message
        assert "unknown_hook (unknown-hook 1.0) is broken: PluginValidationError" in message
        assert "\n" not in message


def test_a_name_with_two_owners_is_an_error_that_names_both(install: Install) -> None:
    install("other-stsb", STSB, "4.5")
    registry = load_registry()
    with pytest.raises(UserError) as caught:
        registry.datasets.get("stsb")
    assert "dataset 'stsb'" in str(caught.value)
    assert "other_stsb (other-stsb 4.5)" in str(caught.value)
    assert re.search(r"sts \(xbench [0-9.]+", str(caught.value))
    assert [line for line in registry.problems() if "'stsb'" in line and "other-stsb 4.5" in line]
    with pytest.raises(UserError, match="two owners"):
        make_plan(Request(("m",), ("sts",)), registry)


def test_what_needs_neither_a_broken_plugin_nor_a_doubled_name_goes_on(install: Install) -> None:
    install("other-stsb", STSB)
    install("stranger-tasks", GOOD)
    for name in ("fails-at-import", "hook-raises", "unknown-hook"):
        install(name, BROKEN[name][0])
    registry = load_registry()
    assert len(errors(registry)) == 3
    assert len(make_plan(Request(("m",), ("mini-sts", "stranger")), registry).cells) == 22
    request = Request(("m",), ("sts",), ("korsts",), datasets=("korsts", "sts17-es"))
    assert len(make_plan(request, registry).cells) == 2


def test_two_distributions_may_use_one_entry_points_name(install: Install) -> None:
    install("stranger-tasks", GOOD, points="tasks = stranger_tasks")
    registry = load_registry()
    assert registry.problems() == []
    assert "stranger" in registry.tasks.items
    assert "sts" in registry.tasks.items


def test_a_group_stands_for_its_tasks_in_the_order_of_their_names(install: Install) -> None:
    for letter, task in (("a", "zebra"), ("z", "aardvark")):  # plugins are loaded in the order of the first letter
        source = GOOD.replace("stranger", task).replace('groups = ["strange"]', 'groups = ["mini", "zoo"]')
        install(f"{letter}-plugin", source)
    registry = load_registry()
    assert [task.name for task in registry.expand_tasks(["zoo"])] == ["aardvark", "zebra"]
    mini = [task.name for task in registry.expand_tasks(["mini"])]
    assert mini == sorted(mini)
    assert {"aardvark", "mini-sts", "zebra"} <= set(mini)
    assert [task.name for task in registry.expand_tasks(["sts", "zoo", "aardvark"])] == ["sts", "aardvark", "zebra"]


def test_the_shipped_groups_expand(registry: Registry) -> None:
    groups = {name: [task.name for task in registry.expand_tasks([name])] for name in ("paper", "mini")}
    assert groups == {
        "paper": ["alignment", "alignment-sts", "mrc", "sentiment", "sts"],
        "mini": ["mini-alignment", "mini-mrc", "mini-sentiment", "mini-sts"],
    }


def test_a_file_is_a_plugin(plugin_file: Path) -> None:
    registry = load_registry([plugin_file])
    assert registry.problems() == []
    assert (registry.plugins[-1].name, registry.plugins[-1].distribution) == (str(plugin_file), "file")
    assert len(make_plan(Request(("m",), ("stranger",)), registry).cells) == 2
    with pytest.raises(UserError, match="unknown task 'stranger'"):
        load_registry().tasks.get("stranger")


def test_two_files_of_one_name_are_two_plugins(plugin_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / plugin_file.name
    other.parent.mkdir()
    other.write_text(GOOD.replace("stranger", "other"), encoding="utf-8")
    registry = load_registry([plugin_file, other])
    assert {"stranger", "other"} <= set(registry.tasks.items)


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "task-is-absent"])
def test_a_broken_file_stops_at_once_since_the_user_asked_for_it(name: str, plugin_file: Path) -> None:
    source, error = BROKEN[name]
    plugin_file.write_text(source, encoding="utf-8")
    with pytest.raises(UserError, match=f"--plugin {re.escape(str(plugin_file))}: .*{error.split(': ')[-1]}") as caught:
        load_registry([plugin_file])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.py", "folder", "notes.txt"])
def test_what_is_no_python_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("not Python")
    with pytest.raises(UserError, match=re.escape(f"--plugin {tmp_path / name}: ")):
        load_registry([tmp_path / name])


def test_a_file_that_doubles_a_name_is_named_beside_the_owner(plugin_file: Path) -> None:
    plugin_file.write_text(STSB, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(f"{plugin_file} (file)")):
        load_registry([plugin_file]).datasets.get("stsb")
