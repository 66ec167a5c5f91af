"""The tokenizer's ceiling is the best score of any answer that a reader could point at: no less, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.mrc.ceiling import DIAGNOSTICS, row_ceiling, tokenizer_ceiling
from xbench_plugins.mrc.datasets import MINI
from xbench_plugins.mrc.heads import HEADS
from xbench_plugins.mrc.metrics import METRICS
from xbench_plugins.mrc.readers import read_mini
from xbench_plugins.mrc.scorers import KORQUAD, SQUAD, Scorer, mlqa
from xbench_plugins.mrc.spans import decode_spans
from xbench_plugins.mrc.windows import cut

from xbench.errors import UserError
from xbench.measures import DiagnosticContext, MetricContext
from xbench.models.encoder import load_tokenizer
from xbench.recipe import build_recipe
from xbench.types import Dataset, Decoding, Example, HeadContext, Row

Bounds = tuple[Sequence[int], Sequence[int]]
SCORERS: dict[str, Scorer] = {
    "squad": SQUAD, "korquad": KORQUAD, "mlqa-en": mlqa("en"), "mlqa-zh": mlqa("zh"), "mlqa-ar": mlqa("ar"),
}  # fmt: skip
WORDS: dict[str, list[str]] = {
    "squad": ["the", "The", "a", "an", "th", "e", "cat", "cats", "dog.", ",", ".", "U.S.", "don't", "the-cat", "—",
              "’the’", "'", "4", "ﬁ", "a\u0301", "ΑΣ", "ΑΣ'Α", "Σ"],
    "korquad": ["정조", "정조는", "는", "《홍길동전》", "‘서울’", "서울에서", "1752년", "년", "(가)", ".", "가 나", "A",
                "a"],
    "mlqa-en": ["the", "a", "an", "th", "e", "cat", "“cat”", "dog.", ",", "…", "¿", "the-cat", "4"],
    "mlqa-zh": ["北京", "京", "中国", "是", "的", "，", "。", "ABC", "x京", "《北》", "12", "a b", "ー"],
    "mlqa-ar": ["ال", "ا", "ل", "الكتاب", "كتاب", "،", "والبيت", "بيت", ".", "في"],
}  # fmt: skip


def dataset(*languages: str) -> Dataset:
    return Dataset("made-up", languages or ("en",), "span", {}, "CC0", "nobody", "", "")


def row(context: str, *answers: str | tuple[str, int]) -> Row:
    """A row; an answer stands where it first occurs, unless its place is said."""
    placed = [(one, context.index(one)) if isinstance(one, str) else one for one in answers]
    found = [{"text": text, "start": start} for text, start in placed]
    return {"id": "x", "context": context, "question": "q", "answers": found}


def bounds(context: str, *tokens: str) -> Bounds:
    """Where tokens stand that follow each other in a text."""
    starts, ends, place = [], [], 0
    for token in tokens:
        place = context.index(token, place)
        starts.append(place)
        place += len(token)
        ends.append(place)
    return starts, ends


def by_trying_all(row: Row, windows: Sequence[Bounds], scorer: Scorer) -> tuple[float, float]:
    """The best F1 and the best exact match of every span of every window."""
    texts = [answer["text"] for answer in row["answers"]]
    scores = [
        scorer.best(row["context"][start:end], texts)
        for starts, ends in windows
        for first, start in enumerate(starts)
        for end in ends[first:]
    ]
    return max((f1 for f1, _ in scores), default=0.0), max((exact for _, exact in scores), default=0.0)


@st.composite
def drawn_rows(draw: st.DrawFn, words: Sequence[str], readable: bool = False) -> tuple[Row, list[Bounds]]:
    """A passage, answers anywhere in it, tokens that may begin and end anywhere, and some windows of them.

    Args:
        draw: Hypothesis's.
        words: What the passage is made of.
        readable: Whether some window has all tokens.
    """
    parts = draw(st.lists(st.sampled_from(words), min_size=1, max_size=9))
    glue = draw(
        st.lists(st.sampled_from([" ", " ", "", "  ", "\u3000", "\x1c\n"]), min_size=len(parts), max_size=len(parts))
    )
    context = "".join(part + space for part, space in zip(parts, glue, strict=True))
    place = st.integers(0, len(context))
    answers = []
    for first, last in draw(st.lists(st.tuples(place, place), min_size=1, max_size=3)):
        answers.append((context[min(first, last) : max(first, last)], min(first, last)))
    edges = sorted({0, len(context), *draw(st.lists(place, max_size=14))})
    spans = []
    for start, end in pairwise(edges):
        text = context[start:end]
        if text.strip():
            start += len(text) - len(text.lstrip())
            spans.append((start, start + len(text.strip())))
    windows = []
    index = st.integers(0, len(spans))
    for first, last in draw(st.lists(st.tuples(index, index), min_size=1, max_size=3)):
        own = spans[min(first, last) : max(first, last)]
        windows.append(([start for start, _ in own], [end for _, end in own]))
    if readable or draw(st.booleans()):
        windows.append(([start for start, _ in spans], [end for _, end in spans]))
    return row(context, *answers), windows


@pytest.mark.parametrize("name", SCORERS)
@given(data=st.data())
def test_a_rows_ceiling_is_the_best_of_all_spans(name: str, data: st.DataObject) -> None:
    one, windows = data.draw(drawn_rows(WORDS[name]))
    assert row_ceiling(one, windows, SCORERS[name]) == by_trying_all(one, windows, SCORERS[name])


Cutter = Callable[[Sequence[Row], str], list[Example]]


@pytest.fixture(scope="module")
def examples(tiny: Callable[..., Path]) -> Cutter:
    """Cuts rows into windows of 64 tokens with a tiny model's tokenizer."""

    def make(rows: Sequence[Row], shape: str) -> list[Example]:
        recipe = build_recipe({"max_length": 64, "stride": 16, "max_question": 20}, "test", HEADS[0].options)
        return list(cut(rows, 0, load_tokenizer(tiny(shape)), HeadContext(recipe)))

    return make


