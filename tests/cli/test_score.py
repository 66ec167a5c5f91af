"""``xbench score``: what it makes of a file of predictions, what it says of a wrong one, and how it ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.naive_scorers import naive_scores

from .conftest import Program

Done = subprocess.CompletedProcess[str]
Score = Callable[..., Done]
Gold = dict[str, list[str]]

FILES = {
    "squad": "squad-v1.1/dev-v1.1.json",
    "korquad": "korquad-v1.0/KorQuAD_v1.0_dev.json",
    "squad-es-small": "squad-es/dev-v1.1-es_small.json",
    "xquad-en": "xquad/xquad.en.json",
    "xquad-ar": "xquad/xquad.ar.json",
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests, so that each dataset is prepared once."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def score(program: Program, data_root: Path, prepared: Path) -> Score:
    """Runs ``xbench score DATASET predictions.json`` on what the file is to hold."""

    def run(dataset: str, predictions: Mapping[str, Any] | str | bytes, *arguments: str) -> Done:
        content = predictions if isinstance(predictions, (str, bytes)) else json.dumps(predictions)
        path = program.folder / "predictions.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        places = {"XBENCH_DATA": str(data_root), "XBENCH_CACHE": str(prepared)}
        return program("score", dataset, path.name, *arguments, **places)

    return run


@pytest.fixture(scope="module")
def gold(data_root: Path) -> Callable[[str], Gold]:
    """Gives the answers of a published file by the question's id."""

    def answers(dataset: str) -> Gold:
        articles = json.loads((data_root / FILES[dataset]).read_text(encoding="utf-8"))["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        questions = [question for paragraph in paragraphs for question in paragraph["qas"]]
        return {question["id"]: [answer["text"] for answer in question["answers"]] for question in questions}

    return answers


@pytest.fixture(scope="module")
def gold_scores(data_root: Path) -> list[float]:
    """The gold scores of STSb's test split."""
    lines = (data_root / "stsbenchmark" / "sts-test.csv").read_bytes().decode().removesuffix("\n").split("\n")
    return [float(line.split("\t")[4]) for line in lines]


def first_answers(answers: Gold) -> dict[str, str]:
    return {name: texts[0] for name, texts in answers.items()}


def altered(answers: Gold) -> dict[str, str]:
    """Every third answer cut short, every third one with a word more."""
    texts = [max(texts, key=len) for texts in answers.values()]
    changed = [(text, text[: len(text) // 2], f"Le {text}!")[index % 3] for index, text in enumerate(texts)]
    return dict(zip(answers, changed, strict=True))


def refused(done: Done) -> str:
    """What is said of a request that is wrong: one line, and nothing else."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("xbench: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def warnings(done: Done) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("dataset", ["squad", "korquad"])
def test_perfect_predictions_score_100(score: Score, gold: Callable[[str], Gold], dataset: str) -> None:
    answers = gold(dataset)
    done = score(dataset, first_answers(answers), "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert set(list(found)[:2]) == {"exact_match", "f1"}
    assert (found["exact_match"], found["f1"]) == (100.0, 100.0)
    assert (found["dataset"], found["split"], found["rows"]) == (dataset, "dev", len(answers))
    assert found["metric_version"] == {dataset: 1}
    assert (found["missing"], found["unknown"]) == ([], [])


def test_the_scores_are_on_stdout_and_everything_else_is_on_stderr_without_thousands_of_ids(
    score: Score, gold: Callable[[str], Gold]
) -> None:
    answers = gold("squad")
    kept = dict(list(altered(answers).items())[:5000])
    done = score("squad", kept)
    expected = naive_scores("squad", "en", [kept.get(name) for name in answers], list(answers.values()))
    assert {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()} == {
        name: f"{value:.4f}" for name, value in expected.items()
    }
    (line,) = warnings(done)
    assert "5570 rows" in line
    assert list(answers)[5000] in line
    assert done.stderr == f"{line}\n5000 of 10570 rows of squad, split dev\n"
    assert len(done.stderr) < 1000


def test_a_second_scorers_scores_go_under_its_name(score: Score, gold: Callable[[str], Gold]) -> None:
    answers = gold("squad-es-small")
    predictions = altered(answers)
    found = json.loads(score("squad-es-small", predictions, "--json").stdout)
    squad, mlqa = (
        naive_scores(name, "es", list(predictions.values()), list(answers.values())) for name in ("squad", "mlqa")
    )
    assert squad["f1"] != mlqa["f1"]
    assert squad["exact_match"] != mlqa["exact_match"]
    expected = {**squad, **{f"mlqa:{name}": value for name, value in mlqa.items()}}
    assert {name: found[name] for name in list(found)[:4]} == expected
    assert found["metric_version"] == {"squad": 1, "mlqa": 1}


def test_other_metrics_can_be_asked_for_and_the_first_ones_scores_keep_their_names(
    score: Score, gold: Callable[[str], Gold]
) -> None:
    answers = gold("korquad")
    predictions = altered(answers)
    found = json.loads(score("korquad", predictions, "--metric", "squad,korquad", "--json").stdout)
    squad, korquad = (
        naive_scores(name, "ko", list(predictions.values()), list(answers.values())) for name in ("squad", "korquad")
    )
    assert squad["f1"] != korquad["f1"]
    assert {name: found[name] for name in list(found)[:2]} == squad
    assert {name: found[f"korquad:{name}"] for name in korquad} == korquad
    assert found["metric_version"] == {"squad": 1, "korquad": 1}


def test_missing_and_unknown_ids_are_counted_and_a_few_are_named(score: Score, gold: Callable[[str], Gold]) -> None:
    answers = gold("xquad-en")
    missing = list(answers)[7:10]
    unknown = [f"stranger-{number}" for number in range(4000)]
    predictions = {name: text for name, text in first_answers(answers).items() if name not in missing}
    done = score("xquad-en", {**predictions, **dict.fromkeys(unknown, "x")}, "--metric", "squad", "--json")
    lines = warnings(done)
    assert len(lines) == 2
    assert "3 rows" in lines[0]
    assert all(name in lines[0] for name in missing)
    assert "4000 ids" in lines[1]
    assert "stranger-0" in lines[1]
    assert 1 <= lines[1].count("stranger-") <= 10
    found = json.loads(done.stdout)
    assert (found["missing"], found["unknown"]) == (missing, unknown)
    assert found["rows"] == 1190
    assert found["exact_match"] == found["f1"] == 100.0 * 1187 / 1190


def test_null_is_as_good_as_no_prediction_and_an_empty_text_is_one(score: Score, gold: Callable[[str], Gold]) -> None:
    predictions: dict[str, str | None] = dict(first_answers(gold("xquad-en")))
    names = list(predictions)
    predictions |= {names[0]: "", names[-2]: None, names[-1]: None}
    done = score("xquad-en", predictions, "--metric", "squad", "--json")
    (line,) = warnings(done)
    assert "2 rows" in line
    found = json.loads(done.stdout)
    assert (found["missing"], found["unknown"]) == (names[-2:], [])
    assert found["exact_match"] == found["f1"] == 100.0 * 1187 / 1190


def test_another_datasets_predictions_are_refused_without_naming_them_all(
    score: Score, gold: Callable[[str], Gold]
) -> None:
    line = refused(score("xquad-ar", first_answers(gold("korquad"))))
    assert "5774 ids" in line
    assert "xquad-ar, split dev" in line
    assert next(iter(gold("xquad-ar"))) in line  # what an id looks like
    assert len(line) < 400


WRONG = {
    "malformed": ('{"a": "x",', "not JSON"),
    "empty": ("", "not JSON"),
    "not UTF-8": ('{"a": "개"}'.encode("cp949"), "not JSON"),
    "nested too deeply": ("[" * 100_000, "not JSON"),
    "a list": ('[{"id": "a", "prediction_text": "x"}]', "not a list"),
    "a text": ('"x"', "not a text"),
    "null": ("null", "not null"),
    "true": ("true", "not true or false"),
    "no predictions": ("{}", "holds no prediction"),
    "nothing but null": ('{"56be4db0acb8001400a502ec": null, "b": null}', "holds no prediction (all 2 are null)"),
    "a doubled id": ('{"a": "x", "b": "y", "a": "x"}', "'a' stands twice"),
    "a number": ('{"a": "x", "b": 3}', "the prediction for 'b': 3 is not a text"),
    "several texts": ('{"b": ["x"]}', "the prediction for 'b': ['x'] is not a text"),
    "an object": ('{"b": {"text": "x"}}', "the prediction for 'b': "),
    "half a surrogate pair": ('{"b": "\\ud800"}', "the prediction for 'b': "),
    "a number behind a byte-order mark": (b'\xef\xbb\xbf{"b": 3}', "the prediction for 'b': 3 is not a text"),
    "a line break in the id": ('{"b\\nc": 3}', "the prediction for 'b\\nc': "),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_of_another_form_is_refused_with_what_is_wrong(score: Score, what: str) -> None:
    content, says = WRONG[what]
    line = refused(score("squad", content))
    assert "predictions.json: " in line
    assert says in line


@pytest.mark.parametrize("path", ["gone.json", "."])
def test_a_file_that_cannot_be_read_is_named(program: Program, path: str) -> None:
    assert f"{path}: cannot be read: " in refused(program("score", "squad", path))


@pytest.mark.parametrize(
    ("dataset", "arguments", "says"),
    [
        ("squad-44", [], "neither a test nor a dev split, only train: choose with --split"),
        ("squad", ["--split", "test"], "no split 'test', only train, dev"),
        ("stsb", ["--split", "devel"], "no split 'devel', only train, dev, test"),
        ("squad", ["--metric", "sqaud"], "unknown metric 'sqaud' (did you mean 'squad'?)"),
        ("squad", ["--metric", "squad,f2"], "unknown metric 'f2'"),
        ("sqaud", [], "unknown dataset 'sqaud' (did you mean 'squad'?)"),
        ("squad-es", [], "squad-es-small"),  # not under the data root; something that can take its place is
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_request_is_one_line_that_says_what_to_do(
    score: Score, dataset: str, arguments: list[str], says: str
) -> None:
    assert says in refused(score(dataset, {"a": "x"}, *arguments))


def test_a_split_without_a_name_is_not_said_to_be_missing(score: Score) -> None:
    assert "neither a test" not in refused(score("mini-mrc-en", {"a": "x"}, "--split", ""))


def test_a_language_that_the_scorer_does_not_know_is_refused(score: Score) -> None:
    line = refused(score("mini-mrc-ko", {"test-01-0": "x"}, "--metric", "korquad,mlqa"))
    assert "mlqa does not know the language ko of mini-mrc-ko" in line


def test_a_metric_of_numbers_refuses_answers(score: Score, gold: Callable[[str], Gold]) -> None:
    assert "spearman" in refused(score("xquad-en", first_answers(gold("xquad-en")), "--metric", "spearman"))


def test_a_metric_of_answers_refuses_numbers(score: Score, gold_scores: list[float]) -> None:
    predictions = {str(number): value for number, value in enumerate(gold_scores)}
    assert "korquad" in refused(score("stsb", predictions, "--metric", "korquad"))


ODD_IDS = ["two\nlines", "red \x1b[31m", "carriage\rreturn", "separator\u2028", "x" * 100_000]


def test_odd_ids_cannot_break_the_lines_that_name_them(score: Score, gold: Callable[[str], Gold]) -> None:
    predictions = first_answers(gold("xquad-en"))
    done = score("xquad-en", {**predictions, **dict.fromkeys(ODD_IDS, "x")}, "--metric", "squad")
    assert done.returncode == 0
    first, last = done.stderr.splitlines()
    assert f"{len(ODD_IDS)} ids" in first
    assert first.isprintable()
    assert len(first) < 1000
    assert last == "1190 of 1190 rows of xquad-en, split dev"


def test_an_id_that_is_no_unicode_is_still_counted(score: Score, gold: Callable[[str], Gold]) -> None:
    predictions = {**first_answers(gold("xquad-en")), "half \ud800": "x"}
    done = score("xquad-en", predictions, "--metric", "squad", "--json")
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert len(json.loads(done.stdout)["unknown"]) == 1


def test_a_train_split_is_scored_when_it_is_asked_for(score: Score) -> None:
    found = json.loads(score("mini-mrc-en", {"train-01-0": "x"}, "--split", "train", "--json").stdout)
    assert (found["split"], found["rows"], len(found["missing"])) == ("train", 192, 191)


def test_numbers_are_scored_against_the_test_split(score: Score, gold_scores: list[float]) -> None:
    whole = {str(number): int(value) if value.is_integer() else value for number, value in enumerate(gold_scores)}
    assert {type(value) for value in whole.values()} == {int, float}
    done = score("stsb", dict(reversed(whole.items())), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found)[:2] == ["spearman", "pearson"]
    assert (found["spearman"], found["pearson"]) == (pytest.approx(100, abs=1e-9), pytest.approx(100, abs=1e-9))
    assert (found["split"], found["rows"], found["missing"]) == ("test", len(gold_scores), [])


def test_a_score_that_is_not_defined_is_null(score: Score, gold_scores: list[float]) -> None:
    constant = {str(number): 2.5 for number in range(len(gold_scores))}
    found = json.loads(score("stsb", constant, "--json").stdout)
    assert (found["spearman"], found["pearson"]) == (None, None)


def test_correlations_refuse_a_set_that_is_not_whole(score: Score, gold_scores: list[float]) -> None:
    predictions = {str(number): value for number, value in enumerate(gold_scores) if number not in (3, 800)}
    line = refused(score("stsb", predictions))
    assert f"2 of {len(gold_scores)} rows" in line
    assert "'3'" in line


@pytest.mark.parametrize("value", ["NaN", "1e999", "true", '"3.5"', "1" * 30, "1" * 5000])
def test_what_is_no_finite_number_is_no_prediction_of_one(score: Score, value: str) -> None:
    line = refused(score("stsb", f'{{"0": 1.0, "1": {value}}}'))
    assert "predictions.json: " in line
    assert len(line) < 400
