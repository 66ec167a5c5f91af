"""From texts to token sequences of a limited length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..types import Tokens

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
    whole = tokenizer(*pairs, truncation=False, verbose=False)["input_ids"]
    segments = cut["token_type_ids"] if "token_type_ids" in cut else [None] * len(texts)
    return [
        (Tokens(ids, types), len(uncut) > len(ids))
        for ids, types, uncut in zip(cut["input_ids"], segments, whole, strict=True)
    ]
