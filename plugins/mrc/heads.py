"""``span``: points at the answer in the passage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from xbench.api import Decoding, Example, Export, Exporting, Head, HeadContext, Row, linear_export

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def span_examples(
    rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterable[Example]:
    """Cut rows into windows."""
    from .windows import cut

    return cut(rows, first, tokenizer, context)


def span_module(encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> torch.nn.Module:
    """Build the torch module."""
    from .modules import SpanReader

    return SpanReader(encoder, context, generator)


def span_texts(decoding: Decoding) -> list[str]:
    """The best span's text of each question."""
    from .spans import decode_spans

    return decode_spans(decoding)


def export_reader(exporting: Exporting) -> Export:
    """``AutoModelForQuestionAnswering``."""
    import torch

    options = exporting.context.recipe.options
    notes = (
        f"It reads a question (cut at {options['max_question']} tokens) and its passage in windows that share "
        f"{options['stride']} tokens; the best span of all windows, of at most {options['max_answer_chars']} "
        "characters, is the answer.",
    )
    return linear_export(
        exporting, "AutoModelForQuestionAnswering", ("pointer",),
        lambda output: torch.stack([output.start_logits, output.end_logits], 1), {"num_labels": 2}, notes,
    )  # fmt: skip


HEADS = [
    Head(
        name="span",
        version=1,
        schemas=("span",),
        description="Points at the answer's first and last token, in sliding windows over the passage (BERT's reader)",
        examples=span_examples,
        module=span_module,
        decode=span_texts,
        # 384 and 128 are those of transformers' question answering example (neighbouring windows share 128 tokens),
        # 64 that of BERT's reader. 160 code points hold 99.9% of the answers of SQuAD's 44 articles; KorQuAD's are
        # shorter. A limit in tokens, 30 by custom, is some 120 characters of English and 45 of Korean.
        options={"max_length": 384, "stride": 128, "max_question": 64, "max_answer_chars": 160},
        decoding=("max_length", "max_answer_chars"),
        export=export_reader,
    ),
]
