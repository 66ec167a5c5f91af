"""Checks of rows: they can be read, fit their schema, and are the ones that the declaration names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...types import Dataset, Packaged
from ..results import NotCheckedError, Problem
from ..shelf import TOLD, Look, schema_of
from ..subject import Subject

LOOKED_AT = 1000
EMPTY_SHARE = 0.01
"""Published corpora hold a few empty texts: NSMC 8 in 200,000. More of them are a reader's fault."""


@dataclass(frozen=True)
class SplitOf:
    """One split of a dataset."""

    dataset: Dataset
    split: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.dataset.name}/{self.split}"


def _where(about: Subject, thing: SplitOf) -> str:
    return f"{about.plugin.where('dataset', thing.dataset)}, split {thing.split}"


def _here(about: Subject, thing: SplitOf) -> Look:
    """A look at a split whose files are here.

    Raises:
        NotCheckedError: They are not.
    """
    look = about.shelf.look(thing.dataset, thing.split)
    if look.why_not:
        raise NotCheckedError(look.why_not)
    return look


def _readable(about: Subject, thing: SplitOf) -> Look:
    look = _here(about, thing)
    if look.stopped is not None:
        raise NotCheckedError("its rows cannot be read to the end: see the check rows-read")
    return look


def check_rows_read(about: Subject, thing: SplitOf) -> Iterator[Problem]:
    """Its reader gives rows."""
    look = about.shelf.look(thing.dataset, thing.split)
    sources = thing.dataset.splits[thing.split].sources
    packaged = [source for source in sources if isinstance(source, Packaged)]
    if look.why_not and packaged and len(packaged) == len(sources):
        missing = [str(path) for source in packaged for path in source.files if not path.is_file()]
        yield Problem(
            f"a file that the plugin carries is missing: {', '.join(missing)}", _where(about, thing),
            "write its path from Path(__file__).parent, and add it to the package's data ([options.package_data])",
        )  # fmt: skip
        return
    look = _here(about, thing)
    if look.stopped is not None:
        error, place = look.stopped
        yield Problem(
            f"the reader stops: {error}", f"{place or '?'}; {_where(about, thing)}",
            "mend the reader there; where the file is at fault, raise DataError with what is wrong with it",
        )  # fmt: skip
    elif not look.count:
        yield Problem("the reader gives no rows", _where(about, thing), "yield a mapping a row from `read`")


def check_rows_fit(about: Subject, thing: SplitOf) -> Iterator[Problem]:
    """Its rows fit their schema: fields, types, scores in their range, labels known, answers where they stand."""
    look = _readable(about, thing)
    schema = schema_of(thing.dataset, about.plugin.registry)
    for index, wrong in look.misfits[:TOLD]:
        yield Problem(
            f"row {index}: {wrong}", _where(about, thing),
            f"let the reader give what the schema {schema.name} wants: {dict(schema.fields)}",
        )  # fmt: skip
    if len(look.misfits) > TOLD:
        yield Problem(
            f"{len(look.misfits) - TOLD} more rows of {look.count} do not fit", _where(about, thing), "as above"
        )


def check_ids(about: Subject, thing: SplitOf) -> Iterator[Problem]:
    """Its ids are unique."""
    for text, first, second in _readable(about, thing).repeats[:TOLD]:
        yield Problem(
            f"the rows {first} and {second} have the same id {text!r:.60}", _where(about, thing),
            "take the publisher's ids where they are unique, else the row's number in the file",
        )  # fmt: skip


def check_texts(about: Subject, thing: SplitOf) -> Iterator[Problem]:
    """Its texts are not empty, but for the few that published corpora have."""
    rows = about.shelf.rows(thing.dataset, thing.split, LOOKED_AT) if _readable(about, thing).set else []
    for name in schema_of(thing.dataset, about.plugin.registry).texts:
        empty = [row["id"] for row in rows if not row.get(name, "").strip()]
        if len(empty) > EMPTY_SHARE * len(rows):
            yield Problem(
                f"{name} is empty in {len(empty)} of {len(rows)} rows, such as {empty[0]!r:.60}", _where(about, thing),
                "see that the reader takes the right column, and leaves out rows without a text",
            )  # fmt: skip


def check_pinned(about: Subject, thing: SplitOf) -> Iterator[Problem]:
    """Its rows are pinned: how many there are and who they are is declared, and holds."""
    look = _readable(about, thing)
    if look.sha256 is None:
        raise NotCheckedError("its rows do not fit their schema: see the check rows-fit")
    if not look.count:
        raise NotCheckedError("it has no rows: see the check rows-read")
    if look.repeats:
        raise NotCheckedError("ids stand twice: see the check ids-unique")
    declared = thing.dataset.splits[thing.split]
    seen = {"rows": look.count, "rows_sha256": look.sha256}
    wrong = [name for name, value in seen.items() if getattr(declared, name) not in (None, value)]
    missing = [name for name in seen if getattr(declared, name) is None]
    paste = f'if these rows are the right ones, write in its Split:\nrows={look.count},\nrows_sha256="{look.sha256}",'
    if wrong:
        told = " and ".join(f"{name} is {getattr(declared, name)!r:.20} and not {seen[name]!r:.20}" for name in wrong)
        yield Problem(f"the declaration is of other rows: {told}", _where(about, thing), paste)
    elif missing:
        yield Problem(
            f"nobody would notice other rows: {' and '.join(missing)} not declared", _where(about, thing), paste
        )
