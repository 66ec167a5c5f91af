"""Checks of heads, with a tiny random encoder and the real training loop: they learn, and batches do not show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...measures import Metric
from ...types import Dataset, Decoding, Example, Fitting, Head, Row
from ..results import NotCheckedError, Problem
from ..shelf import schema_of
from ..subject import Subject
from .common import prediction_problems
from .metrics import Sheet

if TYPE_CHECKING:
    from ...heads.blocks import HeadModule
    from ..runs import HeadRun

ROWS = 8
FITTED_ROWS = 48
"""A map between embeddings of 32 numbers needs more than 32 rows."""
STEPS = 60
FALL = 0.5
"""What the loss falls to, of what it was, when eight rows are learned by heart."""
CLOSE = 1e-4
RECIPE = {"optimizer": "adamw", "lr": 5e-3, "schedule": "constant", "warmup": 0.0, "batch_size": 8, "max_length": 128}


def _run(about: Subject, head: Head, dataset: Dataset, rows: Sequence[Row], epochs: int = 1) -> HeadRun:
    """The head on the tiny encoder, with rows in examples."""
    from ..runs import HeadRun

    # A head's own default of what is also a recipe key suits its other options.
    own = {name: value[0] if isinstance(value, tuple) else value for name, value in head.options.items()}
    settings = {**RECIPE, **{name: value for name, value in own.items() if name in RECIPE}, "epochs": epochs}
    work = about.plugin.work / "runs" / str(len(list(about.plugin.work.glob("runs/*"))))
    work.mkdir(parents=True)
    return HeadRun(
        about.encoder, head, [rows], work, settings, labels=dataset.labels, score_range=dataset.score_range
    )  # fmt: skip


def _material(about: Subject, head: Head, count: int = ROWS) -> tuple[Dataset, list[Row]]:
    """Rows of the first of a head's schemas of which some are here.

    Raises:
        NotCheckedError: There are none.
    """
    datasets = [dataset for schema in head.schemas for dataset in about.shelf.of_schemas([schema])]
    return about.rows_for(f"the head {head.name}", datasets, count)


def check_examples(about: Subject, head: Head) -> Iterator[Problem]:
    """It makes the same examples of rows whether they come together or in parts, none longer than `max_length`."""
    dataset, rows = _material(about, head)
    where = about.plugin.where("head", head)
    run = _run(about, head, dataset, rows)

    def made(part: Sequence[Row], first: int) -> list[Example]:
        return list(head.examples(part, first, run.tokenizer, run.context))

    together, parts = made(rows, 0), [*made(rows[:3], 0), *made(rows[3:], 3)]
    if [_plain(one) for one in together] != [_plain(one) for one in parts]:
        yield Problem(
            "rows that come in two parts give other examples than all at once", where,
            "number an example's row from the argument `first` on, and keep nothing between calls",
        )  # fmt: skip
    longest = max(len(tokens.ids) for one in together for tokens in one.sequences)
    if longest > run.recipe.max_length:
        yield Problem(
            f"a sequence has {longest} tokens, and recipe.max_length is {run.recipe.max_length}", where,
            "cut it, as `xbench.api.tokenize` does",
        )  # fmt: skip
    shapes = {(len(one.sequences), len(one.target)) for one in together}
    if len(shapes) > 1:
        yield Problem(
            "examples differ in their numbers of sequences or targets", where,
            "give every example as many sequences and as many numbers in its target",
        )  # fmt: skip


def _plain(example: Example) -> tuple[Any, ...]:
    sequences = [(list(one.ids), None if one.types is None else list(one.types)) for one in example.sequences]
    extra = {name: list(values) for name, values in example.extra.items()}
    return example.row, sequences, tuple(example.target), example.truncated, extra


def check_seeded(about: Subject, head: Head) -> Iterator[Problem]:
    """Its initial weights come from the generator that it is given, and from nothing else."""
    import torch

    dataset, rows = _material(about, head)
    run = _run(about, head, dataset, rows)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(run.build(seed=0).state_dict())
    for name, weight in states[0].items():
        if not torch.equal(weight, states[1][name]):
            yield Problem(
                f"the initial weight {name} is another one each time, with one and the same seed",
                about.plugin.where("head", head),
                "draw it with the generator that `module` is given: torch.nn.init.normal_(..., generator=generator)",
            )  # fmt: skip


def check_learns(about: Subject, head: Head) -> Iterator[Problem]:
    """On a tiny random encoder it learns eight rows by heart, and says them again."""
    dataset, rows = _material(about, head)
    where = about.plugin.where("head", head)
    count = _run(about, head, dataset, rows).tables[0].count
    run = _run(about, head, dataset, rows, max(1, round(STEPS / -(-count // RECIPE["batch_size"]))))  # type: ignore[operator]
    try:
        module, result = run.train()
    except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything
        yield about.stumbled(error, f"training on {len(rows)} rows of {dataset.name}", where)
        return
    last = result.losses[-8:]
    first, reached = result.losses[0], sum(last) / len(last)
    if not reached < FALL * first:
        yield Problem(
            f"the loss fell from {first:.4g} to {reached:.4g} only, in {len(result.losses)} steps on {len(rows)} rows "
            f"of {dataset.name}", where,
            "see that `loss` compares `outputs` with `batch.targets`, that nothing on the way is detached, and that "
            "the targets are in the range of the outputs (`HeadContext.unit_scale`)",
        )  # fmt: skip
        return
    predictions = _said(run, module, head, dataset, rows)
    if predictions is None:
        return
    references = [schema_of(dataset, about.plugin.registry).reference(row) for row in rows]
    sheet = Sheet(dataset, rows, references, predictions)
    for metric in _scorers(about, head, dataset):
        yield from _recall_problems(sheet, metric, where)


def _said(
    run: HeadRun, module: HeadModule, head: Head, dataset: Dataset, rows: Sequence[Row]
) -> Sequence[Any] | None:  # fmt: skip
    """What a head says of its training rows; None where that takes a map, or is not one prediction a row."""
    reading = next((one for one in head.readings if one.fit is None), None)
    if reading is None:
        return None
    table = run.tables[0]
    decoding = Decoding(
        rows, table.row_of, run.predict(module), table.extra(), run.context, reading.name, dataset, None
    )  # fmt: skip
    try:
        predictions: Sequence[Any] = head.decode(decoding)
        return predictions if len(predictions) == len(rows) else None
    except Exception:  # noqa: BLE001  # the check decodes meets it too, and says so
        return None


def _scorers(about: Subject, head: Head, dataset: Dataset) -> list[Metric]:
    """Metrics that the head's predictions are scored with, and that have a best value which the gold answers reach."""
    registry = about.plugin.registry
    of_tasks = [name for task in registry.tasks if head.name in task.heads for name in task.metrics]
    found = (registry.metrics.items.get(name) for name in dict.fromkeys([*dataset.official, *of_tasks]))
    return [
        one for one in found
        if one is not None and one.best and one.comparable and (not one.schemas or dataset.schema in one.schemas)
    ]  # fmt: skip


