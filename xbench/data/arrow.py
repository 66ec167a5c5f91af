"""Prepared rows in an Arrow file: read some at a time, in the same memory however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..types import Row
from .mapped import PAGE, Looks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AT_ONCE = 1000
"""Rows that are made together when all are gone through: one by one takes many times as long."""


class Rows(Sequence[Row]):
    """The rows of a file, or some of them. A row is made when it is looked at, and is a plain dictionary.

    Args:
        path: An Arrow stream.
        chosen: (rows,) Which of its rows, rising; None takes all.
    """

    def __init__(self, path: Path, chosen: npt.NDArray[np.int64] | None = None) -> None:
        import numpy as np
        import pyarrow

        self._path, self._chosen = path, chosen
        mapped = np.memmap(path, np.uint8, mode="r")
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(mapped)) as stream:
            self._batches: list[Any] = list(stream)
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)  # (batches,)
        self._looks, self._each = Looks(mapped), mapped.nbytes // max(1, self._whole)

    @property
    def _whole(self) -> int:
        """Rows of the file."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def select(self, chosen: npt.NDArray[np.int64]) -> Rows:
        """Some of the rows.

        Args:
            chosen: (rows,) Which, rising.
        """
        return Rows(self._path, chosen if self._chosen is None else self._chosen[chosen])

    def __len__(self) -> int:
        return self._whole if self._chosen is None else len(self._chosen)

    def __iter__(self) -> Iterator[Row]:
        for first in range(0, len(self), AT_ONCE):
            yield from self[first : first + AT_ONCE]

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if not isinstance(index, slice):
            index = range(len(self))[index]
            return self._run(index, index + 1)[0]
        start, stop, step = index.indices(len(self))
        return self._run(start, max(start, stop)) if step == 1 else [self[one] for one in range(start, stop, step)]

    def _run(self, start: int, stop: int) -> list[Row]:
        """Some neighbours."""
        import numpy as np

        indices = np.arange(start, stop) if self._chosen is None else self._chosen[start:stop]  # (n,)
        batches = np.searchsorted(self._ends, indices, side="right")  # (n,)
        found: list[Row] = []
        for number in np.unique(batches).tolist():
            batch = self._batches[number]
            places = indices[batches == number] - (self._ends[number] - batch.num_rows)
            near = places[-1] - places[0] + 1 == len(places)
            found += (batch.slice(places[0], len(places)) if near else batch.take(places)).to_pylist()
            self._looks.add(0, PAGE + self._each * (places[-1] - places[0] + 1))
        return found
