"""Every hook and every name of xbench.api is documented, shown at work, and in docs/reference.md as the code has it."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import xbench.api
from xbench import hookspecs
from xbench.registry import Registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def maker() -> Iterator[ModuleType]:
    """docs/make_reference.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["make_reference"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_reference"]


def test_the_reference_is_what_the_code_says(maker: ModuleType) -> None:
    assert maker.main(["--check"]) == 0, "make docs"


def test_every_hook_is_documented_and_used(maker: ModuleType) -> None:
    named = {catalogue.hook for catalogue in Registry().catalogues()}
    specified = {name for name in vars(hookspecs) if name.startswith("xbench_")}
    assert set(maker.hooks()) == named == specified
    text = maker.TARGET.read_text(encoding="utf-8")
    for hook, (_, said) in maker.hooks().items():
        summary, _, when = said.partition("\n\n")
        assert summary.startswith("Give "), hook
        assert when.strip(), f"{hook}: when is what it gives used?"
        assert maker.implementations(hook), f"{hook}: neither a plugin of ours nor an example uses it"
        assert f"### {hook}\n" in text


def test_every_name_of_the_api_has_a_docstring(maker: ModuleType) -> None:
    names = maker.public_names()
    assert list(names) == xbench.api.__all__ == sorted(xbench.api.__all__)
    text = maker.TARGET.read_text(encoding="utf-8")
    for name, module in names.items():
        _, said = module.defines()[name]
        assert said, f"{name} has no docstring"
        assert f"### {name}\n" in text


def test_every_attribute_and_argument_is_explained(maker: ModuleType) -> None:
    """Those of frozen values and functions; a TypedDict is a row of a schema, and its schema explains it."""
    for name, module in maker.public_names().items():
        node, said = module.defines()[name]
        items = maker.Docstring.parse(said).items
        if isinstance(node, ast.ClassDef) and not any(ast.unparse(base) == "TypedDict" for base in node.bases):
            fields = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]
            assert set(items.get("Attributes", {})) == set(fields), name
        if isinstance(node, ast.FunctionDef):
            taken = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
            assert list(items.get("Args", {})) == taken, name


def test_every_link_leads_somewhere(maker: ModuleType) -> None:
    text = maker.TARGET.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall("^#+ (.+)$", text, re.M)
    }
    targets = re.findall(r'href="#([^"]+)"', text) + re.findall(r"\]\(#([^)]+)\)", text)
    assert len(targets) > 100
    assert set(targets) <= headings
    files = re.findall(r"\]\(([^#)][^)]*)\)", text)
    assert all((maker.TARGET.parent / file).exists() for file in files)


def test_a_docstring_is_taken_apart(maker: ModuleType) -> None:
    said = maker.Docstring.parse(
        "One line.\n\nMore of it.\n\nArgs:\n    first: What it\n        is.\n    second: (rows, 2) Numbers: two.\n\n"
        "Returns:\n    A thing.\n\nRaises:\n    UserError: It is not.\n"
    )
    assert said.text == "One line.\n\nMore of it."
    assert said.items["Args"] == {"first": "What it is.", "second": "(rows, 2) Numbers: two."}
    assert said.prose == {"Returns": "A thing."}
    assert said.items["Raises"] == {"UserError": "It is not."}
