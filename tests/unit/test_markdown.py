"""The published page reads as it was meant, whoever chose the names, and is the same for the same records."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.pages import render_markdown
from tests.records import record, table_one
from xbench.leaderboard.markdown import INTRODUCTION, SAMPLE
from xbench.leaderboard.table import Order

STS = {"sts": Order(("stsb", "korsts"), ("stsb", "korsts"))}
HOSTILE = {
    "html": "<script>alert(1)</script>",
    "comment": "<!x",
    "entity": "a&lt;b&amp;",
    "edge": "a|b||c",
    "code": "`rm` ``x",
    "lines": "a\n\n## b\r\n| c |",
    "link": "[x](//e.example)",
    "image": "![x](//e.example)",
    "bold": "**a** *b*",
    "underline": "_a_ __b__",
    "strike": "~~a~~",
    "escape": "a\\",
    "escaped-edge": "\\|a\\`",
    "heading": "# a",
    "rule": "===",
    "autolink": "<//e.example>",
    "address": "https://e.example/a",
    "site": "www.e.example",
    "emoji": ":tada: :x:b",
}
FIELDS = {
    "task": "task", "model": "model__name", "head": "head", "device": "environment__device", "dataset": "eval__dataset",
    "language": "eval__language", "curriculum": "curriculum", "score": "", "setting": "",
}  # fmt: skip


def parsed(text: str) -> list[Token]:
    """The page as GitHub's dialect reads it: tables and strike-through beside plain CommonMark."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text.removeprefix(INTRODUCTION))


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def structure(text: str) -> list[str]:
    """Everything but the letters: what is a heading, a cell, a link, raw HTML, emphasis."""
    letters = {"text", "softbreak", "text_special"}
    return [f"{token.type} {token.tag}" for token in flat(parsed(text)) if token.type not in letters]


def words(text: str) -> str:
    """What a reader sees, spaces evened out."""
    seen = [token.content for token in flat(parsed(text)) if token.type in {"text", "code_inline", "text_special"}]
    return " ".join("".join(seen).split())


def rows(text: str) -> list[list[str]]:
    """The tables' rows, cell by cell."""
    found: list[list[str]] = []
    for before, token in zip(parsed(text), parsed(text)[1:], strict=False):
        if before.type == "tr_open":
            found.append([])
        if before.type in {"th_open", "td_open"}:
            found[-1].append("".join(child.content for child in token.children or []))
    return found


def named(field: str, name: str) -> dict[str, Any]:
    """A record in which one field has this name."""
    if field == "score":
        return record(scores={"spearman": 1.0, name: 2.0})
    if field == "setting":
        return record(recipe={"score_scale": name})
    return record(**{FIELDS[field]: name})


def test_the_page_reads_as_the_table_was_meant() -> None:
    text = render_markdown(table_one({"spearman": 80.0}, (0, 1)), STS, {"sts": "Semantic textual similarity"})
    headings = [
        after.content
        for token, after in zip(parsed(text), parsed(text)[1:], strict=False)
        if token.tag in {"h2", "h3"} and token.nesting == 1
    ]
    assert headings == ["Semantic textual similarity", "e5-small-q4", "Sequences and mixtures: e5-small-q4"]
    assert rows(text)[0] == [
        "Fine-tuned on", "English (stsb)", "Korean (korsts)", "Arabic (sts17-ar)", "Spanish (sts17-es)",
        "Checkpoint", "Seeds",
    ]  # fmt: skip
    assert rows(text)[1] == ["none (frozen) [siamese]", *["80.00"] * 4, "–", "0"]
    seeds = ["last", "0, 1"]
    assert rows(text)[2] == ["stsb [cross-encoder]", "80.50 ± 0.71 •", *["80.50 ± 0.71 †"] * 3, *seeds]
    assert rows(text)[7] == ["Fine-tuned on", "Scored on", "What", "Against", "Spearman"]
    assert rows(text)[8:] == [
        ["korsts → stsb [cross-encoder]", "Korean (korsts)", "forgetting", "korsts", "0.00"],
        ["stsb → korsts [cross-encoder]", "English (stsb)", "forgetting", "stsb", "0.00"],
        ["stsb + korsts [cross-encoder]", "English (stsb)", "gain of mixing", "stsb", "0.00"],
        ["stsb + korsts [cross-encoder]", "Korean (korsts)", "gain of mixing", "korsts", "0.00"],
    ]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_name_is_shown_as_it_is_and_does_nothing(kind: str, field: str) -> None:
    name = HOSTILE[kind]
    if field == "score":  # one with a colon is a second opinion, and stands in no table
        name = name.replace(":", "")
    beside = [] if field == "score" else [record(seed=1)]  # a second row prints its settings and its head
    text, plain = (render_markdown([*beside, named(field, one)], STS, {}) for one in (name, "harmless"))
    assert structure(text) == structure(plain)
    assert [len(row) for row in rows(text)] == [len(row) for row in rows(plain)]
    assert "https://e" not in text  # GitHub makes links of addresses, wherever they stand
    assert "www.e" not in text
    assert ":tada:" not in text  # and small pictures of names between colons
    if field == "curriculum":  # a sequence is printed with an arrow
        name = name.replace(":", " → ")
    if field == "language":  # a language pair is printed with a dash
        name = name.replace("-", "–")
    if field == "score":  # printed with a capital, and with spaces
        assert " ".join(name.replace("_", " ").split()).casefold() in words(text).replace("_", " ").casefold()
    else:
        assert " ".join(name.split()) in words(text)


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200f", "\x00", "\x07", "\ud800", "\x1b"])
@pytest.mark.parametrize("field", FIELDS)
def test_what_cannot_be_seen_or_turns_its_surroundings_is_a_code_point(field: str, sign: str) -> None:
    text = render_markdown([record(seed=1), named(field, f"a{sign}b")], STS, {})
    assert sign not in text
    assert f"U+{ord(sign):04X}" in text.upper()


