"""A child process that does turns: it prepares the work by itself, takes turns from its parent, and tells of them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from ..progress import Reporter
from .schedule import Schedule
from .turn import Job, do_turn

READY, HEARD, DONE, CRASHED = "ready", "heard", "done", "crashed"
"""What a child sends, each with something: that it waits for a turn, what a reporter is to hear, a turn's result, and a
traceback when it cannot go on."""
TOLD_EVERY_S = 0.2
Heard: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]
"""What a reporter hears: its method's name, and the arguments."""
_OFTEN = ("stage_step", "pass_step", "fetched")


@dataclass(frozen=True)
class Share:
    """What of the machine a child may use.

    Attributes:
        threads: On the CPU.
        device: What ``CUDA_VISIBLE_DEVICES`` is to be; None leaves it as it is.
    """

    threads: int
    device: str | None = None


class SentReporter(Reporter):
    """Sends all that it hears, what comes often a few times a second.

    Args:
        send: Takes a message.
    """

    def __init__(self, send: Callable[[tuple[str, Any]], None]) -> None:
        self._send, self._lock = send, threading.Lock()  # downloads tell from threads of their own
        self._kept: list[Heard] = []
        self._sent = 0.0
        self.muted = True
        for name in (name for name in dir(Reporter) if not name.startswith("_")):
            setattr(self, name, self._hears(name))

    def _hears(self, name: str) -> Callable[..., None]:
        def hear(*values: Any, **named: Any) -> None:
            if self.muted:
                return
            with self._lock:
                self._kept.append((name, values, named))
                if name not in _OFTEN or time.monotonic() - self._sent >= TOLD_EVERY_S:
                    self._flush()

        return hear

    def flush(self) -> None:
        """Send what is kept."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._kept:
            self._send((HEARD, self._kept))
            self._kept, self._sent = [], time.monotonic()


def relay(heard: Iterable[Heard], schedule: Schedule, reporter: Reporter) -> None:
    """Let a parent's reporter hear what another process's has heard.

    Args:
        heard: In order.
        schedule: Learns which stages stand: what goes on from one need not wait for its cells.
        reporter: Hears it.
    """
    for name, values, named in heard:
        if name == "stage_done":
            schedule.stands(values[0].id)
        getattr(reporter, name)(*values, **named)


def main(channel: Connection, job: Job, share: Share) -> None:
    """What the child does until its parent has no more for it, or is gone.

    Args:
        channel: To the parent.
        job: What is to be prepared.
        share: Of the machine.
    """
    # The parent may have been started where an interrupt is ignored; it passes its own on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(share.threads)
    if share.device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.device
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError, EOFError):
        try:
            _serve(channel, job, share)
        except Exception:  # noqa: BLE001  # the parent tells of it
            channel.send((CRASHED, traceback.format_exc()))
            raise SystemExit(1) from None


def _serve(channel: Connection, job: Job, share: Share) -> None:
    import torch

    torch.set_num_threads(share.threads)
    os.chdir(job.folder)
    reporter = SentReporter(channel.send)
    work = job.prepare(reporter)  # the parent has told of what is to be said here
    reporter.muted = False
    channel.send((READY, None))
    while (asked := channel.recv()) is not None:
        turn, told = asked
        result = do_turn(work, turn, told)
        reporter.flush()
        channel.send((DONE, result))


def _end_with_parent() -> None:
    """Nobody takes the results of a child whose parent was killed; what it has begun, the next run goes on with."""
    import multiprocessing.connection

    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
