"""What a publication says that it found, as data: TOML, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, did_you_mean
from ..toml_files import NUMBER, TABLES, TEXT, Kind, check_values, read_toml
from .anchors import FINDINGS
from .claims import Measure

NOTHING = {
    "order": "no zero-shot cell with its in-language baseline",
    "falls-more": "no zero-shot cell with its in-language baseline",
    "last-gains": "no two sequences in reverse order",
    "mixing-gains": "no mixture beside one of its datasets alone",
    "agree": "no fine-tuned cells",
}
"""The kinds of claim, and what is said of a task in which there is nowhere to test one."""
KINDS = tuple(NOTHING)


@dataclass(frozen=True)
class Finding:
    """A claim.

    Attributes:
        name: For programs.
        claim: For people.
        source: Where it is made.
        kind: One of ``KINDS``.
        of: What it speaks of; for ``order`` in the claimed order.
        publication: Whose it is: its own numbers are the anchors of the same publication.
        within: For ``agree``: how far two scores may lie apart, in their units.
        correlation: For ``agree``: the least rank correlation; None where ``within`` counts.
    """

    name: str
    claim: str
    source: str
    kind: str
    of: tuple[Measure, ...]
    publication: str
    within: float | None = None
    correlation: float | None = None


_FINDING: Mapping[str, Kind] = {
    "name": TEXT, "claim": TEXT, "source": TEXT, "kind": TEXT, "of": TABLES, "publication": TEXT, "within": NUMBER,
    "correlation": NUMBER,
}  # fmt: skip
_REQUIRED = ("name", "claim", "source", "kind", "of", "publication")
_MEASURE: Mapping[str, Kind] = {"task": TEXT, "head": TEXT, "score": TEXT, "other": TEXT}
_TABLES = "finding"


def read_findings(folder: Path) -> list[Finding]:
    """Read a folder's findings.

    Args:
        folder: Of anchors; ``findings.toml`` in it need not be there.

    Raises:
        UserError: The file says something that is not understood.
    """
    path = folder / FINDINGS
    return load_findings(path) if path.is_file() else []


def load_findings(source: Path | str) -> list[Finding]:
    """Read a file of findings; what stands above its findings holds for each of them.

    Args:
        source: The path of a TOML file, or TOML text itself.

    Raises:
        UserError: The text is not TOML, a key is unknown or missing, or a value is not understood.
    """
    where = str(source) if isinstance(source, Path) else "findings text"
    values = read_toml(source, where)
    common = {key: value for key, value in values.items() if key != _TABLES}
    check_values(values, {**_FINDING, _TABLES: TABLES}, (), where)
    found = [_finding({**common, **table}, where, n) for n, table in enumerate(values.get(_TABLES, []), 1)]
    for name in {finding.name for finding in found}:
        if sum(finding.name == name for finding in found) > 1:
            raise UserError(f"{where}: two findings are called {name!r}")
    return found


def _finding(values: Mapping[str, Any], where: str, number: int) -> Finding:
    here = f"{where}: {values['name']}" if isinstance(values.get("name"), str) else f"{where}: finding {number}"
    check_values(values, _FINDING, _REQUIRED, here)
    kind = values["kind"]
    if kind not in KINDS:
        raise UserError(f"{here}: unknown kind {kind!r}{did_you_mean(kind, KINDS)}")
    compares = kind in ("falls-more", "agree")
    for measure in values["of"]:
        check_values(measure, _MEASURE, ("task", "score", *(["other"] if compares else [])), f"{here}: of")
        if "other" in measure and not compares:
            raise UserError(f"{here}: of: {kind} compares no two scores: leave out 'other'")
    if kind == "order" and len(values["of"]) < 2:
        raise UserError(f"{here}: an order takes two measures or more in 'of'")
    limits = [key for key in ("within", "correlation") if key in values]
    if len(limits) != (kind == "agree"):
        wanted = "exactly one of 'within' and 'correlation'" if kind == "agree" else "no 'within' or 'correlation'"
        raise UserError(f"{here}: {kind} takes {wanted}")
    return Finding(**{**values, "of": tuple(Measure(**measure) for measure in values["of"])})
