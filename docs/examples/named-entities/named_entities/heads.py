"""``word-tagger``: a tag for each word, from the word's first piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xbench.api import Decoding, Example, Head, HeadContext, Row, Tokens, UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NOTHING = -1
"""The target of a token that is not a word's first piece; the place of a word that has no piece."""


def tag_examples(
    rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext
) -> Iterator[Example]:
    """Make one sequence of each sentence, cut at its end.

    A tokenizer takes a word apart; its first piece stands for it, as in BERT's experiments on CoNLL-2003 (Devlin et
    al., 2019). The targets of all examples are equally many, ``max_length``.

    Args:
        rows: Rows of ``word-tags``.
        first: The index of the first one.
        tokenizer: The model's.
        context: Its ``labels`` are the tags.

    Yields:
        An example a row. Its target is a tag's number for each token, and its extra ``places`` the token at which each
        word begins.

    Raises:
        UserError: The tokenizer does not tell which word a token belongs to.
    """
    if not tokenizer.is_fast:
        raise UserError("the head word-tagger needs a tokenizer of the tokenizers library")
    length, numbers = context.recipe.max_length, {tag: number for number, tag in enumerate(context.labels)}
    cut = tokenizer([row["words"] for row in rows], is_split_into_words=True, truncation=True, max_length=length)
    for index, row in enumerate(rows):
        places = [NOTHING] * len(row["words"])
        targets = [float(NOTHING)] * length
        for token, word in enumerate(cut.word_ids(index)):
            if word is not None and places[word] == NOTHING:
                places[word] = token
                targets[token] = float(numbers[row["tags"][word]])
        types = cut["token_type_ids"][index] if "token_type_ids" in cut else None
        tokens = Tokens(cut["input_ids"][index], types)
        lost = bool(cut.encodings[index].overflowing)
        yield Example(first + index, (tokens,), tuple(targets), truncated=lost, extra={"places": places})


def tag_module(encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> torch.nn.Module:
    """Build the torch module; torch is imported here and not before."""
    from .modules import WordTagger

    return WordTagger(encoder, context, generator)


def decode_tags(decoding: Decoding) -> list[list[str]]:
    """Give each row the likeliest tag of each word; a word that was cut away is in no entity."""
    labels = decoding.context.labels
    predictions = []
    for logits, places in zip(decoding.outputs, decoding.extra["places"], strict=True):
        best = logits.argmax(0)  # (tags, length) -> (length,)
        predictions.append([labels[best[place]] if place != NOTHING else "O" for place in places])
    return predictions


HEADS = [
    Head(
        name="word-tagger",
        version=1,
        schemas=("word-tags",),
        description="A tag a word, from its first piece (as BERT on CoNLL-2003)",
        examples=tag_examples,
        module=tag_module,
        decode=decode_tags,
    )
]
