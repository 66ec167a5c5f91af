"""What the records of some results folders need of a cache."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..store import read_records
from .items import Item
from .kinds import KEY

STAGES = ("stages", "candidates", "failed")
CELLS = ("predictions", "kept")


@dataclass
class Needs:
    """What records need, and who needs it.

    Attributes:
        records: The whole ones, by key.
        stages: By key, a record whose chain it is in.
        chosen: Keys of stages of which a record's checkpoint was chosen.
        rows: The identities of the rows that records were trained and scored on.
        damaged: Files that are no whole records. Whatever looks like a key in them is taken to be needed.
        doubtful: These keys.
    """

    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)
    rows: set[str] = field(default_factory=set)
    damaged: list[Path] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)

    @property
    def any(self) -> bool:
        """Whether there is any record to tell what is needed."""
        return bool(self.records or self.damaged)

    def by(self, item: Item) -> str:
        """Which record needs a thing, as a label; empty where none does."""
        if item.kind in ("stages", "candidates", *CELLS) and item.key in self.doubtful:
            return "a damaged record"
        if item.kind == "stages" or (item.kind == "candidates" and item.key in self.chosen):
            return self.stages.get(item.key, "")
        if item.kind in CELLS and item.key in self.records:
            return label(self.records[item.key])
        return ""


def needs_of(outs: Iterable[Path]) -> Needs:
    """Read all records of some results folders.

    Args:
        outs: Folders that hold ``results/``.
    """
    needs = Needs()
    for out in outs:
        for path, record in read_records(out):
            if record is None:
                needs.damaged.append(path)
                needs.doubtful |= set(re.findall(KEY, path.read_text(encoding="utf-8", errors="replace")))
                continue
            needs.records[record["key"]] = record
            chain = record["stages"]
            for key in chain:
                needs.stages.setdefault(key, label(record))
            if record.get("selected") is not None and chain:
                needs.chosen.add(chain[-1])
            fit = [record["fit"]] if record.get("fit") else []
            needs.rows |= {split["rows_sha256"] for split in (record["eval"], *record["train"], *fit)}
    return needs


def label(record: Mapping[str, Any]) -> str:
    """A record in a few words."""
    where = f"{record['eval']['dataset']}/{record['eval']['split']}"
    return f"{record['task']}: {record['model']['name']}, {record['curriculum']} -> {where}, seed {record['seed']}"
