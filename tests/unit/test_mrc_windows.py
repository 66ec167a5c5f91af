"""Windows are those of the tokenizer itself, and every answer is found back in them by the narrowest span of tokens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from xbench_plugins.mrc.datasets import LANGUAGES, MINI
from xbench_plugins.mrc.heads import HEADS
from xbench_plugins.mrc.readers import read_mini
from xbench_plugins.mrc.windows import Passage, cut, pair_layout, passages

from tests.tiny import WORDS
from xbench.errors import UserError
from xbench.models.encoder import load_tokenizer
from xbench.models.resolve import resolve_model
from xbench.recipe import build_recipe
from xbench.registry import load_registry
from xbench.settings import Settings
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


@pytest.fixture(scope="module")
def tokenizers(
    tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], PreTrainedTokenizerBase]]:
    """Gives each of `NAMES`, made once."""
    folder = tmp_path_factory.mktemp("e5")

    @cache
    def get(name: str) -> PreTrainedTokenizerBase:
        if name in BYTES:
            return byte_level(*BYTES[name])
        if name in TINY:
            return load_tokenizer(tiny(name))
        model = resolve_model("e5-small-q4", load_registry(), Settings(cache=folder, offline=True))
        return load_tokenizer(model.folder)

    yield get
    shutil.rmtree(folder)  # half a gigabyte of weights


@pytest.fixture(scope="module", params=NAMES)
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> PreTrainedTokenizerBase:
    return tokenizers(request.param)


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


def one_text(context: str, answer: str | tuple[str, int], tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The text of the answer's target, in a window that holds the whole passage."""
    (example,) = windows([row(context, answer)], tokenizer)
    return found_text(example, context)


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


def expected_windows(
    row: Row, tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int
) -> list[tuple[list[int], list[int] | None, int]]:
    """What the tokenizer itself gives: ids, segment ids, and the position of the passage."""
    encoded = tokenizer(
        [row["question"].strip()], [row["context"]], truncation="only_second", max_length=max_length, stride=stride,
        return_overflowing_tokens=True,
    )  # fmt: skip
    types = encoded.get("token_type_ids") or [None] * len(encoded["input_ids"])
    parts = [encoded.sequence_ids(index) for index in range(len(types))]
    offsets = [part.index(1) if 1 in part else -1 for part in parts]
    return list(zip(encoded["input_ids"], types, offsets, strict=True))


def same_windows(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, longest: int, room: int, stride: int) -> int:
    """Compare with the tokenizer, window by window; gives how many windows there were."""
    max_length = longest + room + pair_layout(tokenizer).special
    examples = windows(rows, tokenizer, max_length=max_length, stride=stride, max_question=longest)
    expected = [
        (index, *window)
        for index, row in enumerate(rows)
        for window in expected_windows(row, tokenizer, max_length, stride)
    ]
    assert len(examples) == len(expected)
    for example, (index, ids, types, offset) in zip(examples, expected, strict=True):
        (tokens,) = example.sequences
        assert (example.row, list(tokens.ids)) == (index, ids)
        assert (None if tokens.types is None else list(tokens.types)) == types
        assert not example.truncated
        if offset >= 0:
            assert example.extra["offset"] == [offset]
    return len(examples)


