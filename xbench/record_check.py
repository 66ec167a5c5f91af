"""Holds a record that others made against what is installed and what is here: declarations, rows, models and keys."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from .curriculum import FLOOR
from .data.rows import prepare
from .errors import UserError
from .identity import ChosenOn, Scored, Selection, Versioned, cell_key, floor_key, stage_key
from .models.resolve import model_here
from .recipe import EVALUATION_ONLY, EXECUTION_ONLY, KNOWN, SELECTION_ONLY, build_recipe, refuse_idle, spoken
from .record_form import ROUNDING
from .registry import Catalogue, Registry
from .scoring import name_scores
from .settings import Settings
from .training import TRAINING_VERSION
from .types import Head, Split

T = TypeVar("T")

MOST_TRIES = 1000
"""Combinations of diagnostics' versions that a key is tried with."""


class Verdict(NamedTuple):
    """What came of a check.

    Attributes:
        error: Why the record cannot be taken; empty when it can.
        said: What was checked and what was not, with the reason.
    """

    error: str
    said: str


class RecordCheck:
    """Checks records, one after the other; each model and each split is looked for once.

    Args:
        registry: What the plugins declare.
        settings: Cache and data root. Nothing is fetched.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry, self._settings = registry, replace(settings, offline=True)
        self._models: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._rows: dict[tuple[str, str], str | None] = {}

    def errors(self, record: Mapping[str, Any]) -> list[str]:
        """Where a record contradicts what is declared here, a line each.

        Args:
            record: Of the right form.
        """
        return [*self._split_errors(record), *self._sample_errors(record), *self._score_errors(record),
                *self._recipe_errors(record)]  # fmt: skip

    # What is declared

    def _split_errors(self, record: Mapping[str, Any]) -> Iterator[str]:
        limits = record["limits"]
        for place, split in _splits(record):
            dataset = _item(self._registry.datasets, split["dataset"])
            if dataset is None:
                continue
            if split["language"] != dataset.language:
                yield f"{place}.language: {split['language']}, and {dataset.name} is in {dataset.language}"
            declared = dataset.splits.get(split["split"])
            if declared is None:
                yield f"{place}.split: {dataset.name} has no split {split['split']!r}, only {', '.join(dataset.splits)}"
            else:
                limit = split["limit"] if "limit" in split else limits["eval" if place == "eval" else "train"]
                yield from _row_errors(place, split, declared, limit)

    def _sample_errors(self, record: Mapping[str, Any]) -> Iterator[str]:
        used = [_item(self._registry.datasets, split["dataset"]) for _, split in _splits(record)]
        known = [dataset.sample for dataset in used if dataset is not None]
        if record["sample"] != any(known) and (any(known) or len(known) == len(used)):
            yield f"sample: {str(record['sample']).lower()}, and its datasets are {'' if any(known) else 'no '}samples"

    def _score_errors(self, record: Mapping[str, Any]) -> Iterator[str]:
        metrics = [
            metric
            for name, version in record["metric_version"].items()
            if (metric := _item(self._registry.metrics, name)) is not None and metric.version == version
        ]
        # What is not comparable may be better where it is lower.
        best = name_scores([(metric.name, metric.best if metric.comparable else {}) for metric in metrics])
        worst = name_scores([(metric.name, metric.worst) for metric in metrics])
        for name, value in record["scores"].items():
            if value is not None and name in best and value > best[name] + ROUNDING:
                yield f"scores.{name}: {value} is above the best, {best[name]:g}"
            if value is not None and name in worst and value < worst[name] - ROUNDING:
                yield f"scores.{name}: {value} is below the worst, {worst[name]:g}"

    def _recipe_errors(self, record: Mapping[str, Any]) -> Iterator[str]:
        head = self._head(record)
        if isinstance(head, Head):
            try:
                refuse_idle(record["recipe"], build_recipe(record["recipe"], "recipe", head.options), "recipe")
            except UserError as error:
                yield str(error)

    def _head(self, record: Mapping[str, Any]) -> Head | str:
        """The head that a record was made with, or why it cannot be had."""
        return _of_version(self._registry.heads, record["head"], record["head_version"])

    # Rows

    def rows(self, record: Mapping[str, Any]) -> str:
        """What can be said of a record's rows, beyond `errors`: empty where all are those that are declared."""
        doubts: dict[str, str] = {}
        for _, split in _splits(record):
            name, part = split["dataset"], split["split"]
            dataset = _item(self._registry.datasets, name)
            if dataset is None:
                doubts[f"{name}/{part}"] = "not declared here"
            elif dataset.splits[part].rows_sha256 is None:
                here = self._rows_here(name, part)
                if here != split["rows_sha256"]:
                    doubts[f"{name}/{part}"] = "not pinned and not here" if here is None else "not pinned, others here"
        return "; ".join(f"rows of {where} not checked: {why}" for where, why in doubts.items())

    def _rows_here(self, name: str, part: str) -> str | None:
        if (name, part) not in self._rows:
            self._rows[name, part] = None
            try:
                dataset = self._registry.datasets.get(name)
                schema = self._registry.schemas.get(dataset.schema)
                self._rows[name, part] = prepare(dataset, part, schema, self._settings).rows_sha256
            except (UserError, OSError):
                pass  # what is not here is not checked, and the line says so
        return self._rows[name, part]

    # Keys

    def key(self, record: Mapping[str, Any]) -> Verdict:
        """Compute a record's key, and those of its stages, from what it holds.

        Args:
            record: Of the right form, and without `errors`.
        """
        scored = _scored(record)
        if record["transfer"] == FLOOR:
            whole = floor_key((record["head"], record["head_version"]), scored) == record["key"]
            return _verdict(whole, "its key", "key checked")
        head = self._head(record)
        if isinstance(head, str):
            return Verdict("", f"key not checked: {head}")
        models = self._identities(record)
        diagnostics = self._diagnostics(record)
        if isinstance(diagnostics, str):
            return Verdict("", f"key not checked: {diagnostics}")
        if not record["stages"] and isinstance(models, str):
            return Verdict("", f"key not checked: {models}")
        bases = record["stages"][-1:] or models
        if not any(self._is_key(record, scored, head, base, own) for base in bases for own in diagnostics):
            return _verdict(False, "its key", "")
        return self._stages(record, head, models) if record["stages"] else Verdict("", "key checked")

    def _is_key(
        self, record: Mapping[str, Any], scored: Scored, head: Head, base: str, diagnostics: Sequence[Versioned]
    ) -> bool:
        recipe, fit = record["recipe"], record["fit"]
        names = {*head.decoding, *EVALUATION_ONLY} if record["stages"] else recipe.keys()
        fitted = None
        if fit is not None:
            fitted = (fit["dataset"], fit["split"], fit["rows_sha256"], record["limits"]["train"])
        key = cell_key(
            scored, base, record["model"]["name"], (head.name, head.version), record["curriculum"], record["reading"],
            fitted, record["seed"], {name: recipe.get(name) for name in names}, diagnostics, _selection(record),
        )  # fmt: skip
        return bool(key == record["key"])

    def _diagnostics(self, record: Mapping[str, Any]) -> list[list[Versioned]] | str:
        """Every choice of versions that the record's diagnostics may have had: it does not say which."""
        choices: list[list[Versioned]] = []
        for name in record["diagnostics"]:
            found = _item(self._registry.diagnostics, name)
            if found is None:
                return f"the diagnostic {name} is not installed"
            choices.append([(name, version) for version in range(found.version, 0, -1)])
        return [list(one) for one in itertools.islice(itertools.product(*choices), MOST_TRIES)]

    def _identities(self, record: Mapping[str, Any]) -> list[str] | str:
        """Of the record's model, with its own code and without; or why it cannot be had."""
        model = record["model"]
        where = (model["name"], model["revision"])
        if where not in self._models:
            ways = (replace(self._settings, trust_remote_code=code) for code in (False, True))
            found = [one for way in ways if (one := model_here(*where, self._registry, way)) is not None]
            self._models[where] = list(dict.fromkeys((one.weights_sha256, one.identity) for one in found))
        known = self._models[where]
        if not known:
            return f"the model {model['name']} is not here"
        same = [identity for weights, identity in known if weights == model["weights_sha256"]]
        return same or f"the model {model['name']} has other weights here"

    def _stages(self, record: Mapping[str, Any], head: Head, models: list[str] | str) -> Verdict:
        """The keys of the stages follow from one another, the first one's from the model."""
        for name in {split["dataset"] for split in record["train"]}:
            if _item(self._registry.datasets, name) is None:
                return Verdict("", f"key checked; its stages' not: {name} is not declared here")
        stated, codes = record["environment"].get("training_version"), self._codes(record, head, models)
        if not codes or (stated is not None and stated not in codes):
            which = f"versions 1 to {TRAINING_VERSION}" if stated is None else f"version {stated}"
            return _verdict(False, f"a stage's key, with training code of {which},", "")
        return Verdict(
            "", "key checked" if isinstance(models, list) else f"key checked; its first stage's not: {models}"
        )

    def _codes(self, record: Mapping[str, Any], head: Head, models: list[str] | str) -> list[int]:
        """Versions of the training code with which all stages have their keys, but the first of a model not here."""
        first = [{"model": one} for one in models] if isinstance(models, list) else []
        bases = [first, *([{"parent": key}] for key in record["stages"])]
        depths = range(0 if first else 1, len(record["stages"]))
        return [
            version for version in range(TRAINING_VERSION, 0, -1)
            if all(self._is_stage(record, head, depth, bases[depth], version) for depth in depths)
        ]  # fmt: skip

    def training_version(self, record: Mapping[str, Any]) -> int | None:
        """The version of the training code that a record's stages were made with.

        Args:
            record: A finished one, of the right form.

        Returns:
            None where nothing was trained, and where too little of it is here: the head and the datasets, and of a
            single stage the model.
        """
        head = self._head(record)
        if not record["stages"] or isinstance(head, str):
            return None
        if any(_item(self._registry.datasets, split["dataset"]) is None for split in record["train"]):
            return None
        codes = self._codes(record, head, self._identities(record))
        return codes[0] if len(codes) == 1 else None

    def _is_stage(
        self, record: Mapping[str, Any], head: Head, depth: int, bases: Sequence[Mapping[str, str]], training: int
    ) -> bool:
        left_out = EXECUTION_ONLY | EVALUATION_ONLY | SELECTION_ONLY | (set(head.decoding) & set(_own_options(head)))
        recipe = {name: value for name, value in spoken(record["recipe"]).items() if name not in left_out}
        mixture = [split for split in record["train"] if split["stage"] == depth]
        first, rows = self._registry.datasets.items[mixture[0]["dataset"]], [split["rows_sha256"] for split in mixture]
        keys = (
            stage_key(base, rows, (head.name, head.version), record["seed"], limit, first, recipe, training)
            for base in bases
            # A limit that takes all rows of a stage is none in its key.
            for limit in {record["limits"]["train"], None}
        )
        return record["stages"][depth] in keys


