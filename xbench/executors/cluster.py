"""A Ray cluster that is there: how to reach it, what its nodes have, and what of it a turn takes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from ..errors import UserError, one_line

START = "start one with `ray start --head`, and name it with RAY_ADDRESS=HOST:PORT where it is not on this machine"
REACH_S = 10.0
"""Seconds for the cluster's head to answer; Ray itself would try for minutes."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's.
        name: For people.
        cpus: That Ray may give out.
        gpus: That Ray may give out.
    """

    id: str
    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Share:
    """What of a node a turn takes.

    Attributes:
        cpus: As many threads it uses.
        gpus: 0 or 1.
    """

    cpus: int
    gpus: int

    def fits(self, nodes: Iterable[Node]) -> int:
        """How many turns some nodes do at the same time."""
        return sum(self._on(node) for node in nodes)

    def _on(self, node: Node) -> int:
        return min(node.cpus // self.cpus, node.gpus if self.gpus else node.cpus)

    def __str__(self) -> str:
        cpus = f"{self.cpus} CPU" + ("s" if self.cpus > 1 else "")
        return f"{cpus} and a GPU" if self.gpus else cpus


def share_of(nodes: Sequence[Node], device: str, workers: int, threads: int = 0) -> Share:
    """What a turn takes.

    With GPUs it is one, and its part of its node's CPUs. Without them it is a whole node, the smallest one's CPUs; or
    as many as let ``workers`` turns be done at the same time.

    Args:
        nodes: Of the cluster.
        device: ``auto`` takes GPUs where there are any.
        workers: Turns at the same time; 0 is as many as fit.
        threads: CPUs of a turn, if the user has said how many; 0 where not.

    Raises:
        UserError: The cluster has not what it takes.
    """
    with_gpus = [node for node in nodes if node.gpus and node.cpus]
    if device == "cuda" and not with_gpus:
        raise UserError("--device cuda: no node of the Ray cluster offers a GPU; use --device cpu")
    if device == "cuda" or (device == "auto" and with_gpus):
        return Share(threads or max(1, min(node.cpus // node.gpus for node in with_gpus)), 1)
    sizes = [node.cpus for node in nodes if node.cpus]
    if not sizes:
        raise UserError("no node of the Ray cluster offers a CPU: `ray start --num-cpus N` says how many it may use")
    if threads:
        share = Share(threads, 0)
    else:
        fitting = (Share(cpus, 0) for cpus in range(min(sizes), 0, -1))
        share = next((one for one in fitting if one.fits(nodes) >= workers), Share(1, 0))
    if not share.fits(nodes):
        raise UserError(
            f"OMP_NUM_THREADS={threads}: the largest node of the Ray cluster offers {max(sizes)} CPUs; set at most that"
        )
    return share


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names, or the one of this machine.

    Raises:
        UserError: There is none, or this process cannot work with it.
    """
    address = os.environ.get("RAY_ADDRESS") or "auto"
    if "://" in address or address == "local":
        raise UserError(f"RAY_ADDRESS={address}: name the head as HOST:PORT, and run xbench on one of its nodes")
    if address != "auto":
        _reach(address)
    heard = signal.getsignal(signal.SIGTERM)
    try:
        # Ray puts the working folder before all else on the nodes' sys.path: a json.py in it would break them.
        with contextlib.chdir(Path.cwd().anchor):
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        why = "none runs on this machine" if address == "auto" else _line(error)
        raise UserError(f"no Ray cluster is there ({why}): {START}") from None
    except RuntimeError as error:
        raise UserError(f"the Ray cluster cannot be used: {_line(error)}") from None
    # Ray has set its own, which at least lets all be tidied up.
    if heard is not signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, heard)


def _reach(address: str) -> None:
    """See that somebody listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_S):
            pass
    except (ValueError, OverflowError):
        raise UserError(f"RAY_ADDRESS={address}: write HOST:PORT, such as 10.0.0.1:6379") from None
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"no Ray cluster is there: RAY_ADDRESS={address} does not answer ({reason}): {START}") from None


def _line(error: Exception) -> str:
    return one_line(error)[:300]


def alive() -> list[Node]:
    """The nodes that work, by name; those that share a host's name with another have a part of their id in theirs."""
    list_nodes: Callable[[], list[Mapping[str, Any]]] = ray.nodes  # it has no types
    found = [node for node in list_nodes() if node["Alive"]]
    hosts = [node["NodeManagerHostname"] for node in found]
    nodes = []
    for node, host in zip(found, hosts, strict=True):
        name = host if hosts.count(host) == 1 else f"{host}-{node['NodeID'][:6]}"
        resources = node["Resources"]
        nodes.append(Node(node["NodeID"], name, int(resources.get("CPU", 0)), int(resources.get("GPU", 0))))
    return sorted(nodes, key=lambda node: node.name)
