"""What ``xbench verify`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from ..types import Reading
from ..verify.match import AGREES, DIFFERS, OPEN, Comparison
from ..verify.outcomes import REFUTED, SUPPORTED, UNDECIDED, Judged, Outcome
from ..verify.report import Report
from .tables import wide_console

COLOURS = {AGREES: "green", DIFFERS: "red", OPEN: "yellow", SUPPORTED: "green", REFUTED: "red", UNDECIDED: "yellow"}
PRINTED = {SUPPORTED: "holds", REFUTED: "does not hold", UNDECIDED: "cannot be told"}
"""Published numbers come without intervals: they are judged by their sign, and the words say less."""


def print_report(report: Report, whole: bool, printed: bool) -> None:
    """Print a report.

    Args:
        report: What there is to tell.
        whole: Also the numbers without a record, and each place of a finding.
        printed: Only what the findings' own publications say.
    """
    console = wide_console(to_stderr=False)
    if not printed:
        _print_numbers(report, whole, console)
    if report.outcomes:
        console.print(_findings(report.outcomes, whole), "", sep="\n")
        console.print(
            "A margin above 0 speaks for the finding: points, or per cent of the in-language score where degradations "
            "are compared; in brackets its 95% interval, each by itself. Published numbers have none: they hold, or "
            "not, by the sign.", style="dim",
        )  # fmt: skip
    if report.unasked:
        console.print(f"No finding can be asked of models without fine-tuning: {escape(', '.join(report.unasked))}.")


def _print_numbers(report: Report, whole: bool, console: Console) -> None:
    if report.comparisons:
        console.print(_comparisons(report), "", sep="\n")
    agree, differ, undecided = (len(report.of(verdict)) for verdict in (AGREES, DIFFERS, OPEN))
    words = f"{agree} agree, {differ} differ" + (f", {undecided} cannot be told" if undecided else "")
    rest = len(report.unmatched)
    console.print(
        f"Of {report.anchors} published numbers, {rest} have no record to be held against"
        + (f"; of comparisons, {words}." if report.comparisons else ": nothing was compared."),
        style="bold",
    )  # fmt: skip
    if rest and whole:
        console.print(_unmatched(report), "", sep="\n")
    elif rest:
        _print_counts(report, console)


def _print_counts(report: Report, console: Console) -> None:
    """How many numbers of which tables have no record, a line a publication and model."""
    groups: dict[str, dict[str, int]] = {}
    for one in report.unmatched:
        table = one.anchor.table
        tables = groups.setdefault(f"{table.publication}, {table.model}", {})
        tables[table.name] = tables.get(table.name, 0) + 1
    for title, tables in sorted(groups.items(), key=lambda group: -sum(group[1].values())):
        counts = "; ".join(f"{name}: {number}" for name, number in tables.items())
        console.print(f"  {sum(tables.values()):>3}  {escape(title)} ({escape(counts)})", style="dim")
    near = dict.fromkeys(reason for one in report.unmatched for reason in one.near)
    if near:
        console.print(escape(f"Records of the same cells are of another protocol: {'; '.join(near)}."))
    console.print("--all lists them.\n", style="dim")


def _comparisons(report: Report) -> RichTable:
    drawn = RichTable(title="Records beside published numbers", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("", "model", "held against"):
        drawn.add_column(column, overflow="fold")
    for column in ("task", "fine-tuned on", "scored on", "score"):
        drawn.add_column(column, overflow="fold")
    for column in ("published", "measured", "difference", "tolerance", "seeds"):
        drawn.add_column(column, justify="right")
    for one in sorted(report.comparisons, key=lambda one: one.verdict == AGREES):  # what differs comes first
        digits = report.decimals.get((one.result.task, one.score), 2)
        drawn.add_row(
            f"[{COLOURS[one.verdict]}]{one.verdict if one.verdict != OPEN else 'cannot be told'}[/]",
            escape(one.result.model), escape(_against(one)), escape(one.result.task),
            escape(_cell(one)), escape(f"{one.result.dataset}/{one.result.split}"), escape(one.score),
            f"{one.published:.{digits}f}", f"{one.measured:.{digits}f}", f"{one.difference:+.{digits}f}",
            f"{one.tolerance:g}", str(len(one.result.seeds)),
        )  # fmt: skip
    return drawn


def _against(one: Comparison) -> str:
    table = one.anchor.table
    return f"{table.name} (stands in for {table.model})" if one.stand_in else table.name


def _cell(one: Comparison) -> str:
    reading = "" if one.result.reading == Reading().name else f", {one.result.reading}"
    ways = f" ({one.ways} of {one.anchor.ways} readings of the source tried)" if one.anchor.ways > 1 else ""
    return one.result.curriculum + reading + ways


def _unmatched(report: Report) -> RichTable:
    drawn = RichTable(title="Published numbers without a record", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("published of", "in", "task", "fine-tuned on", "scored on", "score", "there is"):
        drawn.add_column(column, overflow="fold")
    for one in report.unmatched:
        table, digits = one.anchor.table, report.decimals
        scores = ", ".join(
            f"{name} {value:.{digits.get((table.task, name), 2)}f}" for name, value in one.anchor.scores.items()
        )
        where = f"{one.anchor.dataset}/{' or '.join(table.splits)}"
        row = (
            table.model,
            table.name,
            table.task,
            " or ".join(one.anchor.curricula),
            where,
            scores,
            "; ".join(one.near),
        )
        drawn.add_row(*map(escape, row))
    return drawn


def _findings(outcomes: Iterable[Outcome], whole: bool) -> RichTable:
    drawn = RichTable(title="What was found, and whether it holds", title_justify="left", box=box.SIMPLE_HEAD)
    for column, width in (("finding", 38), ("asked of", None), ("verdict", None)):
        drawn.add_column(column, overflow="fold", width=width)
    drawn.add_column("margin", justify="right", no_wrap=True)
    drawn.add_column("where, and what to know", overflow="fold")
    last = ""
    for outcome in outcomes:
        if last and outcome.finding.name != last:
            drawn.add_section()
        claim = f"{escape(outcome.finding.claim)}\n[dim]{escape(outcome.finding.source)}[/]"
        claim = "" if outcome.finding.name == last else claim
        last = outcome.finding.name
        subject = f"{outcome.subject}, as published" if outcome.printed else outcome.subject
        margins = "\n".join(_margin(step) for step in outcome.steps) or "–"
        drawn.add_row(
            claim, escape(subject), _verdict(outcome.verdict, outcome.printed), margins,
            escape("\n".join(_remarks(outcome, whole))),
        )  # fmt: skip
    return drawn


def _verdict(verdict: str, printed: bool) -> str:
    return f"[{COLOURS[verdict]}]{PRINTED[verdict] if printed else verdict}[/]"


def _margin(judged: Judged) -> str:
    interval = judged.interval
    return f"{judged.value:+.2f}" + (f" [{interval.low:+.2f}, {interval.high:+.2f}]" if interval else "")


def _remarks(outcome: Outcome, whole: bool) -> list[str]:
    """Steps, places against the claim, or all of them, and notes."""
    lines = [f"{step.name}: {step.shown}" for step in outcome.steps if step.shown]
    places = outcome.places if len(outcome.places) > 1 else ()
    if places:
        lines.append(_counts(outcome))
    for place in places:
        if whole or place.verdict == REFUTED:
            word = PRINTED[place.verdict] if outcome.printed else place.verdict
            lines.append(f"{word}: {place.name} {_margin(place)} ({place.shown})")
    return [*lines, *outcome.notes]


def _counts(outcome: Outcome) -> str:
    """In how many places the claim holds; without intervals, by the sign alone."""
    number = len(outcome.places)
    if outcome.printed or not any(place.interval for place in outcome.places):
        above = sum(place.value > 0 for place in outcome.places)
        return f"{'holds' if outcome.printed else 'margin above 0'} in {above} of {number} places"
    counts = [(sum(one.verdict == word for one in outcome.places), word) for word in (SUPPORTED, REFUTED, UNDECIDED)]
    return ", ".join(f"{word} in {count}" for count, word in counts if count) + f" of {number} places"