def _recall_problems(sheet: Sheet, metric: Metric, where: str) -> Iterator[Problem]:
    """Rows learned by heart score nearer to the best than to what the predictions of other rows score."""
    count = len(sheet.rows)
    try:
        scores = sheet.score(metric)
        others = [
            sheet.of([sheet.predictions[(place + by) % count] for place in range(count)]).score(metric)
            for by in range(1, count)
        ]
    except Exception:  # noqa: BLE001  # a metric's own checks say so
        return
    for name, best in metric.best.items():
        missed = abs(best - scores.get(name, math.nan))
        usual = sum(abs(best - one.get(name, math.nan)) for one in others) / len(others)
        if not math.isnan(usual) and not missed < FALL * usual:
            yield Problem(
                f"it has learned {count} rows of {sheet.dataset.name} by heart (its loss says so), and of them scores "
                f"{name} = {scores.get(name, math.nan):.4g}, where {best:.4g} is the best", where,
                "see that `decode` reads the outputs as `loss` writes them: labels in their order, scores in the "
                "dataset's range, each prediction in the place of its row",
            )  # fmt: skip


def check_batches(about: Subject, head: Head) -> Iterator[Problem]:
    """What it says of an example, and its loss, do not depend on what else is in the batch."""
    import numpy as np
    import torch

    from ...training.feeding import host_batch

    dataset, rows = _material(about, head)
    where = about.plugin.where("head", head)
    run = _run(about, head, dataset, rows)
    module, table = run.build(), run.tables[0]
    several, alone = run.predict(module), run.predict(module, budget=1)
    apart = max((float(np.abs(one - two).max()) if one.shape == two.shape else np.inf)
                for one, two in ((_finite(a), _finite(b)) for a, b in zip(several, alone, strict=True)))  # fmt: skip
    if apart > CLOSE:
        yield Problem(
            f"outputs differ by {apart:.2g} between a batch of {table.count} examples and one example at a time", where,
            "leave padding out by `batch.attention_mask` wherever tokens are added up or compared (`mean_pool` does)",
        )  # fmt: skip

    def losses(indices: Sequence[int]) -> torch.Tensor:
        batch = host_batch(table, np.asarray(indices, np.int64), run.whole(), run.pad_id, False)
        with torch.inference_mode():
            return module.loss(module(batch), batch)

    some = list(range(min(4, table.count)))
    together = losses(some)
    if tuple(together.shape) != (len(some),):
        yield Problem(
            f"`loss` has the shape {tuple(together.shape)} for {len(some)} examples", where,
            "give one loss an example, shape (examples,): reduction=\"none\"",
        )  # fmt: skip
    elif not torch.allclose(together, torch.cat([losses([one]) for one in some]), rtol=1e-3, atol=CLOSE):
        yield Problem(
            "the loss of an example depends on the others in its batch", where,
            "let each example's loss come from its own outputs and targets: a batch is run in pieces of any size",
        )  # fmt: skip


