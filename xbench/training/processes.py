"""Processes that train one stage together, each on examples of its own, with the same weights after every step.

`torch.nn.parallel.DistributedDataParallel` is not used. It sums gradients from hooks inside of the last backward pass,
and so wants every process to have one in every step: a process without an example in a small batch, or out of memory
on its last piece, would leave the others waiting. Here a step's pieces are all run first, then the processes agree that
all went well, and then the gradients are summed; weights that got none anywhere stay without, as in one process.
`accelerate` sets the group up: rank, device, and what the gradients travel by (nccl, or gloo on the CPU).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from ..errors import UserError
from ..launch import LEADER, launched
from ..stopping import Interrupted, hear_no_more
from .device import choose_device
from .group import Alone
from .memory import TooLarge, is_out_of_memory
from .sums import add_up, digest, weights_digest

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

WELL, FULL, FAILED = range(3)
"""What a process says of itself: all is well, memory ran out, or an error ended its training."""
LONGEST = timedelta(minutes=30)
"""A process that has said nothing for so long hangs: what others do meanwhile, such as writing a checkpoint, is
shorter. The end of one is known at once."""
CHECK_EVERY = 100
"""Steps between two looks whether all weights are equal."""
_WORDS = 3
"""Numbers that go with what a process says."""


class GroupLostError(Interrupted):
    """Another process of the launch has ended, or cannot be reached: this one cannot go on.

    Args:
        reason: What is known of it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(signal.SIGTERM)
        self.why = reason


