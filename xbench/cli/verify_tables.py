"""What ``xbench verify`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
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
    for line in report.failed:
        console.print(escape(line), style="red")
    if report.outcomes:
        _print_findings(report.outcomes, whole, console)
        console.print(
            "A margin above 0 speaks for the finding: points, or per cent of the in-language score where degradations "
            "are compared; in brackets its 95% interval, each by itself. Published numbers have none: they hold, or "
            "not, by the sign.", style="dim",
        )  # fmt: skip
    if report.unasked:
        console.print(f"No finding can be asked of models without fine-tuning: {escape(', '.join(report.unasked))}.")


def _print_numbers(report: Report, whole: bool, console: Console) -> None:
    groups: dict[str, list[Comparison]] = {}
    for one in sorted(report.comparisons, key=lambda one: one.verdict == AGREES):  # what differs comes first
        groups.setdefault(_against(one), []).append(one)
    for title, group in groups.items():
        console.print(_comparisons(title, group, report))
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
        line = f"{sum(tables.values())} of {escape(title)} ({escape(counts)})"
        console.print(Padding(line, (0, 0, 0, 2), expand=False), style="dim")
    near = dict.fromkeys(reason for one in report.unmatched for reason in one.near)
    if near:
        console.print(escape(f"Records of the same cells are of another protocol: {'; '.join(near)}."))
    console.print("--all lists them.\n", style="dim")


def _comparisons(title: str, group: Iterable[Comparison], report: Report) -> RichTable:
    drawn = RichTable(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    drawn.add_column("", no_wrap=True)
    drawn.add_column("cell", overflow="fold")
    for column in ("published", "measured", "apart", "allowed", "seeds"):
        drawn.add_column(column, justify="right", no_wrap=True)
    for one in group:
        digits = report.decimals.get((one.result.task, one.score), 2)
        drawn.add_row(
            f"[{COLOURS[one.verdict]}]{one.verdict if one.verdict != OPEN else 'cannot be told'}[/]",
            escape(_cell(one)), f"{one.published:.{digits}f}", f"{one.measured:.{digits}f}",
            f"{one.difference:+.{digits}f}", f"{one.tolerance:g}", str(len(one.result.seeds)),
        )  # fmt: skip
    return drawn


def _against(one: Comparison) -> str:
    table = one.anchor.table
    standing = f" (stands in for {table.model})" if one.stand_in else ""
    return f"{one.result.model}{standing} against {table.name}"


def _cell(one: Comparison) -> str:
    result = one.result
    reading = "" if result.reading == Reading().name else f", {result.reading}"
    ways = f" ({one.ways} of {one.anchor.ways} ways to read the source tried)" if one.anchor.ways > 1 else ""
    return f"{result.task}: {result.curriculum}{reading} on {result.dataset}/{result.split}, {one.score}{ways}"


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


def _print_findings(outcomes: Iterable[Outcome], whole: bool, console: Console) -> None:
    """A paragraph a finding: tables would fold its sentences into columns of words."""
    console.print("What was found, and whether it holds\n", style="italic")
    last = ""
    for outcome in outcomes:
        finding = outcome.finding
        if finding.name != last:
            console.print(
                *([] if not last else [""]),
                f"[bold]{escape(finding.claim)}[/] [dim]({escape(finding.source)})[/]",
                sep="\n",
            )
        last = finding.name
        subject = f"{outcome.subject}, as published" if outcome.printed else outcome.subject
        single = f", margin {_margin(outcome.steps[0])}" if len(outcome.steps) == 1 else ""
        line = f"{escape(subject)}: {_verdict(outcome.verdict, outcome.printed)}{escape(single)}"
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
        for line in _remarks(outcome, whole):
            console.print(Padding(escape(line), (0, 0, 0, 6), expand=False))
    console.print()


def _verdict(verdict: str, printed: bool) -> str:
    return f"[{COLOURS[verdict]}]{PRINTED[verdict] if printed else verdict}[/]"


def _margin(judged: Judged) -> str:
    interval = judged.interval
    return f"{judged.value:+.2f}" + (f" [{interval.low:+.2f}, {interval.high:+.2f}]" if interval else "")


def _remarks(outcome: Outcome, whole: bool) -> list[str]:
    """Steps, places against the claim, or all of them, and notes."""
    several = len(outcome.steps) > 1
    lines = [
        f"{step.name}{' ' + _margin(step) if several else ''}: {step.shown}" for step in outcome.steps if step.shown
    ]
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
