"""Models, and a record for every cell of a plan, as a run would leave them: what `tests.bench.many` measures with."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.many import Place
from tests.tiny import tiny_model
from xbench.files import json_bytes
from xbench.keys import content_key
from xbench.plan import Cell
from xbench.planner import make_plan
from xbench.progress import Reporter
from xbench.provenance import environment
from xbench.registry import load_registry
from xbench.sampling import DRAWS, SCHEME, STEPS
from xbench.store import RECORD_SCHEMA, Store, sign
from xbench.training.record import split_of
from xbench.work import Work, cell_limits, cell_recipe, prepare_work

LONGEST = 512
"""Tokens of a sequence, at most: reading comprehension asks for more than the tests' models take."""


def write_model(folder: Path, seed: int) -> None:
    """A tiny model with weights of its own.

    Args:
        folder: Where to; what is there stays.
        seed: Of the weights.
    """
    if folder.is_dir():
        return
    tiny_model(folder, "xlm-roberta", seed=seed, max_position_embeddings=LONGEST + 2)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": LONGEST}))


def write_records(place: Place, draws: bool) -> int:
    """Write a record for every cell of the plan, as a run would, but for the fsync of every file.

    Args:
        place: Where.
        draws: Whether records hold draws of their scores.

    Returns:
        The number of records.
    """
    registry, settings = load_registry(), place.settings
    work = prepare_work(make_plan(place.request(), registry), registry, settings, Reporter())
    store, about, random = Store(settings), _environment(), np.random.default_rng(0)
    for cell, key in work.cell_keys.items():
        record = made_record(cell, key, work, about, random, draws)
        path = store.record_path(cell, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json_bytes(record))
    return len(work.cell_keys)


def _environment() -> dict[str, Any]:
    import torch

    about = environment(torch.device("cpu"), "fp32")
    trained = {f"training_{name}": about[name] for name in ("device", "precision", "threads")}
    return {**about, **trained}


def made_record(
    cell: Cell, key: str, work: Work, about: Mapping[str, Any], random: np.random.Generator, draws: bool
) -> dict[str, Any]:  # fmt: skip
    """A signed record of a cell, with made-up scores: in every other field what a run writes.

    Args:
        cell: Of the plan.
        key: Its content key.
        work: Names, rows and keys.
        about: The environment.
        random: Of the scores.
        draws: Whether it holds draws of them.
    """
    registry, model, chain = work.registry, work.models[cell.model], work.chain(cell.stage)
    task, reader = registry.tasks.get(cell.task), work.reader(cell)
    metrics = [registry.metrics.get(name) for name in cell.metrics]
    level = 60 + 10 * np.sin(hash_number(cell.model)) + 8 * np.cos(hash_number(cell.curriculum + cell.dataset))
    names = dict.fromkeys(name for metric in metrics for name in (metric.titles or {metric.name: ""}))
    scores = {name: round(float(level + 2 * random.standard_normal()), 4) for name in names}
    evaluated = split_of(work, cell.dataset, cell.split)
    used = [cell.dataset, *(cell.fit or ())[:1], *(name for stage in chain for name in stage.mixture)]
    sampling = {
        "scheme": SCHEME, "unit": "row", "units": evaluated["rows"],
        "units_sha256": content_key("units", {"of": evaluated["rows_sha256"]}), "draws": DRAWS,
        "scores": {name: _drawn(random) for name in scores} if draws else {},
    }  # fmt: skip
    frozen = {f"training_{name}": None for name in ("device", "precision", "threads")}
    fit = None if cell.fit is None else split_of(work, *cell.fit)
    trained = [
        {**split_of(work, name, stage.split), "stage": depth}
        for depth, stage in enumerate(chain) for name in stage.mixture
    ]  # fmt: skip
    return sign({
        "status": "done", "task": task.name, "task_version": task.version, "head": reader.name,
        "head_version": reader.version, "curriculum": cell.curriculum, "reading": cell.reading, "seed": cell.seed,
        "transfer": cell.transfer,
        "model": {
            "name": model.name, "revision": model.revision, "weights_sha256": model.weights_sha256,
            "parameters": model.parameters,
        },
        "train": trained, "fit": fit, "eval": evaluated, "stages": [work.stage_keys[stage.id] for stage in chain],
        "limits": cell_limits(cell, work), "sample": any(registry.datasets.get(name).sample for name in used),
        "scores": scores, "primary": next(iter(scores)), "chance": dict.fromkeys(scores, 0.0), "bounds": {},
        "sampling": sampling, "metric_version": {metric.name: metric.version for metric in metrics},
        "diagnostics": {"truncated-rows": {"rows": 0, "share": 0.0}}, "ceilings": {},
        "recipe": cell.recipe.stated() if chain else cell_recipe(cell, reader), "selection": cell.selection,
        "predictions_sha256": content_key("predictions", {"of": key}), "kept": {},
        "timing": {
            "train_s": round(400 + 20 * random.random(), 3) if chain else 0, "eval_s": round(9 + random.random(), 3),
            "train_examples_per_s": round(50 + 5 * random.random(), 2) if chain else None,
            "eval_examples_per_s": round(140 + 9 * random.random(), 2), "decode_s": 0.004, "score_s": 0.011,
            "peak_rss_mb": 1204.5, "peak_gpu_mb": None,
        },
        "environment": {**about, **({} if chain else frozen)},
        "overlap": [
            {
                **{name: part[name] for name in ("dataset", "split")}, "role": role, "stage": part.get("stage"),
                "rows": 0, "texts": 0, "fields": None, "translated_rows": None, "translated_texts": None,
                "translated_fields": None,
            }
            for role, part in (*(("train", one) for one in trained), *((("fit", fit),) if fit else ()))
        ],
        "schema": RECORD_SCHEMA, "key": key,
    })  # fmt: skip


def hash_number(text: str) -> float:
    """A number that is the same for the same text in every process."""
    return float(int(content_key("number", {"of": text})[:6], 16))


def _drawn(random: np.random.Generator) -> dict[str, Any]:
    steps = np.clip(random.standard_normal(DRAWS) * STEPS / 4, -STEPS, STEPS).astype("<i2")
    return {"scale": 2e-4, "data": base64.b64encode(steps.tobytes()).decode()}


if __name__ == "__main__":
    place = Place(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    for number, name in enumerate(place.models):
        write_model(Path(name), number)
    print(f"{write_records(place, draws=sys.argv[4] == 'draws'):,} records written", file=sys.stderr)