def extra_of(examples: Sequence[Example]) -> dict[str, list[Any]]:
    names = ("starts", "ends", "offset")
    return {name: [np.asarray(example.extra[name], np.int32) for example in examples] for name in names}


def about(
    rows: Sequence[Row], examples: Sequence[Example], metrics: tuple[str, ...], *languages: str
) -> DiagnosticContext:
    row_of = np.array([example.row for example in examples], np.int64)
    context = HeadContext(build_recipe({}, "test", HEADS[0].options))
    return DiagnosticContext(
        rows, [""] * len(rows), np.zeros(len(rows), np.bool_), dataset(*languages), {}, (), row_of,
        extra_of(examples), Path(), context, metrics,
    )  # fmt: skip


def by_hand(rows: Sequence[Row], windows: Sequence[Sequence[Bounds]]) -> list[Example]:
    """Windows given by their tokens' places."""
    return [
        Example(index, (), (), extra={"starts": list(starts), "ends": list(ends), "offset": [0]})
        for index, (_, own) in enumerate(zip(rows, windows, strict=True))
        for starts, ends in own
    ]


@pytest.mark.parametrize(("language", "metric"), [("en", "squad"), ("ko", "korquad"), ("es", "mlqa"), ("ar", "mlqa")])
@pytest.mark.parametrize("shape", ["bert", "xlm-roberta"])
def test_the_ceiling_of_real_passages_is_the_best_of_all_spans(
    shape: str, language: str, metric: str, examples: Cutter
) -> None:
    rows = [one for one, _ in zip(read_mini([MINI / "test.json"], language), range(6), strict=False)]
    cuts = examples(rows, shape)
    scorer = mlqa(language) if metric == "mlqa" else SCORERS[metric]
    best = []
    for index, one in enumerate(rows):
        windows = []
        for example in cuts:
            spans = [
                (int(s), int(e)) for s, e in zip(example.extra["starts"], example.extra["ends"], strict=True) if s < e
            ]
            if example.row == index:
                windows.append(([start for start, _ in spans], [end for _, end in spans]))
        best.append(by_trying_all(one, windows, scorer))
    expected = [100 * sum(values) / len(rows) for values in zip(*best, strict=True)]
    found = tokenizer_ceiling(about(rows, cuts, (metric,), language))
    assert list(found) == ["f1", "exact_match"]
    assert list(found.values()) == pytest.approx(expected)


