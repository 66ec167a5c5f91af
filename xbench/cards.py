"""Results as a model card's metadata: the hub's ``model-index``, through huggingface_hub's own classes.

The hub's form names a task, a dataset and a metric, and knows nothing of what a model was fine-tuned on. So every
metric says it in its name and, for programs, in its ``args``: a zero-shot score cannot be taken for an in-language one.
The form: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import UserError, did_you_mean, one_line
from .leaderboard.cells import Record
from .leaderboard.entries import Entry, entries
from .leaderboard.layout import column_title, limit_text, score_title
from .leaderboard.orders import orders
from .leaderboard.table import build_tables
from .recipe import LAST, ORACLE
from .registry import Registry
from .store import DONE
from .types import Dataset, Hub

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

INDEX = "model-index"
TASK_TYPES = {
    "pair-score": "sentence-similarity", "pair-label": "text-classification", "text-label": "text-classification",
    "span": "question-answering", "parallel": "sentence-similarity",
}  # fmt: skip
"""What the hub calls the work that a schema's rows ask for."""
OTHER = "other"
DECIMALS = 4
DEEPEST = 100
OURS = "xbench"
"""Stands in every metric's ``args``, with the version: what tells our results from those of others."""


def model_index(
    records: Sequence[Record], registry: Registry, name: str = "", source: str = "", whole: bool = False
) -> list[dict[str, Any]]:  # fmt: skip
    """The ``model-index`` of records: of one model, or of one checkpoint of it.

    Args:
        records: Seeds of a cell become one result, their mean.
        registry: For titles, and for where a dataset lies on the hub.
        name: What the card calls the model; its name in the records without one.
        source: The address of the leaderboard that the results are from; it is named only with one.
        whole: Every score of a cell, not its primary one alone.

    Returns:
        As it stands in the metadata; read back by huggingface_hub without loss.

    Raises:
        UserError: There are no scores, or they are of several models.
    """
    from huggingface_hub.repocard_data import eval_results_to_model_index

    known = orders(registry)
    found = [entry for entry in entries(build_tables(list(records), known), known) if not entry.failed]
    models = list(dict.fromkeys(entry.table.model for entry in found))
    if len(models) > 1:
        raise UserError(f"a card is of one model, and these records are of {', '.join(models)}: name one of them")
    by_task: dict[str, list[EvalResult]] = {}
    for entry in found:
        by_task.setdefault(entry.table.task, []).extend(_results(entry, registry, source, whole))
    # A task at a time: huggingface_hub joins results on the same rows, and the first one's task would name them all.
    lists = [eval_results_to_model_index("", results)[0]["results"] for results in by_task.values() if results]
    if not lists:
        raise UserError("there is no score for a card")
    return [
        {"name": name or Path(models[0].partition("@")[0]).name, "results": [one for some in lists for one in some]}
    ]


def records_of(
    model: str, records: Sequence[Record], train: str | None = None, tasks: Sequence[str] = ()
) -> list[Record]:  # fmt: skip
    """Those of one model.

    Args:
        model: Its name in records, with ``@REVISION`` where there are several.
        records: All.
        train: Those of this curriculum alone.
        tasks: Those of these tasks alone; of all without any.

    Raises:
        UserError: There are none, or a floor is asked for.
    """
    every = [record for record in records if model in _names(record)]
    named = [record for record in every if record["status"] == DONE]
    if every and not named:
        raise UserError(f"every record of {model} is of a training that failed: there is no score for a card")
    if not named:
        known = sorted({record["model"]["name"] for record in records})
        raise UserError(f"there are no records of the model {model!r}{did_you_mean(model, known)}")
    if any(record["transfer"] == "floor" for record in named):
        raise UserError(f"{model} is a floor: it has no weights, and no card")
    weights = {record["model"]["weights_sha256"]: "@".join(filter(None, _name(record))) for record in named}
    if len(weights) > 1:
        each = ", ".join(f"{name} ({sha[:12]})" for sha, name in weights.items())
        raise UserError(f"records of {model} are of several weights: {each}: name a revision, or one record's file")
    for option, part, wanted in (("--train", "curriculum", [train] if train else []), ("--tasks", "task", tasks)):
        known = sorted({record[part] for record in named})
        for one in wanted:
            if one not in known:
                raise UserError(f"{option}: no record of {model} is of {one!r}{did_you_mean(one, known)}")
        named = [record for record in named if not wanted or record[part] in wanted]
    if not named:
        raise UserError(f"no record of {model} is of {train!r} in {', '.join(tasks)}")
    return named


