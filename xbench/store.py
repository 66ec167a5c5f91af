"""The only writer of stages, predictions and records: atomic, addressed by content, checked when read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .files import Digests, atomic_file, new_folder, write_atomic, write_json
from .keys import canonical, file_sha256, text_sha256
from .plan import Cell
from .settings import Settings
from .types import Prediction

if TYPE_CHECKING:
    import numpy.typing as npt

RECORD_SCHEMA = "xbench.record/3"
READABLE = ("xbench.record/2", RECORD_SCHEMA)
"""The second form lacks ``chance``, ``sampling`` and ``overlap``, and early ones of the third lack ``bounds``:
`xbench.refresh` adds them."""
DONE, FAILED = "done", "failed"
"""What a record's ``status`` is. Where the training has come to nothing, ``reason`` says why, the scores are None, and
there are no predictions and no draws; older readers of the third form pass over such records or refuse them."""
ROWS_AT_ONCE = 10_000
"""Predictions in one row group of their file."""
WEIGHTS = "weights.safetensors"
MANIFEST = "stage.json"


def slug(text: str) -> str:
    """A text as a part of a file name: letters, digits, ``.``, ``_``, ``+`` and ``-``; never empty or hidden.

    Two texts that differ only in other characters get different slugs, by a short hash at the end.
    """
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip(".-")[:80]
    return safe if safe == text and text else f"{safe or 'x'}~{text_sha256(text)[:8]}"


class Predictions(NamedTuple):
    """What was predicted for each row of a cell.

    Attributes:
        ids: Of the rows.
        predictions: One a row.
    """

    ids: list[str]
    predictions: list[Prediction]


class _PredictionsDigest:
    """The sha256 over ids and predictions, a line a row."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, prediction: str) -> None:
        """One row's id, and its prediction as canonical JSON."""
        self._digest.update(f"{canonical(name)}\t{prediction}\n".encode("utf-8", "surrogatepass"))

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._digest.hexdigest()


