"""Does the turns on a Ray cluster that is there: each is a task with its CPUs and, where there are any, a GPU.

Ray says that a task was lost and why; that it is done again is decided here, so that a stage that kills every machine
it comes to (Ray repeats for ever what ran out of memory) ends as a failure, and so that each loss is told.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .. import stopping
from ..errors import UserError, one_line
from ..files import write_atomic
from ..work import Turn, Work
from . import Executor
from .child import Heard, relay
from .cluster import Node, Share, alive, connect, share_of
from .effort import effort
from .events import Letterbox, Told
from .node import Errand, Shared, Unfit, do_errand, look, versions
from .parts import Parts
from .patience import Patience
from .schedule import Schedule
from .turn import Job, TurnResult, given_up

TASK = "xbench "
"""Begins the names of tasks, as `ray list tasks` and the nodes' processes show them."""
TRIES = 3
"""How often a turn is begun at most: the machines under it may be lost, and it may be its own doing."""
AHEAD = 2
"""Turns that wait in the cluster for their place, so that none stays empty, and a cluster that can grow does."""
LOOK_S = 0.25
"""Seconds between two looks at what was told; what ends is seen at once."""
NODES_S = 2.0
"""Seconds between two looks at the cluster's nodes."""
ANSWER_S = 180.0
"""Seconds for every node to start a process and look at the shared folders."""
STOP_S = 5.0
"""Seconds for turns to end when the run is stopped; then their processes are ended."""


@dataclass
class _Running:
    """A turn that was given to the cluster.

    Attributes:
        turn: As the schedule gave it.
        number: Of it, in what it tells.
        tries: How often it was begun.
        node: The id of the node that does it; empty while it waits for one.
    """

    turn: Turn
    number: int
    tries: int = 1
    node: str = ""


