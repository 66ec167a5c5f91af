"""Trains one stage and keeps it."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import stopping
from ..data.rows import select, share_limit
from ..locks import Locks
from ..models.adapters import trained_weights
from ..models.encoder import load_tokenizer, table_size
from ..models.vocabulary import Vocabulary, full_vocabulary, restricted_vocabulary
from ..plan import Stage
from ..provenance import environment, peak_memory
from ..recipe import Recipe
from ..types import Head, HeadContext
from ..unfinished import drop, folder_of
from . import TRAINING_VERSION
from .checkpoint import Checkpoints
from .collapse import find_collapse
from .device import choose_device, choose_precision
from .examples import ExampleTable, build_examples, find_examples, head_context, table_folder
from .failed import keep_failure
from .group import Alone, current
from .heap import start_afresh
from .loop import TrainingFailedError, train
from .weights import build_module, save_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from ..candidates import Keeper
    from ..data.rows import RowSet
    from ..heads.blocks import HeadModule
    from ..models.resolve import LocalModel
    from ..settings import Settings
    from ..work import Work

SAFE = "fp32"
"""The precision in which a training that has come to nothing is tried once more."""


def train_stage(stage: Stage, key: str, work: Work, candidates: int = 1) -> None:
    """Fine-tune one stage and put it into the store.

    A training that comes to nothing is tried once more in fp32, unless it ran in that already; what fails then is kept
    as failed, so that nobody trains it again in vain.

    Args:
        stage: What to train.
        key: Its content key.
        work: Resolved names, rows and keys.
        candidates: How many checkpoints to keep, the last one among them.

    Raises:
        TrainingFailedError: The loss or the gradient became NaN or infinite, or the outputs are all the same.
        UserError: The model or the data cannot be used.
    """
    started, device = time.perf_counter(), choose_device(work.settings.device)
    precision, retried = choose_precision(stage.recipe.precision, device), ""
    failed = _attempt(stage, stage.recipe, key, work, candidates)
    if failed and precision != SAFE:
        retried = f"in {precision} {failed}"
        work.reporter.note(f"{stage.label}: {retried}: trained once more, in {SAFE}")
        failed = _attempt(stage, replace(stage.recipe, precision=SAFE), key, work, candidates, retried)
    if failed:
        reason = f"in {SAFE} {failed}" + (f"; before, {retried}" if retried else "")
        manifest = {
            "reason": reason, **({"retried": retried} if retried else {}),
            "timing": {"train_s": time.perf_counter() - started, **peak_memory(device)},
            "environment": environment(device, SAFE),
        }  # fmt: skip
        keep_failure(stage, key, manifest, work)
        raise TrainingFailedError(reason)


def _attempt(stage: Stage, recipe: Recipe, key: str, work: Work, candidates: int, retried: str = "") -> str:
    """Train a stage and keep it; gives why it came to nothing, or an empty text.

    The error does not get out: its traceback holds the module, and a second try needs that memory.
    """
    try:
        _train(stage, recipe, key, work, candidates, retried)
    except TrainingFailedError as error:
        drop(work.settings.cache, key)  # what led to nothing is not gone on from
        return str(error)
    return ""


def refuse_failed(key: str, work: Work) -> None:
    """See that a stage has not come to nothing before: it would again.

    Raises:
        TrainingFailedError: It has.
    """
    before = work.store.failed(key)
    if before is not None:
        again = f"delete {work.store.failed_path(key)} to try again"
        raise TrainingFailedError(f"failed before ({before['reason']}): {again}")


def _train(stage: Stage, recipe: Recipe, key: str, work: Work, candidates: int, retried: str = "") -> None:
    """Train a stage and keep it; the recipe is the stage's own, or one in another precision."""
    started = time.perf_counter()
    device, group = choose_device(work.settings.device), current()
    start_afresh(device)
    module, tables, vocabulary, pad_id, parent = set_up(stage, recipe, work, device)
    examples = sum(table.count for table in tables)
    steps = stage.recipe.epochs * math.ceil(examples / stage.recipe.batch_size)
    work.reporter.stage_started(stage, examples * stage.recipe.epochs, steps)

    def write(path: Path) -> None:
        save_weights(module, vocabulary, parent, path)

    keeper = work.candidates.keep(key, steps, stage.recipe.epochs, candidates, write)
    checkpoints = _checkpoints(stage, recipe, key, work, keeper, device, len(vocabulary.ids), group)
    micro_batch = work.micro_batch("train", stage, device)
    precision = choose_precision(recipe.precision, device)
    wanted = {"stage": stage.id, "key": key, "precision": precision, "micro_batch_tokens": micro_batch.tokens}
    with stopping.at_steps() if recipe.checkpoint_minutes else nullcontext(), group.together(wanted):
        result = train(
            module, tables, recipe, stage.seed, vocabulary, pad_id,
            lambda step, steps, loss, passed: work.reporter.stage_step(stage, step, steps, loss, passed),
            micro_batch, keeper.passed, checkpoints, group,
        )  # fmt: skip
    collapse = find_collapse(module, tables, stage.seed, vocabulary, pad_id, work.micro_batch("read", stage, device))
    if collapse:
        raise TrainingFailedError(collapse)
    last_epoch = result.losses[-(steps // stage.recipe.epochs) :]
    manifest = {
        "curriculum": stage.curriculum, "mixture": list(stage.mixture), "head": stage.head, "seed": stage.seed,
        "parent": None if stage.parent is None else work.stage_keys[stage.parent],
        "rows": [len(np.unique(table.row_of)) for table in tables],
        "vocabulary_rows": len(vocabulary.ids), "micro_batch_tokens": result.micro_batch_tokens,
        "trained_weights": trained_weights(module), "resumed": checkpoints.resumed,
        "loss": {"first": result.losses[0], "last_epoch_mean": float(np.mean(last_epoch))},
        "timing": {
            "train_s": result.seconds, "train_examples": result.examples,
            "whole_s": checkpoints.seconds + time.perf_counter() - started,
            **peak_memory(device),
        },
        "environment": {**environment(device, result.precision), "processes": group.size},
        **({"retried": retried} if retried else {}),
    }  # fmt: skip
    written = work.store.save_stage(key, manifest, write)
    keeper.finish(written, work.store.stage(key) or written)
    checkpoints.drop()
    work.reporter.stage_done(stage, result.seconds, found=False)


class SetUp(NamedTuple):
    """A stage, ready to be trained.

    Attributes:
        module: Encoder and head, on their device.
        tables: The examples of each dataset of the mixture.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.
        parent: The weight file of the stage that it goes on from.
    """

    module: HeadModule
    tables: list[ExampleTable]
    vocabulary: Vocabulary
    pad_id: int
    parent: Path | None


def set_up(stage: Stage, recipe: Recipe, work: Work, device: torch.device) -> SetUp:
    """Make a stage ready; every process of a launch does it by itself, from the same files to the same weights.

    Args:
        stage: Which.
        recipe: Its own, or one in another precision.
        work: Resolved names and rows; the parent is in the store.
        device: Where to train.
    """
    registry, settings = work.registry, work.settings
    model, head, trust = work.models[stage.model], registry.heads.get(stage.head), settings.trust_remote_code
    context = head_context(recipe, model, registry.datasets.get(stage.mixture[0]))
    tables, pad_id = _tables(stage, head, context, work)
    vocabulary, why = training_vocabulary(tables, recipe, table_size(model.folder, trust), pad_id)
    if why:
        work.reporter.note(f"{stage.label}: training the full vocabulary ({why})")
    parent = None if stage.parent is None else work.store.stage_weights(work.stage_keys[stage.parent])
    module = build_module(model, head, context, vocabulary, stage.seed, parent, trust, trains=True)
    return SetUp(module.to(device), tables, vocabulary, pad_id, parent)


def _checkpoints(
    stage: Stage, recipe: Recipe, key: str, work: Work, keeper: Keeper, device: torch.device, held: int, group: Alone
) -> Checkpoints:
    """A stage's checkpoints; ``held`` is how many embedding rows its training holds."""
    reporter = work.reporter
    about = environment(device, choose_precision(recipe.precision, device))
    return Checkpoints(
        folder_of(work.settings.cache, key), key, recipe.checkpoint_minutes,
        {
            "training": TRAINING_VERSION, "steps": keeper.steps, "embedding rows": held, "device": device.type,
            **{name: about[name] for name in ("torch", "transformers", "precision")},
        },
        {
            "threads": about["threads"], "processes": group.size, "machine": about["device"],
            "micro_batch_tokens": recipe.micro_batch_tokens,
        },
        keeper, lambda text: reporter.note(f"{stage.label}: {text}"),
        lambda at, when: reporter.stage_resumed(stage, at.step, keeper.steps, at.examples, when),
        lambda step: reporter.stage_kept(stage, step, keeper.steps), group,
    )  # fmt: skip


def _tables(stage: Stage, head: Head, context: HeadContext, work: Work) -> tuple[list[ExampleTable], int]:
    """The examples of each dataset of the mixture, and the padding id.

    The tokenizer goes when this is done: XLM-R's takes 0.28 GB, and training does not need it.
    """
    model, settings = work.models[stage.model], work.settings
    tokenizer = load_tokenizer(model.folder, settings.trust_remote_code)
    sets = [work.rows[name, stage.split] for name in stage.mixture]
    limits = share_limit(stage.limit, [one.rows for one in sets])
    tables = [
        example_table(rows, head, model, tokenizer, context, limit, stage.seed, settings)
        for rows, limit in zip(sets, limits, strict=True)
    ]
    return tables, int(tokenizer.pad_token_id)


def example_table(
    rows: RowSet, head: Head, model: LocalModel, tokenizer: PreTrainedTokenizerBase, context: HeadContext,
    limit: int | None, seed: int, settings: Settings,
) -> ExampleTable:  # fmt: skip
    """The tokenised examples of a split, from the cache when they are there: no text is tokenised twice."""
    folder = table_folder(rows, head, model, context, limit, seed, settings)
    found = find_examples(folder, settings)
    if found is not None:
        return found
    with Locks.of(settings).wait("examples", folder.name, f"tokenises {rows.dataset.name}/{rows.split}"):
        return build_examples(folder, select(rows.open(), limit, seed), head, tokenizer, context, settings)


def training_vocabulary(tables: list[ExampleTable], recipe: Recipe, size: int, pad_id: int) -> tuple[Vocabulary, str]:
    """The embedding rows to hold, and to train where the encoder is not frozen.

    Args:
        tables: The stage's examples.
        recipe: Weight decay would move rows that are never looked up, so it needs them all, unless they are frozen.
        size: Rows of the base table.
        pad_id: The tokenizer's padding id.

    Returns:
        The vocabulary, and why it is the full one; an empty text where it is restricted.
    """
    if recipe.vocabulary == "full":
        return full_vocabulary(size), "recipe.vocabulary = full"
    if recipe.decays_table:
        return full_vocabulary(size), "weight decay moves embedding rows that are never looked up"
    vocabulary = used_vocabulary(tables, size, pad_id)
    if vocabulary.full:
        return vocabulary, "the data uses all of it, or the padding id lies too high to keep its place"
    return vocabulary, ""


def used_vocabulary(tables: list[ExampleTable], size: int, pad_id: int) -> Vocabulary:
    """Only the embedding rows that some examples look up."""
    used = np.zeros(size, np.bool_)
    used[pad_id] = True
    for table in tables:
        table.mark_used(used)
    return restricted_vocabulary(used, pad_id)
