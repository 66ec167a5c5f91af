"""From texts to token sequences of a limited length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..types import Example, HeadContext, Row, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenize(
    tokenizer: PreTrainedTokenizerBase, max_length: int, texts: Sequence[str], others: Sequence[str] | None = None
) -> list[tuple[Tokens, bool]]:
    """Turn texts, or pairs of texts, into one sequence each.

    Args:
        tokenizer: The model's.
        max_length: Tokens of a sequence, special tokens included; of a pair, the longer text is cut first.
        texts: One a sequence.
        others: The second text of each pair; None for single texts.

    Returns:
        The sequences, each with whether some of its text was cut away.
    """
    pairs = [list(texts)] if others is None else [list(texts), list(others)]
    cut = tokenizer(*pairs, truncation="longest_first", max_length=max_length)
    segments = cut["token_type_ids"] if "token_type_ids" in cut else [None] * len(texts)
    if cut.encodings is not None:
        lost = [bool(encoding.overflowing) for encoding in cut.encodings]
    else:  # a tokenizer in Python keeps nothing of what it cuts away
        whole = tokenizer(*pairs, truncation=False, verbose=False)["input_ids"]
        lost = [len(uncut) > len(ids) for uncut, ids in zip(whole, cut["input_ids"], strict=True)]
    return [(Tokens(ids, types), gone) for ids, types, gone in zip(cut["input_ids"], segments, lost, strict=True)]


def sentence_pair_examples(
    rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterator[Example]:
    """Two sequences a pair, each with the model's prompt for sentences: for heads that compare sentence embeddings.

    A sentence is cut at the recipe's ``max_length``, or before where the model's own files say so.

    Args:
        rows: Rows of ``pair-score`` or ``parallel``.
        first: The index of the first one.
        tokenizer: The model's.
        context: The recipe and its company.

    Yields:
        An example a row; its target is the gold score, 0 where rows have none.

    Raises:
        UserError: It is not known how the model makes sentence embeddings.
    """
    prompt, limit = context.prompts.get("sentence", ""), context.recipe.max_length
    layout = context.sentence
    if layout is not None:
        layout.check()
        limit = layout.longest(limit)
    lower = layout is not None and layout.lower
    sides = [
        tokenize(tokenizer, limit, [lower_case(prompt + row[side]) if lower else prompt + row[side] for row in rows])
        for side in ("sentence1", "sentence2")
    ]
    for index, (row, *pair) in enumerate(zip(rows, *sides, strict=True), first):
        sequences, lost = zip(*pair, strict=True)
        yield Example(index, sequences, (row.get("score", 0.0),), truncated=any(lost))


def lower_case(text: str) -> str:
    """A text in lower case, letter by letter, as tokenizers do it: Python gives a Greek word another last letter."""
    return "".join(letter.lower() for letter in text)
