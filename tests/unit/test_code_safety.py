"""What our code never does: load a pickle, evaluate a text, open a shell. And SECURITY.md says what is so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("xbench", "plugins", "tasks") for path in (ROOT / folder).rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "pandas.read_pickle",
    "numpy.fromfile", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "tarfile.open.extractall",
    "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput", "shutil.unpack_archive",
}  # fmt: skip
ALIASES = {"np": "numpy", "pd": "pandas"}
METHODS = {"extractall", "read_pickle"}


def name_of(node: ast.expr) -> str:
    """``a.b.c`` of a call's function; empty where it is none."""
    if isinstance(node, ast.Name):
        return ALIASES.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            named = {
                name.split(".")[0] for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else names)
            }
            if named & MODULES:
                yield f"line {node.lineno}: imports {named & MODULES}"
            if isinstance(node, ast.ImportFrom) and {f"{node.module}.{name}" for name in names} & CALLS:
                yield f"line {node.lineno}: imports {names} from {node.module}"
        if isinstance(node, ast.Call):
            name, given = name_of(node.func), {one.arg: one.value for one in node.keywords}
            if name in CALLS or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
                yield f"line {node.lineno}: calls {name or ast.unparse(node.func)}"
            if name == "numpy.load" and not is_false(given.get("allow_pickle")):
                yield f"line {node.lineno}: numpy.load without allow_pickle=False"
            if "shell" in given and not is_false(given["shell"]):
                yield f"line {node.lineno}: shell="


def is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_loads_a_pickle_or_runs_a_text(path: Path) -> None:
    assert list(offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import torch\ntorch.load('x')", "from torch import load",
        "eval('1')", "exec('1')", "import os\nos.system('x')", "import yaml\nyaml.load('x')",
        "import numpy as np\nnp.load('x')", "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import subprocess\nsubprocess.run('x', shell=True)", "tar.extractall('x')",
        "import pandas as pd\npd.read_pickle(1)",
    ],
)  # fmt: skip
def test_each_of_them_would_be_found(source: str) -> None:
    assert list(offences(source))


def test_what_looks_alike_is_none() -> None:
    assert not list(offences("module.eval()\nre.compile('x')\nnp.load('x', allow_pickle=False)\nyaml.safe_load('x')"))


def test_the_tests_that_security_md_names_are_there() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) >= 10
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{file}::{test}"
