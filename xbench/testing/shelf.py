"""The rows that checks look at: the plugin's own where they are here, else the small corpora that come with xbench."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.addresses import NotHereError
from ..data.ids import id_hash
from ..data.rows import RowSet, prepare
from ..data.schemas import row_error, value_error
from ..data.sources import locate
from ..errors import UserError
from ..keys import row_line
from ..registry import Registry
from ..tasks import dataset_and_split
from ..types import Dataset, Files, Hub, Packaged, Prediction, Row, Schema, Source
from .places import place_of
from .plugin import PluginUnderTest
from .results import NotCheckedError

TOLD = 3
"""Faults of one kind that are told of a split, at most."""


@dataclass
class Look:
    """What a look at a split found.

    Attributes:
        dataset: Its declaration.
        split: Its name.
        set: The rows, prepared; None where they are not here, or not as they should be.
        why_not: Why they are not here.
        count: How many rows the reader gave; None where it broke off.
        sha256: Their identity; None where a row does not fit.
        misfits: Rows that do not fit the schema: index and what is wrong.
        repeats: Ids that stand twice: the id and the two rows.
        stopped: What stopped the reader, and where.
    """

    dataset: Dataset
    split: str
    set: RowSet | None = None
    why_not: str = ""
    count: int | None = None
    sha256: str | None = None
    misfits: list[tuple[int, str]] = field(default_factory=list)
    repeats: list[tuple[str, int, int]] = field(default_factory=list)
    stopped: tuple[str, str] | None = None


class Shelf:
    """Looks at splits, each once.

    Args:
        plugin: Whose settings say where data lies.
    """

    def __init__(self, plugin: PluginUnderTest) -> None:
        self._plugin = plugin
        self._looks: dict[tuple[str, str], Look] = {}

    def look(self, dataset: Dataset, split: str) -> Look:
        """Look at a split: one that is as it should be is prepared, any other one is read to the end.

        Raises:
            NotCheckedError: Its schema is unknown, or it is too large.
        """
        key = (dataset.name, split)
        if key not in self._looks:
            self._looks[key] = self._look(dataset, split)
        return self._looks[key]

    def _look(self, dataset: Dataset, split: str) -> Look:
        largest, declared = self._plugin.largest, dataset.splits[split]
        if largest is not None and (declared.rows or 0) > largest:
            raise NotCheckedError(f"it has {declared.rows} rows, and only splits of up to {largest} are looked at")
        schema = schema_of(dataset, self._plugin.registry)
        packaged = [source for source in declared.sources if isinstance(source, Packaged)]
        if not all(isinstance(path, Path) for source in packaged for path in source.files):
            raise NotCheckedError("the path of a file is no Path: see the check dataset-declared")
        try:
            found = prepare(dataset, split, schema, self._plugin.settings)
        except (UserError, OSError) as error:
            return self._read(Look(dataset, split), schema, error)
        return Look(dataset, split, found, count=found.rows, sha256=found.rows_sha256)

    def _read(self, look: Look, schema: Schema, error: Exception) -> Look:
        """Read rows that could not be prepared, and say all that is wrong with them."""
        here = self._here(look.dataset.splits[look.split].sources)
        if here is None:
            look.why_not = str(error)
            return look
        source, paths = here
        seen: dict[int, int] = {}
        digest = hashlib.sha256()
        count = 0
        try:
            for index, row in enumerate(source.read(paths)):
                count += 1
                wrong = row_error(row, schema, look.dataset)
                if wrong is not None:
                    look.misfits.append((index, wrong))
                    continue
                first = seen.setdefault(id_hash(row["id"]), index)
                if first != index:
                    look.repeats.append((row["id"], first, index))
                digest.update(row_line(row))
        except Exception as stumbled:  # noqa: BLE001  # a stranger's reader may raise anything
            line = " ".join(f"{type(stumbled).__name__}: {stumbled}".split())
            look.stopped = (line, place_of(stumbled, self._plugin.files))
            return look
        look.count, look.sha256 = count, None if look.misfits else digest.hexdigest()
        if not (look.misfits or look.repeats) and count:
            unpinned = replace(look.dataset.splits[look.split], rows=None, rows_sha256=None)
            dataset = replace(look.dataset, splits={look.split: unpinned})
            look.set = prepare(dataset, look.split, schema, replace(self._plugin.settings, cache=self._plugin.work))
        return look

    def is_here(self, dataset: Dataset, split: str) -> bool:
        """Whether a split's files are here; they are not opened."""
        return self._here(dataset.splits[split].sources) is not None

    def _here(self, sources: Sequence[Source]) -> tuple[Files | Hub | Packaged, list[Path]] | None:
        """The first source whose files are here by now; nothing is fetched."""
        for source in sources:
            try:
                return source, locate(source, replace(self._plugin.settings, offline=True))[0]
            except NotHereError:
                continue
        return None

    def rows(self, dataset: Dataset, split: str, count: int) -> list[Row]:
        """Some rows, as far from each other as they can be.

        Raises:
            NotCheckedError: They are not here, or not as they should be.
        """
        look = self.look(dataset, split)
        if look.set is None:
            raise NotCheckedError(look.why_not or f"the rows of {dataset.name}, split {split}, do not fit (see above)")
        opened = look.set.open()
        count = min(count, len(opened))
        return [dict(opened[place * len(opened) // count]) for place in range(count)]

    def some(self, datasets: Iterable[Dataset], count: int) -> Iterator[tuple[Dataset, list[Row]]]:
        """Rows of each dataset that has some here, of its smallest split.

        Args:
            datasets: In the order in which they are wanted.
            count: How many rows, at most.
        """
        for dataset in {dataset.name: dataset for dataset in datasets}.values():
            for split in sorted(dataset.splits, key=lambda name: dataset.splits[name].rows or 0):
                try:
                    rows = self.rows(dataset, split, count)
                except NotCheckedError:
                    continue
                yield dataset, rows
                break

    def of_schemas(self, schemas: Sequence[str]) -> list[Dataset]:
        """Datasets of some schemas (none: of any): the plugin's own, then the small corpora that come with xbench."""
        own = [one for one in self._plugin.own.datasets if not schemas or one.schema in schemas]
        samples = [one for one in self._plugin.registry.datasets if one.sample and one.schema in schemas]
        return [*own, *samples]

    def scored_by(self, metric: str) -> list[Dataset]:
        """Datasets whose official scorer a metric is, then those of tasks that name it."""
        datasets = self._plugin.registry.datasets
        official = [one for one in datasets if metric in one.official]
        named = [text for task in self._plugin.registry.tasks if metric in task.metrics for text in task.eval]
        of_tasks = [datasets.items.get(dataset_and_split(text, "")[0]) for text in named]
        found = [*official, *(one for one in of_tasks if one is not None)]
        own = self._plugin.own.datasets.items
        return sorted(found, key=lambda one: (one.name not in own, not one.sample))


def schema_of(dataset: Dataset, registry: Registry) -> Schema:
    """A dataset's schema.

    Raises:
        NotCheckedError: Nobody declares it, or it is not well formed.
    """
    try:
        schema = registry.schemas.get(dataset.schema)
    except UserError as error:
        raise NotCheckedError(f"{error}") from None
    if type_error(schema.fields) or (schema.prediction and type_error(schema.prediction)):
        raise NotCheckedError(f"the schema {schema.name} is not well formed: see the check schema-declared")
    return schema


def type_error(spec: object) -> str:
    """The part of a type that is none; an empty text where all of it is one.

    Args:
        spec: As `Schema.fields` has it.
    """
    if isinstance(spec, Mapping):
        return next((wrong for inner in spec.values() if (wrong := type_error(inner))), "")
    if isinstance(spec, (list, tuple)):
        return type_error(spec[0]) if len(spec) == 1 else repr(spec)
    try:
        value_error("", spec)
    except (KeyError, TypeError):
        return repr(spec)
    return ""


def perfect_predictions(schema: Schema, rows: Sequence[Row]) -> list[Prediction]:
    """What a head that makes no mistake says of rows.

    Args:
        schema: Says it in ``perfect``, or its references have the form of a prediction.
        rows: The rows.

    Raises:
        NotCheckedError: The schema does not say.
    """
    if schema.perfect is not None:
        return list(schema.perfect(rows))
    references: list[Any] = [schema.reference(row) for row in rows]
    form = schema.prediction
    if not form or all(value_error(one, form) is None for one in references):
        return references
    if all(isinstance(one, (list, tuple)) for one in references):
        firsts = [one[0] if one else "" for one in references]
        if all(value_error(one, form) is None for one in firsts):
            return firsts
    raise NotCheckedError(
        f"the references of the schema {schema.name} are no predictions (which are {form}): say in Schema(perfect=...) "
        "what a head that makes no mistake gives"
    )
