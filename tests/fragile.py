"""Trainings that come to nothing in known ways: a plugin of one file with heads that break, and its rows."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny import WORDS, tiny_rows

PLUGIN = '''
import dataclasses, json
from pathlib import Path
import torch
from xbench.api import Dataset, Packaged, Split, hookimpl
from xbench.registry import load_registry

HERE = Path(__file__).parent

def read(paths):
    yield from map(json.loads, paths[0].read_text().splitlines())

def dataset(name, language):
    splits = {split: Split((Packaged((HERE / f"{name}-{split}.jsonl",), read),)) for split in ("train", "dev", "test")}
    return Dataset(name, (language,), "pair-score", splits, "CC0", "nobody", "", "", score_range=(0.0, 5.0))

@hookimpl
def xbench_datasets():
    return [dataset("one", "en"), dataset("two", "ko")]

def seeded(module, loss):
    """Another loss, which knows the module's seed."""
    def build(encoder, context, generator):
        built = module(encoder, context, generator)
        plain, seed = built.loss, generator.initial_seed()
        built.loss = lambda outputs, batch: loss(plain(outputs, batch), outputs, seed)
        return built
    return build

def unlucky(loss, outputs, seed):
    """No number with seed 1."""
    return loss * (torch.nan if seed == 1 else 1.0)

def steep(loss, outputs, seed):
    """A number, but not its gradient: the root's is infinite at 0, times 0."""
    return loss + (outputs * 0).sqrt()

def cancels(loss, outputs, seed):
    """A logarithm of what is left of 1 + x - 1: all of x in fp32, and nothing of it in bf16."""
    kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
    one = torch.ones_like(outputs, dtype=kind)
    small = (1e-3 + 1e-4 * outputs.sigmoid()).to(kind)
    return loss + 1e-3 * ((one + small) - one).float().log()

@hookimpl
def xbench_heads():
    whole = load_registry().heads.get("cross-encoder")
    return [dataclasses.replace(whole, name=loss.__name__, module=seeded(whole.module, loss))
            for loss in (unlucky, steep, cancels)]

TASK = """
name = "NAME"
title = "Pairs that break"
version = 1
train = ["one", "two"]
eval = ["one", "two"]
heads = ["HEAD"]
metrics = ["spearman", "pearson"]
curricula = ["one"]
diagnostics = ["truncated-rows"]
baselines = { one = "one", two = "two" }
[recipe]
lr = 1e-3
epochs = 1
batch_size = 4
max_length = 32
warmup = 0.0
precision = "fp32"
"""

@hookimpl
def xbench_tasks():
    for head in "cross-encoder", "unlucky", "steep", "cancels":
        yield TASK.replace("NAME", f"pairs-{head}").replace("HEAD", head)
'''
SAME_OUTPUT = "in fp32 the trained model gives the same output for 40 different examples"
TOO_FAST = {"lr": 10.0}
"""A learning rate at which `cross-encoder` ends up with one answer to everything."""


def write_fragile(folder: Path) -> Path:
    """Write the plugin and its rows; gives its file."""
    for name, first in (("one", 0), ("two", 60)):
        for seed, (split, count) in enumerate((("train", 40), ("dev", 12), ("test", 12))):
            rows = tiny_rows(count, seed, WORDS[first : first + 70])
            (folder / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "fragile.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path
