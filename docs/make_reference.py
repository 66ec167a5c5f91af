"""Writes docs/reference.md from the docstrings of the hooks and of all that a plugin may import.

    python docs/make_reference.py            # write it
    python docs/make_reference.py --check    # status 1 when it is not what the code says

The code is read and not run, so that the text depends on nothing but the code.
"""

from __future__ import annotations

import ast
import html
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "reference.md"
EXAMPLES = ("own-pairs", "own-metric", "named-entities")
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
LONGEST = 24
"""Lines of an example, at most: a longer value is left out, and its hook's function stands alone."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = ast.ClassDef | Function | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Module:
    """A Python file that has been parsed.

    Attributes:
        path: The file.
        source: Its text.
        body: Its statements.
    """

    path: Path
    source: str
    body: Sequence[ast.stmt]

    @classmethod
    def read(cls, path: Path) -> Module:
        """Parse a file."""
        source = path.read_text(encoding="utf-8")
        return cls(path, source, ast.parse(source).body)

    def text(self, node: ast.AST) -> str:
        """What stands in the file for a node, on one line."""
        return " ".join((ast.get_source_segment(self.source, node) or "").split())

    def lines(self, node: ast.stmt) -> str:
        """What stands in the file for a statement, its decorators included."""
        first = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
        return "\n".join(self.source.splitlines()[first - 1 : node.end_lineno])

    def defines(self) -> dict[str, tuple[Definition, str]]:
        """Everything at the file's top level by name, with its docstring, or the text behind an assignment."""
        found: dict[str, tuple[Definition, str]] = {}
        for node, after in zip(self.body, [*self.body[1:], None], strict=True):
            if isinstance(node, ast.ClassDef | Function):
                found[node.name] = (node, ast.get_docstring(node) or "")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name):
                    found[target.id] = (node, _literal(after))
        return found


def _literal(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


@dataclass
class Docstring:
    """A docstring in Google's style, taken apart.

    Attributes:
        text: What stands before the sections.
        items: By section: names, or types, with their text.
        prose: By section: its text, where it is no list of names.
    """

    text: str
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    prose: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Docstring:
        """Take a docstring apart."""
        before, *rest = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.MULTILINE)
        found = cls(before.strip())
        for section, body in zip(rest[::2], rest[1::2], strict=True):
            inside = re.match(r"(?:[ \t]+.*(?:\n|\Z)|\n)*", body)
            assert inside is not None
            lines = inspect.cleandoc(inside[0])
            found.text += "\n\n" + body[inside.end() :].strip() if body[inside.end() :].strip() else ""
            if section in ("Returns", "Yields"):
                found.prose[section] = lines
                continue
            parts = re.split(r"^([A-Za-z_*][\w.*]*):[ \n]", lines, flags=re.MULTILINE)
            found.items[section] = {
                name: " ".join(said.split()) for name, said in zip(parts[1::2], parts[2::2], strict=True)
            }
        return found


def public_names() -> dict[str, Module]:
    """Everything in ``xbench.api.__all__``, with the file that it is written in."""
    api = Module.read(ROOT / "xbench" / "api.py")
    where: dict[str, str] = {}
    for node in ast.walk(ast.Module([*api.body], [])):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            where.update((name.name, node.module) for name in node.names)
    ((names, _),) = [found for name, found in api.defines().items() if name == "__all__"]
    assert isinstance(names, ast.Assign)
    modules: dict[str, Module] = {}
    for place in {where[name] for name in ast.literal_eval(names.value)}:
        modules[place] = Module.read(ROOT / "xbench" / f"{place.replace('.', '/')}.py")
    return {name: modules[where[name]] for name in ast.literal_eval(names.value)}


