"""Opens archives that anybody may have made: nothing in them says where a file goes, or how much memory it takes."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

LEAST_LIMIT = 1 << 30
"""Bytes that any archive may unpack to."""
LARGEST_RATIO = 100
"""Bytes that a larger one may unpack to, by each of its own: texts reach 20, and a bomb 1,000 or a million."""
AT_ONCE = 16 << 20
"""Bytes that are read together, at most: headers of tars say how long they are, and what they say is believed."""
DAMAGED = (
    KeyError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError,
    ValueError, OverflowError,
)  # fmt: skip
"""What the archive readers raise; a password or an unknown method is a RuntimeError, a negative size a ValueError."""
_PACKED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open), (b"]\x00\x00", lzma.open))


def most_bytes(archive: Path) -> int:
    """How much an archive may unpack to.

    Args:
        archive: The file.
    """
    return max(LEAST_LIMIT, LARGEST_RATIO * archive.stat().st_size)


class _Bounded(io.RawIOBase):
    """Reads what is unpacked, up to a limit.

    Args:
        file: What is read from.
        most: Bytes of it that may be looked at.
    """

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= AT_ONCE:
            raise tarfile.ReadError(f"a header of more than {AT_ONCE:,} bytes")
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            self._check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self, place: int) -> None:
        if place > self._most + AT_ONCE:
            raise tarfile.ReadError(f"it unpacks to more than {self._most:,} bytes")


@contextlib.contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar, packed or not, whose members are then read one by one; nothing is unpacked onto the disk.

    Args:
        path: The file.

    Yields:
        The tar. It raises ``tarfile.ReadError`` where it unpacks to a hundred times its size and more than a gigabyte,
        and where a header or a member is read in pieces of more than 16 MB.
    """
    with path.open("rb") as raw:
        start = raw.read(8)
        raw.seek(0)
        unpack = next((opener for magic, opener in _PACKED if start.startswith(magic)), None)
        file = raw if unpack is None else cast("IO[bytes]", unpack(raw, "rb"))
        with contextlib.closing(file), tarfile.open(fileobj=_Bounded(file, most_bytes(path)), mode="r:") as tar:
            yield tar


def extract(archive: Path, member: str, target: Path) -> None:
    """Write one member of a zip or tar, found by its exact name, to a file; nothing else in it touches the disk.

    Args:
        archive: The file.
        member: An ordinary file in it.
        target: The file to write.

    Raises:
        KeyError: It has no such member, or that is no ordinary file.
        Exception: It is damaged, or unpacks to too much: one of `DAMAGED`.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            if zipped.getinfo(member).file_size > most_bytes(archive):
                raise zipfile.BadZipFile(f"{member} unpacks to more than {most_bytes(archive):,} bytes")
            with zipped.open(member) as inner, target.open("wb") as file:
                shutil.copyfileobj(inner, file, 1 << 20)
        return
    with open_tar(archive) as tar:
        for one in tar:
            if one.name == member and one.isreg() and not one.issparse():
                with cast("IO[bytes]", tar.extractfile(one)) as found, target.open("wb") as file:
                    shutil.copyfileobj(found, file, 1 << 20)
                return
    raise KeyError(member)
