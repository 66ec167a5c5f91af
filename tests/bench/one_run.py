"""One fine-tuning run in a process of its own, as the others are: prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.rates import matrix_rate, training_flops
from xbench.data.rows import prepare
from xbench.models.encoder import load_tokenizer, table_size
from xbench.models.resolve import resolve_model
from xbench.provenance import forget_peak_memory, peak_memory
from xbench.recipe import build_recipe
from xbench.registry import load_registry
from xbench.settings import Settings
from xbench.training.batching import epoch_order
from xbench.training.device import choose_device, choose_precision
from xbench.training.examples import head_context
from xbench.training.loop import train
from xbench.training.stage import example_table, training_vocabulary
from xbench.training.weights import build_module


class Work(NamedTuple):
    """What is fine-tuned, and how."""

    dataset: str
    head: str
    recipe: dict[str, Any]


WORKS = {
    "sts": Work("stsb", "cross-encoder", {"lr": 4e-5, "batch_size": 32, "max_length": 128}),
    "mrc": Work("squad-44", "span", {"lr": 2e-5, "batch_size": 48, "max_length": 384, "stride": 128}),
}


def main() -> None:
    """Train for some steps, as a stage does it, and time those after the first few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=WORKS, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--skip", type=int, default=3, help="warm-up steps left out of the timing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    work = WORKS[options.work]

    registry, settings = load_registry(), Settings(cache=options.cache, data=options.data, offline=True)
    head = registry.heads.get(work.head)
    values = {key: json.loads(value) for key, _, value in (text.partition("=") for text in options.settings)}
    recipe = build_recipe({"epochs": 1, **work.recipe, **values}, "bench", head.options)
    dataset = registry.datasets.get(work.dataset)
    model = resolve_model(options.model, registry, settings)
    context, tokenizer = head_context(recipe, model, dataset), load_tokenizer(model.folder)
    rows = prepare(dataset, "train", registry.schemas.get(dataset.schema), settings)
    limit = recipe.batch_size * options.steps
    table = example_table(rows, head, model, tokenizer, context, limit, 0, settings)
    pad_id = int(tokenizer.pad_token_id)
    del tokenizer  # as a stage does
    vocabulary, _ = training_vocabulary([table], recipe, table_size(model.folder), pad_id)
    device = choose_device("auto")
    module = build_module(model, head, context, vocabulary, 0, None).to(device)
    precision = choose_precision(recipe.precision, device)
    rate = matrix_rate(precision, device)
    ends: list[tuple[float, int]] = []
    forget_peak_memory()
    train(
        module, [table], recipe, 0, vocabulary, pad_id,
        lambda step, steps, loss, passed: ends.append((time.perf_counter(), passed)),
    )  # fmt: skip
    peak = peak_memory(device)
    rate = max(rate, matrix_rate(precision, device))
    (began, before), (ended, passed) = ends[options.skip - 1], ends[-1]
    timed = epoch_order([table.count], recipe.mixing_alpha, 0, 0)[before:passed]
    tokens = int(table.lengths[timed].sum())
    print(
        json.dumps(
            {
                "examples_per_s": round((passed - before) / (ended - began), 3),
                "steps_timed": len(ends) - options.skip,
                "precision": precision,
                "tokens": tokens,
                "matrix_gflops": round(rate / 1e9, 1),
                "share_of_matrix_rate": round(training_flops(module, tokens) / (ended - began) / rate, 4),
                **peak,
            }
        )
    )


if __name__ == "__main__":
    main()