def plugin_modules() -> dict[str, Module]:
    """The worked plugins and ours, by the name of their folder or module: the examples first, in the guide's order."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    points = dict(line.split(" = ") for line in setup["options.entry_points"]["xbench"].strip().splitlines())
    paths = {name: ROOT / "docs" / "examples" / name / name.replace("-", "_") for name in EXAMPLES}
    for module in points.values():
        paths[module] = ROOT / re.sub("^xbench_(plugins|tasks)", r"\1", module).replace(".", "/")
    files = {name: path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for name, path in paths.items()}
    return {name: Module.read(file) for name, file in files.items()}


def hooks() -> dict[str, tuple[Function, str]]:
    """The hooks in their order, with their docstrings."""
    module = Module.read(ROOT / "xbench" / "hookspecs.py")
    return {
        name: (node, text)
        for name, (node, text) in module.defines().items()
        if isinstance(node, Function) and any(module.text(mark) == "hookspec" for mark in node.decorator_list)
    }


def implementations(hook: str) -> dict[str, tuple[Module, Function]]:
    """The plugins that implement a hook, by name, with the function."""
    found = {}
    for plugin, module in plugin_modules().items():
        node, _ = module.defines().get(hook, (None, ""))
        if isinstance(node, Function) and any(module.text(mark) == "hookimpl" for mark in node.decorator_list):
            found[plugin] = (module, node)
    return found


def example(module: Module, node: Function) -> str:
    """A hook's function, and the list that it gives where that stands in a file beside it."""
    parts = [module.lines(node)]
    given = node.body[-1].value if isinstance(node.body[-1], ast.Return) else None
    if isinstance(given, ast.Name):
        for other in sorted(module.path.parent.glob("*.py")) if module.path.name == "__init__.py" else [module.path]:
            beside = Module.read(other)
            found = beside.defines().get(given.id)
            lines = beside.lines(found[0]) if found else ""
            if found and len(lines.splitlines()) <= LONGEST:
                parts.insert(0, lines)
                break
    return "\n\n\n".join(parts)


class Writer:
    """Writes Markdown in which a public name is a link, in a type and in a text.

    Args:
        names: All of them.
    """

    def __init__(self, names: Mapping[str, Module]) -> None:
        self.names = names

    def type(self, text: str) -> str:
        """A type, or a whole signature, as code with links."""
        linked = re.sub(
            r"(?<![\w.])[A-Za-z_]\w*(?!\w)",
            lambda word: f'<a href="#{word[0].lower()}">{word[0]}</a>' if word[0] in self.names else word[0],
            html.escape(text, quote=False),
        )
        return f"<code>{linked}</code>"

    def prose(self, text: str) -> str:
        """A docstring's text: double backticks are code, and single ones a name."""

        def name(match: re.Match[str]) -> str:
            first = match[1].split(".")[0]
            return f"[`{match[1]}`](#{first.lower()})" if first in self.names else f"`{match[1]}`"

        parts = re.split("(``.+?``)", text)
        parts[::2] = [re.sub("(?<!`)`([^`]+)`", name, part) for part in parts[::2]]
        parts[1::2] = [part[1:-1] for part in parts[1::2]]
        return "".join(parts)

    def item(self, name: str, kind: str, default: str, text: str) -> str:
        """A line of a list."""
        typed = f": {self.type(f'{kind} = {default}' if default else kind)}" if kind else ""
        return f"- **{name}**{typed}" + (f"  \n  {self.prose(text)}" if text else "")

    def sections(self, said: Docstring, kinds: Mapping[str, str]) -> Iterator[str]:
        """What a function takes, gives and raises."""
        for section in ("Args", "Returns", "Yields", "Raises"):
            if section in said.prose:
                yield f"*{section}*: {self.prose(said.prose[section])}"
            elif section in said.items:
                lines = [self.item(name, kinds.get(name, ""), "", text) for name, text in said.items[section].items()]
                yield f"*{'Arguments' if section == 'Args' else section}*:\n\n" + "\n".join(lines)

    def function(self, name: str, module: Module, node: Function, text: str) -> Iterator[str]:
        """A function or a method: its signature and its docstring."""
        is_property = any(module.text(mark) == "property" for mark in node.decorator_list)
        arguments = [part for part in _arguments(module, node) if part not in ("self", "cls")]
        result = f" -> {module.text(node.returns)}" if node.returns else ""
        yield self.type(f"{name}{'' if is_property else '(' + ', '.join(arguments) + ')'}{result}")
        said = Docstring.parse(text)
        yield self.prose(said.text)
        yield from self.sections(said, {})

    def class_(self, module: Module, node: ast.ClassDef, text: str) -> Iterator[str]:
        """A class: its docstring, its attributes, its public methods."""
        said = Docstring.parse(text)
        bases = [module.text(base) for base in node.bases]
        if bases:
            yield f"Of the kind {', '.join(self.type(base) for base in bases)}."
        yield self.prose(said.text)
        meant = said.items.get("Attributes", {})
        fields = {
            module.text(item.target): (module.text(item.annotation), module.text(item.value) if item.value else "")
            for item in node.body
            if isinstance(item, ast.AnnAssign)
        }
        if fields:
            yield "\n".join(self.item(name, *kind, meant.get(name, "")) for name, kind in fields.items())
        yield from self.sections(Docstring("", {"Args": said.items["Args"]} if "Args" in said.items else {}), {})
        for method in node.body:
            if isinstance(method, Function) and not method.name.startswith("_"):
                lines = list(self.function(f"{node.name}.{method.name}", module, method, _doc(method)))
                yield f"#### {node.name}.{method.name}"
                yield from lines


