"""An author's files become rows: columns by their names, splits and languages said or divided, mistakes named."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.errors import UserError
from xbench.scaffold.forms import FORMS
from xbench.scaffold.own_rows import Collected, collect

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def collected(folder: Path, schema: str, contents: dict[str, str], languages: Sequence[str] = ("en",)) -> Collected:
    return collect([file(folder, name, content) for name, content in contents.items()], schema, languages)


def test_a_split_and_a_language_stand_in_the_files_names(tmp_path: Path) -> None:
    rows = "text,label\nOne,b\nTwo,a\n"
    names = {"my_training-en.csv": rows, "val.en.csv": rows, "en-test.csv": rows, "test.ko.csv": rows}
    found = collected(tmp_path, "text-label", names, ("en", "ko"))
    assert list(found.rows) == [("train", "en"), ("dev", "en"), ("test", "en"), ("test", "ko")]
    assert found.labels == ("a", "b")
    assert found.rows["test", "ko"] == [{"id": "1", "text": "One", "label": 1}, {"id": "2", "text": "Two", "label": 0}]
    assert found.rows["dev", "en"][0]["id"] == "3"  # one row, one id in all splits of a dataset


def test_a_files_name_says_its_language_where_nobody_else_does(tmp_path: Path) -> None:
    rows = "text,label\nOne,b\nTwo,a\n"
    found = collected(tmp_path, "text-label", {"train.en.csv": rows, "test.en.csv": rows, "my.test.DE.csv": rows}, ())
    assert list(found.rows) == [("train", "en"), ("test", "en"), ("test", "de")]
    with pytest.raises(UserError, match=r"train\.new\.csv, line 2: in which language is it\?"):
        collected(tmp_path, "text-label", {"train.new.csv": rows}, ())
    pairs = "source,target\na,b\nc,d\n"
    found = collected(tmp_path, "parallel", {"train.en-de.csv": pairs, "test.en-de.csv": pairs}, ())
    assert found.languages == ("en-de",)


def test_or_in_columns(tmp_path: Path) -> None:
    lines = ["Sentence 1;Sentence-2;SCORE;Lang;split"]
    lines += [f"a{n};b{n};{n};{lang};{split}" for n in range(5) for lang in ("EN", "de") for split in ("train", "test")]
    found = collected(tmp_path, "pair-score", {"rows.csv": "\n".join(lines)}, ())
    assert found.languages == ("en", "de")
    assert {key: len(rows) for key, rows in found.rows.items()} == dict.fromkeys(
        [("train", "en"), ("test", "en"), ("train", "de"), ("test", "de")], 5
    )
    assert found.score_range == (0.0, 5.0)
    assert "scores lie between 0 and 4; their range was declared as 0 to 5" in found.notes[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_file_may_be_delimited_as_a_spreadsheet_likes(tmp_path: Path, delimiter: str) -> None:
    rows = "\n".join(delimiter.join(("text", "label")[i] + end for i in range(2)) for end in ("", "1", "2"))
    found = collected(tmp_path, "text-label", {"train.csv": rows, "test.csv": rows})
    assert [row["text"] for row in found.rows["train", "en"]] == ["text1", "text2"]


def test_a_note_counts_the_labels_and_asks_about_one_that_may_be_misspelt(tmp_path: Path) -> None:
    labels = ["contradiction"] * 5 + ["contradicton", "neutral", "neutrality"]
    rows = "text,label\n" + "".join(f"{n},{label}\n" for n, label in enumerate(labels))
    found = collected(tmp_path, "text-label", {"train.csv": rows, "test.csv": rows})
    assert found.notes == [
        "labels, with how many rows: contradiction 10, contradicton 2, neutral 2, neutrality 2; "
        "is 'contradicton' a 'contradiction' misspelt?"
    ]


@pytest.mark.parametrize(
    ("scores", "scale"),
    [((0.1, 0.9), (0, 1)), ((1, 5), (0, 5)), ((-1, 0.5), (-1, 1)), ((7, 10), (0, 10)), ((-3, 250.5), (-3, 250.5))],
)
def test_the_range_of_scores_is_a_usual_one_that_holds_them(
    tmp_path: Path, scores: tuple[float, float], scale: tuple[float, float]
) -> None:
    rows = "a,b,score\n" + "".join(f"x{score},y,{score}\n" for score in scores)
    assert collected(tmp_path, "pair-score", {"train.csv": rows, "test.csv": rows}).score_range == scale


@pytest.mark.parametrize(
    "answers",
    [
        "Rome", ["Rome"], [{"text": "Rome", "start": 7}], [{"text": "Rome", "answer_start": 7}],
        {"text": ["Rome"], "answer_start": [7]},
    ],
    ids=str,
)  # fmt: skip
def test_answers_may_have_any_published_form(tmp_path: Path, answers: Any) -> None:
    row = json.dumps({"context": " It is Rome, Rome. ", "question": "Which?", "answers": answers})
    found = collected(tmp_path, "span", {"train.jsonl": row, "test.jsonl": f"{row}\n\n{row}\n"})
    assert found.rows["test", "en"][1]["answers"] == [{"text": "Rome", "start": 7}]


def test_columns_called_as_languages_are_translations(tmp_path: Path) -> None:
    rows = 'id\tko\ten\n1\t고양이\tcat "x\n2\t개\tdog\n'
    for languages in ((), ("en-ko",)):
        found = collected(tmp_path, "parallel", {"train.tsv": rows, "test.tsv": rows}, languages)
        (language,) = found.languages
        first, second = ("고양이", 'cat "x') if language == "ko-en" else ('cat "x', "고양이")
        assert found.rows["train", language][0] == {"id": "1", "sentence1": first, "sentence2": second}


def test_rows_without_a_split_are_divided_the_same_in_every_language_and_order(tmp_path: Path) -> None:
    lines = [f"{n},text {n} {lang},{n % 2},{lang}" for n in range(200) for lang in ("en", "ko")]
    header = "id,text,label,language\n"
    found = collected(tmp_path, "text-label", {"rows.csv": header + "\n".join(lines)}, ())
    again = collected(tmp_path, "text-label", {"rows.csv": header + "\n".join(reversed(lines))}, ("en", "ko"))
    for split, count in (("train", 160), ("dev", 20), ("test", 20)):
        ids = [[row["id"] for row in one.rows[split, lang]] for one in (found, again) for lang in ("en", "ko")]
        assert len(ids[0]) == count
        assert all(sorted(one) == sorted(ids[0]) for one in ids)
    assert "160 for train, 20 for dev, 20 for test; rows of one id stay together" in found.notes[0]


def test_questions_on_a_passage_stay_in_its_split(tmp_path: Path) -> None:
    rows = [{"context": f"Passage {n // 4}.", "question": f"Q{n}?", "answer": "Passage"} for n in range(120)]
    found = collected(tmp_path, "span", {"rows.jsonl": "\n".join(map(json.dumps, rows))})
    passages = [{row["context"] for row in found.rows[split, "en"]} for split in ("train", "dev", "test")]
    assert sum(map(len, passages)) == len(set.union(*passages)) == 30


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=8, unique=True))
def test_any_text_survives_csv_and_json_lines(pairs: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with (path / "train.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            writer.writerows([("source", "target"), *pairs])
        lines = [json.dumps({"source": first, "target": second}) for first, second in pairs]
        (path / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
        found = collect([path / "train.csv", path / "test.jsonl"], "parallel", ("en-ko",))
    read = [
        [
            tuple(" ".join(row[side].split()) for side in ("sentence1", "sentence2"))
            for row in found.rows[split, "en-ko"]
        ]
        for split in ("train", "test")
    ]
    given_ = [tuple(" ".join(text.split()) for text in pair) for pair in pairs]
    assert read == [given_, given_]


TEXT, EN = "text-label", ("en",)
GOOD = "text,label\na,x\nb,y\n"
MISTAKES: list[tuple[str, dict[str, str], Sequence[str], str]] = [
    (TEXT, {"rows.txt": GOOD}, EN, "a file of rows ends in .csv, .tsv, .jsonl"),
    (TEXT, {"train.csv": "", "test.csv": ""}, EN, "no rows"),
    (TEXT, {"train.csv": "text,label\n"}, EN, "no rows"),
    (TEXT, {"train.csv": "text,klass\na,x\n"}, EN, "no column for 'label' among text, klass; name it"),
    (TEXT, {"train.csv": "text,klass\na,x\n"}, EN, "name it label (is it 'klass'?)"),
    (TEXT, {"train.csv": "review,content,label\na,b,x\n"}, EN, "'review' and 'content' could both be 'text'"),
    (TEXT, {"train.csv": "text,label,label\na,x,x\n"}, EN, "the column 'label' stands twice"),
    (TEXT, {"train.csv": "text,label\na,x,y\n"}, EN, "line 2: 3 columns, and the first line names 2"),
    (TEXT, {"train.csv": 'text,label\n"a,x\n'}, EN, "line 2: not CSV"),
    (TEXT, {"train.csv": "text,label\n ,x\n"}, EN, "line 2: text is empty"),
    (TEXT, {"train.csv": "text,label\na,\n"}, EN, "line 2: label is empty"),
    (TEXT, {"train.csv": GOOD}, EN, "no rows for test"),
    (TEXT, {"test.csv": GOOD}, EN, "no rows for train"),
    (TEXT, {"rows.csv": GOOD}, EN, "2 rows of no split: 10 are needed"),
    (TEXT, {"train-test.csv": GOOD}, EN, "its name says test and train"),
    (TEXT, {"train.csv": GOOD, "test.csv": GOOD}, (), "in which language is it? name one with --language"),
    (TEXT, {"train.csv": GOOD, "test.csv": GOOD}, ("en", "ko"), "in which language is it?"),
    (TEXT, {"train.en.csv": GOOD, "test.en.csv": GOOD}, ("en", "ko"), "no rows in ko, which --language names"),
    (TEXT, {"train.csv": "text,label,lang\na,x,English\n"}, (), "'english' is no language code"),
    (TEXT, {"train.csv": "text,label,lang\na,x,Korean\n"}, (), "or ko (did you mean 'ko'?)"),
    (TEXT, {"train.csv": "text,label,lang\na,x,de\n"}, ("en", "ko"), "de is not among those of --language"),
    (TEXT, {"r.csv": "text,label,split\na,x,later\n"}, EN, "line 2: 'later' is no split"),
    (TEXT, {"train.csv": "text,label\na,x\n", "test.csv": GOOD.replace("y", "x")}, EN, "1 labels in 3 rows"),
    (TEXT, {"train.csv": GOOD, "test.csv": "text,label\na,x\n"}, EN, "one row for test in en"),
    (TEXT, {"train.csv": "id,text,label\n1,a,x\n1,b,y\n", "test.csv": GOOD}, EN, "id '1' stands 2 times"),
    ("pair-score", {"train.csv": "a,b,score\nx,y,high\n"}, EN, "line 2: score: 'high' is not a number"),
    ("pair-score", {"train.csv": "a,b,score\nx,y,nan\n"}, EN, "line 2: score: 'nan' is not a number"),
    ("pair-score", dict.fromkeys(("train.csv", "test.csv"), "a,b,score\nx,y,1\nz,y,1\n"), EN, "every score is 1"),
    ("span", {"t.jsonl": '{"context": "c", "question": "q", "answers": "x"}'}, EN, "'x' does not stand in its"),
    ("span", {"t.jsonl": '{"context": "c", "question": "q", "answers": []}'}, EN, "line 1: answers: there is none"),
    ("span", {"t.csv": "context,question,answer,answer_start\nabc,q,c,1\n"}, EN, "does not stand at code point 1"),
    ("span", {"t.csv": "context,question,answer,answer_start\nabc,q,c,x\n"}, EN, "start 'x' is not a whole number"),
    ("span", {"t.jsonl": '{"context": 1, "question": "q", "answers": "x"}'}, EN, "context: 1 is not a text"),
    ("span", {"t.jsonl": "[1]"}, EN, "line 1: not a JSON object"),
    (TEXT, {"t.jsonl": '{"text": "a", "label": 1}\n{"text": "b"}'}, EN, "line 2: no 'label', which"),
    (TEXT, {"t.jsonl": '{"text": "a", "label": 1, "split": "dev"}\n{"text": "b", "label": 2}'}, EN, "no 'split'"),
    (TEXT, {"t.jsonl": '{"text": "\\ud800", "label": 1}'}, EN, "holds half a surrogate pair"),
    (TEXT, {"t.jsonl": '{"text": "a", "id": "\\ud800", "label": 1}'}, EN, "id: '\\ud800' holds half"),
    ("pair-score", {"t.jsonl": '{"a": "x", "b": "y", "score": 1' + "0" * 400 + "}"}, EN, "is not a number"),
    ("span", {"t.jsonl": '{"context": "c", "question": "q", "answers": "c", "start": Infinity}'}, EN, "start inf is"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "contents", "languages", "says"), MISTAKES, ids=[one[3] for one in MISTAKES])
def test_a_mistake_is_one_line_that_names_its_place(
    tmp_path: Path, schema: str, contents: dict[str, str], languages: Sequence[str], says: str
) -> None:
    with pytest.raises(UserError) as caught:
        collected(tmp_path, schema, contents, languages)
    assert says in str(caught.value)
    assert str(tmp_path / next(iter(contents))) in str(caught.value)


def test_bytes_that_are_no_text_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 2: not UTF-8 .*one of your own, save as UTF-8"):
        collect([file(tmp_path, "train.csv", b"text,label\n\xff,x\n")], "text-label", ("en",))


def test_every_schema_that_can_be_asked_for_has_its_fields(registry: Any) -> None:
    for name, form in FORMS.items():
        assert set(registry.schemas.get(name).fields) == set(form.fields) - {"start"}
