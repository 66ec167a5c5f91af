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
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .files import Digests, atomic_file, mark_used, new_folder, write_atomic, write_json
from .keys import canonical, file_sha256, text_sha256
from .plan import Cell
from .record_files import Checked, RecordFiles, record_paths, sign
from .settings import Settings
from .types import Prediction

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "MANIFEST", "READABLE", "RECORD_SCHEMA", "ROWS_AT_ONCE", "WEIGHTS", "Predictions", "Store", "read_record",
    "read_records", "read_signed", "sign", "slug",
]  # fmt: skip
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


@lru_cache(maxsize=10_000)
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

    Attributes:
        files: Reads the records, each once.
    """

    def __init__(self, settings: Settings) -> None:
        self._cache = settings.cache
        self._results = settings.out / "results"
        self._digests = Digests(settings.cache / "digests")
        self._listener = settings.listener
        self._told: set[str] = set()
        self.files = RecordFiles(Checked(settings.cache / "checked" / "records"))

    def tell(self, text: str) -> None:
        """Say what is wrong with something that is kept; once, however often it is looked at."""
        if text not in self._told:
            self._told.add(text)
            self._listener.note(text)

    # Stages

    def stage(self, key: str, used: bool = True) -> dict[str, Any] | None:
        """The manifest of a finished stage whose files are whole, or None.

        Args:
            key: Its content key.
            used: Whether this counts as a use of it.

        Raises:
            OSError: It cannot be looked at, whole or not.
        """
        folder = self._cache / "stages" / key
        signed = read_signed(folder / MANIFEST)
        if signed is not None and signed.get("key") == key:
            with contextlib.suppress(FileNotFoundError, KeyError, TypeError, ValueError):
                if all(self._digests.sha256(folder / name) == sha for name, sha in stage_files(signed).items()):
                    if used:
                        mark_used(folder)
                    return {name: value for name, value in signed.items() if name != "checksum"}
        if folder.is_dir():
            _check_readable(folder / MANIFEST)
            self.tell(f"the stage in {folder} is damaged: it is trained again, and what is there put aside")
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
        for name in dict.fromkeys((cell.model, model or cell.model)):
            path = self._place(cell.task, name, cell.curriculum, cell.dataset, key)
            record = read_record(path, self.files)
            if record is not None and record["key"] == key:
                return record
            if record is None and path.is_file():
                _check_readable(path)
                self.tell(f"{path} is no whole record of this version: its cell is scored again")
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

    def replace_record(self, path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
        """Write a record anew in its place: what a newer xbench adds to it.

        Args:
            path: Its file.
            record: Of the same key.

        Returns:
            The record as it is written, with its new checksum.
        """
        written = sign({**record, "schema": RECORD_SCHEMA})
        write_json(path, written)
        return written

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

    def predictions(self, record: Mapping[str, Any], used: bool = True) -> Predictions | None:
        """The predictions of a record, when they are still here and are those that it was scored by.

        Args:
            record: Whose.
            used: Whether this counts as a use of them.

        Raises:
            PermissionError: They cannot be read.
        """
        import pyarrow.parquet

        path, digest = self.predictions_path(record["key"]), _PredictionsDigest()
        if not path.is_file():
            return None
        _check_readable(path)
        with contextlib.suppress(OSError, pyarrow.ArrowException, KeyError, ValueError, TypeError):
            table = pyarrow.parquet.read_table(path)
            ids, written = (table.column(name).to_pylist() for name in ("id", "prediction"))
            for name, prediction in zip(ids, written, strict=True):
                digest.add(name, prediction)
            if digest.hexdigest() == record["predictions_sha256"]:
                if used:
                    mark_used(path)
                return Predictions(ids, [json.loads(text) for text in written])
        self.tell(f"{path} is damaged, or of another run than its record")
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


def stage_files(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The checksums of a stage's files, by name, as its manifest says.

    Raises:
        KeyError: It says nothing of them.
    """
    return {WEIGHTS: manifest["weights_sha256"], **manifest.get("beside_sha256", {})}


def _check_readable(path: Path) -> None:
    """What cannot be read is not damaged, and nothing may take its place.

    Raises:
        PermissionError: It cannot be read.
    """
    if path.is_file() and not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def read_signed(path: Path) -> dict[str, Any] | None:
    """What `sign` has signed, when the file is there, is JSON, and its checksum holds."""
    return RecordFiles().read(path)


def read_record(path: Path, files: RecordFiles | None = None) -> dict[str, Any] | None:
    """One record, when the file is whole and of a form that is still read.

    Args:
        path: Its file.
        files: Has read some before, and does not read them again.
    """
    record = (files or RecordFiles()).read(path)
    if record is None or record.get("schema") not in READABLE or not isinstance(record.get("key"), str):
        return None
    return record


def read_records(out: Path, files: RecordFiles | None = None) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """Every file under ``results/`` with its record, or None where it is damaged; in the order of their paths.

    Args:
        out: The folder that holds ``results/``.
        files: Has read some before, and does not read them again.
    """
    files = files or RecordFiles()
    for path in record_paths(out / "results"):
        yield path, read_record(path, files)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
