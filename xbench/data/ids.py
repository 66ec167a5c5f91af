"""Whether ids are unique, in eight bytes a row, however long they are."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path


def id_hash(text: str) -> int:
    """64 bits of an id's hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def suspects(hashes: array[int]) -> set[int]:
    """The hashes that occur more than once.

    Args:
        hashes: Of all ids, type code ``Q``; they are sorted in place, since a copy would double the memory.

    Returns:
        Those of ids that occur twice, and, ever so rarely, of different ids that share a hash.
    """
    import numpy as np

    values = np.frombuffer(hashes, dtype=np.uint64)
    values.sort()
    return {int(value) for value in values[1:][values[1:] == values[:-1]]}


def first_repeat(ids: Iterable[str], wanted: Collection[int]) -> tuple[str, int, int] | None:
    """Find the first id that really stands twice.

    Args:
        ids: All ids, in the order of the rows.
        wanted: The hashes that could be those of repeated ids; other ids are not remembered.

    Returns:
        The id and the indices of its first two rows, or None where only hashes were equal.
    """
    seen: dict[str, int] = {}
    for index, text in enumerate(ids):
        if id_hash(text) in wanted:
            if text in seen:
                return text, seen[text], index
            seen[text] = index
    return None


def written_ids(path: Path) -> Iterator[str]:
    """The ids in a file of prepared rows, a few at a time."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as batches:
        for batch in batches:
            yield from batch.column("id").to_pylist()