def longest_question(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> int:
    return max(len(tokenizer(row["question"].strip(), add_special_tokens=False)["input_ids"]) for row in rows)


def test_windows_of_real_passages_are_token_for_token_the_tokenizers_own(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = real_rows()
    assert same_windows(rows, tokenizer, longest_question(rows, tokenizer), room=24, stride=9) > 2 * len(rows)


@given(data=st.data())
def test_windows_of_any_size_are_token_for_token_the_tokenizers_own(
    tokenizer: PreTrainedTokenizerBase, data: st.DataObject
) -> None:
    text = st.lists(st.sampled_from([*WORDS[:40], "the", "cat", "고양이", "北京", "👍🏽", "…"]), max_size=40).map(
        " ".join
    )
    rows = [row(data.draw(text), question=data.draw(st.sampled_from(["bado", " q? ", "ba do cat 北"])))]
    stride = data.draw(st.integers(0, 12))
    room = stride + data.draw(st.integers(1, 12))
    longest = max(8, longest_question(rows, tokenizer) + data.draw(st.integers(0, 3)))
    same_windows(rows, tokenizer, longest, room, stride)


def test_a_window_holds_the_answer_or_trains_as_having_none(tokenizer: PreTrainedTokenizerBase) -> None:
    rows, answered = real_rows(), set()
    longest = longest_question(rows, tokenizer)
    max_length = longest + 24 + pair_layout(tokenizer).special
    for example in windows(rows, tokenizer, max_length=max_length, stride=9, max_question=longest):
        context = rows[example.row]["context"]
        start, end = place(rows[example.row]["answers"][0])
        span = tightest(example.extra["starts"], example.extra["ends"], start, end)
        assert found_text(example, context) == (None if span is None else context[slice(*span)])
        if span is not None:
            assert context[start:end] in context[slice(*span)]
            answered.add(example.row)
    assert len(answered) > 0.5 * len(rows)  # a long answer may cross the edges of all windows


def test_every_answer_of_real_passages_is_found_back_by_the_narrowest_span(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [row for split in ("train", "test") for language in LANGUAGES
            for row in read_mini([MINI / f"{split}.json"], language)]  # fmt: skip
    tokenised = passages(tokenizer, [row["context"] for row in rows])
    assert len(tokenised) == 72 * 4
    for one in rows:
        passage, (start, end) = tokenised[one["context"]], place(one["answers"][0])
        found = passage.find(start, end)
        assert found is not None
        span = int(passage.starts[found[0]]), int(passage.ends[found[1]])
        assert span == tightest(passage.starts.tolist(), passage.ends.tolist(), start, end)


WHOLE = {"bert": "北京是中国的首都", "distilbert": "北京是中国的首都", "xlm-roberta": "北京是中国的首都。"}
TRAPS: dict[str, tuple[str, str | tuple[str, int], str, dict[str, str]]] = {
    # context, answer, what the narrowest span says, and what it says where tokens are wider
    "a metaspace in front of the word": ("the cat sat", "cat", "cat", {}),
    "a letter inside a word": ("the cat sat", "a", "cat", {}),
    "behind a lone metaspace, Chinese": ("北京是中国的首都。", "北京", "北京", WHOLE),
    "behind a lone metaspace and a space": ("  北京是中国的首都。", "北京", "北京", WHOLE),
    "behind a lone metaspace, Thai": ("กรุงเทพฯ เป็นเมืองหลวง", "กรุงเทพฯ", "กรุงเทพฯ", {}),
    "behind a lone metaspace, Japanese": (
        "東京は日本の首都です", "東京", "東京", dict.fromkeys(TINY, "東京は日本の首都です")
    ),
    "a combining mark at the end": (f"the {CAFE} sat", CAFE, CAFE, {}),
    "a combining mark inside": (f"the {CAFE}s sat", f"{CAFE}s", f"{CAFE}s", {}),
    "two combining marks at the end": ("the No\u0323\u0302 sat", "No\u0323\u0302", "No\u0323\u0302", {}),
    "a half-width letter with its mark": ("the ｶﾞ sat", "ｶﾞ", "ｶﾞ", {}),
    "before a combining mark": (f"the {CAFE} sat", "the", "the", {}),
    "behind a combining mark": (f"the {CAFE} sat", "sat", "sat", {}),
    "a ligature at the start": ("the ﬁne cat", "ﬁne", "ﬁne", {}),
    "a ligature inside": ("the oﬃce cat", "oﬃce", "oﬃce", {}),
    "before an ellipsis": ("wait… what", "wait", "wait", {"xlm-roberta": "wait…"}),
    "an ellipsis": ("wait… what", "wait…", "wait…", {}),
    "an ellipsis at the end": ("the cat…", "…", "…", {"xlm-roberta": "cat…"}),
    "before one character that is two letters": ("it has 5㎏ of it", "5", "5", {"xlm-roberta": "5㎏"}),
    "one character that is two letters": ("it has 5㎏ of it", "㎏", "㎏", {"xlm-roberta": "5㎏"}),
    "two characters that are three letters": ("it has 5㎏ of it", "5㎏", "5㎏", {}),
    "an emoji with a skin tone": ("the 👍🏽 sat", "👍🏽", "👍🏽", {}),
    "an emoji without its skin tone": ("the 👍🏽 sat", "👍", "👍", dict.fromkeys(TINY, "👍🏽")),
    "an emoji with zero-width joiners": (f"the {FAMILY} sat", FAMILY, FAMILY, {}),
    "behind an emoji": (f"the {FAMILY} sat", "sat", "sat", {}),
    "full width": ("は　Ｆｕｌｌ　ｗｉｄｔｈ １２３ です", "Ｆｕｌｌ　ｗｉｄｔｈ", "Ｆｕｌｌ　ｗｉｄｔｈ", {}),
    "full width digits": ("は　Ｆｕｌｌ　ｗｉｄｔｈ １２３ です", "１２３", "１２３", {}),
    "white space around the answer": ("the  cat \n sat", "  cat \n ", "cat", {}),
    "white space inside the answer": ("the  cat \n sat", "cat \n sat", "cat \n sat", {}),
    "no-break spaces around it": ("the\u00a0cat\u3000sat", "\u00a0cat\u3000", "cat", {}),
    "the second of two": ("the cat the cat", (" cat", 11), "cat", {}),
    "at the very start": ("cat sat.", "cat", "cat", {}),
    "at the very end": ("the cat", "cat", "cat", {}),
    "the full stop at the very end": ("the cat.", ".", ".", {"xlm-roberta": "cat."}),
    "the whole passage": ("the cat sat.", "the cat sat.", "the cat sat.", {}),
    "all but the white space": (" the cat sat \n", " the cat sat \n", "the cat sat", {}),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", NAMES)
def test_the_answers_span_says(name: str, trap: str, tokenizers: Callable[[str], PreTrainedTokenizerBase]) -> None:
    context, answer, narrowest, wider = TRAPS[trap]
    assert one_text(context, answer, tokenizers(name)) == wider.get(name, narrowest)


@pytest.mark.parametrize("name", BYTES)
def test_the_last_of_a_characters_byte_tokens_has_it(
    name: str, tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    """``the``, four bytes of an emoji with a space before them, three of them with none, and ``cat``."""
    context = "the 👍🏽 cat"
    passage = passages(tokenizers(name), [context])[context]
    texts = [context[start:end] for start, end in zip(passage.starts, passage.ends, strict=True)]
    assert texts == ["the", "", "", "", "", "👍", "", "", "", "🏽", "cat"]
    assert passage.find(4, 5) == (5, 5)
    assert passage.find(4, 6) == (5, 9)
    (example,) = windows([row(context, "👍🏽")], tokenizers(name))
    (offset,) = example.extra["offset"]
    assert example.target == (offset + 5, offset + 9)


def test_a_place_with_no_text_has_no_tokens() -> None:
    passage = Passage([5, 6, 7], np.array([0, 3, 4]), np.array([3, 3, 7]))  # the second stands for nothing
    assert passage.find(0, 1) == (0, 0)
    assert passage.find(2, 5) == (0, 2)
    assert passage.find(3, 4) is None
    assert passage.find(7, 9) is None


def bert_row(length: int, *answers: tuple[int, int], question: str = "bado") -> Row:
    """Words of the tiny vocabulary, one token each; answers are ranges of them."""
    words = WORDS[:length]
    placed = [
        (" ".join(words[first : last + 1]), len(" ".join([*words[:first], ""])) if first else 0)
        for first, last in answers
    ]
    return row(" ".join(words), *placed, question=question)


@pytest.mark.parametrize(
    ("answer", "targets"),
    [
        ((0, 0), [(3, 3), (0, 0), (0, 0)]),
        ((5, 5), [(8, 8), (0, 0), (0, 0)]),
        ((6, 7), [(9, 10), (3, 4), (0, 0)]),  # in both windows, at two places
        ((7, 8), [(0, 0), (4, 5), (0, 0)]),  # its second word lies behind the first window
        ((5, 6), [(8, 9), (0, 0), (0, 0)]),  # its first word lies before the second
        ((5, 8), [(0, 0), (0, 0), (0, 0)]),  # longer than what the windows share
        ((12, 19), [(0, 0), (0, 0), (3, 10)]),
        ((19, 19), [(0, 0), (0, 0), (10, 10)]),
    ],
)
def test_an_answer_that_crosses_a_windows_edge_trains_as_position_0_twice_there(
    answer: tuple[int, int], targets: list[tuple[int, int]], tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    """20 words in windows of 8 that share 2: 0 to 7, 6 to 13, 12 to 19, each behind three tokens."""
    examples = windows([bert_row(20, answer)], tokenizers("bert"), max_length=12, stride=2, max_question=1)
    assert [example.target for example in examples] == targets
    assert [example.extra["offset"] for example in examples] == [[3]] * 3


def test_the_first_reference_is_trained_on(tokenizers: Callable[[str], PreTrainedTokenizerBase]) -> None:
    (example,) = windows([bert_row(9, (4, 5), (1, 1))], tokenizers("bert"))
    assert example.target == (7, 8)


@pytest.mark.parametrize("blank", [("", 0), (" ", 3), (" \n\t", 0)])
def test_blank_reference_texts_are_skipped(
    blank: tuple[str, int], tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    context = " \n\tbado dofe"
    (example,) = windows([row(context, blank, "dofe")], tokenizers("bert"))
    assert found_text(example, context) == "dofe"
    (example,) = windows([row(context, blank)], tokenizers("bert"))
    assert example.target == (0, 0)
    (example,) = windows([row(context)], tokenizers("bert"))
    assert example.target == (0, 0)


def test_a_question_that_is_too_long_is_cut_and_the_row_says_so(tokenizer: PreTrainedTokenizerBase) -> None:
    long, short = "bado fela kugi " * 5, "bado"
    whole = tokenizer(long.strip(), add_special_tokens=False)["input_ids"]
    layout = pair_layout(tokenizer)
    rows = [row("the cat sat", "cat", question=question) for question in (long, short)]
    cut_one, kept = windows(rows, tokenizer, max_length=60, stride=8, max_question=7)
    passage = tokenizer("the cat sat", add_special_tokens=False)["input_ids"]
    assert (cut_one.truncated, kept.truncated) == (True, False)
    assert cut_one.sequences == (layout.tokens(whole[:7], passage),)
    assert cut_one.extra["offset"] == [len(layout.before) + 7 + len(layout.between)]
    assert found_text(cut_one, "the cat sat") == found_text(kept, "the cat sat") == "cat"


def test_a_question_of_just_the_longest_length_is_whole(tokenizers: Callable[[str], PreTrainedTokenizerBase]) -> None:
    for words, truncated in ((7, False), (8, True)):
        (example,) = windows(
            [row("bado", question=" ".join(WORDS[:words]))], tokenizers("bert"), max_length=20, stride=2, max_question=7
        )
        assert example.truncated == truncated
        assert len(example.sequences[0].ids) == 3 + 7 + 1


def test_no_window_is_longer_than_max_length(tokenizer: PreTrainedTokenizerBase) -> None:
    lengths = [
        len(example.sequences[0].ids)
        for example in windows(real_rows(), tokenizer, max_length=40, stride=8, max_question=12)
    ]
    assert max(lengths) == 40


@pytest.mark.parametrize("context", ["", " ", " \n\u3000"])
def test_an_empty_passage_has_one_window_and_no_answer(tokenizer: PreTrainedTokenizerBase, context: str) -> None:
    (example,) = windows([row(context)], tokenizer)
    ids, types, _ = expected_windows(row(context), tokenizer, 384, 128)[0]
    (tokens,) = example.sequences
    assert (list(tokens.ids), None if tokens.types is None else list(tokens.types)) == (ids, types)
    assert example.target == (0, 0)
    assert not any(start < end for start, end in zip(example.extra["starts"], example.extra["ends"], strict=True))
    passage = passages(tokenizer, [context])[context]
    assert passage.find(0, len(context)) is None


def test_rows_keep_their_places_whatever_they_share(tokenizers: Callable[[str], PreTrainedTokenizerBase]) -> None:
    rows = [bert_row(20, (3, 4)), bert_row(2, (0, 0)), bert_row(20, (3, 4)), bert_row(20, (13, 13), question="fe")]
    settings = about(max_length=12, stride=2, max_question=1)
    examples = list(cut(rows, 70, tokenizers("bert"), settings))
    assert [example.row for example in examples] == [70] * 3 + [71] + [72] * 3 + [73] * 3
    for at, one in enumerate(rows, 70):
        alone = list(cut([one], at, tokenizers("bert"), settings))
        beside = [example for example in examples if example.row == at]
        for example, other in zip(alone, beside, strict=True):
            assert (example.sequences, example.target) == (other.sequences, other.target)
            for name in ("starts", "ends", "offset"):
                assert list(example.extra[name]) == list(other.extra[name])


@pytest.mark.parametrize(
    "settings",
    [
        {"max_length": 64},  # the default question takes it all
        {"max_length": 40, "stride": 10, "max_question": 27},  # 10 tokens for the passage, all of them shared
        {"max_length": 40, "stride": 40, "max_question": 5},
        {"max_length": 40, "stride": 10, "max_question": 40},
        {"stride": -1},
        {"max_question": 0},
        {"max_question": -3},
    ],
    ids=str,
)
def test_settings_that_leave_no_room_are_refused_in_one_line(
    settings: dict[str, int], tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    with pytest.raises(UserError) as caught:
        windows([bert_row(20, (0, 0))], tokenizers("bert"), **settings)
    message = str(caught.value)
    assert "\n" not in message
    for name, value in settings.items():
        assert f"{name} = {value}" in message
    assert "raise max_length" in message


@pytest.mark.parametrize("limit", [0, -1])
def test_answers_without_a_length_are_refused_in_one_line(
    limit: int, tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    with pytest.raises(UserError, match="max_answer_chars must be at least 1") as caught:
        windows([bert_row(20, (0, 0))], tokenizers("bert"), max_answer_chars=limit)
    assert "\n" not in str(caught.value)


def test_one_token_more_than_is_shared_is_room_enough(tokenizers: Callable[[str], PreTrainedTokenizerBase]) -> None:
    settings = {"max_length": 40, "stride": 10, "max_question": 26}  # 11 tokens for the passage
    examples = windows([bert_row(20, (0, 0), question=" ".join(WORDS[:26]))], tokenizers("bert"), **settings)
    assert len(examples) == 10


@pytest.mark.parametrize("slow", [SimpleNamespace(), SimpleNamespace(is_fast=False)])
def test_a_tokenizer_that_does_not_say_where_tokens_stand_is_refused(slow: Any) -> None:
    with pytest.raises(UserError, match=r"SimpleNamespace does not say: take a model with a fast tokenizer") as caught:
        windows([bert_row(20, (0, 0))], slow)
    assert "\n" not in str(caught.value)


SPACES = st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\r\n"])
LETTERS = st.sampled_from([
    "the", "cat", "bado", "don't", "A", ".", ",", "3.14", "(", "안녕하세요", "고양이는", "ㅎㅎ", "北京", "中", "東京",
    "は", "ｶﾞ", CAFE, "Ｆｕ", "ﬁ", "…", "㎏", "½", "👍🏽", FAMILY, "🇰🇷", "é", "กรุงเทพฯ", "مَرْحَبًا", "नमस्ते",
])  # fmt: skip
TEXTS = st.lists(st.one_of(LETTERS, SPACES), max_size=20).map("".join)


@given(text=TEXTS)
def test_tokens_stand_in_order_inside_the_text_without_white_space_around_them(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    passage = passages(tokenizer, [text])[text]
    starts, ends = passage.starts.tolist(), passage.ends.tolist()
    assert len(passage.ids) == len(starts) == len(ends)
    assert all(0 <= start <= end <= len(text) for start, end in zip(starts, ends, strict=True))
    assert ends == sorted(ends)
    covered: list[int] = []
    for start, end in zip(starts, ends, strict=True):
        assert text[start:end] == text[start:end].strip()
        covered.extend(range(start, end))
    assert len(covered) == len(set(covered))  # no character belongs to two tokens
    assert {at for at, one in enumerate(text) if not one.isspace()} <= set(covered)  # and none to no token


@given(text=TEXTS, data=st.data())
def test_any_part_of_a_text_is_found_back_by_the_narrowest_span(
    tokenizer: PreTrainedTokenizerBase, text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    part = text[start : data.draw(st.integers(start, len(text)))]
    (example,) = windows([row(text, (part, start))], tokenizer)
    if not part.strip():
        assert example.target == (0, 0)
        return
    found = found_text(example, text)
    assert found is not None
    assert part.strip() in found
    inside = place({"text": part, "start": start})
    span = tightest(example.extra["starts"], example.extra["ends"], *inside)
    assert span is not None
    assert found == text[slice(*span)]
