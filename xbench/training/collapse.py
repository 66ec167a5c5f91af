"""Looks at a trained module for the kind of failure that no loss tells: the same output whatever it is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..heads.blocks import HeadModule
from ..models.vocabulary import Vocabulary
from .examples import ExampleTable
from .memory import MicroBatch
from .predict import Predictor

MOST, LEAST = 64, 32
"""Examples that are looked at; of fewer than the least nothing is said."""
SAME = 1e-4
"""Of an output number's size: what it may vary over the examples and still count as the same. Encoders that have hardly
learned vary by more: of XLM-R's raw sentences, which all look alike, cosines differ by some 1e-3 to 1e-2."""
ROUNDING = 1e-6
"""Of the largest output number: what rounding alone makes of batches of other lengths."""


def find_collapse(
    module: HeadModule, tables: Sequence[ExampleTable], seed: int, vocabulary: Vocabulary, pad_id: int,
    micro_batch: MicroBatch,
) -> str:  # fmt: skip
    """Read some training examples as for predictions, in fp32 and without dropout, and hold their outputs together.

    Args:
        module: Encoder and head, trained.
        tables: The examples of each dataset of the mixture.
        seed: Of the draw.
        vocabulary: The embedding rows that the module holds.
        pad_id: The tokenizer's padding id.
        micro_batch: How many tokens go through at once.

    Returns:
        What is wrong: outputs that are no numbers, or that are all the same where the targets are not. Empty for
        nothing.
    """
    predictor = Predictor(module, "fp32", 0, vocabulary, pad_id, micro_batch=micro_batch)
    outputs: list[npt.NDArray[np.float32]] = []
    targets: list[npt.NDArray[np.float32]] = []
    for table, some in zip(tables, _drawn([table.count for table in tables], seed), strict=True):
        if len(some):
            outputs += predictor.predict(table, some)
            targets += list(np.asarray(table.targets[some]))
    if any(np.isnan(output).any() for output in outputs):
        return "the trained model's outputs are no numbers"
    if len(outputs) < LEAST or not _differ(targets) or not all_same(outputs):
        return ""
    return f"the trained model gives the same output for {len(outputs)} different examples"


def _drawn(sizes: Sequence[int], seed: int) -> list[npt.NDArray[np.int64]]:
    """Of each table, which examples are looked at, rising."""
    total = sum(sizes)
    chosen = np.sort(np.random.default_rng(seed).choice(total, min(MOST, total), replace=False))
    starts = np.cumsum([0, *sizes[:-1]])
    parts = np.split(chosen, np.searchsorted(chosen, starts[1:]))
    return [part - start for part, start in zip(parts, starts, strict=True)]


def _differ(targets: Sequence[npt.NDArray[np.float32]]) -> bool:
    return len({target.tobytes() for target in targets}) > 1


def all_same(outputs: Sequence[npt.NDArray[np.float32]]) -> bool:
    """Whether every output number is the same over all examples, but for rounding.

    Where outputs run over tokens, the first tokens of all examples are held together, as many as the shortest has: a
    reader that points at the same places whatever the text gives these the same scores.

    Args:
        outputs: One array an example, which differ in their last dimension at most; minus infinity masks a place.
    """
    if outputs[0].ndim:
        shortest = min(output.shape[-1] for output in outputs)
        outputs = [output[..., :shortest] for output in outputs]
    numbers = np.stack(outputs).reshape(len(outputs), -1).astype(np.float64)  # (examples, numbers)
    numbers = numbers[:, np.isfinite(numbers).all(0)]
    if not numbers.size:
        return False
    sizes = np.abs(numbers).max(0)  # (numbers,)
    return bool((np.ptp(numbers, axis=0) <= SAME * sizes + ROUNDING * sizes.max()).all())
