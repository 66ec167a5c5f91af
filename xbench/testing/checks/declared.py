"""Checks of declarations alone: who made a thing, in which language it is, and that its parts go together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...languages import code_error
from ...measures import Diagnostic, Figure
from ...recipe import Recipe
from ...types import Dataset, Floor, Head, Hub, Model, Packaged, Schema
from ..results import Problem
from ..shelf import type_error
from ..subject import Subject
from .common import text_problems, unknown_names, unversioned

COMMIT = re.compile("[0-9a-f]{40}")
SHA256 = re.compile("[0-9a-f]{64}")
ADDRESS = re.compile(r"https?://\S+")
SCALARS = (str, int, float, bool)


def check_credits(about: Subject, thing: Dataset | Model) -> Iterator[Problem]:
    """It has a licence, a homepage and a description, a dataset also whom to cite."""
    kind = "dataset" if isinstance(thing, Dataset) else "model"
    where = about.plugin.where(kind, thing)
    wanted = {
        "licence": "as its publisher states it, such as CC BY 4.0; 'none stated' where nobody does",
        "citation": "in one line: authors (year), title, where it was published",
        "homepage": "the address where it is published",
        "description": "one line",
    }
    for name, form in wanted.items():
        if hasattr(thing, name):
            yield from text_problems(kind, name, getattr(thing, name), where, form)
    packaged = isinstance(thing, Dataset) and all(
        isinstance(source, Packaged) for split in thing.splits.values() for source in split.sources
    )
    if thing.homepage.strip() and not packaged and not ADDRESS.fullmatch(thing.homepage):
        yield Problem(f"the {kind}'s homepage {thing.homepage!r:.80} is no address", where, "write https://...")


def check_languages(about: Subject, thing: Dataset | Model) -> Iterator[Problem]:
    """Its languages are ISO 639-1 codes, as many as its schema's rows have."""
    kind = "dataset" if isinstance(thing, Dataset) else "model"
    where = about.plugin.where(kind, thing)
    if isinstance(thing, Model) and thing.languages == ("multilingual",):
        return
    for code in thing.languages:
        wrong = code_error(code)
        if wrong is not None:
            yield Problem(
                f"the language {wrong}", where, "write the code in `languages`; the rest belongs in the description"
            )
    if isinstance(thing, Dataset):
        schema = about.plugin.registry.schemas.items.get(thing.schema)
        if schema is not None and len(thing.languages) not in schema.languages:
            takes = " or ".join(map(str, schema.languages))
            yield Problem(
                f"it names {len(thing.languages)} languages, and the schema {schema.name} takes {takes}", where,
                "name one language, or one for each text of a row, in the row's order",
            )  # fmt: skip
    elif not thing.languages:
        yield Problem("it names no language", where, 'name its languages, or ("multilingual",)')


def check_dataset(about: Subject, dataset: Dataset) -> Iterator[Problem]:
    """Its schema, official metrics and origin are there; its labels, score range and sources are well formed."""
    registry, where = about.plugin.registry, about.plugin.where("dataset", dataset)
    yield from unknown_names(registry.schemas, [dataset.schema], where)
    yield from unknown_names(registry.metrics, dataset.official, where)
    yield from unknown_names(registry.datasets, [dataset.translation_of] if dataset.translation_of else [], where)
    for name in dataset.official:
        metric = registry.metrics.items.get(name)
        if metric is not None and metric.schemas and dataset.schema not in metric.schemas:
            yield Problem(
                f"its official metric {name} scores {', '.join(metric.schemas)}, and it holds {dataset.schema}", where,
                "name a metric that takes its schema",
            )  # fmt: skip
    if dataset.score_range is not None and not dataset.score_range[0] < dataset.score_range[1]:
        yield Problem(f"its score_range {dataset.score_range} is empty", where, "write (lowest, highest)")
    if len(set(dataset.labels)) < len(dataset.labels):
        yield Problem("a label stands twice", where, "name each label once, in the order of their numbers")
    schema = registry.schemas.items.get(dataset.schema)
    if schema is not None and schema.fields.get("label") == "int64" and len(dataset.labels) < 2:
        yield Problem("it names fewer than two labels", where, 'labels=("negative", "positive")')
    if not dataset.splits:
        yield Problem("it has no split", where, 'splits={"train": Split(...), "test": Split(...)}')
    for name, split in dataset.splits.items():
        yield from unknown_names(registry.datasets, split.stand_ins, f"{where}, split {name}")
        yield from _sources(name, split.sources, where)


