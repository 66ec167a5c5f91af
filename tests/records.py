"""Records as a run writes them, made by hand: every field that a published table reads, and its neighbours."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xbench.keys import content_key
from xbench.recipe import Recipe
from xbench.sampling import DRAWS, SCHEME, Units, resample_means
from xbench.store import RECORD_SCHEMA, sign
from xbench.types import Schema

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


SCHEMA = Schema("made-up", {"id": "string"}, lambda row: None)
SHARED, OWN = 40.0, 12.0
"""How far made-up rows lie apart in points: for every model alike, and for each in its own way."""


class _Drawn(Units):
    """Units whose resamples are made once, for many records."""

    def weights(self, draws: int) -> Iterator[npt.NDArray[np.float64]]:
        yield from _weights(self, draws)


@cache
def _units(identity: str, count: int) -> _Drawn:
    """The rows of one split, each for itself."""
    return _Drawn([{"id": f"{identity[:8]}-{place}"} for place in range(count)], SCHEMA)


@cache
def _weights(units: Units, draws: int) -> list[npt.NDArray[np.float64]]:
    return list(Units.weights(units, draws))


def with_bootstrap(one: Mapping[str, Any], own: float = OWN) -> dict[str, Any]:
    """A record with draws of its scores, as a run makes them, over made-up rows.

    Every row is as hard for one record as for another of the same rows, and a little harder or easier in its own way:
    so that records of one split can be compared in pairs, and differ by less than each of them varies.

    Args:
        one: The record; each score becomes the mean over its rows.
        own: How far its rows lie apart in points, beside what they have in common with other records'.
    """
    units = _units(one["eval"]["rows_sha256"], one["eval"]["rows"])
    who = [one["model"]["name"], one["head"], one["curriculum"], one["reading"], str(one["seed"])]
    values = {}
    for name, score in one["scores"].items():
        if score is not None:
            alike, apart = (
                np.random.default_rng(
                    [zlib.crc32(text.encode("utf-8", "surrogatepass")) for text in texts]
                ).standard_normal(units.count)
                for texts in ([units.sha256, name], [units.sha256, name, *who])
            )
            rows = SHARED * alike + own * apart
            values[name] = rows - rows.mean() + score  # (rows,)
    if not values:
        return dict(one)
    sampler = resample_means(values)
    drawn = [sampler(weights) for weights in units.weights(DRAWS)]
    kept = {name: _encoded(np.concatenate([each[name] for each in drawn]) - one["scores"][name]) for name in values}
    return sign({**one, "sampling": {**_sampling(one["eval"]), "scores": kept}})


def _encoded(apart: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Draws as a record holds them, from (draws,) their distances from the score."""
    scale = float(np.abs(apart).max()) / 32767
    return {"scale": scale, "data": base64.b64encode(np.rint(apart / scale).astype("<i2").tobytes()).decode()}


def _sampling(evaluated: Mapping[str, Any]) -> dict[str, Any]:
    units = _units(evaluated["rows_sha256"], evaluated["rows"])
    return {
        "scheme": SCHEME, "unit": SCHEMA.unit, "units": units.count, "units_sha256": units.sha256, "draws": DRAWS,
        "scores": {},
    }  # fmt: skip


def record(
    curriculum: str = "stsb", dataset: str = "korsts", seed: int = 0, scores: Mapping[str, float | None] = SCORES,
    recipe: Mapping[str, Any] | None = None, draws: bool = False, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """One signed record.

    Args:
        curriculum: What was trained on; ``none`` gives a frozen encoder's.
        dataset: What was scored.
        seed: Of the training.
        scores: The primary one first.
        recipe: Values over the defaults.
        draws: Whether it holds draws of its scores, as `with_bootstrap` makes them.
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
        "chance": dict.fromkeys(scores, 0.0), "overlap": [],
        "schema": RECORD_SCHEMA,
    }  # fmt: skip
    for name, value in changes.items():
        field, _, inner = name.partition("__")
        whole[field] = {**whole[field], inner: value} if inner else value
    whole = {"sampling": _sampling(whole["eval"]), **whole}
    signed = sign({**whole, "key": content_key("cell", {name: whole[name] for name in whole if name != "timing"})})
    return with_bootstrap(signed) if draws and whole["status"] == "done" else signed


def table_one(
    scores: Mapping[str, float | None] = SCORES, seeds: tuple[int, ...] = (0,), draws: bool = False
) -> list[dict[str, Any]]:
    """The paper's Table I and a frozen row: five curricula, four evaluation sets."""
    trained = ("stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts")
    return [
        record(curriculum, dataset, seed, {name: value and value + seed for name, value in scores.items()}, draws=draws)
        for curriculum in ("none", *trained)
        for dataset in ("stsb", "korsts", "sts17-es", "sts17-ar")
        for seed in (seeds if curriculum != "none" else seeds[:1])
    ]