def metric_scores(name: str, texts: Sequence[str], rows: Sequence[Row], *languages: str) -> Mapping[str, float]:
    references = [[answer["text"] for answer in one["answers"]] for one in rows]
    (metric,) = [metric for metric in METRICS if metric.name == name]
    return metric.compute(texts, references, MetricContext(dataset(*languages), rows))


def decoded(rows: Sequence[Row], examples: Sequence[Example], logits: Callable[[int], Any], limit: int) -> list[str]:
    """What the head reads from logits; ``logits`` gives (2, length) for a length."""
    outputs = [np.asarray(logits(len(one.extra["starts"]) + one.extra["offset"][0]), np.float32) for one in examples]
    row_of = np.array([example.row for example in examples], np.int64)
    context = HeadContext(build_recipe({"max_answer_chars": limit}, "test", HEADS[0].options))
    return decode_spans(Decoding(rows, row_of, outputs, extra_of(examples), context, "default", dataset()))


@pytest.mark.parametrize(("name", "language"), [("squad", "en"), ("korquad", "ko"), ("mlqa", "en"), ("mlqa", "zh")])
@given(data=st.data())
def test_no_prediction_that_can_be_read_scores_above_the_ceiling(name: str, language: str, data: st.DataObject) -> None:
    words = WORDS[f"{name}-{language}" if name == "mlqa" else name]
    drawn = data.draw(st.lists(drawn_rows(words, readable=True), min_size=1, max_size=4))
    rows = [one for one, _ in drawn]
    cuts = by_hand(rows, [windows for _, windows in drawn])
    ceiling = tokenizer_ceiling(about(rows, cuts, (name,), language))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    widest = max(end - start for one in cuts for start, end in zip(one.extra["starts"], one.extra["ends"], strict=True))
    for _ in range(5):
        limit = widest + data.draw(st.integers(0, 20))
        texts = decoded(rows, cuts, lambda length: generator.standard_normal((2, length)), limit)
        assert all(texts)
        scores = metric_scores(name, texts, rows, language)
        assert scores["f1"] <= ceiling["f1"]
        assert scores["exact_match"] <= ceiling["exact_match"]


def test_a_reader_that_was_told_the_answers_reaches_the_ceiling(examples: Cutter) -> None:
    """Where every answer begins and ends with a token, that is 100."""
    rows = list(read_mini([MINI / "test.json"], "en"))[:20]
    cuts = examples(rows, "bert")
    ceiling = tokenizer_ceiling(about(rows, cuts, ("squad",)))
    assert ceiling == {"f1": 100.0, "exact_match": 100.0}
    targets = iter(cuts)

    def told(length: int) -> Any:
        target = next(targets).target
        logits = np.zeros((2, length))
        for side, position in enumerate(target):
            logits[side, int(position)] = 9.0
        return logits

    assert metric_scores("squad", decoded(rows, cuts, told, 160), rows) == ceiling


KOREAN = "정조는 1752년에 태어났다"
KOREAN_ROWS = [row(KOREAN, "정조"), row(KOREAN, "1752년"), row(KOREAN, "태어났다")]


def test_a_particle_in_its_nouns_token_costs_what_can_be_counted(examples: Cutter) -> None:
    """Whole words as tokens: 2 of 3 characters fit and all 2 are found, 5 of 6 and all 5, and the last one fits."""
    first, second = 2 * (2 / 3) / (2 / 3 + 1), 2 * (5 / 6) / (5 / 6 + 1)
    cuts = examples(KOREAN_ROWS, "bert")
    found = tokenizer_ceiling(about(KOREAN_ROWS, cuts, ("korquad",), "ko"))
    assert found == pytest.approx({"f1": 100 * (first + second + 1) / 3, "exact_match": 100 / 3})
    assert found["f1"] == pytest.approx(90.30, abs=0.005)
    # Counted in words, an answer with its particle has nothing in common with the one without.
    found = tokenizer_ceiling(about(KOREAN_ROWS, cuts, ("squad",), "ko"))
    assert found == pytest.approx({"f1": 100 / 3, "exact_match": 100 / 3})


