"""Tokenised examples on the disk, memory-mapped: as many as there are, in as little memory as a batch needs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.mapped import MappedArrays, forget_pages
from ..errors import UserError
from ..files import new_folder, write_json
from ..keys import content_key
from ..types import Dataset, Example, Head, HeadContext, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..data.rows import RowSet
    from ..models.resolve import LocalModel
    from ..recipe import Recipe
    from ..settings import Settings

ROWS_AT_ONCE = 1000
_COLUMNS = {"ids": "<i4", "types": "<i1", "ends": "<i8", "targets": "<f4", "rows": "<i8", "truncated": "<i1"}


class ExampleTable:
    """The examples of one set of rows, as flat arrays.

    Args:
        folder: What `build_examples` made.

    Attributes:
        key: Of what they were made from.
        count: Number of examples.
        sequences: Token sequences an example.
        row_of: (examples,) The index of each example's row.
        targets: (examples, numbers) float32.
        truncated: (examples,) Whether some of the row's text was cut away.
        lengths: (examples, sequences) Tokens of each sequence.
        bytes: Of its files, the small one beside them left out.
    """

    def __init__(self, folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self._folder = folder
        self.key = folder.name
        self.count: int = meta["examples"]
        self.sequences: int = meta["sequences"]
        self._ids = self._column("ids")
        names = ("ids", "types") if meta["types"] else ("ids",)
        self._files = {name: (folder / f"{name}.bin").open("rb", buffering=0) for name in names}
        ends = self._column("ends")  # (examples * sequences,)
        self._starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        self.lengths = (ends - self._starts).reshape(self.count, self.sequences)  # (examples, sequences)
        self.row_of: npt.NDArray[np.int64] = self._column("rows")
        self.targets = self._column("targets").reshape(self.count, -1)  # (examples, numbers)
        self.truncated = self._column("truncated").astype(np.bool_)
        self._extra_names: list[str] = meta["extra"]
        if meta["bytes"] != _sizes(folder):
            raise ValueError(f"{folder} is damaged")
        self.bytes: int = sum(meta["bytes"].values())

    def _column(self, name: str, kind: str | None = None) -> npt.NDArray[Any]:
        path = self._folder / f"{name}.bin"
        kind = kind or _COLUMNS[name]
        return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, kind)

    def _read(self, name: str, cells: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Some sequences of a column, one behind the other.

        Read and not mapped: they lie all over the file, and Linux maps up to 2 MB around each place.
        """
        kind = np.dtype(_COLUMNS[name])
        starts, sizes = kind.itemsize * self._starts[cells], kind.itemsize * self.lengths.reshape(-1)[cells]
        file = self._files[name].fileno()
        parts = [os.pread(file, size, start) for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)]
        return np.frombuffer(b"".join(parts), kind)

    def extra(self) -> dict[str, Sequence[npt.NDArray[np.int32]]]:
        """What the examples carry along for decoding, by name: one integer array an example."""
        return {
            name: MappedArrays(self._column(f"extra-{name}", "<i4"), self._column(f"extra-{name}-ends", "<i8"))
            for name in self._extra_names
        }

    def mark_used(self, used: npt.NDArray[np.bool_]) -> None:
        """Mark the token ids that stand in the examples.

        Args:
            used: (vocabulary size,) set to True at every id that occurs.
        """
        for start in range(0, len(self._ids), 1 << 20):
            used[self._ids[start : start + (1 << 20)]] = True
            forget_pages(self._ids)

    def occurrences(self) -> npt.NDArray[np.int64]:
        """(largest id + 1,) How often each token id stands in the examples."""
        counts = np.zeros(0, np.int64)
        for start in range(0, len(self._ids), 1 << 20):
            some = np.bincount(self._ids[start : start + (1 << 20)], minlength=len(counts))
            some[: len(counts)] += counts
            counts = some
            forget_pages(self._ids)
        return counts

    def pad(
        self, indices: npt.NDArray[np.int64], place: npt.NDArray[np.int32], pad_id: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
        """Lay examples out as a rectangle; all first sequences stand before all second ones.

        Args:
            indices: (n,) Examples.
            place: The row of each token id in the embedding table held.
            pad_id: Fills the rest; its place is its own.

        Returns:
            Token ids, mask, and segment ids or None; each (sequences * n, length).
        """
        cells = (indices[None, :] * self.sequences + np.arange(self.sequences)[:, None]).reshape(-1)  # (sequences * n,)
        lengths = self.lengths.reshape(-1)[cells]
        steps = np.arange(lengths.max())
        real = steps[None, :] < lengths[:, None]  # (sequences * n, length)
        ids = np.full(real.shape, pad_id, np.int64)
        ids[real] = place[self._read("ids", cells)]
        if "types" not in self._files:
            return ids, real.astype(np.int64), None
        types = np.zeros(real.shape, np.int64)
        types[real] = self._read("types", cells)
        return ids, real.astype(np.int64), types


def head_context(recipe: Recipe, model: LocalModel, dataset: Dataset) -> HeadContext:
    """What a head may know, for one dataset of a run."""
    return HeadContext(recipe, model.prompts, dataset.labels, dataset.score_range, model.sentence)


def table_folder(
    rows: RowSet, head: Head, model: LocalModel, context: HeadContext, limit: int | None, seed: int, settings: Settings
) -> Path:
    """Where the tokenised examples of a split, or of as many of its rows as a limit lets the seed draw, belong."""
    content = {
        "rows": rows.rows_sha256, "limit": [limit, seed] if limit is not None and limit < rows.rows else None,
        "head": [head.name, head.version], "tokenizer": model.tokenizer_identity, "prompts": dict(model.prompts),
        "max_length": context.recipe.max_length, "options": dict(context.recipe.options),
        "labels": context.labels, "score_range": context.score_range,
    }  # fmt: skip
    if model.sentence is not None:
        content["sentence"] = model.sentence.reading()
    return settings.cache / "examples" / content_key("examples", content)[:32]


def find_examples(folder: Path) -> ExampleTable | None:
    """The examples that lie in a folder, when they are there and whole."""
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        return ExampleTable(folder)
    return None


def build_examples(
    folder: Path, rows: Sequence[Row], head: Head, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> ExampleTable:
    """Tokenise rows, or find them tokenised.

    Args:
        folder: Where they lie; its name is their content key.
        rows: Memory-mapped rows.
        head: Turns rows into examples.
        tokenizer: The model's.
        context: The recipe and its company.

    Returns:
        The examples.

    Raises:
        UserError: The head gave no example at all.
    """
    found = find_examples(folder)
    if found is not None:
        return found
    shutil.rmtree(folder, ignore_errors=True)  # damaged, if it is there at all
    empty = f"the head {head.name} made no example of {len(rows)} rows"
    return write_examples(folder, _examples(rows, head, tokenizer, context), empty)


def write_examples(folder: Path, examples: Iterable[Example], empty: str = "there is no example") -> ExampleTable:
    """Make a table of examples.

    Args:
        folder: Where it shall lie; not there yet.
        examples: At least one.
        empty: The message where there is none.

    Raises:
        UserError: There is none.
    """
    with new_folder(folder) as unfinished:
        with contextlib.ExitStack() as stack:
            writer = _Writer(unfinished, stack)
            for example in examples:
                writer.write(example)
        if not writer.meta["examples"]:
            raise UserError(empty)
        write_json(unfinished / "meta.json", {**writer.meta, "bytes": _sizes(unfinished)})
    return ExampleTable(folder)


def _sizes(folder: Path) -> dict[str, int]:
    """The length of every column file: a table that lost a part is not read."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob("*.bin"))}


def _examples(
    rows: Sequence[Row], head: Head, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterator[Example]:
    for first in range(0, len(rows), ROWS_AT_ONCE):
        yield from head.examples(rows[first : first + ROWS_AT_ONCE], first, tokenizer, context)


class _Writer:
    """Appends examples to the column files of a table."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._files: dict[str, IO[bytes]] = {name: self._open(name) for name in _COLUMNS}
        self._written: dict[str, int] = {}
        self.meta: dict[str, Any] = {"examples": 0, "sequences": 0, "types": False, "extra": []}

    def _open(self, name: str) -> IO[bytes]:
        return self._stack.enter_context((self._folder / f"{name}.bin").open("wb"))

    def _put(self, name: str, values: Iterable[float], kind: str | None = None) -> None:
        self._files[name].write(np.asarray(values, kind or _COLUMNS[name]).tobytes())

    def _put_ragged(self, name: str, ends: str, values: Sequence[int], kind: str) -> None:
        self._put(name, values, kind)
        self._written[name] = self._written.get(name, 0) + len(values)
        self._put(ends, [self._written[name]], "<i8")

    def write(self, example: Example) -> None:
        if not self.meta["examples"]:
            self.meta["sequences"] = len(example.sequences)
            self.meta["types"] = example.sequences[0].types is not None
            self.meta["extra"] = sorted(example.extra)
            for name in example.extra:
                for part in (f"extra-{name}", f"extra-{name}-ends"):
                    self._files[part] = self._open(part)
        self.meta["examples"] += 1
        for tokens in example.sequences:
            self._put_ragged("ids", "ends", tokens.ids, _COLUMNS["ids"])
            if tokens.types is not None:
                self._put("types", tokens.types)
        self._put("targets", example.target)
        self._put("rows", [example.row])
        self._put("truncated", [example.truncated])
        for name in self.meta["extra"]:
            self._put_ragged(f"extra-{name}", f"extra-{name}-ends", example.extra[name], "<i4")
