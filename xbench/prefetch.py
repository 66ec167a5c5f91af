"""What a plan needs from elsewhere: what of it is here, how large the rest is, and fetching it in one go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from .data.addresses import NotHereError
from .data.rows import prepare
from .data.sources import to_fetch
from .errors import UserError
from .models.hub import COMMIT, snapshot_bytes
from .models.resolve import model_here, resolve_model
from .plan import Plan
from .registry import Registry
from .settings import Settings

T = TypeVar("T")
SIDE_BY_SIDE = 4
"""Downloads at once: enough to fill a line, and not so many that a publisher's server minds."""


@dataclass(frozen=True)
class Need:
    """Something that a plan reads and that may have to be fetched.

    Attributes:
        name: A model as the user wrote it, or a dataset.
        split: Of the dataset; empty for a model.
    """

    name: str
    split: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.name} {self.split}" if self.split else f"the model {self.name}"


@dataclass(frozen=True)
class Finding:
    """What became of a need.

    Attributes:
        need: Which.
        here: Whether it is on this machine, whole and checked, so that no network is needed for it.
        why_not: Else, why not.
        downloads: What has to be fetched for it: bytes by address, None where the server does not say.
    """

    need: Need
    here: bool
    why_not: str = ""
    downloads: dict[str, int | None] = field(default_factory=dict)


def needs(plan: Plan, registry: Registry) -> list[Need]:
    """Everything that a plan reads: its models, and the splits that it trains on, scores, fits on and chooses by.

    Args:
        plan: Whose.
        registry: What the plugins declare.

    Returns:
        Each once, in the plan's order. Floors need no model.
    """
    models = [Need(cell.model) for cell in plan.cells if not cell.is_floor]
    trained = [Need(name, stage.split) for stage in plan.stages for name in stage.mixture]
    others = [Need(*where) for cell in plan.cells for where in cell.splits(())]
    return list(dict.fromkeys([*models, *trained, *others]))


def look(need: Need, registry: Registry, settings: Settings) -> Finding:
    """Whether something is here, with its weights hashed or its rows checked; nothing is fetched.

    Args:
        need: What.
        registry: What the plugins declare.
        settings: Folders; no server is asked, whatever they say.
    """
    try:
        _get(need, registry, replace(settings, offline=True))
    except (UserError, OSError) as error:
        return Finding(need, False, str(error))
    return Finding(need, True)


def survey(wanted: Sequence[Need], registry: Registry, settings: Settings) -> list[Finding]:
    """What is here, and how large what is not; servers are asked for sizes, and nothing is fetched or assembled.

    Args:
        wanted: What.
        registry: What the plugins declare.
        settings: Folders; offline, no server is asked.

    Returns:
        In the same order.
    """
    found = dict(_side_by_side(lambda need: _size(need, registry, settings), wanted))
    return [found[need] for need in wanted]


def fetch(
    wanted: Sequence[Need], registry: Registry, settings: Settings, done: Callable[[Finding], None]
) -> list[Finding]:
    """Fetch what is not here, several things side by side, and check all of it: rows, weights, tokenizers.

    Args:
        wanted: What.
        registry: What the plugins declare.
        settings: Folders; offline, nothing is fetched.
        done: Hears of each thing when it is there, or cannot be had.

    Returns:
        What is here in the end, looked for in the way of a machine without a network; in the order of ``wanted``.
    """

    def one(need: Need) -> Finding:
        try:
            _get(need, registry, settings)
        except (UserError, OSError) as error:
            return Finding(need, False, str(error))
        return look(need, registry, settings)

    found: dict[Need, Finding] = {}
    for need, finding in _side_by_side(one, wanted):
        found[need] = finding
        done(finding)
    return [found[need] for need in wanted]


def _side_by_side(work: Callable[[Need], T], wanted: Sequence[Need]) -> Iterator[tuple[Need, T]]:
    """Do something for several needs at once, in threads that nobody waits for when the process is to end.

    A pool would be waited for: whoever presses Ctrl-C would sit through all that is being fetched. What has come of it
    stays, as after any other break.
    """
    left: SimpleQueue[Need] = SimpleQueue()
    results: SimpleQueue[tuple[Need, T | BaseException]] = SimpleQueue()
    for need in wanted:
        left.put(need)
    stopped = threading.Event()

    def work_off() -> None:
        while not stopped.is_set():
            try:
                need = left.get_nowait()
            except Empty:
                return
            try:
                results.put((need, work(need)))
            except BaseException as error:  # noqa: BLE001  # it is raised again where it is heard
                results.put((need, error))

    for _ in range(min(SIDE_BY_SIDE, len(wanted))):
        threading.Thread(target=work_off, daemon=True).start()
    try:
        for _ in wanted:
            need, result = results.get()
            if isinstance(result, BaseException):
                raise result
            yield need, result
    finally:
        stopped.set()


def _get(need: Need, registry: Registry, settings: Settings) -> None:
    if need.split:
        dataset = registry.datasets.get(need.name)
        prepare(dataset, need.split, registry.schemas.get(dataset.schema), settings)
    else:
        resolve_model(need.name, registry, settings)


def _size(need: Need, registry: Registry, settings: Settings) -> Finding:
    if need.split:
        found = look(need, registry, settings)
        return found if found.here or settings.offline else _size_rows(need, registry, settings)
    return _size_model(need, registry, settings)


def _size_rows(need: Need, registry: Registry, settings: Settings) -> Finding:
    """The files of the first source that can serve."""
    reasons = []
    for source in registry.datasets.get(need.name).splits[need.split].sources:
        try:
            return Finding(need, False, "", to_fetch(source, settings))
        except NotHereError as error:
            reasons.append(str(error))
    return Finding(need, False, "; ".join(reasons))


def _size_model(need: Need, registry: Registry, settings: Settings) -> Finding:
    name, _, revision = need.name.partition("@")
    declared = registry.models.get(name) if name in registry.models.owners else None
    if declared is not None and declared.hub is None:
        here = model_here(need.name, "", registry, settings) is not None
        return Finding(need, here, "" if here else "it is assembled here, from an installed package")
    found = look(need, registry, settings)
    repository, pinned = (name, None) if declared is None or declared.hub is None else declared.hub
    wanted = revision or pinned
    if settings.offline or (Path(need.name).expanduser() / "config.json").is_file():
        return found
    if found.here and wanted is not None and COMMIT.fullmatch(wanted):
        return found  # a branch may have moved since: of such, the hub is asked again
    try:
        downloads = snapshot_bytes(repository, wanted, settings)
    except NotHereError as error:
        return found if found.here else Finding(need, False, str(error))
    return Finding(need, found.here and not downloads, "", downloads)
