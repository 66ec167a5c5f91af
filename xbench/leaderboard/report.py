"""The report below a task's tables, as texts: transfer, what stages take and mixtures give, who is ahead of whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..keys import canonical
from ..stats import Estimate
from .ceilings import NONE
from .cells import Record, TableCell
from .layout import (
    apart_text,
    cell_marks,
    cell_text,
    column_title,
    interval_text,
    metric_title,
    row_title,
    score_title,
)
from .standings import Circle, Contest, places
from .table import Table, TableRow, decimals_of
from .transfer import Compared, Gap, forgotten, gaps, mixing_gains


class Text(NamedTuple):
    """What stands in one place of a table: a text, and a smaller one below it, a line or more."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class TextTable:
    """Texts in rows and columns.

    Attributes:
        title: Of the table.
        about: A sentence or two, in plain text, that say how to read it.
        columns: Titles.
        words: How many of the first columns hold words; the others hold numbers.
        rows: A text a column each.
    """

    title: str
    about: str
    columns: tuple[str, ...]
    words: int
    rows: tuple[tuple[Text, ...], ...]


def transfer_table(table: Table, baselines: Mapping[str, str]) -> TextTable | None:
    """Gap, degradation and retention of zero-shot cells; None where none has an in-language one.

    Args:
        table: Of one model on one task.
        baselines: Evaluation dataset to its in-language curriculum.
    """
    score = table.metrics[0]
    decimals = decimals_of(table.styles, score)
    rows = []
    for gap in gaps(table, baselines, score):
        rows.append(
            (
                *_where(gap, table), _score(gap.cell, table, score), _score(gap.other, table, score),
                _number(gap.change, gap.interval, decimals),
                _share(gap.degradation, gap.degradation_interval, gap, "0"),
                _share(gap.retention, gap.retention_interval, gap, "chance"),
            )
        )  # fmt: skip
    if not rows:
        return None
    title = score_title(score, table.styles)
    return TextTable(
        "Transfer",
        "Zero-shot against the curriculum that the task names as in-language, on the same rows. Gap: in-language minus "
        "zero-shot, in points. Degradation: the gap in percent of the in-language score. Retention: what is left of "
        "the in-language score, in percent, both scores counted from chance.",
        ("Fine-tuned on", "Scored on", title, "In-language", "Gap", "Degradation %", "Retention %"), 2, tuple(rows),
    )  # fmt: skip


def stages_table(table: Table) -> TextTable | None:
    """What last stages take from earlier languages, and what mixtures give.

    Args:
        table: Of one model on one task.
    """
    score = table.metrics[0]
    decimals = decimals_of(table.styles, score)
    rows = [
        (
            *_where(one, table), Text(kind), Text(_curriculum(one.against), one.unlike),
            _number(one.change, one.interval, decimals),
        )
        for kind, found in (("forgetting", forgotten(table, score)), ("gain of mixing", mixing_gains(table, score)))
        for one in found
    ]  # fmt: skip
    if not rows:
        return None
    return TextTable(
        "Sequences and mixtures",
        "Forgetting: the score before the last stage minus that after it, in a language of earlier stages. Gain of "
        "mixing: the score of the mixture minus that of its dataset in the language scored, alone. In points.",
        ("Fine-tuned on", "Scored on", "What", "Against", score_title(score, table.styles)), 4, tuple(rows),
    )  # fmt: skip


