"""``cross-encoder``: both sentences in one sequence. ``siamese``: two sentence embeddings and their cosine (Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from xbench.api import (
    Decoding,
    Example,
    Export,
    Exporting,
    Head,
    HeadContext,
    Row,
    linear_export,
    sentence_export,
    sentence_pair_examples,
    tokenize,
)

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


def export_cross_encoder(exporting: Exporting) -> Export:
    """``AutoModelForSequenceClassification`` with one output, on the scale that was trained."""
    context = exporting.context
    scaled = context.recipe.options["score_scale"] == "unit"
    low, high = context.score_range or (0.0, 1.0)
    config = {
        "num_labels": 1, "id2label": {0: "score"}, "label2id": {"score": 0}, "problem_type": "regression",
        # sentence-transformers' CrossEncoder would squash a single output else.
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    }  # fmt: skip
    scale = (
        f"It was trained on gold scores of {low:g} to {high:g} brought to 0-1, and says 0-1: "
        f"the gold scale is {low:g} + {high - low:g} * output."
        if scaled
        else f"It says scores on the scale of the gold ones, {low:g} to {high:g}."
    )
    notes = ("Give it both sentences of a pair in one sequence: `tokenizer(first, second, truncation=True)`.", scale)
    return linear_export(
        exporting, "AutoModelForSequenceClassification", ("block.1", "block.4"),
        lambda output: output.logits.squeeze(-1), config, notes,
    )  # fmt: skip


def export_siamese(exporting: Exporting) -> Export:
    """``SentenceTransformer``, whose embeddings are compared by cosine."""
    import torch

    def cosines(vectors: torch.Tensor) -> torch.Tensor:
        first, second = vectors.chunk(2)
        return torch.nn.functional.cosine_similarity(first, second)

    low, high = exporting.context.score_range or (0.0, 1.0)
    notes = (
        f"The cosine of two sentences was trained on gold scores of {low:g} to {high:g} brought to 0-1: "
        f"the gold scale is {low:g} + {high - low:g} * cosine.",
    )
    return sentence_export(exporting, cosines, notes)


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
        export=export_cross_encoder,
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
        export=export_siamese,
    ),
]
