"""Records as a run writes them, made by hand: every field that a published table reads, and its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xbench.keys import content_key
from xbench.recipe import Recipe
from xbench.store import RECORD_SCHEMA, sign

LANGUAGES = {"stsb": "en", "korsts": "ko", "sts17-es": "es", "sts17-ar": "ar", "sts17-es-en": "es-en"}
SIZES = {"stsb": 1379, "korsts": 1379}
SCORES = {"spearman": 81.25, "pearson": 80.5}


def transfer_of(curriculum: str, dataset: str) -> str:
    """By the definition, from the languages above."""
    trained = {LANGUAGES.get(name, name) for name in curriculum.replace("+", ":").split(":") if name != "none"}
    asked = set(LANGUAGES.get(dataset, dataset).split("-"))
    if not trained:
        return "frozen"
    return "zero-shot" if asked - trained else "in-language" if asked == trained else "mixed"


def split_of(dataset: str, split: str, rows: int) -> dict[str, Any]:
    """Who the rows are."""
    identity = content_key("rows", {"dataset": dataset, "split": split})
    language = LANGUAGES.get(dataset, "en")
    return {"dataset": dataset, "language": language, "split": split, "rows": rows, "rows_sha256": identity}


def record(
    curriculum: str = "stsb", dataset: str = "korsts", seed: int = 0, scores: Mapping[str, float | None] = SCORES,
    recipe: Mapping[str, Any] | None = None, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """One signed record.

    Args:
        curriculum: What was trained on; ``none`` gives a frozen encoder's.
        dataset: What was scored.
        seed: Of the training.
        scores: The primary one first.
        recipe: Values over the defaults.
        changes: Whole fields; a double underscore goes one level down: ``model__name``.
    """
    frozen = curriculum == "none"
    chain = [] if frozen else [part.split("+") for part in curriculum.split(":")]
    values = Recipe(lr=4e-5, epochs=4, options={"score_scale": "unit"}).values()
    whole = {
        "status": "done", "task": "sts", "task_version": 1, "head": "siamese" if frozen else "cross-encoder",
        "head_version": 1, "fit": None, "kept": {},
        "curriculum": curriculum, "reading": "default", "seed": seed, "transfer": transfer_of(curriculum, dataset),
        "model": {"name": "e5-small-q4", "revision": "", "weights_sha256": "5" * 64, "parameters": 117653760},
        "train": [
            {**split_of(name, "train", 5749), "stage": depth} for depth, names in enumerate(chain) for name in names
        ],
        "eval": split_of(dataset, "test", SIZES.get(dataset, 250)),
        "stages": [content_key("stage", {"of": part, "seed": seed}) for part in chain],
        "limits": {"train": None, "eval": None},
        "sample": False,
        "scores": dict(scores), "primary": next(iter(scores)),
        "metric_version": {"spearman": 1, "pearson": 1},
        "diagnostics": {"truncated-rows": {"rows": 0, "share": 0.0}}, "ceilings": {},
        "recipe": {
            **({name: values[name] for name in ("eval_precision", "max_length")} if frozen else values),
            **(recipe or {}),
        },
        "selection": "last",
        "predictions_sha256": content_key("predictions", {"of": [curriculum, dataset, seed]}),
        "timing": {
            "train_s": 0 if frozen else 411.25, "train_examples_per_s": None if frozen else 55.92, "eval_s": 9.5,
            "eval_examples_per_s": 145.16, "decode_s": 0.004, "score_s": 0.011, "peak_rss_mb": 1204.5,
            "peak_gpu_mb": None,
        },
        "environment": {
            "xbench": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "transformers": "4.57.1",
            "device": "cpu (x86_64)", "precision": "fp32", "threads": 2,
            "training_precision": None if frozen else "fp32", "training_threads": None if frozen else 2,
            "training_device": None if frozen else "cpu (x86_64)",
        },
        "schema": RECORD_SCHEMA,
    }  # fmt: skip
    for name, value in changes.items():
        field, _, inner = name.partition("__")
        whole[field] = {**whole[field], inner: value} if inner else value
    return sign({**whole, "key": content_key("cell", {name: whole[name] for name in whole if name != "timing"})})


def table_one(scores: Mapping[str, float | None] = SCORES, seeds: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
    """The paper's Table I and a frozen row: five curricula, four evaluation sets."""
    trained = ("stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts")
    return [
        record(curriculum, dataset, seed, {name: value and value + seed for name, value in scores.items()})
        for curriculum in ("none", *trained)
        for dataset in ("stsb", "korsts", "sts17-es", "sts17-ar")
        for seed in (seeds if curriculum != "none" else seeds[:1])
    ]
