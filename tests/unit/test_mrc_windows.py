"""Windows are those of the tokenizer itself, and what leaves no room for one is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase
from xbench_plugins.mrc.windows import cut, pair_layout, passages

from tests.tiny import WORDS
from tests.windows import about, bert_row, found_text, longest_question, real_rows, row, windows
from xbench.errors import UserError
from xbench.types import Row


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


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("stride", -1, 0), ("max_question", 0, 1), ("max_question", -3, 1), ("max_answer_chars", 0, 1)],
)
def test_numbers_that_mean_nothing_are_refused_in_one_line(
    name: str, value: int, least: int, tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> None:
    with pytest.raises(UserError) as caught:
        windows([bert_row(20, (0, 0))], tokenizers("bert"), **{name: value})
    assert str(caught.value) == f"{name} = {value} must be at least {least}"


def test_one_token_more_than_is_shared_is_room_enough(tokenizers: Callable[[str], PreTrainedTokenizerBase]) -> None:
    settings = {"max_length": 40, "stride": 10, "max_question": 26}  # 11 tokens for the passage
    examples = windows([bert_row(20, (0, 0), question=" ".join(WORDS[:26]))], tokenizers("bert"), **settings)
    assert len(examples) == 10


@pytest.mark.parametrize("slow", [SimpleNamespace(), SimpleNamespace(is_fast=False)])
def test_a_tokenizer_that_does_not_say_where_tokens_stand_is_refused(slow: Any) -> None:
    with pytest.raises(UserError, match=r"SimpleNamespace does not say: take a model with a fast tokenizer") as caught:
        windows([bert_row(20, (0, 0))], slow)
    assert "\n" not in str(caught.value)
