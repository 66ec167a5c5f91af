"""Writing so that a reader never sees half a file, and remembering checksums of files that have not changed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from .disk import writing
from .keys import canonical, file_sha256, text_sha256


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file; its folder is made when missing.
        data: Its new content.
    """
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file piece by piece, whole or not at all.

    Args:
        path: The file; its folder is made when missing. It appears under its name only when the block ends well.

    Yields:
        What to write to.

    Raises:
        WriteError: The disk is full, or does not let it be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def umask() -> int:
    """The user's mask for new files: temporary ones are private at first."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people, atomically: indented, text as it is, NaN refused."""
    write_atomic(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """What `write_json` writes."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogatepass")


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder out of sight; it appears under its name only when the block ends well.

    Args:
        target: Where it shall be. When another process was first, its folder stands and this one is dropped.

    Yields:
        An empty folder on the same file system.

    Raises:
        WriteError: The disk is full, or does not let it be written.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
        try:
            yield folder
            for path in folder.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            sync_folder(folder)
            os.chmod(folder, 0o777 & ~umask())
            try:
                os.rename(folder, target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def mark_used(path: Path) -> None:
    """Note that a thing of the cache is of use, in its time of change: what was not used for long can go.

    Only a folder is marked so that what lies in it stays as it is, and with it what is remembered of its files.

    Args:
        path: A folder, or a file whose checksum nobody remembers.
    """
    with contextlib.suppress(OSError):
        os.utime(path)


def sync_folder(folder: Path) -> None:
    """See that what was named in a folder is on the disk, where the system can; its files' contents are theirs to sync.

    Args:
        folder: An existing folder.
    """
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _listing(folder: Path) -> Iterator[str]:
    """A line for each file of a folder and of those in it."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            state = os.stat(path)
            yield f"{os.path.relpath(path, folder)}\t{state.st_size}\t{state.st_mtime_ns}"


class Digests:
    """Checksums of large files, remembered while size, time of change and place stay the same.

    A byte that changes and leaves the file's time of change as it was, as a failing disk does, is not seen here: that
    is what `xbench cache verify` looks for.

    Args:
        folder: Where to remember them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha256(self, path: Path) -> str:
        """The sha256 of a file, computed only when the file is new or has changed.

        Of a folder it is that of its files' places, sizes and times of change: what tells whether to read it again.
        """
        real = path.resolve()
        if real.is_dir():
            return text_sha256("\n".join(sorted(_listing(real))))
        state = real.stat()
        seen = [str(real), state.st_size, state.st_mtime_ns, state.st_ino]
        known = self._known(real, seen)
        if known is not None:
            return known
        digest = file_sha256(real)
        self._remember(real, seen, digest)
        return digest

    def hold(self, folder: Path, checksums: Mapping[str, str]) -> bool:
        """Whether the files of a folder have their checksums; they are read only when the folder is new or has changed.

        Args:
            folder: With nothing in it but these files and what is written beside them.
            checksums: The sha256 of each file, by name.
        """
        real = folder.resolve()
        seen, wanted = [str(real), *sorted(_listing(real))], text_sha256(canonical(checksums))
        if self._known(real, seen) == wanted:
            return True
        if any(not (real / name).is_file() or file_sha256(real / name) != sha for name, sha in checksums.items()):
            return False
        self._remember(real, seen, wanted)
        return True

    def believe(self, folder: Path, checksums: Mapping[str, str]) -> None:
        """Remember, without a look, that the files of a folder have their checksums: they were written just now."""
        real = folder.resolve()
        self._remember(real, [str(real), *sorted(_listing(real))], text_sha256(canonical(checksums)))

    def memory(self, path: Path) -> Path:
        """Where the checksum of a file is remembered."""
        return self._folder / f"{text_sha256(str(path.resolve()))[:32]}.json"

    def _known(self, real: Path, seen: list[Any]) -> str | None:
        """What is remembered of it, if it is still the same and the memory is whole."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            known = json.loads(self.memory(real).read_text(encoding="utf-8"))
            if known["file"] == seen and known["check"] == _check(seen, known["sha256"]):
                return str(known["sha256"])
        return None

    def _remember(self, real: Path, seen: list[Any], digest: str) -> None:
        with contextlib.suppress(OSError):  # a read-only cache costs time, nothing else
            write_json(self.memory(real), {"file": seen, "sha256": digest, "check": _check(seen, digest)})


def recheck(memory: Path) -> str:
    """Whether what `Digests` remembers of a file is still so, though its size and time of change are the same.

    Args:
        memory: One of its files.

    Returns:
        What is wrong; an empty text also where the file has gone or has changed since, and would be read again.
    """
    with contextlib.suppress(OSError):
        try:
            known = json.loads(memory.read_text(encoding="utf-8"))
            seen, digest = known["file"], known["sha256"]
            if known.get("check", _check(seen, digest)) != _check(seen, digest):
                return "it does not have its checksum"
            path = Path(seen[0])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return "it cannot be read"
        if path.is_file():
            state = path.stat()
            same = seen[1:] == [state.st_size, state.st_mtime_ns, state.st_ino]
            if same and file_sha256(path) != digest:
                return f"{path} has changed and its time of change has not"
    return ""


def _check(seen: list[Any], digest: str) -> str:
    """A memory's own checksum: one wrong digit in it would pass for damage of what it remembers."""
    return text_sha256(canonical([seen, digest]))
