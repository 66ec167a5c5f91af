"""Which stage is meant: by a record's file, or by the key of a record or of a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, did_you_mean
from ..recipe import LAST
from ..store import DONE, Store, read_record, read_records

Record = Mapping[str, Any]
KEY = re.compile("[0-9a-f]{6,64}")
SHORT = 16
"""Letters of a key that are shown, as in the names of records' files."""


@dataclass(frozen=True)
class Chosen:
    """A stage, and what is known of it.

    Attributes:
        key: Its content key.
        depth: Its place in its curriculum, from 0.
        record: One that it stands in.
        scored: All records that tell what it scores: its last checkpoint, not another one of its training.
    """

    key: str
    depth: int
    record: Record
    scored: tuple[Record, ...]

    @property
    def curriculum(self) -> str:
        """What it was trained on, the stages before it included."""
        return ":".join(str(self.record["curriculum"]).split(":")[: self.depth + 1])

    @property
    def label(self) -> str:
        """For people."""
        record = self.record
        return f"{record['model']['name']} {record['head']} {self.curriculum} seed {record['seed']}"


def stages(out: Path) -> list[Chosen]:
    """Every stage that a record tells of, in the order of the records' files."""
    return _stages(_trained(out))


def _trained(out: Path) -> list[dict[str, Any]]:
    """The records of trainings that have not failed."""
    return [record for _, record in read_records(out) if record is not None and record["status"] == DONE]


def choose_stage(text: str, out: Path, store: Store) -> Chosen:
    """Find the stage that is meant.

    Args:
        text: A record's file, or the beginning of the key of a record or of a stage.
        out: The folder that holds ``results/``.
        store: Tells which stages are here, for the message.

    Returns:
        The stage; its weights may not be here.

    Raises:
        UserError: None is meant, or several are.
    """
    records = _trained(out)
    path = Path(text)
    if path.suffix == ".json" or path.is_file():
        record = read_record(path)
        if record is None:
            raise UserError(
                f"{text} is not a record, or a damaged one" if path.is_file() else f"there is no file {text}"
            )
        _check_last(text, record)
        known = {one["key"] for one in records}
        found = _stages([*records, *([] if record["key"] in known else [record])])
        return next(one for one in found if one.key == record["stages"][-1])
    if not KEY.fullmatch(text):
        raise UserError(f"{text!r:.80} is neither a record's file nor the first 6 or more letters of a key")
    every = _stages(records)
    of_text = [record for record in records if record["key"].startswith(text)]
    of_records = {record["stages"][-1] for record in of_text if record["stages"] and record["selection"] == LAST}
    found = [one for one in every if one.key.startswith(text) or one.key in of_records]
    if len(found) == 1:
        return found[0]
    if found:
        meant = "; ".join(f"{one.key[:SHORT]} ({one.label})" for one in found)
        raise UserError(f"{text} is the beginning of several: {meant}")
    for one in of_text:
        _check_last(text, one)
    here = [one.key[:SHORT] for one in every if store.stage_weights(one.key).is_file()]
    raise UserError(
        f"no record in {out / 'results'} has, or tells of a stage with, a key that begins with {text}"
        f"{did_you_mean(text[:SHORT], here)}; 'xbench export' alone lists the stages that are here"
    )


def _check_last(text: str, record: Record) -> None:
    """See that a record is of what would be exported: its stage as it was when the training had ended.

    Raises:
        UserError: Nothing was trained, or another checkpoint was scored.
    """
    name = record["model"]["name"]
    if record["status"] != DONE:
        raise UserError(f"{text} is the record of a training that failed: there is nothing to export")
    if not record["model"]["weights_sha256"]:
        raise UserError(f"{text} is the record of the floor {name}: it has no weights to export")
    if not record["stages"]:
        raise UserError(
            f"{text} is the record of a frozen encoder: there is nothing to export but {name} itself, whose folder "
            f"'xbench models {name}' tells"
        )
    if record["selection"] != LAST:
        raise UserError(
            f"{text} is the record of a checkpoint that was chosen by {record['selection']}, and a stage is exported "
            f"as it was at the end of its training: {record['stages'][-1][:SHORT]} names it"
        )


def _stages(records: Sequence[Record]) -> list[Chosen]:
    """Each stage once; a record in which it is the last one is taken before others."""
    found: dict[str, tuple[int, Record]] = {}
    scored: dict[str, list[Record]] = {}
    for key, depth, record in _mentioned(records):
        last = depth == len(record["stages"]) - 1
        if last and record["selection"] == LAST:
            scored.setdefault(key, []).append(record)
        if key not in found or (last and scored.get(key) == [record]):
            found[key] = (depth, record)
    return [Chosen(key, depth, record, tuple(scored.get(key, ()))) for key, (depth, record) in found.items()]


def _mentioned(records: Sequence[Record]) -> Iterator[tuple[str, int, Record]]:
    for record in records:
        for depth, key in enumerate(record["stages"]):
            yield key, depth, record
