"""Cuts a question and its passage into windows that the encoder can take, and places answers in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xbench.api import Example, HeadContext, Row, Tokens, UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ints = npt.NDArray[np.int64]
NO_ANSWER = 0
"""The position that a window without the answer is trained to point at: the first token's, as BERT's reader did."""


@dataclass(frozen=True)
class Passage:
    """A passage in tokens.

    Attributes:
        ids: Token ids, without special tokens.
        starts: (tokens,) The code point at which each token's text begins.
        ends: (tokens,) And behind which it ends. Neither surrounding white space nor what a later token covers as well
            is counted; a token of which nothing is left (a lone metaspace, all but the last byte of an emoji) has its
            start and end at one place, and no answer begins or ends with it.
    """

    ids: Sequence[int]
    starts: Ints
    ends: Ints

    def find(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and the last token of the text from code point ``start`` to ``end``; None where no token is."""
        inside = np.flatnonzero((self.ends > start) & (self.starts < end) & (self.ends > self.starts))
        return (int(inside[0]), int(inside[-1])) if len(inside) else None


@dataclass(frozen=True)
class Layout:
    """Where the tokenizer puts special tokens around a pair of texts, and the segment ids that it gives.

    Attributes:
        before: Special tokens before the question.
        between: Between the question and the passage.
        after: Behind the passage.
        types: The segment ids of the five parts (before, question, between, passage, after); None where the tokenizer
            gives none.
    """

    before: Sequence[int]
    between: Sequence[int]
    after: Sequence[int]
    types: tuple[Sequence[int], int, Sequence[int], int, Sequence[int]] | None

    @property
    def special(self) -> int:
        """How many special tokens a window has."""
        return len(self.before) + len(self.between) + len(self.after)

    def tokens(self, question: Sequence[int], passage: Sequence[int]) -> Tokens:
        """One window."""
        ids = [*self.before, *question, *self.between, *passage, *self.after]
        if self.types is None:
            return Tokens(ids)
        before, first, between, second, after = self.types
        return Tokens(ids, [*before, *[first] * len(question), *between, *[second] * len(passage), *after])


def pair_layout(tokenizer: PreTrainedTokenizerBase) -> Layout:
    """Learn a tokenizer's layout from a pair of short texts.

    Raises:
        UserError: The tokenizer does not say which characters a token stands for.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"the span head needs to know which characters a token stands for, and {type(tokenizer).__name__} does not "
            "say: take a model with a fast tokenizer (tokenizer.json)"
        )
    encoded = tokenizer("a", "b")
    parts = encoded.sequence_ids(0)
    first = [index for index, part in enumerate(parts) if part == 0]
    second = [index for index, part in enumerate(parts) if part == 1]
    cuts = (slice(0, first[0]), slice(first[-1] + 1, second[0]), slice(second[-1] + 1, None))
    before, between, after = (encoded["input_ids"][cut] for cut in cuts)
    kinds = encoded.get("token_type_ids")
    types = (
        None if kinds is None
        else (kinds[cuts[0]], kinds[first[0]], kinds[cuts[1]], kinds[second[0]], kinds[cuts[2]])
    )  # fmt: skip
    return Layout(before, between, after, types)


def passages(tokenizer: PreTrainedTokenizerBase, contexts: Sequence[str]) -> dict[str, Passage]:
    """Tokenise each distinct passage once, however many questions it has."""
    distinct = list(dict.fromkeys(contexts))
    encoded = tokenizer(distinct, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    pairs = zip(distinct, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return {context: _passage(context, ids, offsets) for context, ids, offsets in pairs}


def _passage(context: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> Passage:
    starts, ends = np.asarray(offsets, np.int64).reshape(-1, 2).T  # (tokens,) each
    blank = np.fromiter((one.isspace() for one in context), np.bool_, len(context))
    places = np.arange(len(context) + 1)
    text = np.append(~blank, True)
    # What no token stands for (the normaliser made one character of a letter and its mark) belongs to the token before;
    # and where several tokens stand for one character, the last of them has it.
    gap = np.minimum.accumulate(np.where(np.append(blank, True), places, len(context))[::-1])[::-1]
    ends = np.minimum(gap[ends], np.append(starts[1:], len(context)))
    # The next place at which text stands, and the place behind the last text before.
    following = np.minimum.accumulate(np.where(text, places, len(context))[::-1])[::-1]
    preceding = np.maximum.accumulate(np.append(0, np.where(blank, 0, places[1:])))
    starts, ends = following[starts], preceding[ends]
    return Passage(ids, np.where(starts < ends, starts, ends), ends)


def cut(rows: Sequence[Row], first: int, tokenizer: PreTrainedTokenizerBase, context: HeadContext) -> Iterator[Example]:
    """Windows of at most ``max_length`` tokens, neighbours of which share ``stride`` tokens of the passage.

    Args:
        rows: Rows of ``span``.
        first: The index of the first one.
        tokenizer: The model's; a fast one.
        context: The recipe and its company.

    Yields:
        One example a window. Its target is the positions of the answer's first and last token in the window; where the
        window does not hold the whole answer, the first token's position twice. ``starts`` and ``ends`` are the
        passage tokens' places in the passage, and ``offset`` is the position of the first of them in the window.

    Raises:
        UserError: The recipe leaves no room for the passage, or the tokenizer does not do.
    """
    layout, recipe = pair_layout(tokenizer), context.recipe
    stride, longest = int(recipe.options["stride"]), int(recipe.options["max_question"])
    room = recipe.max_length - layout.special - longest
    for name, least in (("stride", 0), ("max_question", 1), ("max_answer_chars", 1)):
        if int(recipe.options[name]) < least:
            raise UserError(f"{name} = {recipe.options[name]} must be at least {least}")
    if room <= stride:
        raise UserError(
            f"max_length = {recipe.max_length} leaves {room} tokens for the passage beside a question of "
            f"max_question = {longest}, and neighbouring windows share stride = {stride} of them: "
            "raise max_length, or lower max_question or stride"
        )
    questions = tokenizer([row["question"].strip() for row in rows], add_special_tokens=False, verbose=False)
    tokenised = passages(tokenizer, [row["context"] for row in rows])
    for index, (row, question) in enumerate(zip(rows, questions["input_ids"], strict=True), first):
        passage, kept = tokenised[row["context"]], question[:longest]
        answer = _answer(passage, row)
        offset = len(layout.before) + len(kept) + len(layout.between)
        for start, end in window_bounds(len(passage.ids), recipe.max_length - layout.special - len(kept), stride):
            inside = answer is not None and start <= answer[0] and answer[1] < end
            target = [token - start + offset for token in answer] if answer and inside else [NO_ANSWER, NO_ANSWER]
            extra: dict[str, Any] = {
                "starts": passage.starts[start:end], "ends": passage.ends[start:end], "offset": [offset],
            }  # fmt: skip
            tokens = layout.tokens(kept, passage.ids[start:end])
            yield Example(index, (tokens,), (float(target[0]), float(target[1])), len(kept) < len(question), extra)


def window_bounds(tokens: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """Where each window of a passage begins and ends; an empty passage has one empty window.

    Args:
        tokens: Of the passage.
        size: Of a window.
        stride: Tokens that neighbours share.
    """
    start = 0
    while start + size < tokens:
        yield start, start + size
        start += size - stride
    yield start, tokens


def _answer(passage: Passage, row: Row) -> tuple[int, int] | None:
    """The tokens of the first answer that has a text, without white space around it."""
    for answer in row["answers"]:
        text = answer["text"].strip()
        if text:
            start = answer["start"] + answer["text"].index(text)
            return passage.find(start, start + len(text))
    return None
