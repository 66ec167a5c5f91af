"""A stage of a real encoder on real pairs, exported, and read by others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from xbench.data.rows import prepare
from xbench.execute import execute
from xbench.export.chosen import choose_stage
from xbench.export.loaded import load_stage
from xbench.export.write import write_stage
from xbench.models.resolve import LocalModel
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import Store


def test_what_stsb_taught_is_what_transformers_loads(
    e5: LocalModel, settings: Settings, registry: Registry, tmp_path: Path
) -> None:
    settings = replace(settings, out=tmp_path / "out")
    asked = Request(
        ("e5-small-q4",), ("sts",), ("stsb",), ("korsts",), overrides={"epochs": 1, "batch_size": 16, "lr": 1e-3},
        limit_train=64, limit_eval=40,
    )  # fmt: skip
    outcome = execute(make_plan(asked, registry), registry, settings, strict=True)
    (record,) = outcome.records
    store = Store(settings)
    chosen = choose_stage(record["key"][:12], settings.out, store)
    written = write_stage(load_stage(chosen, None, registry, store, settings), tmp_path / "model")
    assert written.loads == "AutoModelForSequenceClassification"
    said = store.predictions(record)
    assert said is not None
    korsts = registry.datasets.get("korsts")
    rows = {row["id"]: row for row in prepare(korsts, "test", registry.schemas.get("pair-score"), settings).open()}
    sides = [[rows[name][side] for name in said.ids] for side in ("sentence1", "sentence2")]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    with torch.inference_mode():
        given = tokenizer(*sides, truncation=True, padding=True, return_tensors="pt")
        theirs = model(**given).logits[:, 0].numpy()
    np.testing.assert_allclose(theirs, said.predictions, atol=1e-5)
    assert np.std(said.predictions) > 1e-3
    shutil.rmtree(tmp_path / "model")  # half a gigabyte
