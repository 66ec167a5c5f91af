"""The checkpoints that stages keep beside their last one, and what these scored on dev rows.

They are no part of a stage's key: the same training passes through the same weights, whoever wants to see them. Where
a finished stage has not kept those that are asked for, it is trained once more. What stands stays: its own weights are
never written again, and the candidates are always of one run, the last one included.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .disk import refusal
from .files import Digests, mark_used, new_folder, write_json
from .keys import canonical, content_key, file_sha256, text_sha256
from .selection import candidate_steps
from .store import WEIGHTS, Store, read_signed, sign, stage_files

MANIFEST = "candidates.json"


class Candidate(NamedTuple):
    """One checkpoint of a stage.

    Attributes:
        step: After which it was kept.
        epoch: The same in passes over the training mixture.
        checksum: The sha256 over those of its files.
        path: Its weights, of the same form as a stage's, with what else belongs to a stage beside them.
    """

    step: int
    epoch: float
    checksum: str
    path: Path


class Candidates:
    """Finished candidates, by their stage's key.

    Args:
        cache: The cache's folder.
        store: Has the stages themselves.
    """

    def __init__(self, cache: Path, store: Store) -> None:
        self._folder, self._scores, self._store = cache / "candidates", cache / "dev-scores", store
        self._digests = Digests(cache / "digests")

    def find(self, key: str, count: int) -> list[Candidate] | None:
        """So many candidates of a stage, the last one among them.

        Args:
            key: The stage's.
            count: How many; fewer where the training had fewer steps.

        Returns:
            In the order of their steps; None where one of them is not there, or not whole.

        Raises:
            OSError: One cannot be looked at, whole or not.
        """
        manifest = read_signed(self._folder / key / MANIFEST)
        with contextlib.suppress(KeyError, TypeError):
            if manifest is not None and manifest["key"] == key:
                mark_used(self._folder / key)
                try:
                    return [self._whole(manifest, key, step) for step in candidate_steps(manifest["steps"], count)]
                except OSError as error:
                    if refusal(error) is not None:
                        raise
                    self._store.tell(f"{error}: the stage is trained again for its checkpoints")
        return None

    def _whole(self, manifest: Mapping[str, Any], key: str, step: int) -> Candidate:
        """A candidate whose checksums hold.

        Raises:
            OSError: It is not there or not whole.
            KeyError: It was not kept.
        """
        files, steps = manifest["files"][str(step)], manifest["steps"]
        own = self.path(key, step)
        path = self._store.stage_weights(key) if step == steps and not own.exists() else own
        for name, checksum in files.items():
            if self._digests.sha256(path.with_name(name)) != checksum:
                raise OSError(f"{path} is damaged, or of another run")
        return Candidate(step, round(step * manifest["epochs"] / steps, 4), text_sha256(canonical(files)), path)

    def path(self, key: str, step: int) -> Path:
        """Where a candidate lies; the last one only where the stage's own weights are of another run."""
        return self._folder / key / f"step-{step}" / WEIGHTS

    def keep(self, key: str, steps: int, epochs: int, count: int, write: Callable[[Path], None]) -> Keeper:
        """Begin to keep candidates of a training.

        Args:
            key: The stage's.
            steps: Of the whole training.
            epochs: Of it.
            count: How many to keep. What was kept before is kept again.
            write: Writes the weights, as they are now, to the path it is given, and what belongs to them beside it.
        """
        wanted = set(candidate_steps(steps, count))
        before = read_signed(self._folder / key / MANIFEST) or {}
        if before.get("steps") == steps:
            wanted |= {int(step) for step in before["files"]}
        return Keeper(self, key, steps, epochs, frozenset(wanted) if count > 1 or before else frozenset(), write)

    def forget(self, key: str) -> None:
        """Take away what a training that failed has left: nothing says that it is whole."""
        if not (self._folder / key / MANIFEST).exists():
            shutil.rmtree(self._folder / key, ignore_errors=True)

    # Scores

    def score(self, content: Mapping[str, Any]) -> float | None:
        """What a candidate scored on some dev rows, with nothing left out of ``content`` that it depends on.

        Returns:
            None where the score is not defined.

        Raises:
            KeyError: It has not been scored, or what was written is damaged.
        """
        kept = read_signed(self._score_path(content))
        if kept is None or kept["of"] != content:
            raise KeyError
        value: float | None = kept["score"]
        return value

    def save_score(self, content: Mapping[str, Any], score: float | None) -> None:
        """Keep it."""
        write_json(self._score_path(content), sign({"of": content, "score": score}))

    def _score_path(self, content: Mapping[str, Any]) -> Path:
        return self._scores / f"{content_key('dev-score', content)}.json"


@dataclass(frozen=True)
class Keeper:
    """Writes a stage's candidates while it is trained, each whole or not at all, and says so when all are there.

    Attributes:
        candidates: Where to.
        key: The stage's.
        steps: Of the whole training.
        epochs: Of it.
        wanted: After which steps; none where the stage itself is enough.
        write: Writes the weights as they are.
        files: By step, the checksums of its files by name.
    """

    candidates: Candidates
    key: str
    steps: int
    epochs: int
    wanted: frozenset[int]
    write: Callable[[Path], None]
    files: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def passed(self, step: int) -> None:
        """The weights have taken a step."""
        if step in self.wanted and step != self.steps:
            self._write(step)

    def take(self, files: Mapping[str, Mapping[str, str]], step: int) -> str:
        """Go on behind a step with what an earlier process has kept up to it.

        Args:
            files: What `files` was then.
            step: The step.

        Returns:
            Why it cannot be done; an empty text where it can, and then nothing of it is written again.
        """
        lacking = {one for one in self.wanted if one <= step and one != self.steps} - {int(one) for one in files}
        if lacking:
            return f"the weights of step {min(lacking)} were not kept"
        for one, checksums in files.items():
            folder = self.candidates.path(self.key, int(one)).parent
            try:
                whole = _checksums(folder) == checksums
            except OSError:
                whole = False
            if not whole:
                return f"{folder} is damaged, or not there"
        self.files.update(files)
        return ""

    def finish(self, last: Mapping[str, Any], standing: Mapping[str, Any]) -> None:
        """The training has ended.

        Args:
            last: What the stage's manifest says of the weights that it has led to.
            standing: What that of the stage's own says: others, where it was trained before on another machine, say.
        """
        if not self.wanted:
            return
        own = self.candidates.path(self.key, self.steps).parent
        if stage_files(last) == stage_files(standing):
            shutil.rmtree(own, ignore_errors=True)
            self.files[str(self.steps)] = stage_files(last)
        else:
            self._write(self.steps)
        content = {"key": self.key, "steps": self.steps, "epochs": self.epochs, "files": self.files}
        write_json(own.with_name(MANIFEST), sign(content))

    def _write(self, step: int) -> None:
        target = self.candidates.path(self.key, step).parent
        with new_folder(target) as folder:
            self.write(folder / WEIGHTS)
            written = _checksums(folder)
            if target.exists() and _checksums(target) != written:
                shutil.rmtree(target)
        self.files[str(step)] = written


def _checksums(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
