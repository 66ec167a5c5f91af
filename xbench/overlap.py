"""Counts evaluation rows that stand in what was trained or fitted on as well: as they are, and through translations."""

from __future__ import annotations

import functools
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .data.ids import id_hash
from .data.rows import prepare, select, share_limit
from .disk import reason_or_stop
from .errors import UserError
from .work import EVAL_DRAW_SEED, Drawn

if TYPE_CHECKING:
    import numpy.typing as npt

    from .data.rows import RowSet
    from .registry import Registry
    from .settings import Settings
    from .types import Dataset, Row

    Digests = npt.NDArray[np.uint64]

EMPTY = 0
"""The digest of a text with nothing in it, which stands nowhere."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying by it loses nothing; the digests that it mixes are spread evenly as they are."""


@dataclass(frozen=True)
class Fingerprints:
    """The texts of some rows, as digests.

    Attributes:
        fields: The rows' fields that hold texts.
        layers: (rows, fields) each: the rows' own texts, then those of the rows that they translate, then those of the
            rows that these translate.
        whole: Whether every row that a row translates is among them.
    """

    fields: tuple[str, ...]
    layers: tuple[Digests, ...]
    whole: bool = True


@functools.lru_cache(64)  # questions on one passage stand together
def text_digest(text: str) -> int:
    """64 bits of a text's hash, whatever its case, its white space, and the form of its characters (NFKC)."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return id_hash(plain) if plain else EMPTY


def text_digests(rows: Iterable[Row], fields: Sequence[str]) -> Digests:
    """The digests of some rows' texts.

    Args:
        rows: Gone through once.
        fields: At least one.

    Returns:
        (rows, fields)
    """
    values = (row[name] for row in rows for name in fields)
    digests = array("Q", (text_digest(value if isinstance(value, str) else " ".join(value)) for value in values))
    return np.asarray(digests, np.uint64).reshape(-1, len(fields))


def count_overlap(evaluated: Fingerprints, trained: Fingerprints) -> dict[str, Any]:
    """Count the evaluation rows that stand in training as well.

    Args:
        evaluated: The rows that are scored.
        trained: The rows that were trained or fitted on; of any schema.

    Returns:
        ``rows``: rows all of whose texts stand in one training row, in whatever order. ``texts``: rows one of whose
        texts, at least, stands somewhere in training. ``fields``: rows whose text of that field does. The same three
        with ``translated_`` before them: each row, on either side, with the rows that it translates put beside it;
        None where one of these is not here.
    """
    counts = _counts(evaluated.fields, evaluated.layers[:1], trained.layers[:1])
    followed: Mapping[str, Any] = dict.fromkeys(counts)
    if evaluated.whole and trained.whole:
        followed = _counts(evaluated.fields, evaluated.layers, trained.layers)
    return {**counts, **{f"translated_{name}": value for name, value in followed.items()}}


def _counts(fields: Sequence[str], evaluated: Sequence[Digests], trained: Sequence[Digests]) -> dict[str, Any]:
    known = np.unique(np.concatenate([layer.reshape(-1) for layer in trained]))
    known_rows = np.unique(np.concatenate([_row_digests(layer) for layer in trained]))
    rows = np.zeros(len(evaluated[0]), np.bool_)
    texts = np.zeros(evaluated[0].shape, np.bool_)  # (rows, fields)
    for layer in evaluated:
        said = layer != EMPTY
        rows |= np.isin(_row_digests(layer), known_rows) & said.any(axis=1)
        texts |= np.isin(layer, known) & said
    by_field = {name: int(count) for name, count in zip(fields, texts.sum(axis=0), strict=True)}
    return {"rows": int(rows.sum()), "texts": int(texts.any(axis=1).sum()), "fields": by_field}


def _row_digests(layer: Digests) -> Digests:
    """(rows,) One digest for all texts of a row, in whatever order they stand."""
    mixed = np.zeros(len(layer), np.uint64)
    for column in np.sort(layer, axis=1).T:
        mixed = mixed * MULTIPLIER ^ column
    return mixed


class Overlaps:
    """Counts overlaps for many records: each split is read once, each pair of them compared once.

    It keeps eight bytes a text, and as many a row of what has translations.

    Args:
        registry: What the plugins declare.
        settings: Data root and cache. Nothing is fetched.
        here: Rows that are ready, by dataset and split.
    """

    def __init__(
        self, registry: Registry, settings: Settings, here: Mapping[tuple[str, str], RowSet] | None = None
    ) -> None:
        self._registry, self._settings = registry, replace(settings, offline=True)
        self._sets: dict[tuple[str, str], RowSet | None] = dict(here or {})
        self._ids: dict[Drawn, Digests] = {}
        self._texts: dict[Drawn, Digests] = {}
        self._prints: dict[Drawn, Fingerprints | None] = {}
        self._counts: dict[tuple[Drawn, Drawn], dict[str, Any]] = {}

    def of_record(self, record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """What a record's field ``overlap`` holds.

        Args:
            record: Its fields ``train``, ``fit``, ``eval``, ``limits`` and ``seed``.

        Returns:
            An entry for each dataset that was trained on (``role`` is ``train``) or that the reading was fitted on
            (``fit``): what `count_overlap` counts, with ``dataset``, ``split`` and ``stage``, which is None for
            ``fit``. The counts are None where a schema does not say which fields hold texts. None instead of a list
            where rows are not here, or are not the record's.
        """
        used = [*record["train"], *([] if record["fit"] is None else [record["fit"]])]
        if any(not self._is_here(split) for split in (*used, record["eval"])):
            return None
        evaluated = self._drawn(record["eval"], record["limits"]["eval"], EVAL_DRAW_SEED)
        return [
            {"role": role, "dataset": drawn.dataset, "split": drawn.split, "stage": stage,
             **self._count(evaluated, drawn)}
            for role, stage, drawn in self._learned(record)
        ]  # fmt: skip

    def _learned(self, record: Mapping[str, Any]) -> Iterator[tuple[str, int | None, Drawn]]:
        """What a record was trained and fitted on, as the run drew it."""
        limit, seed = record["limits"]["train"], record["seed"]
        for depth in dict.fromkeys(split["stage"] for split in record["train"]):
            mixture = [split for split in record["train"] if split["stage"] == depth]
            sizes = [self._row_set(split["dataset"], split["split"]).rows for split in mixture]
            for split, share in zip(mixture, share_limit(limit, sizes), strict=True):
                yield "train", depth, self._drawn(split, share, seed)
        if record["fit"] is not None:
            yield "fit", None, self._drawn(record["fit"], limit, seed)

    def _drawn(self, split: Mapping[str, Any], limit: int | None, seed: int) -> Drawn:
        """The same rows have one name, so that they are read once."""
        name, part = split["dataset"], split["split"]
        if limit is None or limit >= self._row_set(name, part).rows:
            return Drawn(name, part, None, EVAL_DRAW_SEED)
        return Drawn(name, part, limit, seed)

    def _is_here(self, split: Mapping[str, Any]) -> bool:
        found = self._find(split["dataset"], split["split"])
        return found is not None and found.rows_sha256 == split["rows_sha256"]

    def _row_set(self, name: str, split: str) -> RowSet:
        found = self._find(name, split)
        assert found is not None
        return found

    def _find(self, name: str, split: str) -> RowSet | None:
        """A split's rows, when they can be had without fetching anything."""
        if (name, split) not in self._sets:
            found = None
            try:
                dataset = self._registry.datasets.get(name)
                if split in dataset.splits:
                    found = prepare(dataset, split, self._registry.schemas.get(dataset.schema), self._settings)
            except (UserError, OSError) as error:
                reason_or_stop(error, self._settings.cache)  # what is not here is not counted, and the count says so
            self._sets[name, split] = found
        return self._sets[name, split]

    def _count(self, evaluated: Drawn, trained: Drawn) -> dict[str, Any]:
        if (evaluated, trained) not in self._counts:
            one, other = self._fingerprints(evaluated), self._fingerprints(trained)
            names = [f"{prefix}{name}" for prefix in ("", "translated_") for name in ("rows", "texts", "fields")]
            nothing: dict[str, Any] = dict.fromkeys(names)
            counts = nothing if one is None or other is None else count_overlap(one, other)
            self._counts[evaluated, trained] = counts
        return self._counts[evaluated, trained]

    def _fingerprints(self, drawn: Drawn) -> Fingerprints | None:
        """None where the schema does not say which fields hold texts."""
        if drawn not in self._prints:
            dataset = self._row_set(drawn.dataset, drawn.split).dataset
            fields = self._fields(dataset)
            self._prints[drawn] = self._follow(drawn, dataset, fields) if fields else None
        return self._prints[drawn]

    def _follow(self, drawn: Drawn, dataset: Dataset, fields: tuple[str, ...]) -> Fingerprints:
        """The rows' texts, and from row to row those of what they translate."""
        layers, seen = [self._own_texts(drawn, fields)], {dataset.name}
        while (name := dataset.translation_of) and name not in seen:
            seen.add(name)
            origin = self._find(name, drawn.split)
            if origin is None or self._fields(origin.dataset) != fields:
                return Fingerprints(fields, tuple(layers), whole=False)
            everything = Drawn(name, drawn.split, None, EVAL_DRAW_SEED)
            places = _places(self._own_ids(drawn), self._own_ids(everything))
            if places is None:
                return Fingerprints(fields, tuple(layers), whole=False)
            layers.append(self._own_texts(everything, fields)[places])
            dataset = origin.dataset
        return Fingerprints(fields, tuple(layers))

    def _fields(self, dataset: Dataset) -> tuple[str, ...]:
        return self._registry.schemas.get(dataset.schema).texts

    def _rows(self, drawn: Drawn) -> Iterable[Row]:
        return select(self._row_set(drawn.dataset, drawn.split).open(), drawn.limit, drawn.seed)

    def _own_texts(self, drawn: Drawn, fields: Sequence[str]) -> Digests:
        if drawn not in self._texts:
            self._texts[drawn] = text_digests(self._rows(drawn), fields)
        return self._texts[drawn]

    def _own_ids(self, drawn: Drawn) -> Digests:
        """(rows,) Of their ids."""
        if drawn not in self._ids:
            self._ids[drawn] = np.asarray(array("Q", (id_hash(row["id"]) for row in self._rows(drawn))), np.uint64)
        return self._ids[drawn]


def _places(wanted: Digests, ids: Digests) -> npt.NDArray[np.int64] | None:
    """(wanted,) Where each stands among the ids; None where one does not."""
    order = np.argsort(ids)
    places: npt.NDArray[np.int64] = order[np.searchsorted(ids, wanted, sorter=order) % len(ids)]
    return places if np.array_equal(ids[places], wanted) else None


def overlap_of_record(record: Mapping[str, Any], registry: Registry, settings: Settings) -> list[dict[str, Any]] | None:
    """What a record's field ``overlap`` holds; `Overlaps.of_record` for one record.

    Args:
        record: Any record, those without the field included.
        registry: What the plugins declare.
        settings: Data root and cache. Nothing is fetched.

    Returns:
        The entries, or None where the record's rows are not here.
    """
    return Overlaps(registry, settings).of_record(record)
