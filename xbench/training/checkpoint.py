"""A stage's training, written down now and then, so that the next run goes on from there to the same bits.

Each checkpoint is a folder under ``unfinished/KEY``: one file of tensors, and a signed manifest with its checksum and
with all that the bits depend on. It appears whole or not at all; the one before it goes when it stands, and all of them
when the stage is in the store.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import stopping
from ..candidates import Keeper
from ..errors import UserError
from ..files import new_folder, sync_folder, write_json
from ..keys import file_sha256
from ..store import read_signed, sign
from ..unfinished import MANIFEST
from .group import ALONE, Alone
from .state import TrainingState
from .tally import Position
from .weights import apart

TENSORS, LOSSES = "state.safetensors", "losses"
FORM = 1
"""Of what is written: raise it when what is read changes."""
SHARE = 20
"""Training goes on for at least so many times as long as the last checkpoint took."""


@dataclass
class Checkpoints:
    """A stage's.

    Attributes:
        folder: Where they lie.
        key: The stage's.
        minutes: Between two of them, at least; 0 writes none, but an older one is still gone on from.
        conditions: What the bits depend on besides the key: by what it is called, what it is.
        noted: What may change the last bits, and is said without more ado.
        keeper: Has the candidates that are kept on the way.
        note: Takes a line for the user.
        on_resumed: Told of what is gone on from, and of when it was written.
        on_kept: Told of the step of a checkpoint that now stands.
        group: The processes that train with this one; they go on from the same checkpoint.
        resumed: How often the training was gone on with.
        seconds: What earlier processes spent on the work that was gone on from.
    """

    folder: Path
    key: str
    minutes: float
    conditions: Mapping[str, Any]
    noted: Mapping[str, Any]
    keeper: Keeper
    note: Callable[[str], None] = lambda text: None
    on_resumed: Callable[[Position, datetime], None] = lambda position, at: None
    on_kept: Callable[[int], None] = lambda step: None
    group: Alone = ALONE
    resumed: int = 0
    seconds: float = 0.0
    _last: float = field(default_factory=time.perf_counter)
    _took: float = 0.0

    # Reading

    def restore(self, state: TrainingState) -> Position | None:
        """Go back to the newest checkpoint that is whole and fits.

        Args:
            state: The training's, before its first step; the checkpoint is put into it.

        Returns:
            Where it stands; None where there is none to go on from.
        """
        self._last = time.perf_counter()
        for folder in self._standing():
            manifest = self._usable(folder)
            if manifest is None:
                continue
            position = read_checkpoint(folder, manifest, state)
            self.resumed, self.seconds = manifest["resumed"] + 1, position.seconds
            self.group.begin(*_numbers(folder))
            self.on_resumed(position, datetime.fromisoformat(manifest["at"]))
            return position
        self.group.begin()
        return None

    def _standing(self) -> list[Path]:
        """The folders of all checkpoints, the newest first."""
        return sorted(self.folder.glob("[!.]*"), key=lambda path: (*_numbers(path), path.name), reverse=True)

    def _usable(self, folder: Path) -> dict[str, Any] | None:
        """A checkpoint's manifest, where it can be gone on from; else None, and the user is told why."""
        manifest = read_signed(folder / MANIFEST)
        reason = self._unfit(folder, manifest)
        if reason:
            self.note(f"the checkpoint {folder} is not gone on from: {reason}")
            return None
        assert manifest is not None
        differing = _differing(manifest["noted"], self.noted)
        if differing:
            self.note(f"the checkpoint was written with other {differing}: the last bits may differ")
        return manifest

    def _unfit(self, folder: Path, manifest: dict[str, Any] | None) -> str:
        """Why a checkpoint cannot be gone on from; an empty text where it can."""
        if manifest is None or manifest.get("key") != self.key:
            return "its manifest is damaged"
        differing = _differing(manifest.get("conditions", {}), {**self.conditions, "form": FORM})
        if differing:
            return f"it is of another {differing}"
        with contextlib.suppress(OSError):
            if all(file_sha256(folder / name) == checksum for name, checksum in manifest["files"].items()):
                return self.keeper.take(manifest["candidates"], manifest["step"])
        return "it is damaged"

    # Writing

    def due(self) -> bool:
        """Whether to write one now; to be asked between two steps."""
        if self.minutes == 0:
            return False
        wait = max(60 * self.minutes, SHARE * self._took)
        return stopping.wanted() or time.perf_counter() - self._last >= wait

    def write(self, position: Position, state: TrainingState) -> None:
        """Write one, and stop if that is asked for. A training whose checkpoint cannot be written goes on.

        Args:
            position: Where the training stands.
            state: Its state there.

        Raises:
            Interrupted: A signal waited for it.
        """
        began = time.perf_counter()
        # One of another torch may have the same step.
        target = self.folder / _name(position.step, time.time_ns())
        try:
            self._put(target, position, state)
        except (OSError, SafetensorError) as error:
            self.note(f"the checkpoint of step {position.step} cannot be written: {error}; training goes on without")
        finally:  # Ctrl-C may come when it just stands
            if target.exists():
                self.on_kept(position.step)
        self._last = time.perf_counter()
        self._took = self._last - began
        stopping.heed()

    def _put(self, target: Path, position: Position, state: TrainingState) -> None:
        """Write a checkpoint, and then take the older ones away."""
        losses = torch.tensor(position.losses, dtype=torch.float64)
        with new_folder(target) as folder:
            save_file(apart({**state.tensors(), LOSSES: losses}), folder / TENSORS)
            content = {
                "key": self.key, "conditions": {**self.conditions, "form": FORM}, "noted": dict(self.noted),
                "step": position.step, "examples": position.examples, "seconds": position.seconds,
                "micro_batch_tokens": position.micro_batch_tokens, "resumed": self.resumed,
                "wanted": sorted(self.keeper.wanted), "candidates": dict(self.keeper.files),
                "at": datetime.now().astimezone().isoformat(timespec="seconds"),
                "files": {TENSORS: file_sha256(folder / TENSORS)},
            }  # fmt: skip
            write_json(folder / MANIFEST, sign(content))
        sync_folder(self.folder)  # on the disk before the older one goes
        for older in self._standing():
            if older != target:
                shutil.rmtree(older, ignore_errors=True)

    def drop(self) -> None:
        """Take all of them away: the stage is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class FollowedCheckpoints:
    """A stage's, for a process that follows: it goes on from where the leader does, and writes none.

    Attributes:
        folder: Where they lie.
        group: The processes that train together.
        seed: Of the training.
    """

    folder: Path
    group: Alone
    seed: int

    def restore(self, state: TrainingState) -> Position | None:
        """Go to the checkpoint that the leader goes on from, if it does.

        Raises:
            UserError: It is not seen from here.
        """
        step, at, *_ = self.group.begin()
        if not step:
            return None
        folder = self.folder / _name(step, at)
        manifest = read_signed(folder / MANIFEST)
        if manifest is None:
            raise UserError(f"{folder} is not here: all processes of a launch need the same cache")
        position = read_checkpoint(folder, manifest, state)
        torch.manual_seed(self.group.seed(self.seed, step))  # the checkpoint has the leader's random numbers
        return position

    def due(self) -> bool:
        """Never."""
        return False

    def write(self, position: Position, state: TrainingState) -> None:
        """Nothing."""


def read_checkpoint(folder: Path, manifest: Mapping[str, Any], state: TrainingState) -> Position:
    """Put a whole checkpoint into a training's state; gives where it stands."""
    with safe_open(folder / TENSORS, "pt") as file:
        losses = file.get_tensor(LOSSES).tolist()
        state.load(_Stored(file))
    return Position(losses, manifest["examples"], manifest["seconds"], manifest["micro_batch_tokens"])


class _Stored(Mapping[str, torch.Tensor]):
    """The tensors of an open file, each read when it is asked for: a training's state is large."""

    def __init__(self, file: Any) -> None:
        self._file, self._names = file, list(file.keys())

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._file.get_tensor(name)
        return tensor

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _name(step: int, at: int) -> str:
    """The folder's name of a checkpoint that was begun at a time, in ns."""
    return f"step-{step}-{at:x}"


def _numbers(folder: Path) -> tuple[int, int]:
    """Step and time of a checkpoint, by its folder's name; -1 each where it is none."""
    with contextlib.suppress(ValueError):
        _, step, at = folder.name.split("-")
        return int(step), int(at, 16)
    return -1, -1


def _differing(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What differs, such as ``torch (2.12, here 2.13)``; an empty text where nothing does."""
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{name} ({theirs.get(name)}, here {ours.get(name)})" for name in names)
