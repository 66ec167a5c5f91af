"""What a file of one's own may call the fields of each schema, and how a value becomes a field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import UserError


@dataclass(frozen=True)
class Form:
    """How rows of one schema look in a file.

    Attributes:
        about: What a row is, for people.
        title: What rows are called in a description.
        fields: Field to the column names that stand for it, in small letters and digits alone.
        optional: Fields that may be missing.
    """

    about: str
    title: str
    fields: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ("id",)


ID = ("id", "index", "idx", "key", "pairid", "questionid", "qid", "guid")
FIRST = ("sentence1", "text1", "sent1", "s1", "a", "premise", "first")
SECOND = ("sentence2", "text2", "sent2", "s2", "b", "hypothesis", "second")
LABEL = ("label", "class", "category", "goldlabel", "gold", "sentiment", "intent", "topic")
FORMS: Mapping[str, Form] = {
    "pair-score": Form(
        "two sentences and how alike they are, a number", "sentence pairs with a score",
        {"id": ID, "sentence1": FIRST, "sentence2": SECOND,
         "score": ("score", "similarity", "similarityscore", "goldscore", "gold", "rating", "label")},
    ),
    "pair-label": Form(
        "two sentences and a label, such as entailment", "sentence pairs with a label",
        {"id": ID, "sentence1": FIRST, "sentence2": SECOND, "label": LABEL},
    ),
    "text-label": Form(
        "a text and a label, such as its sentiment", "texts with a label",
        {"id": ID, "text": ("text", "sentence", "review", "document", "content", "utterance", "tweet"),
         "label": LABEL},
    ),
    "span": Form(
        "a passage, a question and answers that stand in the passage", "questions on passages",
        {"id": ID, "context": ("context", "passage", "paragraph", "document", "text"),
         "question": ("question", "query"), "answers": ("answers", "answer", "answertext"),
         "start": ("answerstart", "start", "answeroffset")},
        ("id", "start"),
    ),
    "parallel": Form(
        "a sentence and its translation", "sentences with their translations",
        {"id": ID, "sentence1": (*FIRST, "source", "src"), "sentence2": (*SECOND, "translation", "target", "tgt")},
    ),
}  # fmt: skip
SCALES = ((0.0, 1.0), (0.0, 5.0), (1.0, 5.0), (-1.0, 1.0), (0.0, 10.0), (0.0, 100.0))
"""The ranges that scores usually have; the first that holds all of them is taken."""


def plain(name: str) -> str:
    """A column's name without what people write differently: case, blanks, signs."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def columns_of(form: Form, header: list[str], where: str, extra: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Which column holds each field.

    Args:
        form: Of the schema.
        header: The file's column names.
        where: The file, for messages.
        extra: More names, by field, such as language codes.

    Returns:
        Column by field; optional fields that no column holds are left out.

    Raises:
        UserError: A field has no column, or two.
    """
    found: dict[str, str] = {}
    for field, usual in form.fields.items():
        names = (*extra.get(field, ()), *usual)
        free = [column for column in header if column not in found.values() and plain(column) in names]
        exact = [column for column in free if plain(column) == field] or free
        if len(exact) > 1:
            raise UserError(
                f"{where}: the columns {' and '.join(map(repr, exact)):.300} could both be {field!r}: rename one"
            )
        if exact:
            found[field] = exact[0]
        elif field not in form.optional:
            near = _near([column for column in header if column not in found.values()], names)
            raise UserError(f"{where}: no column for {field!r} among {', '.join(header):.300}; name it {field}{near}")
    return found


def _near(columns: Sequence[str], names: Sequence[str]) -> str:
    """Which column may be a misspelt name of a field."""
    near = next((column for column in columns if get_close_matches(plain(column), names, 1, cutoff=0.8)), None)
    return "" if near is None else f" (is it {near!r:.60}?)"


def text_of(value: Any, field: str) -> str:
    """A text that is not empty, without white space around it.

    Raises:
        UserError: It is none.
    """
    if not isinstance(value, str):
        raise UserError(f"{field}: {value!r:.60} is not a text")
    if not value.strip():
        raise UserError(f"{field} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"{field}: {value!r:.60} holds half a surrogate pair, which no UTF-8 text can") from None
    return value.strip()


def number_of(value: Any) -> float:
    """A score.

    Raises:
        UserError: It is no finite number.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"score: {value!r:.60} is not a number")
    return number


def label_of(value: Any) -> str:
    """A label's name; JSON's numbers and truth values are names as well.

    Raises:
        UserError: It is none.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return text_of(value, "label")


def row_of(schema: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A row in its schema's form, but that a label is still a name.

    Args:
        schema: One of `FORMS`.
        values: By field, as the file has them.

    Returns:
        The row; its id is empty where the file has none.

    Raises:
        UserError: A value is not what its field takes.
    """
    given = values.get("id")
    row: dict[str, Any] = {"id": "" if given in (None, "") else text_of(str(given), "id")}
    for field in FORMS[schema].fields:
        if field == "score":
            row[field] = number_of(values[field])
        elif field == "label":
            row[field] = label_of(values[field])
        elif field == "context":  # as it is: answers stand at places in it
            text_of(values[field], field)
            row[field] = values[field]
        elif field == "answers":
            row[field] = answers_of(values[field], values.get("start"), row["context"])
        elif field not in FORMS[schema].optional:
            row[field] = text_of(values[field], field)
    return row


def answers_of(value: Any, start: Any, context: str) -> list[dict[str, Any]]:
    """Answers with the places at which they stand, from any of the forms in which they are published.

    Args:
        value: A text, a list of texts, a list of objects with a text and a start, or an object of two such lists.
        start: Where the answer begins, when a column of its own says so; None or empty when not.
        context: The passage. An answer without a place is looked for in it; the first one counts.

    Returns:
        ``{"text": ..., "start": ...}`` each.

    Raises:
        UserError: An answer does not stand where it should, or nowhere.
    """
    answers = []
    for text, place in _texts_and_places(value, start):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"answers: {text!r:.60} is not a text")
        answers.append({"text": text, "start": _place(text, place, context)})
    if not answers:
        raise UserError("answers: there is none")
    return answers


def _texts_and_places(value: Any, start: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        texts, places = value.get("text"), value.get("answer_start", value.get("start"))
        if not isinstance(texts, list) or not isinstance(places, list) or len(texts) != len(places):
            raise UserError("answers: an object holds two lists of one length, text and answer_start")
        return list(zip(texts, places, strict=True))
    listed = value if isinstance(value, list) else [value]
    return [
        (one.get("text"), one.get("answer_start", one.get("start"))) if isinstance(one, Mapping) else (one, start)
        for one in listed
    ]


def _place(text: str, start: Any, context: str) -> int:
    if start is None or start == "":
        if text not in context:
            raise UserError(f"the answer {text!r:.60} does not stand in its passage")
        return context.index(text)
    try:
        place = int(start)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"the answer's start {start!r:.60} is not a whole number") from None
    if place < 0 or context[place : place + len(text)] != text:
        raise UserError(f"the answer {text!r:.60} does not stand at code point {place} of its passage")
    return place
