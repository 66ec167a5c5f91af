"""What runs on the nodes of a cluster: a look at what a node sees, and turns.

What crosses between the driver and its nodes, Ray pickles and unpickles: these are processes of one user, on machines
that Ray lets run any code of this user. Nothing that comes from outside goes that way.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import UserError
from ..work import Turn, Work
from .child import Heard, SentReporter
from .events import Lines, Told
from .turn import Job, TurnResult, do_turn

if TYPE_CHECKING:
    from ray.actor import ActorHandle

SEEN_S = 60.0
"""Seconds for a parent stage to be seen: some network file systems show a new file only after a while."""
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
"""Where these differ, so may scores."""


@dataclass(frozen=True)
class Shared:
    """What all nodes must see, and what they must be.

    Attributes:
        marks: Files that the driver has written, in folders that all nodes write to; each holds its own name, which
            no other file has.
        read: What else the user has named: plugins, the data root, models' folders, and the working folder.
        versions: Of xbench and what it computes with.
    """

    marks: tuple[Path, ...]
    read: tuple[Path, ...]
    versions: Mapping[str, str]

    def problem(self) -> str:
        """What is wrong with this process's node; empty where nothing is."""
        for name, version in versions().items():
            if version != self.versions[name]:
                return f"has {name} {version}, and the driver {self.versions[name]}: install the same"
        for mark in self.marks:
            folder = mark.parent
            try:
                seen = mark.read_text(encoding="utf-8") == mark.name
            except OSError:
                seen = False
            if not seen:
                return f"does not see the driver's {folder}: it must lie on a file system that all nodes share"
            if not os.access(folder, os.W_OK | os.X_OK):
                return f"cannot write to {folder}"
        lost = next((path for path in self.read if not path.exists()), None)
        return "" if lost is None else f"does not see {lost}: it must lie on a file system that all nodes share"


def versions() -> dict[str, str]:
    """What this process would compute with; a build for another device is the same version."""
    found = {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}
    return {"xbench": __version__, **found}


def look(shared: Shared) -> str:
    """See whether this node can do turns; gives what is wrong."""
    return shared.problem()


@dataclass(frozen=True)
class Errand:
    """A turn with all that a node needs to do it.

    Attributes:
        number: Of the turn, for what it tells.
        job: With the part of the plan that the turn needs.
        turn: What to do.
        told: Whether the driver's reporter has heard that the stage stands.
        keys: Of the stages that the turn needs, by id, as the driver computed them.
        threads: To use.
        shared: What the node must see.
    """

    number: int
    job: Job
    turn: Turn
    told: bool
    keys: Mapping[str, str]
    threads: int
    shared: Shared


@dataclass(frozen=True)
class Unfit:
    """A node cannot do any turn.

    Attributes:
        node: Its id.
        reason: What is wrong with it.
    """

    node: str
    reason: str


def do_errand(errand: Errand, letterbox: ActorHandle[Any]) -> TurnResult | Unfit:
    """Do a turn on this node.

    Args:
        errand: The turn.
        letterbox: Takes what the reporter hears.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    last = [letterbox.tell.remote(Told(errand.number, node, []))]
    problem = errand.shared.problem()
    if problem:
        return Unfit(node, problem)

    def send(said: tuple[str, list[Heard]]) -> None:
        last[0] = letterbox.tell.remote(Told(errand.number, node, said[1]))

    reporter = SentReporter(send)
    os.chdir(errand.job.folder)
    with _printing(reporter):
        result = _do(errand, reporter)
    reporter.flush()
    ray.get(last[0])  # the driver hears all of a turn before its result
    return Unfit(node, result) if isinstance(result, str) else result


@contextlib.contextmanager
def _printing(reporter: SentReporter) -> Iterator[None]:
    """Let the driver hear what is printed."""
    host = platform.node()

    def say(line: str) -> None:
        reporter.note(f"{host}: {line}")

    with contextlib.redirect_stdout(Lines(sys.stdout, say)), contextlib.redirect_stderr(Lines(sys.stderr, say)):
        yield


def _do(errand: Errand, reporter: SentReporter) -> TurnResult | str:
    """Do a turn, or say why this node cannot."""
    import torch

    torch.set_num_threads(errand.threads)
    try:
        work = errand.job.prepare(reporter)
    except UserError as error:
        return f"cannot do a turn: {error}"
    reporter.muted = False  # the driver has told of what is to be said of the work itself
    wrong = _other_keys(errand, work)
    if wrong:
        return wrong
    stage = errand.turn.stage
    if stage is not None and stage.parent is not None:
        _see(errand.keys[stage.parent], work)
    return do_turn(work, errand.turn, errand.told)


def _other_keys(errand: Errand, work: Work) -> str:
    """What this node would do otherwise than the driver asked; empty where nothing is."""
    asked = {cell: key for group in errand.turn.groups for cell, key in group.items()}
    for cell, key in asked.items():
        if work.cell_keys.get(cell) != key:
            return work.reasons.get(cell, f"finds other rows or plugins for {cell.label} than the driver")
    for stage, key in errand.keys.items():
        if work.stage_keys.get(stage) != key:
            why = next(iter(work.missing.values()), "it finds other rows or plugins than the driver")
            return f"cannot train {work.stages[stage].label}: {why}"
    return ""


def _see(key: str, work: Work) -> None:
    """Wait until a stage that stands is seen from this node."""
    until = time.monotonic() + SEEN_S
    while work.store.stage(key) is None and time.monotonic() < until:
        time.sleep(1.0)
