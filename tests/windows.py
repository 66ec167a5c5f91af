"""What the tests of windows and of answers in them share: tokenizers of all kinds, rows, and where an answer stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from xbench_plugins.mrc.datasets import LANGUAGES, MINI
from xbench_plugins.mrc.heads import HEADS
from xbench_plugins.mrc.readers import read_mini
from xbench_plugins.mrc.windows import cut

from tests.tiny import WORDS
from xbench.recipe import build_recipe
from xbench.types import Example, HeadContext, Row

TINY = ("bert", "distilbert", "xlm-roberta")  # with segment ids, without them, and metaspace
BYTES = {
    f"bytes-{'prefix' if prefix else 'plain'}-{'trim' if trim else 'keep'}": (prefix, trim)
    for prefix in (False, True)
    for trim in (False, True)
}
NAMES = (*TINY, *BYTES, "e5")
CAFE = "cafe\u0301"
FAMILY = "👨\u200d👩\u200d👧"


def byte_level(prefix: bool, trim: bool) -> PreTrainedTokenizerFast:
    """RoBERTa's kind of tokenizer: bytes, and the merges of a few words.

    Args:
        prefix: Whether a text is read as if a space stood before it.
        trim: Whether the offsets leave white space out.
    """
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    for word in ("Ġthe", "Ġcat", "Ġsat", "Ġon", "the", "cat", "sat", "on"):
        for end in range(1, len(word)):
            if word[: end + 1] not in tokens:
                tokens.append(word[: end + 1])
                merges.append((word[:end], word[end]))
    ids = {token: index for index, token in enumerate([*tokens, "<mask>"])}
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, trim_offsets=trim)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", ids["</s>"]), ("<s>", ids["<s>"]), trim_offsets=trim, add_prefix_space=prefix
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def about(**settings: object) -> HeadContext:
    return HeadContext(build_recipe(settings, "test", HEADS[0].options))


def row(context: str, *answers: str | tuple[str, int], question: str = "q") -> Row:
    """A row; an answer stands where it first occurs, unless its place is said."""
    placed = [(one, context.index(one)) if isinstance(one, str) else one for one in answers]
    found = [{"text": text, "start": start} for text, start in placed]
    return {"id": "x", "context": context, "question": question, "answers": found}


def windows(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, **settings: object) -> list[Example]:
    return list(cut(rows, 0, tokenizer, about(**settings)))


def found_text(example: Example, context: str) -> str | None:
    """The text of a window's target; None where it trains as having no answer."""
    if example.target == (0.0, 0.0):
        return None
    first, last = (int(position) - example.extra["offset"][0] for position in example.target)
    return context[example.extra["starts"][first] : example.extra["ends"][last]]


def place(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Where an answer's text begins and ends, white space around it left out."""
    start = answer["start"] + len(answer["text"]) - len(answer["text"].lstrip())
    return start, start + len(answer["text"].strip())


def tightest(starts: Sequence[int], ends: Sequence[int], start: int, end: int) -> tuple[int, int] | None:
    """The narrowest span of tokens around a part of a text; None where no span holds it."""
    texts = [(one, other) for one, other in zip(starts, ends, strict=True) if one < other]
    before = [one for one, _ in texts if one <= start]
    behind = [other for _, other in texts if other >= end]
    return (max(before), min(behind)) if before and behind else None


@cache
def real_rows(count: int = 24) -> tuple[Row, ...]:
    """Passages in four languages, each with its questions."""
    return tuple(
        row
        for language in LANGUAGES
        for row, _ in zip(read_mini([MINI / "test.json"], language), range(count), strict=False)
    )


def longest_question(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> int:
    return max(len(tokenizer(row["question"].strip(), add_special_tokens=False)["input_ids"]) for row in rows)


def bert_row(length: int, *answers: tuple[int, int], question: str = "bado") -> Row:
    """Words of the tiny vocabulary, one token each; answers are ranges of them."""
    words = WORDS[:length]
    placed = [
        (" ".join(words[first : last + 1]), len(" ".join([*words[:first], ""])) if first else 0)
        for first, last in answers
    ]
    return row(" ".join(words), *placed, question=question)