def _sources(split: str, sources: Any, where: str) -> Iterator[Problem]:
    where = f"{where}, split {split}"
    if not sources:
        yield Problem("it has no source", where, "Split((Packaged((path,), read),)), or Files or Hub")
    for source in sources:
        for path in source.files if isinstance(source, Packaged) else ():
            if not isinstance(path, Path):
                yield Problem(f"{path!r} is no Path", where, 'write Path(__file__).parent / "NAME"')
        if not source.files:
            yield Problem("a source has no file", where, "name its files")
        if isinstance(source, Hub) and not COMMIT.fullmatch(source.revision):
            yield Problem(
                f"the hub revision {source.revision!r} is no commit", where,
                f"write the 40 digits that https://huggingface.co/datasets/{source.repository}/commits/main shows",
            )  # fmt: skip
        for file in () if isinstance(source, (Hub, Packaged)) else source.files:
            if file.url is not None and not file.url.startswith("https://"):
                yield Problem(f"{file.url} is not fetched: only https is", where, "give its https address, or none")
            if file.sha256 is not None and not SHA256.fullmatch(file.sha256):
                yield Problem(f"the sha256 of {file.path} has not 64 hexadecimal digits", where, "sha256sum tells it")


def check_model(about: Subject, model: Model) -> Iterator[Problem]:
    """It comes from one place, and from the hub at a pinned commit."""
    where = about.plugin.where("model", model)
    ways = [name for name in ("write", "folder", "hub") if getattr(model, name) is not None]
    if len(ways) != 1:
        yield Problem(
            f"it comes from {' and '.join(ways) or 'nowhere'}", where,
            "give one of write= (assembles it), folder= (finds it), hub=(repository, commit)",
        )  # fmt: skip
    if model.hub is not None and not COMMIT.fullmatch(model.hub[1]):
        yield Problem(
            f"the hub revision {model.hub[1]!r} is no commit", where,
            f"write the 40 digits that https://huggingface.co/{model.hub[0]}/commits/main shows",
        )  # fmt: skip


def check_schema(about: Subject, schema: Schema) -> Iterator[Problem]:
    """Its fields and predictions have types that rows can be checked against."""
    where = about.plugin.where("schema", schema)
    for name, spec in [*schema.fields.items(), *([("prediction", schema.prediction)] if schema.prediction else [])]:
        wrong = type_error(spec)
        if wrong:
            yield Problem(
                f"{name}: {wrong} is no type", where,
                "write \"string\", \"float64\" or \"int64\", [type] for a list, {\"name\": type} for a mapping",
            )  # fmt: skip
    if not schema.languages or min(schema.languages) < 1:
        yield Problem("its rows are in no language", where, "languages=(1,), or (2,) for pairs")


def check_head(about: Subject, head: Head) -> Iterator[Problem]:
    """Its schemas are there, its options are recipe values, and its readings have names of their own."""
    where = about.plugin.where("head", head)
    yield from unversioned("head", head, where)
    yield from unknown_names(about.plugin.registry.schemas, head.schemas, where)
    for name, value in head.options.items():
        choices = value if isinstance(value, tuple) else (value,)
        if not choices or not all(isinstance(choice, SCALARS) for choice in choices):
            yield Problem(
                f"the option {name} = {value!r:.60} is no recipe value", where,
                "give its default: a text, a number, True or False; a tuple of these lists the choices",
            )  # fmt: skip
    for name in head.decoding:
        if name not in {*Recipe().values(), *head.options}:
            yield Problem(
                f"`decoding` names {name!r}, which is neither an option nor a recipe key", where,
                "name options that change predictions without training",
            )  # fmt: skip
    names = [reading.name for reading in head.readings]
    if not names or len(set(names)) < len(names):
        yield Problem(
            f"its readings are {', '.join(names) or 'none'}", where, "give it readings, each with its own name"
        )


def check_floor(about: Subject, floor: Floor) -> Iterator[Problem]:
    """It says what it does, and its schemas are there."""
    where = about.plugin.where("floor", floor)
    yield from unversioned("floor", floor, where)
    yield from unknown_names(about.plugin.registry.schemas, floor.schemas, where)


def check_measure(about: Subject, measure: Diagnostic | Figure) -> Iterator[Problem]:
    """It says what it shows and can be called."""
    kind = "diagnostic" if isinstance(measure, Diagnostic) else "figure"
    where = about.plugin.where(kind, measure)
    yield from unversioned(kind, measure, where)
    work = measure.compute if isinstance(measure, Diagnostic) else measure.draw
    if not callable(work):
        yield Problem(f"{work!r:.60} cannot be called", where, "give a function that takes the context")