def _finite(values: Any) -> Any:
    """Minus infinity stands for what cannot be: the same on both sides."""
    import numpy as np

    return np.nan_to_num(values, neginf=-1e9)


def check_decodes(about: Subject, head: Head) -> Iterator[Problem]:
    """Each of its readings gives one prediction a row, in the form that the schema wants."""
    where, looked = about.plugin.where("head", head), False
    for name in head.schemas:
        found = next(about.shelf.some(about.shelf.of_schemas([name]), FITTED_ROWS), None)
        if found is None:
            continue
        (dataset, rows), looked = found, True
        needed = FITTED_ROWS if any(reading.fit for reading in head.readings) else ROWS
        yield from _read(about, head, dataset, rows[:needed], where)
    if not looked:
        raise NotCheckedError(f"no rows of {', '.join(head.schemas)} are here")


def _read(about: Subject, head: Head, dataset: Dataset, rows: Sequence[Row], where: str) -> Iterator[Problem]:
    import numpy as np

    run = _run(about, head, dataset, rows)
    table, schema = run.tables[0], schema_of(dataset, about.plugin.registry)
    outputs = run.predict(run.build())
    for reading in head.readings:
        here = f"{where}, reading {reading.name}, on {dataset.name}"
        try:
            fitted = None
            if reading.fit is not None:
                about_fit = Fitting(rows, table.row_of, np.stack(outputs), dataset, run.context, 0)
                fitted = reading.fit(about_fit)
            decoding = Decoding(rows, table.row_of, outputs, table.extra(), run.context, reading.name, dataset, fitted)
            predictions = head.decode(decoding)
        except UserError:
            continue  # such as a map that says nothing of rows in one language
        except Exception as error:  # noqa: BLE001  # a stranger's code may raise anything
            yield about.stumbled(error, f"decoding {len(rows)} rows", here)
            continue
        yield from prediction_problems(predictions, rows, schema, here)