def _name(record: Record) -> tuple[str, str]:
    return record["model"]["name"], record["model"]["revision"]


def _names(record: Record) -> tuple[str, ...]:
    name, revision = _name(record)
    return (name, Path(name).name, f"{name}@{revision}")


def _results(entry: Entry, registry: Registry, source: str, whole: bool) -> Iterator[EvalResult]:
    """The scores of a cell; undefined ones are left out: the form has no word for them."""
    from huggingface_hub import EvalResult

    first, table = entry.cell.records[0], entry.table
    evaluated = first["eval"]
    dataset = registry.datasets.items.get(evaluated["dataset"])
    task = registry.tasks.items.get(table.task)
    kind, revision = _where(dataset, evaluated)
    for name in table.metrics if whole else table.metrics[:1]:
        value = entry.cell.scores.get(name)
        if value is None or not math.isfinite(value):
            continue
        yield EvalResult(
            task_type=TASK_TYPES.get(dataset.schema, OTHER) if dataset else OTHER,
            task_name=(task.title if task else table.task) + (" (sample corpora)" if table.sample else ""),
            dataset_type=kind, dataset_name=column_title(evaluated["dataset"], evaluated["language"]),
            dataset_config=evaluated["dataset"] if kind != evaluated["dataset"] else None,
            dataset_split=evaluated["split"], dataset_revision=revision,
            dataset_args={name: evaluated[name] for name in ("language", "rows", "rows_sha256")},
            metric_type=name, metric_name=f"{score_title(name, table.styles)} ({_protocol(entry)})",
            metric_value=round(value, DECIMALS), metric_args=_args(entry, name), verified=False,
            source_name=OURS if source else None, source_url=source or None,
        )  # fmt: skip


def _where(dataset: Dataset | None, evaluated: Mapping[str, Any]) -> tuple[str, str]:
    """The dataset's repository and revision on the hub, where its rows are those; else its name and their checksum."""
    split = dataset.splits.get(evaluated["split"]) if dataset else None
    if split is not None and split.rows_sha256 == evaluated["rows_sha256"]:
        for source in split.sources:
            if isinstance(source, Hub):
                return source.repository, source.revision
    return evaluated["dataset"], evaluated["rows_sha256"]


def _protocol(entry: Entry) -> str:
    """``zero-shot, fine-tuned on stsb, head siamese``: what must be known to compare the score with another."""
    row, first = entry.row, entry.cell.records[0]
    trained = "not fine-tuned" if not first["train"] else f"fine-tuned on {row.curriculum}"
    chosen = "" if row.selection in ("", LAST) else f"checkpoint by {row.selection}"
    limits = limit_text(entry.table.limits)
    peeks = "" if row.selection == ORACLE else entry.cell.peeks
    parts = (entry.cell.transfer, trained, chosen, peeks, f"head {row.head}", row.reading, row.variant, limits)
    return ", ".join(part for part in parts if part)


