"""Asks findings of results: each supported, refuted or undecided."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..keys import canonical
from ..leaderboard.layout import limit_text
from ..recipe import LAST
from ..registry import Registry
from . import claims
from .anchors import Anchor
from .claims import Baselines, Measure, Place
from .findings import NOTHING, Finding
from .intervals import finding_interval
from .results import Result, from_anchors

if TYPE_CHECKING:
    from ..stats import Estimate

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"


@dataclass(frozen=True)
class Judged:
    """A margin, judged.

    Attributes:
        name: Where.
        value: The margin: above zero speaks for the claim.
        interval: Its 95% interval; None where nothing tells how sure it is.
        verdict: ``supported``, ``refuted`` or ``undecided``.
        shown: The numbers behind it.
    """

    name: str
    value: float
    interval: Estimate | None
    verdict: str
    shown: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finding asked of one model's records, or of a publication's own numbers.

    Attributes:
        finding: The claim.
        subject: The model, or the publication.
        printed: Whether these are published numbers: they are judged by their sign, since nothing tells how sure they
            are.
        steps: What the verdict rests on: one mean margin, or for ``order`` a step from each measure to the next.
        places: The margins that the steps are means of, or for ``order`` the steps by pairs of languages.
        notes: Limits, what is missing, and the like.
        complete: Whether every measure of an ``order`` could be had.
    """

    finding: Finding
    subject: str
    printed: bool
    steps: tuple[Judged, ...]
    places: tuple[Judged, ...]
    notes: tuple[str, ...] = ()
    complete: bool = True

    @property
    def verdict(self) -> str:
        """Refuted where any step is; supported where all are there and are."""
        verdicts = {step.verdict for step in self.steps}
        if REFUTED in verdicts:
            return REFUTED
        return SUPPORTED if verdicts == {SUPPORTED} and self.complete else UNDECIDED


@dataclass
class _Asked:
    """What one finding found in one subject's results, on the way to an outcome."""

    steps: list[Place] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    def take(self, places: list[Place], notes: list[str]) -> list[Place]:
        """Keep the notes, each once, and hand on the places."""
        self.notes += [note for note in notes if note not in self.notes]
        return places


def ask(
    findings: Iterable[Finding], results: Sequence[Result], baselines: Baselines, printed: bool = False
) -> list[Outcome]:  # fmt: skip
    """Ask findings of results, of each model by itself.

    Args:
        findings: The claims.
        results: Of records, or as published; sample corpora and oracles are left out.
        baselines: The tasks' own.
        printed: Whether they are as published.

    Returns:
        An outcome for each finding and model with fine-tuned cells, in the order of findings.
    """
    subjects: dict[str, list[Result]] = {}
    for result in results:
        if not result.sample and result.chain and not result.peeks:
            subjects.setdefault(_identity(result), []).append(result)
    return [
        _outcome(finding, own, baselines, printed)
        for finding in findings
        for own in subjects.values()
    ]  # fmt: skip


def ask_publications(
    findings: Sequence[Finding], anchors: Sequence[Anchor], registry: Registry, baselines: Baselines
) -> list[Outcome]:  # fmt: skip
    """Ask each finding of its own publication's numbers.

    Args:
        findings: The claims.
        anchors: The numbers, of any publication.
        registry: Knows the datasets' languages.
        baselines: The tasks' own.

    Returns:
        An outcome for each finding whose publication has numbers, in the order of findings.
    """
    outcomes = []
    for finding in findings:
        own = [anchor for anchor in anchors if anchor.table.publication == finding.publication]
        outcomes += ask([finding], from_anchors(own, registry), baselines, printed=True)
    return outcomes


def _identity(result: Result) -> str:
    return canonical(result.records[0]["model"]) if result.records else result.model


def _outcome(finding: Finding, results: Sequence[Result], baselines: Baselines, printed: bool) -> Outcome:
    asked = _order(finding, results, baselines) if finding.kind == "order" else _means(finding, results, baselines)
    steps = tuple(_judge(step, printed) for step in asked.steps)
    if not printed:
        asked.notes += _interval_notes(asked.steps, steps)
    return Outcome(
        finding, finding.publication if printed else results[0].model, printed, steps,
        tuple(_judge(place, printed) for place in asked.places), tuple(asked.notes), asked.complete,
    )  # fmt: skip


