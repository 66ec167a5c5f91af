"""What a reader must be told of a cell beside others: of its row, or of its table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .cells import TableCell, training_codes

if TYPE_CHECKING:
    from .table import TableRow


def marked_without(cell: TableCell, seeds: set[int]) -> TableCell:
    """Marked, where other cells of its row are means over more seeds; those that failed are named already.

    Args:
        cell: One of a row.
        seeds: Of all cells of the row.
    """
    lacking = sorted(seeds - {*cell.seeds, *(record["seed"] for record in cell.failed)})
    if not lacking or not cell.records:
        return cell
    return _marked(cell, f"without seed{'s' if len(lacking) > 1 else ''} {', '.join(map(str, lacking))}")


def of_one_code(rows: Iterable[TableRow]) -> tuple[TableRow, ...]:
    """Rows whose cells are marked where other training code than the table's newest made them: as if of other seeds.

    Args:
        rows: Of one table.
    """
    rows = tuple(rows)
    codes = {code for row in rows for cell in row.cells.values() for code in training_codes(cell)}
    if len(codes) < 2:
        return rows
    return tuple(
        replace(row, cells={name: _of_code(cell, max(codes)) for name, cell in row.cells.items()}) for row in rows
    )


def _of_code(cell: TableCell, newest: int) -> TableCell:
    own = training_codes(cell)
    if own in ([], [newest]):
        return cell
    return _marked(
        cell, f"trained by training code {' and '.join(map(str, own))}, the newest of this table is {newest}"
    )


def _marked(cell: TableCell, mark: str) -> TableCell:
    return replace(cell, marks=(*cell.marks, mark))