def _args(entry: Entry, score: str) -> dict[str, Any]:
    """The same for programs, and where it is from."""
    cell, first = entry.cell, entry.cell.records[0]
    interval = cell.estimates.get(score)
    trained = [{name: part[name] for name in ("stage", "dataset", "language", "rows")} for part in first["train"]]
    values = {
        "task": first["task"], "curriculum": first["curriculum"], "transfer": cell.transfer, "head": first["head"],
        "selection": first["selection"] if first["train"] else None, "peeks": cell.peeks or None,
        "reading": entry.row.reading or None,
        "trained_on": trained or None, "seeds": list(cell.seeds),
        "deviation": _rounded(cell.deviations.get(score)),
        "interval_95": [_rounded(interval.low), _rounded(interval.high)] if interval else None,
        "limits": {name: limit for name, limit in first["limits"].items() if limit is not None} or None,
        "variant": entry.row.variant or None, "sample": entry.table.sample or None,
        "records": [record["key"][:16] for record in cell.records], OURS: __version__,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DECIMALS)


# Text


def render(index: Sequence[Mapping[str, Any]], line_break: str = "\n") -> str:
    """The metadata as YAML, without the lines of dashes around it."""
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    text: str = yaml_dump({INDEX: list(index)}, sort_keys=False, line_break=line_break)
    return text


def merged(content: str, index: Sequence[Mapping[str, Any]], where: str) -> str:
    """A model card with our results in its metadata, in the place of those that xbench has put there before.

    Args:
        content: The card. Its text, the other metadata and the results of others stay as they are.
        index: As `model_index` gives it.
        where: The file, for messages.

    Raises:
        UserError: The metadata cannot be read.
    """
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    line_break = "\r\n" if "\r\n" in content else "\n"
    block = REGEX_YAML_BLOCK.search(content)
    if block is None:
        return f"---{line_break}{render(index, line_break)}---{line_break}{content}"
    if _deepest(block[2]) > DEEPEST:
        raise UserError(f"{where}: its metadata holds lists within lists more than {DEEPEST} deep")
    try:
        before = yaml.safe_load(block[2]) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError: a day that no month has, and so on
        raise UserError(f"{where}: its metadata is not YAML: {one_line(error):.300}") from None
    if not isinstance(before, dict):
        raise UserError(f"{where}: its metadata is not a table of keys")
    after = {**before, INDEX: _joined(before.get(INDEX), index, where)}
    written = _replaced(block[2], render(after[INDEX], line_break), line_break)
    if (
        _load(written) != after
    ):  # written in a way that is not understood here: then all of the metadata is written anew
        from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

        written = yaml_dump(after, sort_keys=False, line_break=line_break)
    return content[: block.start(2)] + written.rstrip("\r\n") + content[block.end(2) :]


def _deepest(text: str) -> int:
    """How deep brackets stand within each other: YAML's reader takes time by the square of it."""
    depths = itertools.accumulate(1 if one in "[{" else -1 for one in text if one in "[{]}")
    return max(depths, default=0)


def _load(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _replaced(block: str, ours: str, line_break: str) -> str:
    """The metadata's text with another ``model-index``; what stands around it, comments too, stays."""
    found = re.search(rf"^{INDEX}[ \t]*:.*(?:\r?\n(?:[ \t-].*)?)*(?=\r?\n|\Z)", block, re.MULTILINE)
    if found is None:
        return block.rstrip("\r\n") + line_break + ours if block.strip() else ours
    return block[: found.start()] + ours.rstrip("\r\n") + block[found.end() :]


def _joined(theirs: Any, ours: Sequence[Mapping[str, Any]], where: str) -> list[Any]:
    """The results of others, as they are, then ours.

    Raises:
        UserError: What is there is no model index, or is one of several models.
    """
    from huggingface_hub.repocard_data import model_index_to_eval_results

    if not theirs:
        return list(ours)
    try:
        model_index_to_eval_results(theirs)
        (model,) = theirs
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{where}: its {INDEX} is not one of a single model, with tasks, datasets and metrics"
        ) from None
    kept = []
    for result in model["results"]:
        metrics = [one for one in result["metrics"] if OURS not in (one.get("args") or {})]
        if metrics:
            kept.append({**result, "metrics": metrics})
    return [{**model, "results": [*kept, *ours[0]["results"]]}]