def curricula_table(table: Table) -> TextTable | None:
    """The range of ranks of each row in each column.

    Args:
        table: Of one model on one task.
    """
    score = table.ranked_by
    if len(table.rows) < 2:
        return None
    # A frozen encoder has one checkpoint; it stands among the last ones.
    protocols = list(dict.fromkeys(row.protocol for row in table.rows))
    groups = [
        [_of_protocol(row, protocol, column) for row in table.rows]
        for column, _ in table.columns
        for protocol in protocols
    ]
    found = places(groups, score)
    if not any(len(own) > 1 for own in found):
        return None
    size = len(protocols)
    ranked = [
        {number: place for own in found[first : first + size] for number, place in own.items()}
        for first in range(0, len(found), size)
    ]
    several = table.several_heads
    rows = [
        (Text(row_title(row, several)), *(Text(_range(own[number]) if number in own else NONE) for own in ranked))
        for number, row in enumerate(table.rows)
        if any(number in own for own in ranked) or not _all_peek(row)
    ]
    apart = f" {_PROTOCOLS}" if size > 1 else ""
    return TextTable(
        "Rows compared",
        f"{score_title(score, table.styles)}. {_RANKS.format(line='column')}{apart}",
        ("Fine-tuned on", *(column_title(*column) for column in table.columns)),
        1,
        tuple(rows),
    )


def _of_protocol(row: TableRow, protocol: str, column: str) -> TableCell | None:
    """A row's cell, where its checkpoint was chosen in this way and without a look at what it is scored on."""
    cell = row.cells.get(column)
    return cell if row.protocol == protocol and cell is not None and not cell.peeks else None


def _all_peek(row: TableRow) -> bool:
    return all(cell.peeks for cell in row.cells.values())


_PROTOCOLS = "Rows whose checkpoints were chosen in different ways are ranked apart."
_RANKS = (
    "Ranks within each {line}, as ranges: one is above another only where a paired test over the same rows tells them "
    "apart (at 5% for all tests of this table together, Holm's correction)."
)


def contests_table(found: Sequence[Contest]) -> TextTable | None:
    """Models side by side; floors among themselves have a table of their own.

    Args:
        found: The contests of one task, version and limits.
    """
    found = [contest for contest in found if not contest.row.is_floor]
    if not found:
        return None
    table = found[0].table
    models = [model for model in found[0].cells if any(contest.cells[model] for contest in found)]
    score = table.ranked_by
    several = len({contest.row.head for contest in found if contest.row.curriculum != "none"}) > 1
    rows = []
    for contest in found:
        texts = []
        for model in models:
            shown = _score(contest.cells[model], table, score)
            place = contest.places.get(model)
            below = "\n".join(part for part in (shown.below, f"rank {_range(place)}" if place else "") if part)
            texts.append(Text(shown.text, below))
        row = row_title(contest.row, several)
        rows.append((Text(row), Text(column_title(contest.column, contest.language)), *texts))
    return TextTable(
        f"Models compared{about_table(table)}",
        f"{score_title(score, table.styles)}. {_RANKS.format(line='row')}",
        ("Fine-tuned on", "Scored on", *models),
        2,
        tuple(rows),
    )


def about_table(table: Table) -> str:
    """What a title says of a table's limits, and of its version where there are several, in brackets; or nothing."""
    about = apart_text(table)
    return f" ({about})" if about else ""


def circles_table(circle: Circle) -> TextTable:
    """Average ranks of models that were in the same contests."""
    rows = [
        (Text(one.model), Text(f"{one.rank:.2f}"), Text(f"{one.low:.2f} to {one.high:.2f}")) for one in circle.standings
    ]
    about = (
        f"Over the {circle.contests} comparisons in which just these took part, of the tasks "
        f"{', '.join(circle.tasks)}; tasks weigh alike."
    )
    return TextTable(f"Average rank of {len(rows)} models", about, ("Model", "Average rank", "Range"), 1, tuple(rows))


def is_floor(table: Table) -> bool:
    """Whether it holds predictions that no encoder made."""
    return all(row.is_floor for row in table.rows)


def floors_tables(tables: Sequence[Table]) -> list[TextTable]:
    """The floors of one task, a row each; what was scored with other limits or other scores is another table.

    Args:
        tables: One a floor.
    """
    groups: dict[str, list[Table]] = {}
    for table in tables:
        groups.setdefault(canonical([dict(table.limits), table.task_version, table.metrics]), []).append(table)
    return [_floors(group) for group in groups.values()]


