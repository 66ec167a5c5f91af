"""Tasks as data: one TOML file a task, where an unknown key or a wrong type is an error that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .toml_files import LIST, TABLE, TEXT, TEXTS, WHOLE, WHOLES, Kind, check_values, read_toml


@dataclass(frozen=True)
class Task:
    """Training datasets x evaluation datasets x head x metrics x recipe.

    Attributes:
        name: What ``--tasks`` takes.
        title: For tables.
        version: Raised when the task's meaning changes.
        train: Training datasets.
        eval: Evaluation datasets, in the order of a table's columns; ``dataset/split`` takes another split.
        heads: Heads by name; the first is the default.
        metrics: Metrics by name; the first score of the first one is the primary score. ``official`` stands for each
            evaluation dataset's own scorers. In the file, ``SOURCE:ADDRESS`` such as ``evaluate:./my_metric.py`` is one
            that is made from what lies there.
        curricula: The rows of the task's table, in order.
        recipe: Settings over the recipe's defaults.
        description: One line.
        source: Where the task's design was published.
        train_split: The split to train on.
        eval_split: The split to evaluate on.
        seeds: When the command line names none.
        groups: Names that stand for several tasks at once, such as ``paper``.
        baselines: Evaluation dataset to its in-language curriculum: what a transfer gap is measured from.
        readings: Which of the head's readings to take; all of them when there are none here.
        fit: Evaluation dataset to the dataset, or ``dataset/split``, that readings are fitted on; ``*`` for all others.
        diagnostics: Measures beside the scores, by name.
        figures: Pictures to draw from the records, by name.
        path: The file, for messages.
    """

    name: str
    title: str
    version: int
    train: tuple[str, ...]
    eval: tuple[str, ...]
    heads: tuple[str, ...]
    metrics: tuple[str, ...]
    curricula: tuple[str, ...]
    recipe: Mapping[str, object] = field(default_factory=dict)
    description: str = ""
    source: str = ""
    train_split: str = "train"
    eval_split: str = "test"
    seeds: tuple[int, ...] = (0,)
    groups: tuple[str, ...] = ()
    baselines: Mapping[str, str] = field(default_factory=dict)
    readings: tuple[str, ...] = ()
    fit: Mapping[str, str] = field(default_factory=dict)
    diagnostics: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    path: str = ""


OFFICIAL = "official"
"""Among a task's metrics, this stands for each evaluation dataset's own scorers."""

_KEYS: Mapping[str, Kind] = {
    "name": TEXT, "title": TEXT, "version": WHOLE, "description": TEXT, "source": TEXT,
    "train": LIST, "eval": LIST, "heads": LIST, "metrics": LIST, "curricula": LIST, "recipe": TABLE,
    "train_split": TEXT, "eval_split": TEXT, "seeds": WHOLES, "groups": LIST, "baselines": TEXTS,
    "readings": LIST, "fit": TEXTS, "diagnostics": LIST, "figures": LIST,
}  # fmt: skip
_REQUIRED = ("name", "title", "version", "train", "eval", "heads", "metrics", "curricula")


def load_task(source: Path | str) -> Task:
    """Read a task.

    Args:
        source: The path of a TOML file, or TOML text itself.

    Returns:
        The task; its names are not looked up yet.

    Raises:
        UserError: The text is not TOML, a key is unknown or missing, or a value has the wrong type.
    """
    where = str(source) if isinstance(source, Path) else "task text"
    values = read_toml(source, where)
    check_values(values, _KEYS, _REQUIRED, where)
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Task(**frozen, path=where)  # type: ignore[arg-type]  # each value was checked against _KEYS


def dataset_and_split(text: str, split: str) -> tuple[str, str]:
    """Take ``dataset/split`` apart.

    Args:
        text: A dataset's name, with a split or without.
        split: Where the text names none.
    """
    name, _, own = text.partition("/")
    return name, own or split
