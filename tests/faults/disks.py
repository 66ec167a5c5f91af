"""Disks that are small, read-only or forbidden, for the real program in a real process."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .processes import LONGEST_S, PROGRAM, Ended

NAMESPACE = ("unshare", "--map-root-user", "--mount")
"""A user's own view of the disk: what is mounted in it is gone with the process."""


@functools.cache
def can_mount() -> bool:
    """Whether a user may have such a view here; where not, what a process may write is limited instead."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


BOUND = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Permission bits do not bind root, unless it has none of root's capabilities."""


@dataclass
class Session:
    """What is done in one view of the disk, one thing after the other.

    Attributes:
        folder: Where the program runs; its cache is the folder ``cache`` in it.
        mounts: Whether disks are mounted, and not what a process may write limited.
        as_user: Whether permission bits bind the program, whoever runs the tests.
        lines: For a shell.
        runs: How often the program is run.
    """

    folder: Path
    mounts: bool
    as_user: bool = False
    lines: list[str] = field(default_factory=list)
    runs: int = 0

    def small(self, path: Path, kilobytes: int) -> None:
        """From now on there is so much room in a folder, and what was there before is there no more."""
        path.mkdir(parents=True, exist_ok=True)
        if self.mounts:
            self.lines.append(f"mount -t tmpfs -o size={kilobytes}k tmpfs {shlex.quote(str(path))}")
        else:
            self.room(path, kilobytes)

    def room(self, path: Path, kilobytes: int) -> None:
        """More room; without mounts this is what one file may hold."""
        if self.mounts:
            self.lines.append(f"mount -o remount,size={kilobytes}k {shlex.quote(str(path))}")
        else:
            self.lines.append(f"ulimit -S -f {2 * kilobytes}")

    def read_only(self, path: Path) -> None:
        """From now on nothing can be written in a folder."""
        quoted = shlex.quote(str(path))
        self.lines += [f"mount --bind {quoted} {quoted}", f"mount -o remount,bind,ro {quoted}"]

    def run(self, *arguments: str) -> None:
        """Run the program."""
        line = shlex.join([sys.executable, "-P", "-c", PROGRAM, *arguments])
        name = self.folder / f"session-{self.runs}"
        place = [shlex.quote(f"{name}.{end}") for end in ("stdout", "stderr", "status")]
        self.lines.append(f"status=0; {line} >{place[0]} 2>{place[1]} || status=$?; echo $status >{place[2]}")
        self.runs += 1

    def keep(self, path: Path, target: Path) -> None:
        """Copy a folder out of this view."""
        self.lines.append(f"ulimit -S -f unlimited; cp -r {shlex.quote(str(path))} {shlex.quote(str(target))}")

    def ended(self) -> list[Ended]:
        """Do all that, and tell how each run of the program ended."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("XBENCH_")}
        own = {"XBENCH_CACHE": str(self.folder / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        before = NAMESPACE if self.mounts else BOUND if self.as_user and os.geteuid() == 0 else ()
        done = subprocess.run(
            [*before, "sh", "-e", "-c", "\n".join(self.lines)], cwd=self.folder, env={**inherited, **own}, check=False,
            capture_output=True, text=True, timeout=LONGEST_S * self.runs,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [self._ended(number) for number in range(self.runs)]

    def _ended(self, number: int) -> Ended:
        def read(end: str) -> str:
            path = self.folder / f"session-{number}.{end}"
            return path.read_text(encoding="utf-8", errors="replace")

        return Ended(int(read("status")), read("stdout"), read("stderr"))