def test_letters_of_all_scripts_and_joiners_between_them_stay_as_they_are() -> None:
    name = "가 ไทย e\u0301 नी\u200dक 中"
    assert name in words(render_markdown([record(model__name=name)], STS, {}))


def test_a_hostile_title_is_shown_as_it_is() -> None:
    for name in HOSTILE.values():
        text = render_markdown([record()], STS, {"sts": name})
        assert structure(text) == structure(render_markdown([record()], STS, {}))
        assert " ".join(name.split()) in words(text)


def test_a_tasks_name_is_shown_as_it_is_beside_its_title() -> None:
    name = "q&a <1> | *2*"
    assert name in words(render_markdown([record(task=name)], STS, {name: "A title"}))


@pytest.mark.parametrize("language", ["en", "es-en", "xx", "xx-ko"])
def test_a_language_is_written_out_where_its_name_is_known(language: str) -> None:
    titles = {"en": "English (d)", "es-en": "Spanish–English (d)", "xx": "xx (d)", "xx-ko": "xx–Korean (d)"}
    text = render_markdown([record("stsb", "d", eval__language=language)], STS, {})
    assert rows(text)[0] == ["Fine-tuned on", titles[language], "Checkpoint", "Seeds"]


def test_the_same_records_give_the_same_bytes_whatever_their_order() -> None:
    records = [
        *table_one(seeds=(0, 1, 2)), record(head="siamese"), record(recipe={"epochs": 1}), record(recipe={"lr": 0.1}),
        record(sample=True), record(model__name="labse"), record(model__revision="c" * 40), record(task="other"),
        record(limits__eval=100), record(limits__eval=20), record(limits__train=30),
        record(environment__device="cuda (H200)"), record("new:stsb", "new"), record("new+stsb", "sts17-es-en"),
    ]  # fmt: skip
    text = render_markdown(records, STS, {})
    for seed in range(20):
        random.Random(seed).shuffle(records)
        assert render_markdown(records, STS, {}) == text


@pytest.mark.parametrize(
    "change",
    [{"task_version": 2}, {"metric_version": {"spearman": 2, "pearson": 1}}, {"model__weights_sha256": "6" * 64}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_tables_of_one_title_keep_one_order(change: dict[str, Any]) -> None:
    one, other = record(scores={"a": 1.0}), record(scores={"a": 2.0}, **change)
    assert render_markdown([one, other], STS, {}) == render_markdown([other, one], STS, {})


def test_sample_corpora_come_last_and_say_that_they_are_no_benchmark() -> None:
    text = render_markdown([record(task="a", sample=True), record(task="b", sample=True), record(task="z")], {}, {})
    assert text.index("## z") < text.index("## a") < text.index("## b")
    assert text.count(SAMPLE) == 2
    assert SAMPLE not in render_markdown([record()], STS, {})


def test_the_page_says_what_it_was_made_with_once_each() -> None:
    records = [record(), record("korsts"), record("stsb", "stsb", environment__device="cuda (H200)"), record("none")]
    text = words(render_markdown(records, STS, {}))
    assert text.count("cpu (x86_64), scored in fp32, trained in fp32") == 1
    assert text.count("cuda (H200), scored in fp32, trained in fp32") == 1


def test_without_records_the_page_says_so() -> None:
    text = render_markdown([], STS, {})
    assert text.startswith(INTRODUCTION)
    assert "no records yet" in text
    assert rows(text) == []