class Group(Alone):
    """One of several processes.

    What is said goes over the processors, whatever the gradients travel by, so that nobody waits for a GPU to hear it.

    Args:
        rank: This one's.
        size: How many there are.
        control: A gloo group of all.
        store: Where the leader leaves its commands, and others what befell them.
    """

    def __init__(self, rank: int, size: int, control: dist.ProcessGroup, store: Store) -> None:
        self.rank, self.size = rank, size
        self._control, self._store = control, store
        self._turn, self._open = 0, False
        self._anywhere: list[bool] = []

    # Commands

    def commands(self) -> Iterator[dict[str, Any]]:
        """What the leader wants, one training after the other, until it needs nobody any more."""
        while True:
            key, pause = f"command/{self._turn}", 0.01
            try:
                while not self._store.check([key]):
                    time.sleep(pause)  # not waited for inside of torch, where no signal is heard
                    pause = min(1.5 * pause, 0.5)
                command = json.loads(self._store.get(key))
            except RuntimeError as error:
                raise self._lost(error) from error
            if command is None:
                return
            yield command

    def dismiss(self) -> None:
        """Let the others go."""
        with contextlib.suppress(RuntimeError):
            self._store.set(f"command/{self._turn}", "null")

    def part(self) -> None:
        """Take the group apart, when all is done; after a loss nobody would answer."""
        dist.destroy_process_group()

    @contextlib.contextmanager
    def together(self, command: Mapping[str, Any]) -> Iterator[None]:
        """See `Alone`; an error of one process ends the training of all, and each knows whose and which it was."""
        if self.rank == LEADER:
            try:
                self._store.set(f"command/{self._turn}", json.dumps(dict(command)))
            except RuntimeError as error:
                raise self._lost(error) from error
        self._open = True
        try:
            yield
        except Exception as error:
            if self._open:  # nobody has heard of it yet
                self.leave_word(error)
                self._say(FAILED)
            raise
        finally:
            self._open = False
            self._turn += 1

    def leave_word(self, error: Exception) -> None:
        """Let the others know what befell this process; a bug with its traceback."""
        user = isinstance(error, UserError)
        line = str(error) if user else f"{type(error).__name__}: {error}"
        word = {"user": user, "line": line, "trace": "" if user else "".join(traceback.format_exception(error))}
        with contextlib.suppress(RuntimeError):
            self._store.set(f"error/{self._turn}/{self.rank}", json.dumps(word))

    # What is agreed on

    def begin(self, *of: int) -> Sequence[int]:
        """See `Alone`."""
        return self._say(WELL, *of)[LEADER][1:]

    def agree(self, too_large: TooLarge | None, weights: Sequence[torch.nn.Parameter]) -> TooLarge | None:
        """See `Alone`."""
        here = [weight.grad is not None for weight in weights]
        size = (0, 0) if too_large is None else (too_large.examples, too_large.tokens)
        said = self._say(WELL if too_large is None else FULL, *size, digest(bytes(here)))
        full = [(examples > 1, tokens, examples) for status, examples, tokens, _ in said if status == FULL]
        if full:
            _, tokens, examples = min(full)  # one example that cannot be cut before all others
            return TooLarge(examples, tokens, too_large.reason if too_large else "of another process")
        if any(which != said[0][-1] for *_, which in said):
            here = [any(has) for has in zip(*self._exchange(here), strict=True)]
        self._anywhere = here
        return None

    def _say(self, status: int, *of: int) -> list[list[int]]:
        """Tell all how this process is, and hear it of them.

        Raises:
            UserError: Another one's training was ended by a user's mistake.
            RuntimeError: Or by a bug.
        """
        said = self._exchange([status, *of, *[0] * (_WORDS - len(of))])
        failed = [rank for rank, (its_status, *_) in enumerate(said) if its_status == FAILED]
        if failed:
            self._open = False
            if status != FAILED:
                raise self._error_of(failed[0])
        return said

    def _error_of(self, rank: int) -> Exception:
        """What befell another process, as an error here."""
        word = json.loads(self._store.get(f"error/{self._turn}/{rank}"))
        line = f"process {rank} of {self.size}: {word['line']}"
        if word["user"]:
            return UserError(line)
        error = RuntimeError(line)
        error.add_note(f"there:\n{word['trace']}")
        return error

    def _exchange(self, numbers: Sequence[int]) -> list[list[int]]:
        """Everybody's numbers, by rank; they are as many everywhere."""
        mine = torch.tensor(numbers, dtype=torch.int64)
        all_ = [torch.empty_like(mine) for _ in range(self.size)]
        try:
            dist.all_gather(all_, mine, group=self._control)
        except RuntimeError as error:
            raise self._lost(error) from error
        return [one.tolist() for one in all_]

    def _lost(self, error: Exception) -> GroupLostError:
        """The group cannot go on; the launcher ends what is left of it."""
        hear_no_more()  # the launcher's comes any moment
        for rank in range(self.size):
            with contextlib.suppress(RuntimeError):
                if rank != self.rank and self._store.check([f"error/{self._turn}/{rank}"]):
                    return GroupLostError(str(self._error_of(rank)))
        if is_out_of_memory(error):
            return GroupLostError("out of memory for the sums of gradients: use a smaller recipe.micro_batch_tokens")
        hangs = "timed out" in str(error).lower()
        what = f"says nothing for {LONGEST.total_seconds() / 60:.0f} minutes" if hangs else "has ended"
        return GroupLostError(f"another of the {self.size} processes of this launch {what}")

    # What is summed

    def add_up(self, loss: torch.Tensor, weights: Sequence[torch.nn.Parameter]) -> None:
        """See `Alone`; to be called when all have agreed."""
        try:
            for weight, somewhere in zip(weights, self._anywhere, strict=True):
                if somewhere and weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            add_up([loss, *gradients])
        except RuntimeError as error:  # the others wait in a sum that will never be whole
            raise self._lost(error) from error

    def look(self, step: int, weights: Sequence[torch.nn.Parameter], surely: bool = False) -> None:
        """See `Alone`."""
        if not surely and step % CHECK_EVERY:
            return
        said = self._say(WELL, weights_digest(weights))
        other = next((rank for rank, (_, its, *_) in enumerate(said) if its != said[LEADER][1]), None)
        if other is not None:
            raise RuntimeError(
                f"after step {step} process {other} of {self.size} has other weights than process {LEADER}: where it "
                "runs there are other versions, other files, or a fault"
            )

    def seed(self, seed: int, step: int = 0) -> int:
        """See `Alone`; on a GPU, dropout draws from them, and no two processes may drop alike."""
        return seed if self.rank == LEADER else digest(f"{seed} {self.rank} {step}".encode()) & (2**63 - 1)


def join(device: str) -> Group:
    """Meet the other processes of the launch.

    Args:
        device: As ``--device`` has it; of several GPUs each process takes its own.

    Raises:
        UserError: accelerate is not installed, there are too few GPUs, or the launcher wants more than this.
    """
    try:
        from accelerate import DistributedType, PartialState
    except ModuleNotFoundError:
        raise UserError("several processes for a stage need accelerate: pip install 'xbench[distributed]'") from None
    kind = choose_device(device).type
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if kind not in ("cpu", "cuda"):
        raise UserError(f"--device {kind}: several processes train on CUDA devices or on the CPU")
    if kind == "cuda" and here > torch.cuda.device_count():
        raise UserError(f"{here} processes were launched here for {torch.cuda.device_count()} GPUs: launch one a GPU")
    launch = launched()
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # not in every build of torch

    state = PartialState(cpu=kind == "cpu", timeout=LONGEST)
    if state.distributed_type not in (DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        raise UserError(
            f"the launcher is set to {state.distributed_type.value}: only plain DDP works here (--multi_gpu)"
        )
    control = dist.new_group(backend="gloo", timeout=LONGEST)
    server = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=LONGEST)
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # the store outlives what the launcher starts anew
    return Group(launch.rank, launch.size, control, PrefixStore(f"xbench/{start}", server))
