"""``cross-encoder``: both sentences in one sequence. ``siamese``: two sentence embeddings and their cosine (Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from xbench.api import Decoding, Example, Head, HeadContext, Row, tokenize

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def cross_encoder_examples(
    rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterator[Example]:
    """One sequence a pair, the longer sentence cut first, as the GLUE example of transformers does.

    Args:
        rows: Rows of ``pair-score``.
        first: The index of the first one.
        tokenizer: The model's; prompts do not apply to pairs in one sequence.
        context: The recipe and its company.

    Yields:
        An example a row; its target is the gold score.
    """
    left, right = [row["sentence1"] for row in rows], [row["sentence2"] for row in rows]
    pairs = tokenize(tokenizer, context.recipe.max_length, left, right)
    for index, (row, (tokens, lost)) in enumerate(zip(rows, pairs, strict=True), first):
        yield Example(index, (tokens,), (row["score"],), truncated=lost)


def siamese_examples(
    rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterator[Example]:
    """Two sequences a pair, each with the model's prompt for sentences.

    Args:
        rows: Rows of ``pair-score``.
        first: The index of the first one.
        tokenizer: The model's.
        context: The recipe and its company.

    Yields:
        An example a row; its target is the gold score.
    """
    prompt, limit = context.prompts.get("sentence", ""), context.recipe.max_length
    sides = [
        tokenize(tokenizer, limit, [prompt + row[side] for row in rows]) for side in ("sentence1", "sentence2")
    ]  # fmt: skip
    for index, (row, *pair) in enumerate(zip(rows, *sides, strict=True), first):
        sequences, lost = zip(*pair, strict=True)
        yield Example(index, sequences, (row["score"],), truncated=any(lost))


def unit_scale(context: HeadContext) -> tuple[float, float]:
    """The offset and the factor that bring a gold score to 0-1."""
    low, high = context.score_range or (0.0, 1.0)
    return low, 1 / (high - low)


def cross_encoder_module(encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> torch.nn.Module:
    """Build the torch module."""
    from .modules import CrossEncoder

    return CrossEncoder(encoder, context, generator)


def siamese_module(encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> torch.nn.Module:
    """Build the torch module."""
    from .modules import Siamese

    return Siamese(encoder, context)


def decode_numbers(decoding: Decoding) -> list[Any]:
    """One number a row, as the module gave it."""
    return [float(output) for output in decoding.outputs]


HEADS = [
    Head(
        name="cross-encoder",
        version=1,
        schemas=("pair-score",),
        description="Both sentences in one sequence, regression from the first token (as transformers' GLUE example)",
        examples=cross_encoder_examples,
        module=cross_encoder_module,
        decode=decode_numbers,
        options={"score_scale": ("unit", "raw")},
    ),
    Head(
        name="siamese",
        version=1,
        schemas=("pair-score",),
        description="Mean-pooled sentence embeddings, their cosine against the gold score (Sentence-BERT, regression)",
        examples=siamese_examples,
        module=siamese_module,
        decode=decode_numbers,
        needs_training=False,
    ),
]