def test_tokens_that_leave_the_particle_alone_cost_nothing() -> None:
    windows = [[bounds(KOREAN, "정조", "는", "1752", "년", "에", "태어", "났다")]] * 3
    cuts = by_hand(KOREAN_ROWS, windows)
    found = tokenizer_ceiling(about(KOREAN_ROWS, cuts, ("korquad",), "ko"))
    assert found == {"f1": 100.0, "exact_match": 100.0}


def test_an_answer_that_no_window_holds_is_out_of_reach() -> None:
    """Three words in windows of two: all of the two are right, and they are two of the three."""
    context = "one two three four"
    halves = [bounds(context, "one", "two"), bounds(context, "two", "three"), bounds(context, "three", "four")]
    one = row(context, "two three four")
    assert row_ceiling(one, halves, SQUAD) == (pytest.approx(0.8), 0.0)
    assert row_ceiling(one, [bounds(context, "one", "two", "three", "four")], SQUAD) == (1.0, 1.0)


def test_the_best_f1_and_the_best_exact_match_need_not_be_of_one_span() -> None:
    """An article is exactly right and has no word to count; of three words two can be had."""
    context = "the cat sat down"
    windows = [bounds(context, "the", "cat sat"), bounds(context, "down")]
    assert row_ceiling(row(context, "the"), windows, SQUAD) == (0.0, 1.0)
    assert row_ceiling(row(context, "cat sat down"), windows, SQUAD) == (pytest.approx(0.8), 0.0)
    assert row_ceiling(row(context, "the", "cat sat down"), windows, SQUAD) == (pytest.approx(0.8), 1.0)


def test_any_of_several_references_will_do() -> None:
    context = "in the old town hall"
    windows = [bounds(context, "in", "the", "old town", "hall")]
    assert row_ceiling(row(context, "town"), windows, SQUAD) == (pytest.approx(2 / 3), 0.0)
    assert row_ceiling(row(context, "town", "town hall"), windows, SQUAD) == (pytest.approx(0.8), 0.0)
    assert row_ceiling(row(context, "town", "town hall", "old town"), windows, SQUAD) == (1.0, 1.0)


def test_the_same_text_elsewhere_will_do() -> None:
    """A score compares texts, not places."""
    context = "a cat-like cat sat"
    windows = [bounds(context, "cat-like", "cat", "sat")]
    assert row_ceiling(row(context, ("cat", 2)), windows, SQUAD) == (1.0, 1.0)


def test_a_part_of_a_word_elsewhere_will_do() -> None:
    """The whole word has nothing in common with the answer; its first token is the answer."""
    context = "catdog sat with cats"
    windows = [bounds(context, "cat", "dog", "sat", "with", "cats")]
    assert row_ceiling(row(context, ("cat", 16)), windows, SQUAD) == (1.0, 1.0)
    assert row_ceiling(row(context, ("cat", 16)), [bounds(context, "catdog", "sat", "with", "cats")], SQUAD) == (
        0.0,
        0.0,
    )


def test_what_the_scorer_leaves_out_may_stand_in_the_token() -> None:
    context = "‘서울’에서, the cat."
    windows = [bounds(context, "‘서울’", "에서,", "the cat.")]
    assert row_ceiling(row(context, "서울"), windows, KORQUAD) == (1.0, 1.0)
    assert row_ceiling(row(context, "에서"), windows, KORQUAD) == (1.0, 1.0)
    assert row_ceiling(row(context, "cat"), windows, SQUAD) == (1.0, 1.0)
    assert row_ceiling(row(context, "cat"), windows, KORQUAD) == (pytest.approx(2 / 3), 0.0)  # of 6 characters