def _doc(node: Function) -> str:
    return ast.get_docstring(node) or ""


def _arguments(module: Module, node: Function) -> Iterator[str]:
    """Each argument as it is written, with its type and its default."""
    plain = [*node.args.posonlyargs, *node.args.args]
    defaults = [*[None] * (len(plain) - len(node.args.defaults)), *node.args.defaults]
    for argument, default in zip(plain, defaults, strict=True):
        yield module.text(argument) + (f" = {module.text(default)}" if default is not None else "")
    if node.args.vararg:
        yield f"*{module.text(node.args.vararg)}"
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        yield module.text(argument) + (f" = {module.text(default)}" if default is not None else "")


def hook_parts(writer: Writer) -> Iterator[str]:
    """The first half: each hook, who implements it, and how one does."""
    for hook, (node, text) in hooks().items():
        module = Module.read(ROOT / "xbench" / "hookspecs.py")
        yield f"### {hook}"
        yield from writer.function(hook, module, node, text)
        found = implementations(hook)
        plugin, (first, function) = next(iter(found.items()))
        yield f"Implemented by {', '.join(f'`{name}`' for name in found)}. In `{plugin}`:"
        yield f"```python\n{example(first, function)}\n```"


def name_parts(writer: Writer) -> Iterator[str]:
    """The second half: every name that a plugin may import."""
    kinds: dict[str, list[str]] = {"Types": [], "Functions and values": []}
    for name, module in writer.names.items():
        node, _ = module.defines()[name]
        alias = isinstance(node, ast.AnnAssign)
        kinds["Types" if isinstance(node, ast.ClassDef) or alias else "Functions and values"].append(name)
    for title, names in kinds.items():
        yield f"## {title}"
        yield " · ".join(f"[{name}](#{name.lower()})" for name in names)
        for name in names:
            module = writer.names[name]
            node, text = module.defines()[name]
            yield f"### {name}"
            if isinstance(node, ast.ClassDef):
                yield from writer.class_(module, node, text)
            elif isinstance(node, Function):
                yield from writer.function(name, module, node, text)
            else:
                assert node.value is not None
                yield writer.type(f"{name} = {module.text(node.value)}")
                yield writer.prose(text)


def reference() -> str:
    """The whole text."""
    writer = Writer(public_names())
    about = ast.get_docstring(ast.parse((ROOT / "xbench" / "hookspecs.py").read_text(encoding="utf-8"))) or ""
    listed = " · ".join(f"[{hook}](#{hook})" for hook in hooks())
    parts = [
        "# Reference: hooks and types",
        "Made by `make docs` from the docstrings; a test holds it to the code.",
        "## Hooks",
        writer.prose(about),
        "All that a plugin needs is in `xbench.api`: `from xbench.api import hookimpl`. Nothing else of xbench is a "
        "promise. Three worked plugins are in [examples](examples/README.md).",
        listed,
        *hook_parts(writer),
        *name_parts(writer),
    ]
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the reference, or see whether it is what the code says."""
    text = reference()
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("docs/reference.md is not what the code says: make docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
