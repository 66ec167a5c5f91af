"""``xbench check``: from a name, a file or a folder to lines that people read and JSON that programs do."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.conforming import GOOD, ON_THE_HUB, Broken, write_plugin
from tests.plans import forget_plugin_files
from xbench.cli import group
from xbench.errors import UserError
from xbench.testing import CHECKS, find_plugin

QUICK = "loads,credits,pinned,own-names"


@pytest.fixture(autouse=True)
def _forget(tmp_path: Path) -> Iterator[None]:
    before = list(sys.path)
    yield
    forget_plugin_files()
    sys.path[:] = before
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def check(tmp_path: Path, *arguments: str) -> Result:
    """The command, offline, with a cache of its own."""
    places = ["--cache", str(tmp_path / "cache"), "--offline"]
    return CliRunner().invoke(group, ["check", *arguments, *places], standalone_mode=False)


def told(result: Result) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_a_whole_plugin_ends_well(tmp_path: Path) -> None:
    done = check(tmp_path, str(write_plugin(tmp_path)), "--only", QUICK)
    assert (done.return_value, done.exception) == (0, None)
    assert "passed  dataset my-reviews-en: credits\n" in done.stdout
    assert "passed  dataset my-reviews-de/test: pinned\n" in done.stdout
    assert done.stdout.endswith("8 passed\n")


def test_a_failure_is_shown_in_full_and_ends_with_1(tmp_path: Path) -> None:
    path = write_plugin(tmp_path, Broken("", "", [("            rows_sha256=SHA256[split, language],\n", "")]))
    done = check(tmp_path, str(path), "--only", QUICK)
    assert done.return_value == 1
    lines = done.stdout.splitlines()
    at = lines.index("failed  dataset my-reviews-en/train: pinned")
    assert lines[at + 1] == "        - what:  nobody would notice other rows: rows_sha256 not declared"
    assert lines[at + 2].startswith("          where: ")
    assert lines[at + 4].strip() == "rows=40,"
    assert lines[at + 5].strip().startswith('rows_sha256="')
    assert lines[-1] == "4 passed, 4 failed"


def test_what_it_says_to_paste_is_right(tmp_path: Path) -> None:
    path = write_plugin(tmp_path, Broken("", "", [("rows_sha256=SHA256[split, language]", "rows_sha256=None")]))
    results = told(check(tmp_path, str(path), "--only", "pinned", "--json"))["results"]
    pasted = {one["thing"].partition(" ")[2]: one["problems"][0]["mend"].split('"')[1] for one in results}
    source = path.read_text(encoding="utf-8")
    names = "{" + ", ".join(f"{name!r}: {pin!r}" for name, pin in pasted.items()) + "}"
    path.write_text(source.replace("rows_sha256=None", f"rows_sha256={names}[f'{{name}}/{{split}}']"), encoding="utf-8")
    assert check(tmp_path, str(path), "--only", "pinned").return_value == 0


def test_json_tells_passed_failed_and_skipped_apart(tmp_path: Path) -> None:
    edits = [*ON_THE_HUB, ('licence="CC BY 4.0"', 'licence=""')]
    path = write_plugin(tmp_path, Broken("", "", edits))
    answer = told(check(tmp_path, str(path), "--only", QUICK, "--json"))
    assert {name: answer[name] for name in ("passed", "failed", "skipped")} == {"passed": 2, "failed": 2, "skipped": 4}
    outcomes = {(one["check"], one["thing"]): one for one in answer["results"]}
    unseen = outcomes["pinned", "dataset my-reviews-en/test"]
    assert unseen["outcome"] == "skipped"
    assert "hub dataset a/b: not in the hub cache" in unseen["reason"]
    failed = outcomes["credits", "dataset my-reviews-en"]
    assert failed["problems"][0].keys() == {"what", "where", "mend"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stss"], "unknown plugin 'stss' (did you mean 'sts'?)"),
        (["xbnch"], "unknown plugin 'xbnch' (did you mean 'xbench'?)"),
        (["gone.py"], "gone.py: there is no such file"),
        (["sts", "--only", "pined"], "unknown check 'pined' (did you mean 'pinned'?)"),
        ([], "name a plugin, a Python file or a project's folder"),
    ],
)
def test_a_wrong_request_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = check(tmp_path, *arguments)
    assert isinstance(done.exception, UserError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_the_list_names_every_check(tmp_path: Path) -> None:
    rows = json.loads(check(tmp_path, "--list", "--json").stdout)
    assert [row["check"] for row in rows] == [check.name for check in CHECKS]
    assert all(row["what"].endswith(".") for row in rows)


def test_a_distributions_name_stands_for_all_its_plugins(tmp_path: Path) -> None:
    everything = find_plugin("xbench")
    assert {point.plugin.name for point in everything.points} > {"sts", "mrc", "tasks"}
    assert check(tmp_path, "XBench", "--only", "loads").return_value == 0


@pytest.mark.parametrize("folder", [".", "src"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[project]\nname = "mine"\n[project.entry-points.xbench]\nmine = "my_reviews"\n'),
        ("setup.cfg", "[options.entry_points]\nxbench =\n    mine = my_reviews\n"),
    ],
)
def test_a_projects_folder_needs_no_installing(tmp_path: Path, file: str, text: str, folder: str) -> None:
    (tmp_path / "project" / folder).mkdir(parents=True)
    write_plugin(tmp_path / "project" / folder)
    (tmp_path / "project" / file).write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    done = check(tmp_path, str(tmp_path / "project"), "--only", f"{QUICK},light")
    assert done.stdout.endswith("9 passed\n"), done.stdout
    assert done.return_value == 0


@pytest.mark.parametrize("name", [".", "my_reviews.py", "mine"])
def test_a_project_that_is_installed_as_well_is_not_its_own_rival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    project, site = tmp_path / "project", tmp_path / "site" / "my_project-1.0.dist-info"
    project.mkdir()
    site.mkdir(parents=True)
    write_plugin(project)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "p"\n[project.entry-points.xbench]\nmine = "my_reviews"\n'
    )
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: my-project\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text("[xbench]\nmine = my_reviews\n")
    for path in (site.parent, project):  # as an editable install does
        monkeypatch.syspath_prepend(str(path))
    monkeypatch.chdir(project)
    importlib.invalidate_caches()
    done = check(tmp_path, name, "--only", "loads,own-names,plans")
    assert (done.return_value, done.exception) == (0, None), done.stdout


def test_a_folder_that_declares_no_plugin_is_a_wrong_request(tmp_path: Path) -> None:
    done = check(tmp_path, str(tmp_path))
    assert "declares no plugin: name a Python file, or add [project.entry-points.xbench]" in str(done.exception)


def test_a_package_is_looked_at_in_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(GOOD.partition("HERE =")[0] + "from . import parts\n", encoding="utf-8")
    (package / "parts.py").write_text(
        "import csv\n\n\ndef late():\n    from xbench.store import Store\n", encoding="utf-8"
    )
    metadata = tmp_path / "site" / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[xbench]\nmine = my_package\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    answer = told(check(tmp_path, "My.Package", "--only", "loads,public-names", "--json"))
    loads, names = answer["results"]
    assert loads["problems"][0]["what"] == "it declares nothing"
    assert names["problems"][0]["where"].endswith("parts.py:5")
    assert "xbench.store.Store" in names["problems"][0]["what"]


def test_an_error_in_a_package_names_the_last_place_in_the_packages_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "my_other"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .parts import read\n\nread()\n", encoding="utf-8")
    (package / "parts.py").write_text("import json\n\n\ndef read():\n    json.loads('{')\n", encoding="utf-8")
    metadata = tmp_path / "site" / "my_other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[xbench]\nother = my_other\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    (problem,) = told(check(tmp_path, "other", "--only", "loads", "--json"))["results"][0]["problems"]
    assert problem["what"].startswith("JSONDecodeError: ")
    assert "my_other/parts.py:5 (plugin other (my-other 1.0))" in problem["where"]
