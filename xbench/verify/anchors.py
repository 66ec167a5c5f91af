"""Published numbers as data: TOML files with protocol, tolerance and source, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..curriculum import Curriculum, parse_curriculum
from ..errors import UserError, did_you_mean
from ..recipe import CHOICES, LAST
from ..toml_files import FLAG, LIST, NUMBERS, TABLE, TABLES, TEXT, Kind, check_values, read_toml
from ..types import Reading

FINDINGS = "findings.toml"
"""The file of a folder of anchors that holds claims instead of numbers."""


@dataclass(frozen=True)
class StandIn:
    """A model whose records may be held against another model's numbers.

    Attributes:
        model: Its name in records.
        tolerance: By score, in the score's units.
        reason: Why it may stand in, and why so far apart.
    """

    model: str
    tolerance: Mapping[str, float]
    reason: str


@dataclass(frozen=True)
class PublishedTable:
    """What the numbers of one published table have in common.

    Attributes:
        name: For people, unique.
        publication: Whose it is, in a word: findings belong to a publication.
        source: Where it was published.
        model: The model that was measured, as records name it.
        same: Other names of the same model.
        task: The task.
        head: The head; empty where the source names none.
        splits: The evaluation split; several where the source does not say which.
        readings: The head's reading; several where the source does not say which.
        recipe: The hyper-parameters that the source gives: records made with others are of another protocol.
        selection: How the checkpoint was chosen: as the last one, where the source says nothing of it; several
            protocols where it may be any of them.
        open: What the source leaves open, in words.
        tolerance: By score, in the score's units: how far apart a record may lie.
        reason: Why so far.
        stand_ins: Models that may stand in.
        one_number: Whether the scores of a cell are readings of one published number, of which one must agree.
        path: The file, for messages.
    """

    name: str
    publication: str
    source: str
    model: str
    task: str
    splits: tuple[str, ...]
    tolerance: Mapping[str, float]
    reason: str
    same: tuple[str, ...] = ()
    head: str = ""
    readings: tuple[str, ...] = (Reading().name,)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    selection: tuple[str, ...] = (LAST,)
    open: tuple[str, ...] = ()
    stand_ins: tuple[StandIn, ...] = ()
    one_number: bool = False
    path: str = ""


@dataclass(frozen=True)
class Anchor:
    """One published number.

    Attributes:
        table: Its table.
        curricula: As written; several where the source does not say which.
        chains: The same, parsed, so that ``a+b`` and ``b+a`` are one.
        dataset: The evaluation dataset.
        scores: The number by the score that it is of; several where the source does not say which it is.
    """

    table: PublishedTable
    curricula: tuple[str, ...]
    chains: tuple[Curriculum, ...]
    dataset: str
    scores: Mapping[str, float]

    @property
    def ways(self) -> int:
        """In how many ways the number can be read, by what its source leaves open."""
        return len(self.chains) * len(self.table.splits) * len(self.table.readings) * len(self.scores)


_KINDS: Mapping[str, Kind] = {
    "name": TEXT, "publication": TEXT, "source": TEXT, "model": TEXT, "same": LIST, "task": TEXT, "head": TEXT,
    "split": TEXT, "readings": LIST, "recipe": TABLE, "selection": LIST, "open": LIST, "tolerance": NUMBERS,
    "reason": TEXT, "stand_ins": TABLES, "one_number": FLAG, "results": TABLE,
}  # fmt: skip
_REQUIRED = ("name", "publication", "source", "model", "task", "split", "tolerance", "reason", "results")
_STAND_IN: Mapping[str, Kind] = {"model": TEXT, "tolerance": NUMBERS, "reason": TEXT}
_TABLES = "table"


def read_anchors(folder: Path) -> list[Anchor]:
    """Read a folder of anchors.

    Args:
        folder: Its ``*.toml`` files, all but the findings.

    Returns:
        One anchor a published number, in the order of the files.

    Raises:
        UserError: There is no such folder, it holds no anchors, or a file says something that is not understood.
    """
    if not folder.is_dir():
        raise UserError(
            f"there are no anchors: {folder} is not a folder (--anchors names the one that holds them; "
            "xbench's own lie in leaderboard/anchors of its source)"
        )
    paths = sorted(path for path in folder.glob("*.toml") if path.name != FINDINGS)
    anchors = [anchor for path in paths for anchor in load_anchors(path)]
    if not anchors:
        raise UserError(f"there are no anchors in {folder}: no *.toml file holds a [[{_TABLES}]]")
    named: dict[str, PublishedTable] = {}
    for anchor in anchors:
        other = named.setdefault(anchor.table.name, anchor.table)
        if other is not anchor.table:
            raise UserError(f"{anchor.table.path}: a table {other.name!r} is in {other.path} already")
    return anchors


def load_anchors(source: Path | str) -> list[Anchor]:
    """Read one file of anchors; what stands above its tables holds for each of them.

    Args:
        source: The path of a TOML file, or TOML text itself.

    Raises:
        UserError: The text is not TOML, a key is unknown or missing, or a value is not understood.
    """
    where = str(source) if isinstance(source, Path) else "anchors text"
    values = read_toml(source, where)
    common = {key: value for key, value in values.items() if key != _TABLES}
    check_values(common, {**_KINDS, _TABLES: TABLES}, (), where)
    tables = values.get(_TABLES, [])
    check_values({_TABLES: tables}, {_TABLES: TABLES}, (), where)
    return [anchor for number, table in enumerate(tables, 1) for anchor in _anchors({**common, **table}, where, number)]


def _anchors(values: Mapping[str, Any], where: str, number: int) -> list[Anchor]:
    here = f"{where}: {values['name']}" if isinstance(values.get("name"), str) else f"{where}: table {number}"
    check_values(values, _KINDS, _REQUIRED, here)
    for stand_in in values.get("stand_ins", []):
        check_values(stand_in, _STAND_IN, tuple(_STAND_IN), f"{here}: stand_ins")
    for name in values.get("selection", []):
        if name not in CHOICES["selection"]:
            raise UserError(f"{here}: unknown selection {name!r}{did_you_mean(name, CHOICES['selection'])}")
    whole = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    del whole["results"], whole["split"]
    whole |= {"splits": _alternatives(values["split"], here), "path": where}
    whole["stand_ins"] = tuple(StandIn(**stand_in) for stand_in in values.get("stand_ins", []))
    table = PublishedTable(**whole)  # type: ignore[arg-type]  # each value was checked against _KINDS
    anchors = []
    for curricula, row in values["results"].items():
        check_values({curricula: row}, {curricula: TABLE}, (curricula,), f"{here}: results")
        for dataset, scores in row.items():
            check_values({dataset: scores}, {dataset: NUMBERS}, (dataset,), f"{here}: results of {curricula}")
            anchors += _numbers(table, curricula, dataset, scores, here)
    return anchors


def _numbers(
    table: PublishedTable, curricula: str, dataset: str, scores: Mapping[str, float], here: str
) -> list[Anchor]:  # fmt: skip
    for tolerance in (table.tolerance, *(stand_in.tolerance for stand_in in table.stand_ins)):
        for score in scores:
            if score not in tolerance:
                raise UserError(f"{here}: no tolerance for {score!r}{did_you_mean(score, tolerance)}")
    texts = _alternatives(curricula, here)
    try:
        chains = tuple(parse_curriculum(text) for text in texts)
    except UserError as error:
        raise UserError(f"{here}: results: {error}") from None
    apart = [dict(scores)] if table.one_number else [{score: value} for score, value in scores.items()]
    return [Anchor(table, texts, chains, dataset, one) for one in apart]


def _alternatives(text: str, here: str) -> tuple[str, ...]:
    """``a, b``: the source does not say which of them."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise UserError(f"{here}: {text!r} has an empty part: write NAME, or A, B where the source does not say which")
    return parts