class RayExecutor(Executor):
    """A cluster.

    Args:
        workers: Turns at the same time, at most; 0 is as many as fit.
        threads: CPUs of a turn, if the user has said how many; 0 where not.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self._workers, self._threads = workers, threads

    def run(self, schedule: Schedule, work: Work, job: Job) -> None:
        """Do all turns; when this is broken off, nothing goes on in the cluster."""
        try:
            nodes = alive()
            share = share_of(nodes, job.settings.device, self._workers, self._threads)
            device = "cuda" if share.gpus else "cpu" if job.settings.device == "auto" else job.settings.device
            job = replace(job, settings=replace(job.settings, device=device))
            # A thread of Ray's prints what becomes of nodes to stdout, which is for results.
            with contextlib.redirect_stdout(sys.stderr), _marked(job.settings.cache) as mark:
                shared = Shared((mark,), tuple(_named(job)), versions())
                with _marked(job.settings.out) as other:  # not for longer: others see this folder
                    _check(nodes, replace(shared, marks=(mark, other)))
                fits = min(share.fits(nodes), self._workers or share.fits(nodes))
                work.reporter.note(
                    f"Ray cluster of {len(nodes)} node{'s' if len(nodes) > 1 else ''} "
                    f"({', '.join(node.name for node in nodes)}): "
                    f"{fits} at a time, with {share} each"
                )
                schedule.start_longest_first(lambda turn: effort(turn, work))
                _Run(schedule, work, job, shared, share, self._workers).go_on()
        finally:
            ray.shutdown()


class _Run:
    """One run on a cluster."""

    def __init__(
        self, schedule: Schedule, work: Work, job: Job, shared: Shared, share: Share, workers: int
    ) -> None:  # fmt: skip
        self._schedule, self._work, self._job = schedule, work, job
        self._shared, self._share, self._workers = shared, share, workers
        self._parts = Parts(job.plan)
        self._numbers = itertools.count()
        self._running: dict[ray.ObjectRef[Any], _Running] = {}
        self._names: dict[str, str] = {}
        self._room, self._looked = 0, float("-inf")
        self._patience, self._again = Patience(work.reporter.note), 0.0
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._letterbox: Any = ray.remote(Letterbox).options(num_cpus=0, scheduling_strategy=here).remote()

    def go_on(self) -> None:
        """Until the schedule has finished."""
        try:
            with stopping.at_steps():  # inside of Ray's own code a signal would come out as an error of another kind
                while not self._schedule.finished:
                    stopping.heed()
                    self._fill()
                    if self._running:
                        self._collect()
                    else:
                        self._patience.wait(self._schedule)
        except BaseException:
            self._stop()
            raise

    def _fill(self) -> None:
        """Give the cluster as many turns as it has room for, and a few to follow."""
        self._look_at_nodes()
        if self._schedule.waits_for and time.monotonic() >= self._again:
            self._patience.say(self._schedule)
            self._schedule.retry()
            self._again = time.monotonic() + self._patience.pause()
        most = self._workers or self._room + AHEAD
        while len(self._running) < most and (turn := self._schedule.take()) is not None:
            self._submit(_Running(turn, next(self._numbers)))

    def _look_at_nodes(self) -> None:
        """How many turns fit now: nodes come and go."""
        if time.monotonic() - self._looked < NODES_S:
            return
        nodes, before = alive(), self._room
        self._names.update((node.id, node.name) for node in nodes)
        self._room, self._looked = self._share.fits(nodes), time.monotonic()
        if before and not self._room:
            self._work.reporter.note(f"waiting for a node of the Ray cluster with {self._share}")

    def _submit(self, running: _Running) -> None:
        plan = self._parts.of(running.turn)
        keys = {stage.id: self._work.stage_keys[stage.id] for stage in plan.stages}
        told = self._schedule.stood(running.turn)
        job = replace(self._job, plan=plan)
        errand = Errand(running.number, job, running.turn, told, keys, self._share.cpus, self._shared)
        # With a GPU Ray ends the process after the task, as is its default: another task may be given another GPU.
        task = ray.remote(do_errand).options(
            num_cpus=self._share.cpus, num_gpus=self._share.gpus, max_retries=0, name=f"{TASK}{running.turn.label}"
        )
        self._running[task.remote(errand, self._letterbox)] = running

    def _collect(self) -> None:
        """Hear what was told, then take what has ended."""
        ended, _ = ray.wait(list(self._running), timeout=LOOK_S)
        told: list[Told] = ray.get(self._letterbox.take.remote())
        for one in told:
            self._hear(one)
        for ref in ended:
            running = self._running.pop(ref)
            try:
                result: TurnResult | Unfit = ray.get(ref)
            except RayTaskError:
                raise  # a bug keeps its traceback
            except RayError as error:
                self._lost(running, error)
                continue
            if isinstance(result, Unfit):
                raise UserError(f"node {self._name(result.node)} of the Ray cluster {result.reason}")
            self._schedule.finish(running.turn, result)
            self._patience.heard(result)

    def _hear(self, told: Told) -> None:
        """Let the driver's reporter hear what a node's has heard."""
        if not told.events:
            for running in self._running.values():
                if running.number == told.number:
                    running.node = told.node
        relay((self._named(one, told.node) for one in told.events), self._schedule, self._work.reporter)

    def _named(self, heard: Heard, node: str) -> Heard:
        """A bug's traceback says where it happened."""
        name, values, named = heard
        if name == "failed" and len(values) > 2 and values[2]:
            return name, (*values[:2], f"on node {self._name(node)}:\n{values[2]}"), named
        return heard

    def _name(self, node: str) -> str:
        return self._names.get(node, node[:6])

    def _lost(self, running: _Running, error: RayError) -> None:
        """The node under a turn is gone, or its process: do it again, or say that it cannot be done."""
        where = f" on {self._name(running.node)}" if running.node else ""
        why = one_line(error).partition(". ")[0][:200]
        if running.tries < TRIES:
            self._work.reporter.note(f"{running.turn.label}: lost{where} ({why}); it is done again")
            self._submit(replace(running, tries=running.tries + 1, node=""))
            return
        reason = f"lost {TRIES} times with the process or the node that did it, at last{where} ({why})"
        self._work.reporter.failed(running.turn.label, reason)
        self._schedule.finish(running.turn, given_up(self._work, running.turn, reason))

    def _stop(self) -> None:
        """End all turns: first they may tidy up, then their processes are ended."""
        if not self._running:
            return
        with contextlib.suppress(RayError):
            for ref in self._running:
                ray.cancel(ref)
            _, left = ray.wait(list(self._running), num_returns=len(self._running), timeout=STOP_S)
            for ref in left:
                ray.cancel(ref, force=True)


@contextlib.contextmanager
def _marked(folder: Path) -> Iterator[Path]:
    """Put a file into a folder that all nodes must write to, for as long as nodes come and look; it holds its name."""
    mark = folder / f".ray-{uuid.uuid4().hex}"
    try:
        write_atomic(mark, mark.name.encode())
        yield mark
    finally:
        with contextlib.suppress(OSError):
            mark.unlink()


def _named(job: Job) -> Iterable[Path]:
    """What the user has named that lies elsewhere than in the cache."""
    yield job.folder
    yield from job.plugins
    if job.settings.data is not None:
        yield job.settings.data
    for model in dict.fromkeys(cell.model for cell in job.plan.cells if not cell.is_floor):
        if Path(model).is_dir():
            yield job.folder / model


def _check(nodes: list[Node], shared: Shared) -> None:
    """Let every node see whether it can do turns.

    Raises:
        UserError: One cannot.
    """
    task, looks = ray.remote(look), {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        looks[task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(shared)] = node
    answered, _ = ray.wait(list(looks), num_returns=len(looks), timeout=ANSWER_S)
    for ref, node in looks.items():
        try:
            problem = ray.get(ref) if ref in answered else f"has not answered in {ANSWER_S:.0f} s"
        except RayTaskError as error:
            problem = f"cannot run xbench: {str(error.cause)[:200]}"
        except RayError:
            continue  # it is gone since
        if problem:
            raise UserError(f"node {node.name} of the Ray cluster {problem}")


def make_executor(workers: int, device: str) -> Executor:
    """Join the cluster, whose nodes have the devices; see `Executor`.

    Raises:
        UserError: There is none.
    """
    connect()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return RayExecutor(workers, int(threads) if threads.isdecimal() else 0)
