"""What the processes of a launch do that follow: they take part in the trainings that its first process leads."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import UserError
from ..plan import Plan
from ..progress import Reporter
from ..registry import Registry
from ..settings import Settings
from ..unfinished import folder_of
from ..work import Work, prepare_work
from .checkpoint import FollowedCheckpoints
from .device import choose_device
from .heap import start_afresh
from .loop import train
from .memory import MicroBatch
from .processes import Group, GroupLostError, join
from .stage import set_up


def follow(device: str, ask: Callable[[], tuple[Plan, Registry, Settings]]) -> int:
    """Follow until the leader needs nobody any more.

    Args:
        device: As ``--device`` has it.
        ask: What was asked for, read from the same command line as the leader's; its errors go to the leader.

    Returns:
        The exit status: 1 when the leader was lost.

    Raises:
        UserError: The processes cannot work together here.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # nothing here is to be tidied up or said
    work: Work | None = None
    group = join(device)
    try:
        for command in group.commands():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the leader ends its step first, and its end ends this one
            with contextlib.suppress(Exception), group.together(command):  # the leader has heard of it
                work = work or _prepare(ask)
                _take_part(command, work, group)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except GroupLostError:
        return 1
    group.part()
    return 0


def _prepare(ask: Callable[[], tuple[Plan, Registry, Settings]]) -> Work:
    """Find what the leader has found; all that it fetched and made is in the cache."""
    return prepare_work(*ask(), Reporter())


def _take_part(command: Mapping[str, Any], work: Work, group: Group) -> None:
    """Train a stage with the others.

    Raises:
        UserError: It is another stage here than where the leader is.
    """
    stage = work.stages[command["stage"]]
    key = work.stage_keys.get(stage.id)
    if key != command["key"]:
        raise UserError(f"{stage.label} cannot be trained here: " + _why(work))
    device = choose_device(work.settings.device)
    start_afresh(device)
    recipe = replace(stage.recipe, precision=command["precision"])
    module, tables, vocabulary, pad_id, _ = set_up(stage, recipe, work, device)
    train(
        module, tables, recipe, stage.seed, vocabulary, pad_id,
        micro_batch=MicroBatch(command["micro_batch_tokens"]),
        checkpoints=FollowedCheckpoints(folder_of(work.settings.cache, command["key"]), group, stage.seed), group=group,
    )  # fmt: skip


def _why(work: Work) -> str:
    """What is not as it is where the leader is."""
    missing = "; ".join(work.missing.values())
    return missing or "its model, rows or plugins are others than those of the process that leads"