@pytest.mark.parametrize("blank", [[("", 0)], [(" ", 1)], [("", 0), (" ", 1), ("", 4)], []])
def test_blank_references_count_as_the_scorers_count_them(blank: list[tuple[str, int]]) -> None:
    """To them a lone full stop or article is equal to an empty text, and shares nothing with it."""
    context = ". the cats"
    for tokens in ([".", "cats"], ["the", "cats"]):
        windows, reached = [bounds(context, *tokens)], float(bool(blank))
        assert SQUAD.best(tokens[0], [text for text, _ in blank]) == (0.0, reached)
        assert row_ceiling(row(context, *blank), windows, SQUAD) == (0.0, reached)
        assert row_ceiling(row(context, *blank, "cat"), windows, SQUAD) == (0.0, reached)
        assert row_ceiling(row(context, *blank, "cats"), windows, SQUAD) == (1.0, 1.0)
    assert row_ceiling(row(context, *blank), [bounds(context, "cats")], SQUAD) == (0.0, 0.0)


@pytest.mark.parametrize("windows", [[], [([], [])], [([], []), ([], [])]])
def test_without_tokens_nothing_is_reached(windows: list[Bounds]) -> None:
    assert row_ceiling(row("cat", "cat"), windows, SQUAD) == (0.0, 0.0)


def test_tokens_without_a_text_are_no_tokens() -> None:
    rows = [row("the cat", "cat"), row("the cat", "the")]
    cuts = by_hand(rows, [[([0, 0, 3, 4], [0, 3, 3, 7])], [([0], [0])]])
    assert tokenizer_ceiling(about(rows, cuts, ("squad",))) == {"f1": 50.0, "exact_match": 50.0}


def test_a_row_without_a_window_counts_as_one_that_nothing_reaches() -> None:
    rows = [row("cat", "cat"), row("dog", "dog")]
    assert tokenizer_ceiling(about(rows, by_hand(rows[:1], [[([0], [3])]]), ("squad",)))["f1"] == 50.0


@pytest.mark.parametrize("metrics", [(), ("spearman",), ("spearman", "accuracy")])
def test_a_task_without_one_of_our_metrics_has_no_ceiling(metrics: tuple[str, ...]) -> None:
    rows = [row("cat", "cat")]
    assert tokenizer_ceiling(about(rows, by_hand(rows, [[([0], [3])]]), metrics)) == {}


def test_the_first_of_our_metrics_says_how_answers_are_compared() -> None:
    cuts = by_hand(KOREAN_ROWS, [[bounds(KOREAN, "정조는", "1752년에", "태어났다")]] * 3)
    by_word, by_character = (
        tokenizer_ceiling(about(KOREAN_ROWS, cuts, metrics, "ko"))
        for metrics in (("spearman", "squad", "korquad"), ("korquad", "squad"))
    )
    assert by_word["f1"] == pytest.approx(100 / 3)
    assert by_character["f1"] > 90


def test_mlqas_scorer_is_that_of_the_passages_language() -> None:
    """Chinese is counted by character; so is a Chinese passage that is asked about in English."""
    rows = [row("北京是中国", "北京")]
    cuts = by_hand(rows, [[bounds("北京是中国", "北京是", "中国")]])
    expected = {"f1": pytest.approx(80), "exact_match": 0.0}  # 2 of 3 characters, and both of them
    assert tokenizer_ceiling(about(rows, cuts, ("mlqa",), "zh")) == expected
    assert tokenizer_ceiling(about(rows, cuts, ("mlqa",), "zh", "en")) == expected
    assert tokenizer_ceiling(about(rows, cuts, ("mlqa",), "en"))["f1"] == 0.0
    with pytest.raises(UserError, match="does not know the language ko"):
        tokenizer_ceiling(about(rows, cuts, ("mlqa",), "ko"))


def test_the_diagnostic_says_that_it_is_a_ceiling() -> None:
    (declared,) = DIAGNOSTICS
    assert (declared.name, declared.ceiling) == ("tokenizer-ceiling", True)
