"""A real Ray cluster of several nodes on this machine, and the end of one of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from .processes import LONGEST_S

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1"}
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
"""Of a node: one turn at a time, and little shared memory, which no turn needs."""


BUSY = "ray::xbench "
"""Begins the title of a process that does a turn."""


@contextlib.contextmanager
def cluster_of(count: int) -> Iterator[Cluster]:
    """Start a cluster of so many nodes; none of its processes is left at the end."""
    before = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(ENVIRONMENT)
    folder = Path(tempfile.mkdtemp(prefix="xb-ray-"))  # sockets lie in it, whose paths have to be short
    cluster: Any = Cluster(initialize_head=True, head_node_args={**SMALL, "temp_dir": str(folder)})
    try:
        for _ in range(count - 1):
            cluster.add_node(**SMALL)
        yield cluster
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def raylet(node: Any) -> psutil.Process:
    """The process that is a node."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def doing(node: Any) -> list[str]:
    """The tasks that a node does now, by their names."""
    names = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in raylet(node).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                title = " ".join(process.cmdline())
                if title.startswith(BUSY):
                    names.append(title.removeprefix(BUSY).strip())
    return names


def destroy(node: Any) -> int:
    """End a node as the end of its machine would: all its processes at once; gives how many they were."""
    leader = raylet(node)
    processes = [leader, *leader.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(processes)


def wait_idle(cluster: Any, seconds: float = LONGEST_S) -> None:
    """Wait until no node does anything."""
    until = time.monotonic() + seconds
    while busy := [name for node in (cluster.head_node, *cluster.worker_nodes) for name in doing(node)]:
        assert time.monotonic() < until, f"goes on after {seconds} s: {busy}"
        time.sleep(0.1)
