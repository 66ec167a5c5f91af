"""Writing so that a reader never sees half a file, and remembering checksums of files that have not changed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .keys import file_sha256, text_sha256


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
    """
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
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
    try:
        yield folder
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        os.chmod(folder, 0o777 & ~umask())
        try:
            os.rename(folder, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listing(folder: Path) -> Iterator[str]:
    """A line for each file of a folder and of those in it."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            state = os.stat(path)
            yield f"{os.path.relpath(path, folder)}\t{state.st_size}\t{state.st_mtime_ns}"


class Digests:
    """Checksums of large files, remembered while size, time of change and place stay the same.

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
        memory = self._folder / f"{text_sha256(str(real))[:32]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            known = json.loads(memory.read_text(encoding="utf-8"))
            if known["file"] == seen:
                return str(known["sha256"])
        digest = file_sha256(real)
        with contextlib.suppress(OSError):  # a read-only cache costs time, nothing else
            write_json(memory, {"file": seen, "sha256": digest})
        return digest
