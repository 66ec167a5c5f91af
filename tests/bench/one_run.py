"""One fine-tuning run in a process of its own, as the others are: prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from xbench.data.rows import prepare
from xbench.models.encoder import load_tokenizer, table_size
from xbench.models.resolve import resolve_model
from xbench.provenance import peak_memory
from xbench.recipe import build_recipe
from xbench.registry import load_registry
from xbench.settings import Settings
from xbench.training.device import choose_device
from xbench.training.loop import train
from xbench.training.stage import example_table, head_context, training_vocabulary
from xbench.training.weights import build_module


def main() -> None:
    """Train a cross-encoder on STSb for some steps, as a stage does it, and time the steps after the first few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--skip", type=int, default=3, help="warm-up steps left out of the timing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()

    registry, settings = load_registry(), Settings(cache=options.cache, data=options.data, offline=True)
    head = registry.heads.get("cross-encoder")
    values = {key: json.loads(value) for key, _, value in (text.partition("=") for text in options.settings)}
    recipe = build_recipe({"epochs": 1, "lr": 4e-5, "batch_size": 32, **values}, "bench", head.options)
    dataset = registry.datasets.get("stsb")
    model = resolve_model(options.model, registry, settings)
    context, tokenizer = head_context(recipe, model, dataset), load_tokenizer(model.folder)
    rows = prepare(dataset, "train", registry.schemas.get(dataset.schema), settings)
    table = example_table(rows, head, model, tokenizer, context, 32 * options.steps, 0, settings)
    vocabulary, _ = training_vocabulary([table], recipe, table_size(model.folder), int(tokenizer.pad_token_id))
    module = build_module(model, head, context, vocabulary, 0, None).to(choose_device("auto"))
    ends: list[float] = []
    train(
        module, [table], recipe, 0, vocabulary, int(tokenizer.pad_token_id),
        lambda step, steps, loss, passed: ends.append(time.perf_counter()),
    )  # fmt: skip
    timed = len(ends) - options.skip
    print(
        json.dumps(
            {
                "examples_per_s": round(32 * timed / (ends[-1] - ends[options.skip - 1]), 2),
                "steps_timed": timed,
                "peak_rss_mb": peak_memory(torch.device("cpu"))["peak_rss_mb"],
            }
        )
    )


if __name__ == "__main__":
    main()
