"""Every answer is found back in its window by the narrowest span of tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase
from xbench_plugins.mrc.datasets import LANGUAGES, MINI
from xbench_plugins.mrc.readers import read_mini
from xbench_plugins.mrc.windows import Passage, pair_layout, passages

from tests.windows import (
    BYTES,
    CAFE,
    FAMILY,
    NAMES,
    TINY,
    bert_row,
    found_text,
    longest_question,
    place,
    real_rows,
    row,
    tightest,
    windows,
)  # fmt: skip


def one_text(context: str, answer: str | tuple[str, int], tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The text of the answer's target, in a window that holds the whole passage."""
    (example,) = windows([row(context, answer)], tokenizer)
    return found_text(example, context)


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
