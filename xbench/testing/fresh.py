"""Loads one plugin in a process of its own, and tells what that imported and read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

HEAVY = (
    "torch", "transformers", "datasets", "pandas", "scipy", "sklearn", "tokenizers", "evaluate", "matplotlib",
    "tensorflow", "keras", "jax", "accelerate", "peft", "sentence_transformers", "spacy", "stanza", "nltk", "gensim",
    "polars", "pyarrow", "huggingface_hub",
)  # fmt: skip
"""What takes a good part of a second to import, or several, and no listing and no dry run needs."""
NETWORK = ("socket.connect", "socket.getaddrinfo")
"""Python's own events of a program that asks another machine."""
TIMEOUT_S = 300


class _Watch:
    """Stands before the other finders: notes who first asked for a heavy module, and finds nothing itself."""

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Note the places from which a module is imported, the innermost one first."""
        if name in HEAVY and name not in self.asked:
            self.asked[name] = _places()
        return None


def _places() -> list[str]:
    """The places that led to whoever asks, ``file:line``, the innermost one first."""
    frames = traceback.extract_stack()[:-2][::-1]
    return [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename[:1] != "<"]


def load_afresh(targets: Sequence[str]) -> dict[str, Any]:
    """Load what a plugin consists of, and nothing else, in a new interpreter.

    Args:
        targets: As `Point` has them.

    Returns:
        ``heavy``: by module, the places that led to its import, ``file:line``, the innermost first; ``opened``: the
        files that were opened meanwhile; ``network``: by the machine that was asked, the same places; ``error``: why
        it could not be loaded.

    Raises:
        RuntimeError: The process broke off.
    """
    paths = [path or os.getcwd() for path in sys.path]
    done = subprocess.run(  # noqa: S603  # this very interpreter, on this very module
        [sys.executable, "-P", "-c", f"from {__name__} import main; main()", *targets],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"loading in a new process broke off: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    """Load the targets on the command line and print what that took, as JSON."""
    from ..registry import Plugin, Registry, import_file, load_one, new_manager

    watch, opened, network = _Watch(), set(), dict[str, list[str]]()
    before = {name for name in HEAVY if name in sys.modules}
    sys.meta_path.insert(0, watch)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            opened.add(arguments[0])
        elif event in NETWORK:
            host = arguments[1] if event == NETWORK[0] else arguments[0]
            network.setdefault(str(host[0] if isinstance(host, tuple) else host), _places())

    sys.addaudithook(hear)
    registry, manager = Registry(), new_manager()
    for target in sys.argv[1:]:
        kind, _, name = target.partition(":")
        load = partial(import_file, Path(name)) if kind == "file" else EntryPoint(name, name, "xbench").load
        load_one(registry, manager, Plugin(name, kind), load)
    heavy = {name: watch.asked.get(name, []) for name in HEAVY if name in sys.modules and name not in before}
    error = "; ".join(plugin.error for plugin in registry.plugins if plugin.error)
    print(json.dumps({"heavy": heavy, "opened": sorted(opened), "network": network, "error": error}))
