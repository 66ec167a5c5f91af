"""``xbench doctor``: what it finds whole, what it finds broken, how it says to mend it; and what it never shows."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.loopback import Site
from tests.not_root import NOT_EVEN_ROOT
from xbench.cli import group
from xbench.doctor.around import _reach, _within
from xbench.doctor.installed import GIVES, _unmet
from xbench.doctor.machine import _threads

ROOT = Path(__file__).parents[2]
WORKING_ON_XBENCH = {"dev", "fuzz", "bench"}
TOKEN = "hf_" + "a" * 34


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XBENCH_PROJECT", "XBENCH_DATA", "XBENCH_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def doctor(*arguments: str) -> Result:
    return CliRunner(catch_exceptions=False).invoke(
        group, ["doctor", "--cache", "cache", *arguments], standalone_mode=False
    )


def findings(*arguments: str) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    done = doctor("--offline", "--json", *arguments)
    shown = json.loads(done.stdout)
    return int(done.return_value), {one["name"]: one for one in shown["findings"]}, shown


def test_a_machine_that_works_is_said_to_work(data_root: Path, tmp_path: Path) -> None:
    status, found, shown = findings("--data", str(data_root))
    assert (status, shown["broken"], shown["project"]) == (0, 0, None)
    assert found["data root"]["said"] == str(data_root)
    here, _, splits = found["datasets"]["said"].split()[:3]
    assert 40 < int(here) <= int(splits)
    assert "e5-small-q4" in found["models"]["said"].split("; from the hub")[0]
    assert found["torch"]["said"].split(" on ")[1].startswith("cpu")
    assert found["hub"]["said"].startswith("not tried (--offline)")
    assert "GB free" in found["cache"]["said"]
    assert found["results"]["said"] == "leaderboard can be written, when made"
    assert list(tmp_path.iterdir()) == []  # nothing is changed


def test_what_is_broken_is_said_with_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(
        "from xbench.api import Dataset, Split, hookimpl\n@hookimpl\ndef xbench_datasets():\n"
        "    return [Dataset('stsb', ('en',), 'pair-score', {'test': Split(())}, '', '', '', '')]\n"
    )
    (tmp_path / "file").write_text("")
    done = doctor("--offline", "--plugin", "twice.py", "--data", "gone", "--cache", "file")
    assert done.return_value == 1
    text = done.stdout
    assert "broken  plugins: the dataset 'stsb' has two owners" in text
    assert "broken  data root: the data root gone is not a folder" in text
    assert "broken  cache: file cannot be written: Not a directory\n        -> --cache DIR or XBENCH_CACHE" in text
    assert "3 broken" in text.splitlines()[-1]


def test_a_plugin_file_that_cannot_be_loaded_is_a_finding_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nowhere_at_all")
    status, found, _ = findings("--plugin", "bad.py")
    assert status == 1
    assert "nowhere_at_all" in found["plugin file"]["said"]
    assert found["torch"]["state"] == "ok"


def test_the_project_file_is_named_with_what_it_sets(tmp_path: Path) -> None:
    path = tmp_path / "xbench.toml"
    path.write_text('seeds = [1]\nplugins = ["gone.py"]\n[recipe]\nlr = 1e-4')
    status, found, shown = findings()
    assert status == 1
    assert found["project file"]["said"] == f"{path} sets seeds, recipe, plugins; not there: {tmp_path / 'gone.py'}"
    assert shown["project"]["path"] == str(path)


def test_a_project_file_that_cannot_be_read_is_a_finding_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "xbench.toml").write_text("seeds = [")
    status, found, shown = findings()
    assert (status, shown["project"], shown["broken"]) == (1, None, 1)
    assert found["project file"]["said"].startswith(f"{tmp_path / 'xbench.toml'}: not TOML")
    assert "--no-project" in found["project file"]["mend"]
    assert found["torch"]["state"] == "ok"


def test_packages_that_are_there_and_cannot_be_imported_are_named_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    for name in ("pyarrow", "huggingface_hub"):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").write_text("raise ImportError('built for another\\nPython')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "xbench", "doctor", "--offline", "--cache", "cache", "--json"], cwd=tmp_path,
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(ROOT)))},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    said = "cannot be imported: ImportError: built for another Python"
    assert all(f"{name} {said}" in found["packages"]["said"] for name in ("pyarrow", "huggingface_hub"))
    assert "--force-reinstall" in found["packages"]["mend"]
    assert found["hub"]["said"].startswith("cannot be looked at: ImportError")
    assert found["locale"]["state"] in ("ok", "note")


@pytest.mark.parametrize(
    ("closed", "mode", "name", "says"),
    [
        ("cache", 0o500, "cache", "cache cannot be written: Permission denied"),
        ("cache/stages", 0o500, "cache", "cache/stages cannot be written: Permission denied"),
        ("leaderboard/results", 0o500, "results", "leaderboard/results cannot be written: Permission denied"),
        ("data", 0o000, "data root", "data cannot be read"),
    ],
)
def test_what_cannot_be_written_or_read_is_named_and_the_rest_is_looked_at(
    tmp_path: Path, closed: str, mode: int, name: str, says: str
) -> None:
    for place in ("data", closed):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / closed).chmod(mode)
    asked = [sys.executable, "-P", "-m", "xbench", "doctor", "--offline", "--cache", "cache", "--json"]
    done = subprocess.run(
        [*NOT_EVEN_ROOT, *asked], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), "XBENCH_DATA": "data"},
    )  # fmt: skip
    (tmp_path / closed).chmod(0o700)
    assert done.returncode == 1, done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert (found[name]["state"], found[name]["said"]) == ("broken", says)
    assert found["locale"]["state"] in ("ok", "note")


def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for arguments in (["--offline"], ["--offline", "--json"]):
        done = doctor(*arguments)
        assert "a token is set" in done.output
        assert TOKEN not in done.output
        assert TOKEN[:8] not in done.output


def test_the_hub_is_asked_once_and_not_for_long(site: Site) -> None:
    assert _reach(site.address) == ""  # any answer is one
    assert "refused" in _reach("http://127.0.0.1:9")
    assert _within(0.05, _slow) == "not in 0.05 s"


def _slow() -> str:
    time.sleep(0.5)
    return ""


def test_extras_are_told_from_what_xbench_needs_and_old_versions_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "xbench-9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: xbench\nVersion: 9\nRequires-Dist: click>=8\nRequires-Dist: rich>=9000\n"
        "Provides-Extra: track\nRequires-Dist: nothing-of-the-kind; extra == 'track'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (old,) = _unmet("") or []
    assert old.startswith("rich is ")
    assert old.endswith("not >=9000")
    assert _unmet("track") == ["nothing-of-the-kind is not installed"]
    assert _unmet("figures") is None


def test_every_extra_for_users_is_looked_at() -> None:
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(GIVES) == set(declared["options.extras_require"]) - WORKING_ON_XBENCH


def test_more_threads_than_cores_is_a_note() -> None:
    assert _threads(10_000).state == "note"
    assert _threads(1).state == "ok"
