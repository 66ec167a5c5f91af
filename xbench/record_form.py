"""What a record is, field by field, and what has to agree within it: for records that others made."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np

from .curriculum import FLOOR, FROZEN, transfer
from .forms import Form, ascii_safe, each, flag, maybe, named, number, one_of, scalar, shown, table, text, whole
from .recipe import AVERAGE, CHOICES, LAST, ORACLE, SOURCE_DEV
from .registry import NAME
from .sampling import STEPS
from .selection import best_candidate
from .store import DONE, FAILED, READABLE, RECORD_SCHEMA, sign

TRANSFERS = ("zero-shot", "in-language", "mixed", "frozen", FLOOR)
MOST_DRAWS = 100_000
MOST_ERRORS = 20
"""A file may hold a hundred thousand of them."""
LONGEST_CURRICULUM = 2000
MOST_SCORE = 1e30
"""What is larger, or smaller than its negative, cannot be squared and squared again on the way to an interval."""
ROUNDING = 1e-6
"""A score may lie so far above the best one, or below the worst, in its own units."""

_name = text(100, NAME, "a name: small letters, digits, '.', '_' and '-'")
_label = text(100)
_sha256 = text(64, re.compile("[0-9a-f]{64}"), "64 hexadecimal digits")
_sha256_or_nothing = text(64, re.compile("[0-9a-f]{64}"), "64 hexadecimal digits", empty=True)
_language = text(40, re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*"), "a language or a pair of them")
_count = whole(0)
_version = whole(0, 2**31)
_score = number(-MOST_SCORE, MOST_SCORE)
_numbers = named(maybe(_score), _label)
_bounds = named(each(_score), _label)
_split: Mapping[str, Form] = {
    "dataset": _name, "language": _language, "split": _label, "rows": whole(1), "rows_sha256": _sha256,
}  # fmt: skip
_fields = maybe(named(_count, _label))
_SELECTED = table({
    "candidates": whole(2), "steps": each(whole(1)), "epochs": each(number(0)), "step": maybe(whole(1)),
    "dev": each(table({**_split, "limit": maybe(whole(2)), "metric": _name, "metric_version": _version})),
    "scores": each(each(maybe(number()))),
})  # fmt: skip
_SAMPLING = table({
    "scheme": _label, "unit": _label, "units": whole(1), "units_sha256": _sha256, "draws": whole(1, MOST_DRAWS),
    "scores": named(table({"scale": number(0), "data": text(4 * MOST_DRAWS)}), _label),
})  # fmt: skip
_OVERLAP = table({
    "role": one_of("train", "fit"), "dataset": _name, "split": _label, "stage": maybe(_count),
    "rows": maybe(_count), "texts": maybe(_count), "fields": _fields,
    "translated_rows": maybe(_count), "translated_texts": maybe(_count), "translated_fields": _fields,
})  # fmt: skip
_TIMING: Mapping[str, Form] = {
    **{name: number(0) for name in ("train_s", "eval_s", "eval_examples_per_s", "decode_s", "score_s")},
    **{name: maybe(number(0)) for name in ("train_examples_per_s", "peak_rss_mb", "peak_gpu_mb")},
}
_ENVIRONMENT: Mapping[str, Form] = {
    **{name: text(empty=True) for name in ("xbench", "python", "torch", "transformers", "device", "precision")},
    **{name: maybe(text(empty=True)) for name in ("training_device", "training_precision")},
    "threads": whole(1), "training_threads": maybe(whole(1)), "training_processes": whole(2),
    "training_version": whole(1, 2**31),
}  # fmt: skip


def _form(old: bool, failed: bool = False) -> Form:
    """What a record holds; those of the second form lack some of it, and those of failed trainings all predictions."""
    fields: Mapping[str, Form] = {
        "schema": one_of(*READABLE), "key": _sha256, "checksum": _sha256, "status": one_of(DONE),
        "task": _name, "task_version": _version, "head": _name, "head_version": _version,
        "curriculum": text(LONGEST_CURRICULUM), "reading": _label, "seed": whole(0, 2**64 - 1),
        "transfer": one_of(*TRANSFERS),
        "model": table({
            "name": text(), "revision": text(empty=True), "weights_sha256": _sha256_or_nothing, "parameters": _count,
            "sentence": text(),
        }, ("sentence",)),
        "train": each(table({**_split, "stage": _count})), "fit": maybe(table(_split)), "eval": table(_split),
        "stages": each(_sha256), "limits": table({"train": maybe(whole(2)), "eval": maybe(whole(2))}), "sample": flag,
        "scores": named(maybe(_score), _label, least=1), "primary": _label,
        "metric_version": named(_version, _name, least=1), "chance": _numbers, "bounds": _bounds,
        "diagnostics": named(_numbers, _name), "ceilings": _numbers, "recipe": named(scalar, _label),
        "selection": one_of(*CHOICES["selection"]), "selected": _SELECTED,
        "predictions_sha256": _sha256, "kept": maybe(named(_sha256, _label)),
        "timing": table(_TIMING, ("decode_s", "score_s") if old else ()),
        "environment": table(_ENVIRONMENT, [
            name for name in _ENVIRONMENT
            if (old and name.startswith("training_")) or name in ("training_processes", "training_version")
        ]),
        "sampling": _SAMPLING, "overlap": maybe(each(_OVERLAP)),
    }  # fmt: skip
    if failed:
        fields = {name: form for name, form in fields.items() if name not in ("predictions_sha256", "sampling")}
        return table({**fields, "status": one_of(FAILED), "reason": text()}, ("bounds", "selected"))
    return table(fields, ("bounds", "selected", *(("chance", "sampling", "overlap", "ceilings") if old else ())))


_FORMS = {schema: _form(old=schema != RECORD_SCHEMA) for schema in READABLE}
_FAILED = _form(old=False, failed=True)


def record_errors(value: object) -> list[str]:
    """What is wrong with a record, as far as it tells by itself.

    Args:
        value: What JSON gave.

    Returns:
        A line each, with the place: ``scores.spearman: 'x' is not a number``; none for a record that can be taken.
        No more than `MOST_ERRORS`; what belongs together is looked at only where every field has its form.
    """
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, str) and schema not in _FORMS:
        return [f"schema: {shown(schema)} is none that is read here ({', '.join(READABLE)})"]
    form = _FORMS[schema if isinstance(schema, str) else RECORD_SCHEMA]
    if form is _FORMS[RECORD_SCHEMA] and isinstance(value, dict) and value.get("status") == FAILED:
        form = _FAILED
    errors = list(islice(form(value, ""), MOST_ERRORS))
    if errors or not isinstance(value, dict):
        return errors
    if sign(value)["checksum"] != value["checksum"]:
        return ["checksum: does not hold: the record was altered or damaged"]
    return list(chain.from_iterable(rule(value) for rule in _RULES))


def _learned(record: Mapping[str, Any]) -> Iterator[str]:
    """The curriculum, the stages, and what was trained on."""
    curriculum, floor = record["curriculum"], record["transfer"] == FLOOR
    mixtures = [] if curriculum == FROZEN else [part.split("+") for part in curriculum.split(":")]
    names = list(chain.from_iterable(mixtures))
    if any(not NAME.fullmatch(name) or name == FROZEN for name in names):
        yield f"curriculum: {shown(curriculum)} is not DATASET, A:B (A, then B), A+B (mixed) or none"
    if any(len(set(mixture)) < len(mixture) for mixture in mixtures):
        yield f"curriculum: {shown(curriculum)} mixes a dataset with itself"
    trained = [(split["stage"], split["dataset"]) for split in record["train"]]
    if trained != [(depth, name) for depth, mixture in enumerate(mixtures) for name in mixture]:
        yield f"train: holds other datasets, or other stages, than the curriculum {shown(curriculum)}"
    if len(record["stages"]) != len(mixtures):
        yield f"stages: {len(record['stages'])} of them, and the curriculum has {len(mixtures)}"
    languages = [split["language"].split("-") for split in record["train"]]
    kind = transfer(chain.from_iterable(languages), record["eval"]["language"].split("-"))
    if not floor and record["transfer"] != kind:
        yield f"transfer: {record['transfer']}, and its languages make it {kind}"
    if floor and not _is_floor(record):
        yield "transfer: floor, and a floor has no weights, trains on nothing and is called as its head"
    if not floor and not record["model"]["weights_sha256"]:
        yield "model.weights_sha256: is empty, and only a floor has no weights"


def _is_floor(record: Mapping[str, Any]) -> bool:
    nothing = {"curriculum": FROZEN, "seed": 0, "fit": None, "recipe": {}, "diagnostics": {}}
    model = {"name": record["head"], "revision": "", "weights_sha256": "", "parameters": 0}
    alike = all(record[name] == value for name, value in nothing.items())
    return alike and record["model"] == model and record["limits"]["train"] is None


def _counted(record: Mapping[str, Any]) -> Iterator[str]:
    """Rows and their limits."""
    limit_train, limit_eval, rows = record["limits"]["train"], record["limits"]["eval"], record["eval"]["rows"]
    if limit_eval is not None and rows != limit_eval:
        yield f"eval.rows: {rows}, and limits.eval is {limit_eval}"
    if limit_train is not None:
        for depth in range(len(record["stages"])):
            count = sum(split["rows"] for split in record["train"] if split["stage"] == depth)
            if count > limit_train:
                yield f"train: {count} rows of stage {depth}, and limits.train is {limit_train}"
        if record["fit"] is not None and record["fit"]["rows"] > limit_train:
            yield f"fit.rows: {record['fit']['rows']}, and limits.train is {limit_train}"
        if not record["stages"] and record["fit"] is None:
            yield "limits.train: set, and nothing is learned"


def _measured(record: Mapping[str, Any]) -> Iterator[str]:
    """Scores and what stands beside them."""
    scores, score = record["scores"], record["primary"]
    if score not in scores:
        yield f"primary: {shown(score)} is none of the scores"
    for field in ("chance", "bounds", "ceilings"):
        for name in record.get(field, {}).keys() - scores.keys():
            yield f"{field}.{ascii_safe(name)}: is none of the scores"
    for name, ends in record.get("bounds", {}).items():
        value = scores.get(name)
        if len(ends) != 2 or ends[0] >= ends[1]:
            yield f"bounds.{ascii_safe(name)}: is not the lowest and the highest score"
        elif value is not None and not ends[0] - ROUNDING <= value <= ends[1] + ROUNDING:
            yield f"bounds.{ascii_safe(name)}: {value} lies outside"
    if record["curriculum"] != FROZEN and not record["recipe"]:
        yield "recipe: is empty, and there was a training"


def _sampled(record: Mapping[str, Any]) -> Iterator[str]:
    """The bootstrap draws."""
    sampling = record.get("sampling")
    if sampling is None:
        return
    rows, units = record["eval"]["rows"], sampling["units"]
    if units > rows or (sampling["unit"] == "row" and units != rows):
        yield f"sampling.units: {units} ({sampling['unit']}), and eval.rows is {rows}"
    for name, kept in sampling["scores"].items():
        place, score = f"sampling.scores.{name}", record["scores"].get(name)
        if score is None:
            yield f"{place}: draws of a score that is not there"
        elif abs(score) + (STEPS + 1) * kept["scale"] > MOST_SCORE:
            yield f"{place}.scale: {shown(kept['scale'])} is too large"
        else:
            yield from _drawn(kept["data"], sampling["draws"], f"{place}.data")


def _drawn(data: str, draws: int, place: str) -> Iterator[str]:
    try:
        steps = np.frombuffer(base64.b64decode(data.encode("ascii"), validate=True), "<i2")
    except (ValueError, binascii.Error):  # half a number is a ValueError as well
        yield f"{place}: is not base64 of whole 16-bit numbers"
        return
    if len(steps) != draws:
        yield f"{place}: {len(steps)} draws, and sampling.draws is {draws}"
    elif (steps < -STEPS).mean() >= 0.5:
        yield f"{place}: the score is not defined in half of the draws"


def _overlapping(record: Mapping[str, Any]) -> Iterator[str]:
    """What stands in training as well."""
    entries = record.get("overlap")
    if entries is None:
        return
    learned = [("train", split["dataset"], split["split"], split["stage"]) for split in record["train"]]
    if (fit := record["fit"]) is not None:
        learned.append(("fit", fit["dataset"], fit["split"], None))
    if [(entry["role"], entry["dataset"], entry["split"], entry["stage"]) for entry in entries] != learned:
        yield "overlap: is of other datasets than train and fit"
    for index, entry in enumerate(entries):
        for prefix in ("", "translated_"):
            place, texts = f"overlap[{index}].{prefix}", entry[f"{prefix}texts"]
            if texts is not None and texts > record["eval"]["rows"]:
                yield f"{place}texts: {texts}, and eval.rows is {record['eval']['rows']}"
            parts = {"rows": entry[f"{prefix}rows"], **(entry[f"{prefix}fields"] or {})}
            for name, count in parts.items():
                if (count or 0) > (texts or 0):
                    yield f"{place}{name}: {count}, and {place}texts is {shown(texts)}"


def _chosen(record: Mapping[str, Any]) -> Iterator[str]:
    """Which checkpoint it is: what is said of the choice follows from the protocol and from the scores."""
    protocol, selected = record["selection"], record.get("selected")
    if (selected is None) != (protocol == LAST):
        yield f"selected: is {'missing' if selected is None else 'there'}, and selection is {protocol}"
        return
    if selected is None:
        return
    if not record["stages"]:
        yield f"selection: {protocol}, and nothing was trained"
        return
    last = [split["dataset"] for split in record["train"] if split["stage"] == len(record["stages"]) - 1]
    wanted = {SOURCE_DEV: last, ORACLE: [record["eval"]["dataset"]], AVERAGE: []}[protocol]
    fits = [split["dataset"] for split in selected["dev"]] == wanted
    if not fits:
        yield f"selected.dev: is not of {', '.join(wanted) or 'nothing'}, by which {protocol} chooses"
    if record["status"] == FAILED:
        if any(selected[name] for name in ("steps", "epochs", "step", "scores")):
            yield f"selected: names checkpoints, and status is {FAILED}"
    else:
        yield from _choice(protocol, selected, wanted if fits else None)
    for index, split in enumerate(selected["dev"]):
        if split["limit"] is not None and split["rows"] != split["limit"]:
            yield f"selected.dev[{index}].rows: {split['rows']}, and its limit is {split['limit']}"


def _choice(protocol: str, selected: Mapping[str, Any], wanted: list[str] | None) -> Iterator[str]:
    """The checkpoints that there were, and the one chosen; ``wanted`` names the dev sets where those are right."""
    steps, scores = selected["steps"], selected["scores"]
    if not steps or steps != sorted(set(steps)) or len(steps) > selected["candidates"]:
        yield f"selected.steps: are not at most {selected['candidates']} steps, one after the other"
    if len(selected["epochs"]) != len(steps):
        yield f"selected.epochs: {len(selected['epochs'])} of them, and there are {len(steps)} steps"
    if wanted is None:
        return
    if protocol == AVERAGE:
        if scores or selected["step"] is not None:
            yield "selected: names scores or a step, and the average is of all checkpoints"
    elif len(scores) != len(steps) or any(len(own) != len(wanted) for own in scores):
        yield "selected.scores: are not one a step and dataset"
    elif (best := best_candidate(scores)) is None or steps[best] != selected["step"]:
        yield f"selected.step: {shown(selected['step'])} is not the step with the best of these scores"


def _failed(record: Mapping[str, Any]) -> Iterator[str]:
    """A training that has come to nothing: there was one, and there is no score."""
    if record["status"] != FAILED:
        return
    if not record["stages"]:
        yield f"status: {FAILED}, and nothing was trained"
    for name, value in record["scores"].items():
        if value is not None:
            yield f"scores.{ascii_safe(name)}: {value}, and status is {FAILED}"


_RULES: tuple[Callable[[Mapping[str, Any]], Iterator[str]], ...] = (
    _learned, _failed, _chosen, _counted, _measured, _sampled, _overlapping,
)  # fmt: skip
