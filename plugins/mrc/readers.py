"""Reads SQuAD JSON, in which all of these datasets are published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xbench.api import DataError, Row


def read_squad(paths: Sequence[Path]) -> Iterator[Row]:
    """SQuAD v1.1 JSON: articles, their paragraphs, the questions of each.

    Args:
        paths: One file.

    Yields:
        Rows of ``span`` under the publisher's ids, which predictions made elsewhere are told by.

    Raises:
        DataError: The file is not of this format.
    """
    for paragraph, question in _questions(paths[0]):
        yield _row(paths[0], str(question["id"]), paragraph, question)


def read_tydiqa(paths: Sequence[Path], language: str, keep_ids: bool) -> Iterator[Row]:
    """TyDiQA-GoldP: all languages in one file, told apart by the id's first part, or a file of one language.

    Args:
        paths: One file.
        language: As the ids have it, such as ``korean``.
        keep_ids: Whether rows go by the publisher's ids. Files of one language are in circulation whose ids were cut
            to a number that repeats; rows go by their place then, so that they are the same from either file.

    Yields:
        Rows of ``span``.

    Raises:
        DataError: The file is not of this format, or its answers were blanked.
    """
    place = 0
    for paragraph, question in _questions(paths[0]):
        prefix, dash, _ = str(question["id"]).partition("-")
        if dash and prefix != language:
            continue
        if not dash and keep_ids:
            raise DataError(
                f"{paths[0]}: the id {question['id']!r:.40} has no language: this is not the published file"
            )
        name = str(question["id"]) if keep_ids else f"{language}-{place}"
        place += 1
        row = _row(paths[0], name, paragraph, question)
        if not any(answer["text"] for answer in row["answers"]):
            raise DataError(f"{paths[0]}: question {name} has no answer: this copy's answers were blanked")
        yield row


def read_hub_squad(paths: Sequence[Path]) -> Iterator[Row]:
    """SQuAD as the hub has it, a parquet file with a row a question: the columns id, context, question and answers.

    Args:
        paths: One file.

    Yields:
        The very rows of `read_squad`.

    Raises:
        DataError: The file is damaged, or lacks a column.
    """
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(paths[0])
        for batch in file.iter_batches(1000, columns=["id", "context", "question", "answers"]):
            for item in batch.to_pylist():
                found = item["answers"]
                both = zip(found["text"], found["answer_start"], strict=True)
                answers = [{"text": text, "answer_start": start} for text, start in both]
                yield _row(paths[0], item["id"], item, {"question": item["question"], "answers": answers})
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())
        raise DataError(f"{paths[0]}: not SQuAD as parquet ({type(error).__name__}: {line:.200})") from None


def read_mini(paths: Sequence[Path], language: str) -> Iterator[Row]:
    """Our own passages, which hold all languages side by side; an answer stands in its passage exactly once.

    Args:
        paths: One file.
        language: Such as ``ko``.

    Yields:
        Rows of ``span``.
    """
    for passage in json.loads(paths[0].read_text(encoding="utf-8")):
        context = passage["context"][language]
        for number, question in enumerate(passage["questions"]):
            text = question["answer"][language]
            answer = {"text": text, "start": context.index(text)}
            yield {
                "id": f"{passage['id']}-{number}", "context": context, "question": question["question"][language],
                "answers": [answer],
            }  # fmt: skip


def read_parallel_questions(paths: Sequence[Path]) -> Iterator[Row]:
    """The questions of a file and of its translation, each once.

    Args:
        paths: The same questions in two languages.

    Yields:
        Rows of ``parallel``, in the languages' order.

    Raises:
        DataError: A file is not SQuAD JSON, or they do not hold the same questions.
    """
    other = {str(question["id"]): str(question["question"]).strip() for _, question in _questions(paths[1])}
    seen: set[tuple[str, str]] = set()
    for _, question in _questions(paths[0]):
        name = str(question["id"])
        if name not in other:
            raise DataError(f"{paths[1]} does not hold the question {name!r:.60} of {paths[0].name}")
        pair = str(question["question"]).strip(), other[name]
        if pair not in seen:
            seen.add(pair)
            yield {"id": name, "sentence1": pair[0], "sentence2": pair[1]}


def _questions(path: Path) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    try:
        articles = json.loads(path.read_bytes().decode("utf-8-sig"))["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise DataError(f"{path}: not SQuAD JSON ({type(error).__name__}: {error}); get the file again") from None
    number = 0
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    for key in ("id", "question"):
                        if key not in question:
                            raise KeyError(key)
                    number += 1
                    yield paragraph, question
    except (KeyError, TypeError, AttributeError) as error:
        where = f"after question {number}" if number else "at its start"
        raise DataError(f"{path}: not SQuAD JSON {where} ({type(error).__name__}: {error})") from None


def _row(path: Path, name: str, paragraph: Mapping[str, Any], question: Mapping[str, Any]) -> Row:
    try:
        answers = [_answer(answer) for answer in question["answers"]]
        return {"id": name, "context": paragraph["context"], "question": question["question"], "answers": answers}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: question {name!r:.60} is damaged ({type(error).__name__}: {error})") from None


def _answer(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    # SQuAD-es keeps references that its translation lost, as an empty text at -1: they belong to the official score,
    # and nothing stands nowhere.
    return {"text": answer["text"], "start": answer["answer_start"] if answer["text"] else 0}