class Store:
    """Finished work, by content key.

    Args:
        settings: The cache (stages, predictions) and the results folder (records).
    """

    def __init__(self, settings: Settings) -> None:
        self._cache = settings.cache
        self._results = settings.out / "results"
        self._digests = Digests(settings.cache / "digests")

    # Stages

    def stage(self, key: str) -> dict[str, Any] | None:
        """The manifest of a finished stage whose files are whole, or None."""
        folder = self._cache / "stages" / key
        signed = read_signed(folder / MANIFEST)
        if signed is None or signed.get("key") != key:
            return None
        with contextlib.suppress(OSError, KeyError):
            files = {WEIGHTS: signed["weights_sha256"], **signed.get("beside_sha256", {})}
            if all(self._digests.sha256(folder / name) == checksum for name, checksum in files.items()):
                return {name: value for name, value in signed.items() if name != "checksum"}
        return None

    def stage_weights(self, key: str) -> Path:
        """Where a finished stage's weights lie; an adapter lies beside them."""
        return self._cache / "stages" / key / WEIGHTS

    def stage_bytes(self, key: str) -> int:
        """Of a finished stage's weights, with what lies beside them."""
        folder = self.stage_weights(key).parent
        return sum(path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST)

    def save_stage(self, key: str, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> dict[str, Any]:
        """Keep a stage.

        Args:
            key: Its content key.
            manifest: What it says of itself.
            write: Writes the weights to the path it is given, and what else belongs to the stage beside them.

        Returns:
            The manifest with the files' checksums.
        """
        target = self._cache / "stages" / key
        if target.exists() and self.stage(key) is None:
            damaged = target.with_name(f"{key}.damaged")
            target.replace(damaged) if not damaged.exists() else _remove(target)
        with new_folder(target) as folder:
            write(folder / WEIGHTS)
            whole = {**manifest, "key": key, "weights_sha256": file_sha256(folder / WEIGHTS)}
            beside = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != WEIGHTS}
            if beside:
                whole["beside_sha256"] = beside
            write_json(folder / MANIFEST, sign(whole))
        self.failed_path(key).unlink(missing_ok=True)
        return whole

    # Failed stages

    def failed(self, key: str) -> dict[str, Any] | None:
        """What is kept of a stage whose training has come to nothing, or None; see `save_failed`."""
        signed = read_signed(self.failed_path(key))
        return signed if signed is not None and signed.get("key") == key else None

    def failed_path(self, key: str) -> Path:
        """Where it lies: without this file the stage is trained again."""
        return self._cache / "failed" / f"{key}.json"

    def save_failed(self, key: str, manifest: Mapping[str, Any]) -> Path:
        """Keep that a stage has failed: the same key is the same work, and would fail again.

        Args:
            key: Its content key.
            manifest: What it says of itself, with a ``reason``.

        Returns:
            The file.
        """
        write_json(self.failed_path(key), sign({**manifest, "key": key}))
        return self.failed_path(key)

    # Records

    def record_path(self, cell: Cell, key: str) -> Path:
        """Where a cell's record lies: readable names, and the key to tell cells apart."""
        return self._place(cell.task, cell.model, cell.curriculum, cell.dataset, key)

    def place_of(self, record: Mapping[str, Any]) -> Path:
        """Where a record that others made goes: by what it holds, whatever its file was called.

        Args:
            record: Its names may be anything: `slug` makes parts of a path of them.
        """
        dataset, name = record["eval"]["dataset"], record["model"]["name"]
        return self._place(record["task"], name, record["curriculum"], dataset, record["key"])

    def _place(self, task: str, model: str, curriculum: str, dataset: str, key: str) -> Path:
        name = f"{slug(curriculum.replace(':', '-then-'))}--{slug(dataset)}--{key[:16]}.json"
        return self._results / slug(task) / slug(Path(model).name or model) / name

    def record(self, cell: Cell, key: str, model: str = "") -> dict[str, Any] | None:
        """A cell's record, when it is there and whole.

        Args:
            cell: What was asked.
            key: Its content key.
            model: The model's name in records, where the user may have written another text, such as a revision
                behind it: a record that others made lies under this name.
        """
        asked = self.record_path(cell, key)
        for path in dict.fromkeys((asked, self.record_path(replace(cell, model=model), key) if model else asked)):
            record = read_record(path)
            if record is not None and record["key"] == key:
                return record
        return None

    def save_record(self, cell: Cell, key: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Write a record with its own checksum.

        Args:
            cell: What was measured.
            key: Its content key.
            record: The result with its provenance.

        Returns:
            The record as written.
        """
        signed = sign({**record, "schema": RECORD_SCHEMA, "key": key})
        write_json(self.record_path(cell, key), signed)
        return signed

    def take_record(self, record: Mapping[str, Any]) -> Path:
        """Keep a record that others made, as it is.

        Args:
            record: Whole and signed.

        Returns:
            Its place.

        Raises:
            FileExistsError: Something is there already; it stays.
        """
        place = self.place_of(record)
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
        write_json(place, record)
        return place

    def replace_record(self, path: Path, record: Mapping[str, Any]) -> None:
        """Write a record anew in its place: what a newer xbench adds to it.

        Args:
            path: Its file.
            record: Of the same key.
        """
        write_json(path, sign({**record, "schema": RECORD_SCHEMA}))

    # Predictions

    def save_predictions(
        self, key: str, ids: Iterable[str], predictions: Iterable[Prediction], references: Iterable[Any]
    ) -> str:
        """Keep one prediction a row, as parquet: columns id, prediction and reference, the last two as JSON.

        Args:
            key: The cell's content key.
            ids: Row ids.
            predictions: One a row.
            references: One a row.

        Returns:
            The sha256 over ids and predictions, the same for the same predictions on every machine.
        """
        import pyarrow
        import pyarrow.parquet

        digest = _PredictionsDigest()
        schema = pyarrow.schema([(name, pyarrow.string()) for name in ("id", "prediction", "reference")])
        rows = zip(ids, predictions, references, strict=True)
        with (
            atomic_file(self.predictions_path(key)) as file,
            pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
                written = [(name, canonical(prediction), canonical(reference)) for name, prediction, reference in some]
                for name, prediction, _ in written:
                    digest.add(name, prediction)
                columns = [pyarrow.array(column, pyarrow.string()) for column in zip(*written, strict=True)]
                writer.write_table(pyarrow.table(columns, schema=schema))
        return digest.hexdigest()

    def predictions(self, record: Mapping[str, Any]) -> Predictions | None:
        """The predictions of a record, when they are still here and are those that it was scored by."""
        import pyarrow.parquet

        path, digest = self.predictions_path(record["key"]), _PredictionsDigest()
        with contextlib.suppress(OSError, pyarrow.ArrowInvalid, KeyError):
            table = pyarrow.parquet.read_table(path)
            ids, written = (table.column(name).to_pylist() for name in ("id", "prediction"))
            for name, prediction in zip(ids, written, strict=True):
                digest.add(name, prediction)
            if digest.hexdigest() == record["predictions_sha256"]:
                return Predictions(ids, [json.loads(text) for text in written])
        return None

    def save_kept(self, key: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, str]:
        """Keep what a head wants drawn, one ``.npy`` file an array.

        Args:
            key: The cell's content key.
            arrays: By name.

        Returns:
            The sha256 of each file, by name.
        """
        import io

        import numpy as np

        checksums = {}
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
            path = self._kept_path(key, name)
            write_atomic(path, buffer.getvalue())
            checksums[name] = file_sha256(path)
        return checksums

    def kept(self, record: Mapping[str, Any], name: str) -> npt.NDArray[Any] | None:
        """An array that was kept for a record, when it is still here and whole."""
        import numpy as np

        path = self._kept_path(record["key"], name)
        checksum = (record["kept"] or {}).get(name)
        if checksum is None or not path.is_file() or file_sha256(path) != checksum:
            return None
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        return array

    def lost(self, record: Mapping[str, Any]) -> bool:
        """Whether an array that was kept for a record is no longer here, or nothing was to be kept when it was made."""
        if record["kept"] is None:
            return True
        paths = {self._kept_path(record["key"], name): checksum for name, checksum in record["kept"].items()}
        return any(not path.is_file() or file_sha256(path) != checksum for path, checksum in paths.items())

    def _kept_path(self, key: str, name: str) -> Path:
        return self._cache / "kept" / key / f"{slug(name)}.npy"

    def predictions_path(self, key: str) -> Path:
        """Where a cell's predictions lie."""
        return self._cache / "predictions" / f"{key}.parquet"


def sign(record: Mapping[str, Any]) -> dict[str, Any]:
    """Add a record's checksum: the sha256 over its canonical JSON without the checksum itself."""
    body = {name: value for name, value in record.items() if name != "checksum"}
    return {**body, "checksum": text_sha256(canonical(body))}


def read_signed(path: Path) -> dict[str, Any] | None:
    """What `sign` has signed, when the file is there, is JSON, and its checksum holds."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        signed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if sign(signed)["checksum"] == signed["checksum"]:
            return signed
    return None


def read_record(path: Path) -> dict[str, Any] | None:
    """One record, when the file is whole and of a form that is still read."""
    record = read_signed(path)
    return record if record is not None and record.get("schema") in READABLE else None


def read_records(out: Path) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """Every file under ``results/`` with its record, or None where it is damaged; in the order of their paths."""
    for path in sorted((out / "results").rglob("*.json")):
        yield path, read_record(path)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
