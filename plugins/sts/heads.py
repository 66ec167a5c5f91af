"""``cross-encoder``: both sentences in one sequence. ``siamese``: two sentence embeddings and their cosine (Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from xbench.api import Decoding, Example, Head, HeadContext, Row, sentence_pair_examples, tokenize

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
        description="Sentence embeddings, their cosine against the gold score (Sentence-BERT, regression)",
        examples=sentence_pair_examples,
        module=siamese_module,
        decode=decode_numbers,
        needs_training=False,
    ),
]
