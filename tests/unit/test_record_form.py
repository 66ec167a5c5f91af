"""What a record has to be to be taken from others: its form, what is declared, and its keys."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strangers import altered, load, places
from tests.tiny import Bench
from xbench.record_check import RecordCheck
from xbench.record_form import MOST_SCORE, record_errors
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import Store, sign
from xbench.training import TRAINING_VERSION

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted((ROOT / "leaderboard" / "results").rglob("*.json"))
MINILM = next(path for path in PUBLISHED if path.parent.name == "all-minilm-l6-v2" and path.name.startswith("none-"))
"""Of a frozen model that needs no assembling, so that it is here."""


@pytest.fixture(scope="module")
def made(theirs_made: Bench) -> dict[str, dict[str, Any]]:
    """Records of a real run, by model and curriculum; each scored on the Korean rows."""
    records = [load(path) for path in theirs_made.records()]
    return {
        f"{record['model']['name']} {record['curriculum']}": record
        for record in records
        if record["eval"]["dataset"] == "mini-sts-ko"
    }


@pytest.fixture(scope="module")
def one_check(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> RecordCheck:
    """For hypothesis, which takes a fixture once."""
    return RecordCheck(registry, Settings(cache=tmp_path_factory.mktemp("cache")))


@pytest.fixture
def check(registry: Registry, tmp_path: Path) -> RecordCheck:
    return RecordCheck(registry, Settings(cache=tmp_path / "cache"))


def test_the_version_of_the_training_code_is_that_of_the_stages_keys(
    check: RecordCheck, made: dict[str, dict[str, Any]]
) -> None:
    record = made["tiny mini-sts-en:mini-sts-ko"]
    assert record["environment"]["training_version"] == TRAINING_VERSION
    assert check.key(record).error == ""
    other = altered(record, "environment.training_version", TRAINING_VERSION - 1)
    assert f"a stage's key, with training code of version {TRAINING_VERSION - 1}," in check.key(other).error
    unsaid = altered(record, "environment.training_version", None)
    del unsaid["environment"]["training_version"]
    assert check.key(unsaid) == check.key(record)


def test_every_published_record_can_be_taken(check: RecordCheck) -> None:
    assert len(PUBLISHED) >= 141
    for path in PUBLISHED:
        record = load(path)
        assert record_errors(record) == [], path
        assert check.errors(record) == [], path
        verdict = check.key(record)
        assert verdict.error == "", path
        # The cache is empty: other models have still to be put together there.
        if (model := record["model"]["name"]) == "all-minilm-l6-v2":
            assert verdict.said == "key checked"
        elif record["stages"]:
            assert verdict.said == f"key checked; its first stage's not: the model {model} is not here"
        assert check.rows(record) == ""


def test_records_of_a_run_can_be_taken(made: dict[str, dict[str, Any]], check: RecordCheck) -> None:
    said = {name: check.key(record) for name, record in made.items()}
    assert all(record_errors(record) == check.errors(record) == [] for record in made.values())
    assert {name: verdict.said for name, verdict in said.items()} == {
        "tiny mini-sts-en:mini-sts-ko": "key checked; its first stage's not: the model tiny is not here",
        "tiny mini-sts-en+mini-sts-ko": "key checked; its first stage's not: the model tiny is not here",
        "tiny none": "key not checked: the model tiny is not here",
        "lexical-overlap none": "key checked",
    }
    assert not any(verdict.error for verdict in said.values())


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("scores.spearman", "x", "scores.spearman: 'x' is not a number"),
        ("scores.spearman", True, "scores.spearman: True is not a number"),
        ("scores.spearman", 10**400, "scores.spearman: 1000"),
        ("scores", {}, "scores: has 0 entries"),
        ("scores.more", 1.0, None),
        ("surprise", 1, "'surprise': is no field of a record"),
        ("recipes", {}, "'recipes': is no field of a record (did you mean 'recipe'?)"),
        ("model.name", "x" * 10_000, "model.name: a text of 10000 characters; at most 200 fit"),
        ("model.name", "a\x1b[31mb", "model.name: 'a\\x1b[31mb' holds characters that cannot be seen"),
        ("model.name", "a\u202eb", "holds characters that cannot be seen"),
        ("model.name", "\ud800", "holds characters that cannot be seen"),
        ("model.name", "", "model.name: is empty"),
        ("model.weights_sha256", "", "only a floor has no weights"),
        ("key", "0" * 63, "key: '000"),
        ("key", "G" * 64, "is not 64 hexadecimal digits"),
        ("predictions_sha256", None, "predictions_sha256: None is not a text"),
        ("task", "../../etc", "task: '../../etc' is not a name"),
        ("seed", -1, "seed: -1 does not lie between"),
        ("seed", 1.0, "seed: 1.0 is not a whole number"),
        ("transfer", "magic", "transfer: 'magic' is not zero-shot or"),
        ("transfer", "zero-shot", "transfer: zero-shot, and its languages make it mixed"),
        ("transfer", "floor", "a floor has no weights"),
        ("curriculum", "mini-sts-en", "train: holds other datasets, or other stages"),
        ("curriculum", "a++b", "curriculum: 'a++b' is not DATASET"),
        ("curriculum", "mini-sts-en:none", "is not DATASET"),
        ("stages", [], "stages: 0 of them, and the curriculum has 2"),
        ("train", [], "train: holds other datasets"),
        ("train.0.stage", 1, "train: holds other datasets, or other stages"),
        ("eval.rows", 25, "eval.rows: 25, and limits.eval is 24"),
        ("train.1.rows", 1000, "train: 1000 rows of stage 1, and limits.train is 24"),
        ("limits.train", 1, "limits.train: 1 does not lie between 2"),
        ("primary", "f1", "primary: 'f1' is none of the scores"),
        ("chance", {"f1": 0.0}, "chance.f1: is none of the scores"),
        ("bounds", {"f1": [0.0, 100.0]}, "bounds.f1: is none of the scores"),
        ("bounds", {"spearman": [100.0, -100.0]}, "bounds.spearman: is not the lowest and the highest score"),
        ("bounds", {"spearman": [0.0]}, "bounds.spearman: is not the lowest and the highest score"),
        ("bounds", {"spearman": [-3.0, -2.0]}, "lies outside"),
        ("sampling.scores.spearman.data", "%%%", "sampling.scores.spearman.data: is not base64"),
        ("sampling.scores.spearman.data", "AAA=", "1 draws, and sampling.draws is 1000"),
        ("sampling.scores.spearman.data", "AA==", "is not base64 of whole 16-bit numbers"),
        ("sampling.scores.spearman.data", "é", "is not base64"),
        ("sampling.scores.spearman.scale", -1.0, "sampling.scores.spearman.scale: -1.0 is below 0"),
        ("sampling.scores.spearman.scale", 1e20, None),
        ("sampling.scores.spearman.scale", 1e299, "sampling.scores.spearman.scale: 1e+299 is too large"),
        ("scores.spearman", MOST_SCORE * 2, "scores.spearman: 2e+30 is above 1e+30"),
        ("scores.spearman", -1e200, "scores.spearman: -1e+200 is below -1e+30"),
        ("ceilings", {"spearman": 1e200}, "ceilings.spearman: 1e+200 is above 1e+30"),
        ("sampling.scores.spearman.scale", 1e305, "is not a finite number"),
        ("sampling.units", 7, "sampling.units: 7 (row), and eval.rows is 24"),
        ("overlap", [], "overlap: is of other datasets than train and fit"),
        ("overlap.0.texts", 25, "overlap[0].texts: 25, and eval.rows is 24"),
        ("overlap.0.rows", 24, "overlap[0].rows: 24, and overlap[0].texts is"),
        ("status", "lost", "status: 'lost' is not done"),
        ("schema", "xbench.record/9", "schema: 'xbench.record/9' is none that is read here"),
        ("schema", [], "schema: a list of 0 is not xbench.record/2 or xbench.record/3"),
        ("environment.threads", 0, "environment.threads: 0 does not lie between 1"),
        ("environment.training_version", 0, "environment.training_version: 0 does not lie between 1"),
        ("kept", {"a": "b"}, "kept.a: 'b' is not 64 hexadecimal digits"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    made: dict[str, dict[str, Any]], place: str, value: object, message: str | None
) -> None:
    record = made["tiny mini-sts-en:mini-sts-ko"]
    errors = record_errors(altered(record, place, value))
    assert not errors if message is None else any(message in error for error in errors), errors
    assert all(len(error) < 400 and error.isprintable() for error in errors)


def test_a_number_that_is_none_is_named(made: dict[str, dict[str, Any]]) -> None:
    record = made["tiny none"]  # no JSON that could be signed holds it
    errors = record_errors({**record, "timing": {**record["timing"], "eval_s": float("inf")}})
    assert errors == ["timing.eval_s: inf is not a finite number"]


def test_a_field_that_is_missing_is_named_and_older_records_lack_some(made: dict[str, dict[str, Any]]) -> None:
    record = made["tiny none"]
    for name in record:
        without = sign({field: value for field, value in record.items() if field != name})
        if name == "checksum":
            del without["checksum"]
        errors = record_errors(without)
        if name == "bounds":  # early records of this form have none
            assert errors == []
        else:
            assert any(error.startswith(f"{name}: ") for error in errors), name
    new = ("chance", "sampling", "overlap")
    old = {name: value for name, value in record.items() if name not in new}
    assert record_errors(sign(old)) == [f"{name}: is missing" for name in new]
    assert record_errors(sign({**old, "schema": "xbench.record/2"})) == []


def test_a_record_that_was_altered_and_not_signed_anew_is_found_out(made: dict[str, dict[str, Any]]) -> None:
    record = copy.deepcopy(made["tiny none"])
    record["scores"]["spearman"] += 1
    assert record_errors(record) == ["checksum: does not hold: the record was altered or damaged"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("eval.language", "en", "eval.language: en, and mini-sts-ko is in ko"),
        ("eval.split", "fest", "eval.split: mini-sts-ko has no split 'fest', only "),
        (
            "eval.rows_sha256",
            "0" * 64,
            "eval.rows_sha256: 000000000000..., and the rows of mini-sts-ko/test are pinned",
        ),
        ("train.0.rows_sha256", "0" * 64, "train[0].rows_sha256: 000000000000..."),
        ("train.0.rows", 10_000, "train[0].rows: 10000, and mini-sts-en/train has"),
        ("limits.eval", None, "eval.rows: 24, and mini-sts-ko/test has"),
        ("sample", False, "sample: false, and its datasets are samples"),
        ("scores.spearman", 100.5, "scores.spearman: 100.5 is above the best, 100"),
        ("recipe.lr", -1.0, "recipe: lr = -1.0 must be above 0"),
        ("recipe.speed", 11, "recipe: unknown recipe key 'speed'"),
    ],
)
def test_what_contradicts_a_declaration_is_named(
    made: dict[str, dict[str, Any]], check: RecordCheck, place: str, value: object, message: str
) -> None:
    errors = check.errors(altered(made["tiny mini-sts-en:mini-sts-ko"], place, value))
    assert any(error.startswith(message) for error in errors), errors


@pytest.mark.parametrize(
    ("which", "place", "value"),
    [
        *[("tiny mini-sts-en:mini-sts-ko", *change) for change in (
            ("seed", 1), ("reading", "other"), ("task_version", 2), ("metric_version.spearman", 2),
            ("limits.eval", 23), ("eval.split", "dev"), ("stages.0", "0" * 64), ("stages.1", "0" * 64),
            ("recipe.lr", 0.5), ("recipe.epochs", 9), ("recipe.max_length", 64), ("recipe.eval_precision", "bf16"),
            ("train.1.rows_sha256", "0" * 64), ("model.name", "xlm-roberta-large"), ("limits.train", 30),
        )],
        *[("published", *change) for change in (
            ("seed", 1), ("recipe.max_length", 64), ("eval.rows_sha256", "0" * 64), ("reading", "other"),
        )],
        *[("lexical-overlap none", *change) for change in (
            ("eval.rows_sha256", "0" * 64), ("head_version", 2), ("task_version", 9), ("limits.eval", 23),
        )],
    ],
)  # fmt: skip
def test_a_key_that_does_not_follow_is_found_out(
    made: dict[str, dict[str, Any]], check: RecordCheck, which: str, place: str, value: object
) -> None:
    record = load(MINILM) if which == "published" else made[which]
    verdict = check.key(altered(record, place, value))
    assert "does not follow from what the record holds" in verdict.error


def test_a_model_of_other_weights_is_another(check: RecordCheck) -> None:
    said = check.key(altered(load(MINILM), "model.weights_sha256", "0" * 64))
    assert said == ("", "key not checked: the model all-minilm-l6-v2 has other weights here")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("head", "unheard-of", "key not checked: the head unheard-of is not installed"),
        ("head_version", 9, "key not checked: the head siamese is version 1 here, and 9 in the record"),
        ("diagnostics.odd", {}, "key not checked: the diagnostic odd is not installed"),
    ],
)
def test_what_cannot_be_checked_is_said(
    made: dict[str, dict[str, Any]], check: RecordCheck, place: str, value: object, said: str
) -> None:
    verdict = check.key(altered(made["tiny mini-sts-en:mini-sts-ko"], place, value))
    assert (verdict.error, verdict.said) == ("", said)


def test_rows_that_nobody_knows_are_said(made: dict[str, dict[str, Any]], check: RecordCheck) -> None:
    unknown = altered(made["tiny none"], "eval.dataset", "theirs")
    assert check.errors(unknown) == []
    assert check.rows(unknown) == "rows of theirs/test not checked: not declared here"


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "0" * 64, "none", 0]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def test_a_score_below_the_worst_is_named_though_the_record_leaves_its_bounds_out(check: RecordCheck) -> None:
    path = next(path for path in PUBLISHED if path.parent.parts[-2:] == ("mrc", "constant"))
    record = {name: value for name, value in load(path).items() if name != "bounds"}
    assert check.errors(altered(record, "scores.f1", -1.0)) == ["scores.f1: -1.0 is below the worst, 0"]


@pytest.mark.parametrize("field", ["ceilings", "recipe", "kept", "chance", "scores", "metric_version"])
def test_a_name_that_cannot_be_seen_is_escaped_in_what_is_said_of_it(
    made: dict[str, dict[str, Any]], field: str
) -> None:  # fmt: skip
    record = copy.deepcopy(next(iter(made.values())))
    for value in (None, 1.0):
        record[field] = {"a\ud7a4\x1b[31m": value}
        errors = record_errors(sign(record))
        assert errors
        assert all(error.isprintable() for error in errors)


@given(st.data())
def test_a_mutated_record_is_refused_or_taken_and_never_breaks_anything(
    made: dict[str, dict[str, Any]], one_check: RecordCheck, tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:  # fmt: skip
    record = copy.deepcopy(made[data.draw(st.sampled_from(sorted(made)))])
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(list(places(record))))
        inner: Any = record
        for part in way:
            inner = inner[part]
        if data.draw(st.booleans()):
            inner[last] = data.draw(VALUES)
        else:
            del inner[last]
    out = tmp_path_factory.getbasetemp() / "mutated"
    try:
        record = sign(record)
    except ValueError:  # not a finite number: no JSON that can be signed
        assert record_errors(record)
        return
    errors = record_errors(record)
    assert all(isinstance(error, str) and error.isprintable() for error in errors)
    if not errors:
        if not one_check.errors(record):
            assert isinstance(one_check.key(record).said, str)
            assert isinstance(one_check.rows(record), str)
        place = Store(Settings(cache=out, out=out)).place_of(record)
        assert place.parents[2] == out / "results"
        assert ".." not in place.parts
        assert json.loads(json.dumps(record)) == record
