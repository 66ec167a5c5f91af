"""One cell of a table: the records of its seeds, their mean, and what a reader must be told of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from ..keys import canonical
from ..recipe import ORACLE
from ..store import DONE

if TYPE_CHECKING:
    from ..stats import Estimate

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class TableCell:
    """Some records of one cell, one a seed.

    Attributes:
        transfer: ``zero-shot``, ``in-language``, ``mixed``, ``frozen`` or ``floor``.
        scores: The mean over the seeds of each score, in the task's order; None where it is not defined.
        deviations: The standard deviation over the seeds, None for a single one.
        seeds: Which ones.
        fitted_here: Whether the reading was fitted on rows of the very split that it was scored on.
        peeks: Why its checkpoint was chosen with more knowledge than others': by the target's own dev rows (an oracle),
            or by the very split that it was scored on. It is shown, and held against nothing. Empty for no such reason.
        records: One a seed, in their order; none in tables that are made by hand, and none where every seed failed.
        failed: Records of seeds whose training has come to nothing, one a seed: no part of any score.
        marks: What a reader must know of it, a few words each.
    """

    transfer: str
    scores: Mapping[str, float | None]
    deviations: Mapping[str, float | None]
    seeds: tuple[int, ...]
    fitted_here: bool = False
    peeks: str = ""
    records: tuple[Record, ...] = ()
    failed: tuple[Record, ...] = ()
    marks: tuple[str, ...] = field(default=())

    @cached_property
    def estimates(self) -> Mapping[str, Estimate]:
        """Of each score whose records hold draws: its 95% interval."""
        from .evidence import evidence  # tables without intervals need no scipy

        found = {name: evidence(self.records, name) for name in self.scores}
        made = {name: one.estimate() for name, one in found.items() if one is not None}
        return {name: one for name, one in made.items() if one is not None}


def make_cell(records: Sequence[Record]) -> TableCell:
    """One cell.

    Args:
        records: Of one row and column, one or more a seed, in any order.
    """
    of_seed = by_seed(record for record in records if record["status"] == DONE)
    stands = [found[-1] for found in of_seed.values()]
    failed = _failed(records, of_seed)
    names = sorted({name for record in stands for name in record["scores"]})
    values = {name: [record["scores"].get(name) for record in stands] for name in names}
    defined = {name: [value for value in found if value is not None] for name, found in values.items()}
    complete = {name: len(defined[name]) == len(stands) for name in names}
    return TableCell(
        transfer=records[0]["transfer"],
        scores={name: math.fsum(defined[name]) / len(stands) if complete[name] else None for name in names},
        deviations={
            name: statistics.stdev(defined[name]) if complete[name] and len(stands) > 1 else None for name in names
        },
        seeds=tuple(record["seed"] for record in stands),
        fitted_here=any(_fitted_here(record) for record in stands),
        peeks=next(filter(None, map(peeks, stands)), ""),
        records=tuple(stands),
        failed=tuple(failed),
        marks=(*_several(of_seed), *_failed_marks(failed)),
    )


def by_seed(records: Iterable[Record]) -> dict[int, list[Record]]:
    """A cell's records by seed, in order; of those of one seed the last one stands.

    It is the newest form, and of equal ones any, but always the same.
    """
    found: dict[int, list[Record]] = {}
    for record in sorted(records, key=lambda one: (one["seed"], one["schema"], one["key"])):
        found.setdefault(record["seed"], []).append(record)
    return found


def _several(of_seed: Mapping[int, Sequence[Record]]) -> list[str]:
    """Another version of the code may have left a second record of a seed: it is not averaged, and not hidden."""
    return [f"one of {len(found)} records of seed {seed}" for seed, found in sorted(of_seed.items()) if len(found) > 1]


def _failed(records: Sequence[Record], of_seed: Container[int]) -> list[Record]:
    """Of each seed that failed, and has not ended well in another run, one record; the newest form, as above."""
    ordered = sorted(records, key=lambda one: (one["schema"], one["key"]))
    found = {one["seed"]: one for one in ordered if one["status"] != DONE and one["seed"] not in of_seed}
    return [found[seed] for seed in sorted(found)]


def _failed_marks(failed: Sequence[Record]) -> list[str]:
    """``seeds 1, 4 failed``, and why, where the records say so: seeds of one reason together."""
    of_reason: dict[str, list[str]] = {}
    for record in failed:
        of_reason.setdefault(str(record.get("reason", "")), []).append(str(record["seed"]))
    return [
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} failed" + (f" ({reason})" if reason else "")
        for reason, seeds in of_reason.items()
    ]


def training_codes(cell: TableCell) -> list[int]:
    """The versions of the training code that a cell's seeds were trained with, as far as their records say."""
    return sorted({code for record in cell.records if (code := _training_code(record)) is not None})


def _training_code(record: Record) -> int | None:
    """None of what was not trained, and of a record that does not say."""
    code: int | None = record["environment"].get("training_version")
    return code


def learned_from(cell: TableCell) -> str:
    """Which rows a cell's model was trained and its reading fitted on: equal where it learned from the very same."""
    return canonical([trained_on(cell.records[0]["train"]), fitted_on(cell)])


def trained_on(parts: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Stage, dataset and rows of what a record names under ``train``, or of some of it."""
    return [[part["stage"], part["dataset"], part["rows_sha256"]] for part in parts]


def rows_apart(mixture: Record, alone: Record) -> str:
    """``1000 rows of it mixed, 2000 alone``: where a mixture had other rows or training code than its part.

    Args:
        mixture: Of one mixture.
        alone: Of a dataset of it.

    Returns:
        Empty where they are the same.
    """
    return "; ".join(filter(None, (_other_rows(mixture, alone), _other_code(mixture, alone))))


def _other_rows(mixture: Record, alone: Record) -> str:
    single = alone["train"][0]
    (part,) = (part for part in mixture["train"] if part["dataset"] == single["dataset"])
    # The checksum is the whole split's, so that the same one with fewer rows is a limit.
    if part["rows"] != single["rows"]:
        return f"{part['rows']} rows of it mixed, {single['rows']} alone"
    return "" if part["rows_sha256"] == single["rows_sha256"] else "other rows of it mixed than alone"


def _other_code(mixture: Record, alone: Record) -> str:
    own, other = _training_code(mixture), _training_code(alone)
    return "" if None in (own, other) or own == other else f"training code {own} mixed, {other} alone"


def fitted_on(cell: TableCell) -> str:
    """Which rows its reading was fitted on; empty for none."""
    fit = cell.records[0]["fit"]
    return f"{fit['dataset']}/{fit['split']} {fit['rows_sha256']}" if fit else ""


def peeks(record: Record) -> str:
    """Why a record's checkpoint was chosen with more knowledge than others': see `TableCell`."""
    dev = record["selected"]["dev"] if "selected" in record else ()
    here = any(split["rows_sha256"] == record["eval"]["rows_sha256"] for split in dev)
    parts = ["oracle: chosen by dev rows of what it is scored on"] if record["selection"] == ORACLE else []
    return "; ".join([*parts, *(["chosen by the very rows that it is scored on"] if here else [])])


def _fitted_here(record: Record) -> bool:
    return record["fit"] is not None and record["fit"]["rows_sha256"] == record["eval"]["rows_sha256"]
