"""Everything that ``xbench verify`` tells, from records and anchors alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..leaderboard.orders import orders
from ..registry import Registry
from ..store import DONE
from .anchors import Anchor, read_anchors
from .findings import read_findings
from .match import AGREES, DIFFERS, OPEN, Comparison, Unmatched, compare, unknown_names
from .outcomes import Judged, Outcome, ask, ask_publications
from .results import Record, from_records


@dataclass(frozen=True)
class Report:
    """What agrees, what differs, what has no counterpart; and what became of the findings.

    Attributes:
        anchors: How many published numbers there are.
        comparisons: Those that a result was held against.
        unmatched: Those without.
        outcomes: Of findings: first of their publication's own numbers, then of each model.
        unasked: Models without fine-tuned cells, of which no finding can be asked.
        decimals: Digits behind the point, by task and score.
        warnings: One line each.
        failed: Of each record of a training that has come to nothing, a line: it is held against nothing.
    """

    anchors: int
    comparisons: tuple[Comparison, ...]
    unmatched: tuple[Unmatched, ...]
    outcomes: tuple[Outcome, ...]
    unasked: tuple[str, ...]
    decimals: Mapping[tuple[str, str], int]
    warnings: tuple[str, ...]
    failed: tuple[str, ...] = ()

    def of(self, verdict: str) -> list[Comparison]:
        """The comparisons that came out so."""
        return [one for one in self.comparisons if one.verdict == verdict]

    @property
    def misses(self) -> int:
        """How many comparisons differ."""
        return len(self.of(DIFFERS))

    def values(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "anchors": self.anchors,
            **{verdict: len(self.of(verdict)) for verdict in (AGREES, DIFFERS, OPEN)},
            "without_record": len(self.unmatched),
            "comparisons": [_comparison(one) for one in self.comparisons],
            "unmatched": [{**_anchor(one.anchor), "near": list(one.near)} for one in self.unmatched],
            "findings": [_outcome(one) for one in self.outcomes],
            "unasked": list(self.unasked),
            "failed": list(self.failed),
        }


def verify(records: Iterable[Record], folder: Path, registry: Registry) -> Report:
    """Hold records against a folder of anchors and findings.

    Args:
        records: In any order.
        folder: Of TOML files.
        registry: For the tasks' baselines, and for names.

    Raises:
        UserError: The folder holds no anchors, or a file of it is not understood.
    """
    anchors, findings = read_anchors(folder), read_findings(folder)
    whole = list(records)
    results = from_records(record for record in whole if record["status"] == DONE)
    baselines = {task.name: task.baselines for task in registry.tasks}
    comparisons, unmatched = compare(anchors, results)
    trained = {result.model for result in results if result.chain and not result.sample}
    outcomes = ask_publications(findings, anchors, registry, baselines) + ask(findings, results, baselines)
    order = {finding.name: place for place, finding in enumerate(findings)}
    styles = {
        (task, score): style.decimals for task, one in orders(registry).items() for score, style in one.scores.items()
    }
    return Report(
        len(anchors), tuple(comparisons), tuple(unmatched),
        tuple(sorted(outcomes, key=lambda one: order[one.finding.name])),  # the order within a finding stays
        tuple(dict.fromkeys(result.model for result in results if result.model not in trained)),
        styles, tuple(unknown_names(anchors, registry)),
        tuple(sorted(_failed(record) for record in whole if record["status"] != DONE)),
    )  # fmt: skip


def _failed(record: Record) -> str:
    return (
        f"{record['task']}: {record['model']['name']} {record['head']} {record['curriculum']} on "
        f"{record['eval']['dataset']}/{record['eval']['split']}, seed {record['seed']}: failed"
        + (f" ({record['reason']})" if "reason" in record else "")
    )  # fmt: skip


def _anchor(anchor: Anchor) -> dict[str, Any]:
    table = anchor.table
    return {
        "table": table.name, "publication": table.publication, "source": table.source, "published_model": table.model,
        "task": table.task, "head": table.head, "curricula": list(anchor.curricula), "dataset": anchor.dataset,
        "splits": list(table.splits), "readings": list(table.readings), "published": dict(anchor.scores),
        "open": list(table.open),
    }  # fmt: skip


def _comparison(one: Comparison) -> dict[str, Any]:
    result = one.result
    return {
        "verdict": one.verdict, "model": result.model, "stands_in": one.stand_in is not None,
        "curriculum": result.curriculum, "split": result.split, "reading": result.reading, "score": one.score,
        "measured": one.measured, "difference": one.difference, "tolerance": one.tolerance,
        "reason": one.stand_in.reason if one.stand_in else one.anchor.table.reason,
        "seeds": list(result.seeds), "records": [record["key"] for record in result.records],
        "ways": [one.ways, one.anchor.ways],
        "anchor": _anchor(one.anchor),
    }  # fmt: skip


def _outcome(outcome: Outcome) -> dict[str, Any]:
    finding = outcome.finding
    return {
        "finding": finding.name, "claim": finding.claim, "source": finding.source, "kind": finding.kind,
        "asked_of": outcome.subject, "as_published": outcome.printed, "verdict": outcome.verdict,
        "complete": outcome.complete, "notes": list(outcome.notes),
        "steps": [_judged(one) for one in outcome.steps], "places": [_judged(one) for one in outcome.places],
    }  # fmt: skip


def _judged(one: Judged) -> dict[str, Any]:
    interval = one.interval
    return {
        "name": one.name, "verdict": one.verdict, "margin": one.value, "low": interval.low if interval else None,
        "high": interval.high if interval else None, "method": interval.method if interval else None,
        "shown": one.shown,
    }  # fmt: skip