def _floors(tables: Sequence[Table]) -> TextTable:
    first = tables[0]
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    rows = []
    for table, row in ((one, row) for one in tables for row in one.rows):
        cells = [row.cells.get(name) for name, _ in columns]
        texts = [cell_text(cell, first.metrics, first.styles) for cell in cells]
        below = [interval_text(cell, first.metrics[0], first.styles) for cell in cells]
        title = table.model if len(table.rows) == 1 else row_title(row, False)
        rows.append((Text(title), *(Text(text, small) for text, small in zip(texts, below, strict=True))))
    about = (
        f"What predictions reach that need no encoder. {metric_title(first.metrics, first.styles)}. {first.versions}."
    )
    return TextTable(
        f"Floors{about_table(first)}", about, ("Floor", *(column_title(*column) for column in columns)), 1, tuple(rows)
    )


def overlap_notes(table: Table) -> list[str]:
    """What of the evaluation rows stands in what was trained or fitted on, a line each; nothing where nothing does.

    Args:
        table: Of one model on one task.
    """
    cells = [(column, row.cells[column]) for row in table.rows for column, _ in table.columns if column in row.cells]
    return _overlap_lines([(column, record) for column, cell in cells for record in cell.records])


def overlap_notes_of(column: str, cell: TableCell) -> list[str]:
    """The same of one cell."""
    return _overlap_lines([(column, record) for record in cell.records])


def _overlap_lines(records: Sequence[tuple[str, Record]]) -> list[str]:
    """A line for every column and every split that was learned from; of several counts (limits), the largest."""
    largest: dict[tuple[str, str, str, int], tuple[int, int]] = {}
    for column, record in records:
        for part in record.get("overlap") or ():
            where = f"{part['dataset']}/{part['split']} ({'trained' if part['role'] == 'train' else 'fitted'} on)"
            plain = (part["texts"] or 0, part["rows"] or 0)
            translated = (part["translated_texts"] or 0, part["translated_rows"] or 0)
            counts = {"": plain, ", as it is or translated,": translated if translated != plain else (0, 0)}
            for how, found in counts.items():
                key = (column, where, how, record["eval"]["rows"])
                largest[key] = max(found, largest.get(key, found))
    return [
        f"{column}: {texts} of {rows} rows share a text{how} with {where}{_whole(whole)}"
        for (column, where, how, rows), (texts, whole) in sorted(largest.items())
        if texts
    ]


def _whole(count: int) -> str:
    return f", {count} of them as whole rows" if count else ""


def _where(one: Compared, table: Table) -> tuple[Text, Text]:
    several = table.several_heads
    languages = dict(table.columns)
    return Text(row_title(one.row, several)), Text(column_title(one.column, languages[one.column]))


def _curriculum(name: str) -> str:
    return row_title(TableRow(name, "", "", "", {}), False)


def _score(cell: TableCell | None, table: Table, score: str) -> Text:
    value = cell.scores.get(score) if cell else None
    if cell is None or value is None:
        return Text(NONE if cell is None else "undefined")
    text = f"{value:.{decimals_of(table.styles, score)}f}{cell_marks(cell)}"
    return Text(text, interval_text(cell, score, table.styles))


def _number(value: float | None, estimate: Estimate | None, decimals: int) -> Text:
    if value is None:
        return Text(NONE)
    below = f"{estimate.low:.{decimals}f} to {estimate.high:.{decimals}f}" if estimate else ""
    return Text(f"{value:.{decimals}f}", below)


def _share(value: float | None, estimate: Estimate | None, gap: Gap, zero: str) -> Text:
    """A percentage; without an interval, though there are draws, what it is a share of may be nothing."""
    if value is not None and estimate is None and gap.interval is not None:
        return Text(f"{value:.1f}", f"in-language not told from {zero}")
    return _number(value, estimate, 1)


def _range(place: tuple[float, int, int]) -> str:
    _, low, high = place
    return str(low) if low == high else f"{low}–{high}"