def _judge(place: Place, printed: bool) -> Judged:
    value = place.value
    interval = None if printed else finding_interval(place.inputs, place.margin)
    if printed:
        verdict = SUPPORTED if round(value, 9) > 0 else REFUTED
    elif interval is None:
        verdict = UNDECIDED
    else:
        verdict = SUPPORTED if interval.low > 0 else REFUTED if interval.high < 0 else UNDECIDED
    return Judged(place.name, value, interval, verdict, place.shown)


def _order(finding: Finding, results: Sequence[Result], baselines: Baselines) -> _Asked:
    asked = _Asked()
    found = [asked.take(*_in_one_setup(finding, measure, results, baselines)) for measure in finding.of]
    for (first, second), (before, after) in zip(itertools.pairwise(finding.of), itertools.pairwise(found), strict=True):
        if before and after:
            names = (first.task, second.task)
            if first.task == second.task:
                names = (f"{first.task} {first.score}", f"{second.task} {second.score}")
            step, places = claims.rises(before, after, names)
            asked.steps.append(step)
            asked.places += places
    asked.complete = all(found)
    return asked


def _means(finding: Finding, results: Sequence[Result], baselines: Baselines) -> _Asked:
    asked = _Asked()
    for measure in finding.of:
        asked.places += asked.take(*_in_one_setup(finding, measure, results, baselines))
    if asked.places:
        name = f"mean of {len(asked.places)} places" if len(asked.places) > 1 else asked.places[0].name
        asked.steps = [claims.mean_of(name, asked.places)]
    return asked


def _in_one_setup(
    finding: Finding, measure: Measure, results: Sequence[Result], baselines: Baselines
) -> tuple[list[Place], list[str]]:
    """The places of a task in one setup, and notes: cells of several limits or recipes are never averaged.

    Of several setups one without limits comes first, then the one with most places, then that of last checkpoints.
    """
    setups: dict[str, list[Result]] = {}
    for result in results:
        if result.task == measure.task and measure.head in ("", result.head):
            setups.setdefault(result.setup, []).append(result)
    places = {setup: _places(finding, measure, own, baselines) for setup, own in setups.items()}
    asked = {setup: limit_text(setups[setup][0].limits) for setup, there in places.items() if there}
    if not asked:
        return [], [f"{measure.task}: {NOTHING[finding.kind]}"]
    best = min(
        asked,
        key=lambda setup: (
            bool(asked[setup]),
            -len(places[setup]),
            setups[setup][0].selection not in ("", LAST),
            setup,
        ),
    )
    notes = [f"{measure.task} {asked[best]}"] if asked[best] else []
    chosen = setups[best][0].selection
    notes += [f"{measure.task}: checkpoints by {chosen}"] if chosen not in ("", LAST) else []
    notes += [f"other settings of {measure.task} left out: {len(asked) - 1}"] if len(asked) > 1 else []
    return places[best], notes


def _places(finding: Finding, measure: Measure, results: Sequence[Result], baselines: Baselines) -> list[Place]:
    """Where the claim can be tested; of an ``order`` the degradations that it compares."""
    if finding.within is not None:
        return claims.close(measure, results, finding.within)
    if finding.correlation is not None:
        return claims.alike(measure, results, finding.correlation)
    kinds = {
        "order": claims.degradations, "falls-more": claims.falls_more, "last-gains": claims.last_gains,
        "mixing-gains": claims.mixing_gains,
    }  # fmt: skip
    return kinds[finding.kind](measure, results, baselines)


def _interval_notes(steps: Sequence[Place], judged: Sequence[Judged]) -> list[str]:
    """Where there is no interval; and where every score is of one seed, so that it says nothing of training."""
    if any(one.interval is None for one in judged):
        return ["no interval: not all records hold bootstrap draws"]
    inputs = [one for step in steps for one in step.inputs]
    single = bool(inputs) and all(len(result.seeds) == 1 for result, _ in inputs)
    return ["one seed: intervals are of the rows, not of training"] if single else []
