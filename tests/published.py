"""Records as runs would have left them, had they come to a publication's numbers; and draws for any record."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.records import record, split_of
from xbench.files import write_json
from xbench.store import sign
from xbench.verify.anchors import Anchor, read_anchors

ANCHORS = Path(__file__).parents[1] / "leaderboard" / "anchors"
LANGUAGE = {
    "stsb": "en", "korsts": "ko", "sts17-es": "es", "sts17-ar": "ar", "squad": "en", "korquad": "ko", "squad-es": "es",
    "lmrd": "en", "nsmc": "ko", "xquad-en": "en", "xquad-es": "es", "xquad-ar": "ar", "stsb-korsts": "en-ko",
    "stsb-korsts-sts": "en-ko",
}  # fmt: skip


def paper() -> list[Anchor]:
    """The paper's numbers."""
    return [anchor for anchor in read_anchors(ANCHORS) if anchor.table.publication == "paper"]


def cell(
    task: str, curriculum: str, dataset: str, scores: Mapping[str, float | None], split: str = "test",
    head: str = "cross-encoder", **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """The record of one cell of any of the paper's tasks.

    Args:
        task: The task.
        curriculum: What was trained on; ``none`` for a frozen encoder.
        dataset: What was scored.
        scores: The primary one first.
        split: Of the evaluation dataset.
        head: The head.
        changes: As in `record`.
    """
    chain = [] if curriculum == "none" else [part.split("+") for part in curriculum.split(":")]
    trained = {LANGUAGE[name] for names in chain for name in names}
    asked = set(LANGUAGE[dataset].split("-"))
    kind = "zero-shot" if asked - trained else "in-language" if asked == trained else "mixed"
    train = [
        {**split_of(name, "train", 5749), "language": LANGUAGE[name], "stage": depth}
        for depth, names in enumerate(chain)
        for name in names
    ]
    return record(
        curriculum, dataset, scores=scores,
        **{
            "task": task, "head": head, "train": train, "transfer": kind if chain else "frozen",
            "eval": {**split_of(dataset, split, 1379), "language": LANGUAGE[dataset]},
            "metric_version": dict.fromkeys(scores, 1),
            **changes,
        },
    )  # fmt: skip


def as_published(
    anchors: Iterable[Anchor], shift: float = 0.0, model: str = "", **changes: Any
) -> list[dict[str, Any]]:
    """One record a published cell, with its very numbers; of what its source leaves open, the first.

    Args:
        anchors: The numbers.
        shift: Added to each.
        model: Instead of the measured one.
        changes: As in `record`.
    """
    cells: dict[tuple[str, ...], tuple[Anchor, dict[str, float | None]]] = {}
    for anchor in anchors:
        table = anchor.table
        place = (table.name, anchor.curricula[0], anchor.dataset, table.splits[0], table.readings[0])
        _, scores = cells.setdefault(place, (anchor, {}))
        scores.update({name: value + shift for name, value in anchor.scores.items()})
    return [
        cell(
            anchor.table.task, curriculum, dataset, scores, split, anchor.table.head,
            **{
                "reading": reading, "model__name": model or anchor.table.model, "recipe": anchor.table.recipe,
                **changes,
            },
        )
        for (_, curriculum, dataset, split, reading), (anchor, scores) in cells.items()
    ]  # fmt: skip


def with_draws(
    one: Mapping[str, Any], draws: Mapping[str, npt.NDArray[np.float64]], units: int = 1379
) -> dict[str, Any]:
    """A record that holds bootstrap draws.

    Args:
        one: The record.
        draws: (draws,) By score.
        units: How many were resampled.
    """
    kept = {}
    for name, values in draws.items():
        apart = values - one["scores"][name]
        scale = float(np.abs(apart).max()) / 32767
        kept[name] = {"scale": scale, "data": base64.b64encode(np.rint(apart / scale).astype("<i2").tobytes()).decode()}
    sampling = {
        "scheme": "pcg64/1", "unit": "row", "units": units, "units_sha256": one["eval"]["rows_sha256"],
        "draws": len(next(iter(draws.values()))), "scores": kept,
    }  # fmt: skip
    return sign({**one, "sampling": sampling})


def save(folder: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write records where a leaderboard has them.

    Args:
        folder: Empty, or not there.
        records: Signed.

    Returns:
        The folder, for ``--out``.
    """
    for number, one in enumerate(records):
        write_json(folder / "results" / one["task"] / f"{number}.json", one)
    return folder
