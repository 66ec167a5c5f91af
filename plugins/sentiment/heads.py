"""``classification``: one label a text, or a pair of texts, from the first token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xbench.api import Decoding, Example, Export, Exporting, Head, HeadContext, Row, linear_export, tokenize

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BREAK = "<br />"


def classification_examples(
    rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterator[Example]:
    """One sequence a text, cut at its end; of a pair, the longer text is cut first.

    Args:
        rows: Rows of ``text-label`` or ``pair-label``.
        first: The index of the first one.
        tokenizer: The model's; prompts are for sentence embeddings and do not apply.
        context: The recipe and its company; ``line_breaks`` says what becomes of ``<br />``.

    Yields:
        An example a row; its target is the label.
    """
    fields = ("sentence1", "sentence2") if "sentence1" in rows[0] else ("text",)
    sides = [[row[field] for row in rows] for field in fields]
    if context.recipe.options["line_breaks"] == "space":
        sides = [[text.replace(BREAK, " ") for text in texts] for texts in sides]
    sequences = tokenize(tokenizer, context.recipe.max_length, *sides)
    for index, (row, (tokens, lost)) in enumerate(zip(rows, sequences, strict=True), first):
        yield Example(index, (tokens,), (float(row["label"]),), truncated=lost)


def classification_module(
    encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator
) -> torch.nn.Module:
    """Build the torch module."""
    from .modules import Classifier

    return Classifier(encoder, context, generator)


def decode_labels(decoding: Decoding) -> list[int]:
    """The label with the highest logit of each row; of equal ones the first."""
    return [int(logits.argmax()) for logits in decoding.outputs]


def export_classifier(exporting: Exporting) -> Export:
    """``AutoModelForSequenceClassification`` with the datasets' labels."""
    labels, breaks = exporting.context.labels, exporting.context.recipe.options["line_breaks"]
    config = {
        "num_labels": len(labels), "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)}, "problem_type": "single_label_classification",
    }  # fmt: skip
    notes = (f"Line breaks as HTML writes them, `{BREAK}`, were {'kept' if breaks == 'keep' else 'read as spaces'}.",)
    return linear_export(
        exporting, "AutoModelForSequenceClassification", ("block.1", "block.4"), lambda output: output.logits, config,
        notes,
    )  # fmt: skip


HEADS = [
    Head(
        name="classification",
        version=1,
        schemas=("text-label", "pair-label"),
        description="One label a text or a pair, from the first token (as transformers' sequence classification)",
        examples=classification_examples,
        module=classification_module,
        decode=decode_labels,
        options={"line_breaks": ("keep", "space")},
        export=export_classifier,
    ),
]