def _own_options(head: Head) -> list[str]:
    """A head's recipe keys that training does not know itself."""
    return [name for name in head.options if name not in KNOWN]


def _verdict(follows: bool, what: str, said: str) -> Verdict:
    wrong = f"key: {what} does not follow from what the record holds: it was altered, or another xbench made it"
    return Verdict("" if follows else wrong, said if follows else "")


def _scored(record: Mapping[str, Any]) -> Scored:
    evaluated = record["eval"]
    return Scored(
        (record["task"], record["task_version"]), (evaluated["dataset"], evaluated["split"]), evaluated["rows_sha256"],
        record["limits"]["eval"], list(record["metric_version"].items()),
    )  # fmt: skip


def _selection(record: Mapping[str, Any]) -> Selection:
    selected = record.get("selected")
    if selected is None:
        return Selection()
    chosen_on = [
        ChosenOn(one["dataset"], one["split"], one["rows_sha256"], one["limit"], (one["metric"], one["metric_version"]))
        for one in selected["dev"]
    ]
    return Selection(record["selection"], selected["candidates"], chosen_on)


def _splits(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The splits that a record names, each with its place."""
    for index, split in enumerate(record["train"]):
        yield f"train[{index}]", split
    if record["fit"] is not None:
        yield "fit", record["fit"]
    for index, split in enumerate(record["selected"]["dev"] if "selected" in record else ()):
        yield f"selected.dev[{index}]", split
    yield "eval", record["eval"]


def _row_errors(place: str, split: Mapping[str, Any], declared: Split, limit: int | None) -> Iterator[str]:
    name, rows, pin = split["dataset"], split["rows"], declared.rows_sha256
    if pin is not None and split["rows_sha256"] != pin:
        yield (
            f"{place}.rows_sha256: {split['rows_sha256'][:12]}..., and the rows of {name}/{split['split']} are pinned "
            f"as {pin[:12]}...: another dataset, or another version of it"
        )
    elif declared.rows is not None:
        most = declared.rows if limit is None else min(limit, declared.rows)
        # Not every row need give something to train on.
        if rows > most or (rows < most and not place.startswith("train") and limit != rows):
            yield f"{place}.rows: {rows}, and {name}/{split['split']} has {declared.rows}"


def _item(catalogue: Catalogue[T], name: str) -> T | None:
    """What a name stands for; None where it is unknown, has two owners, or cannot be made here."""
    with contextlib.suppress(UserError):
        return catalogue.get(name)
    return None


def _of_version(catalogue: Catalogue[Head], name: str, version: int) -> Head | str:
    found = _item(catalogue, name)
    if found is None:
        return f"the head {name} is not installed"
    if found.version != version:
        return f"the head {name} is version {found.version} here, and {version} in the record"
    return found
