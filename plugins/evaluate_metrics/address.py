"""Where a metric of evaluate is: the address that a task gives, and the script that it leads to."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from xbench.api import Access, UserError, content_key, file_sha256

PREFIX = "evaluate"
METHOD = 1
"""Raised when the same script would give other scores or draws."""
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Address:
    """What stands behind ``evaluate:``, taken apart.

    Attributes:
        place: A path, or a name on the hub.
        revision: Of the hub's repository; empty for that of the installed evaluate.
        options: For the script's ``compute``; ``config_name`` among them is for loading it.
    """

    place: str
    revision: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take an address apart; an option's value is JSON where it is that, else a text."""
        place, _, query = text.partition("?")
        name, _, revision = place.partition("@")
        options = {key: _value(value) for key, value in parse_qsl(query, keep_blank_values=True)}
        whole = cls(place, "", options)
        return whole if whole.is_local else cls(name, revision, options)

    @property
    def is_local(self) -> bool:
        """Whether it is a path."""
        return self.place.startswith(".") or Path(self.place).is_absolute()

    @property
    def metric_name(self) -> str:
        """``evaluate-f1-average-macro``."""
        stem = Path(self.place).stem if self.is_local else self.place
        parts = [PREFIX, stem, self.revision, *(f"{key}-{value}" for key, value in sorted(self.options.items()))]
        return re.sub("[^a-z0-9._-]+", "-", "-".join(part for part in parts if part).lower())


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def find_script(address: Address, access: Access) -> Path:
    """The Python file of a metric.

    Args:
        address: Where it is.
        access: What the user allows: a script from the hub is fetched where the network may be used, and is taken only
            where code that was fetched may run.

    Raises:
        UserError: It is not there, or not to be used.
    """
    if address.is_local:
        path = Path(address.place)
        path = path / f"{path.name}.py" if path.is_dir() else path
        if path.suffix != ".py" or not path.is_file():
            raise UserError(f"evaluate:{address.place}: there is no such script (a .py file, or a folder with one)")
        return path
    if not _HUB.fullmatch(address.place):
        raise UserError(f"evaluate:{address.place}: write a name on the hub, or a path that begins with ./")
    if not access.trust_remote_code:
        raise UserError(
            f"evaluate:{address.place} is code from the hub, and runs only with --trust-remote-code; a copy of it "
            f"beside the task's file is your own: evaluate:./{address.place.split('/')[-1]}.py"
        )
    return _from_hub(address, access)


def _from_hub(address: Address, access: Access) -> Path:
    """Out of the hub's cache or from the hub, at the revision that evaluate takes; else out of evaluate's own cache."""
    from huggingface_hub import snapshot_download

    repository = address.place if "/" in address.place else f"evaluate-metric/{address.place}"
    name = f"{repository.split('/')[1]}.py"
    reason = "it has no such script"
    for revision in [address.revision] if address.revision else [f"v{_evaluate_version()}", "main"]:
        try:
            folder = snapshot_download(
                repository, repo_type="space", revision=revision, allow_patterns=["*.py"],
                local_files_only=access.offline,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001  # the hub's client raises many kinds; each means: not from here
            reason = type(error).__name__  # its text might hold a token
            continue
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    from evaluate import config

    cached = Path(config.HF_MODULES_CACHE) / "evaluate_modules" / "metrics" / repository.replace("/", "--")
    known = [] if address.revision else sorted(cached.glob(f"*/{name}"), key=lambda path: path.stat().st_mtime)
    if known:
        return known[-1]
    if access.offline:
        raise UserError(f"evaluate:{address.place} is not in the hub's cache, and the network is not to be used")
    raise UserError(f"evaluate:{address.place} cannot be had from the hub ({reason})")


def script_files(path: Path) -> list[Path]:
    """A script and what it imports from beside it, as far as evaluate follows it.

    Args:
        path: The script.

    Raises:
        UserError: It is not Python, or imports something that is not there or comes from a web address.
    """
    try:
        source = path.read_text(encoding="utf-8")
        parsed = ast.parse(source)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"evaluate:{path}: cannot be read as Python: {' '.join(str(error).split())}") from None
    if re.search(r"^(from|import)\s+\..*#\s+From:", source, re.MULTILINE):
        raise UserError(f"evaluate:{path}: imports code from a web address (# From:): keep a copy beside the script")
    relative = [node for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom) and node.level]
    names = {node.module.split(".")[0] for node in relative if node.module}
    files = [path, *(path.parent / f"{name}.py" for name in sorted(names))]
    for file in files:
        if not file.is_file():
            raise UserError(f"evaluate:{path}: imports {file.name}, which is not beside it")
    return files


def check_options(path: Path, options: Mapping[str, Any]) -> None:
    """See that a script's ``_compute`` takes the options, as far as its text tells: nothing is trained in vain.

    Args:
        path: The script, which `script_files` has read.
        options: As in the address.

    Raises:
        UserError: It does not.
    """
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    found = [node.args for node in ast.walk(parsed) if isinstance(node, ast.FunctionDef) and node.name == "_compute"]
    if not found or any(arguments.kwarg for arguments in found):
        return
    takes = {one.arg for arguments in found for one in (*arguments.args, *arguments.kwonlyargs)}
    takes -= {"self", "predictions", "references"}
    for name in options.keys() - takes - {"config_name"}:
        known = ", ".join(sorted(takes)) or "none"
        raise UserError(f"evaluate:{path}: its _compute takes no option {name!r:.60}; it takes: {known}")


def _evaluate_version() -> str:
    return importlib.metadata.version("evaluate")


def identity(files: Sequence[Path], options: Mapping[str, Any]) -> int:
    """A metric's version: the first 31 bits of the hash of all that its scores follow from.

    Args:
        files: The script and what it imports from beside it: their names and bytes count, not where they lie.
        options: For ``compute``.

    Returns:
        1 to 2^31 - 1.
    """
    content = {
        "files": {file.name: file_sha256(file) for file in files}, "options": dict(options),
        "evaluate": _evaluate_version(), "method": METHOD,
    }  # fmt: skip
    return max(1, int(content_key("evaluate-metric", content)[:8], 16) >> 1)
