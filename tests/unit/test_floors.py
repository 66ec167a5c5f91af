"""Floors stand beside models: planned from names, scored, stored and found again like all others."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from xbench_plugins.floors import answer, constant, lexical_overlap, overlap, trigram_vectors, words

from tests.plans import forget_plugin_files, made_up, own
from tests.tiny import Bench
from xbench.errors import UserError
from xbench.execute import Outcome
from xbench.leaderboard.cells import make_cell
from xbench.leaderboard.layout import grids
from xbench.leaderboard.orders import orders
from xbench.leaderboard.publish import build
from xbench.leaderboard.table import build_tables
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.progress import Reporter
from xbench.registry import Plugin, Registry, load_registry
from xbench.settings import Settings
from xbench.types import Dataset, Model, Row
from xbench.work import prepare_work

FLOORS = ("constant", "lexical-overlap")
TEXTS = st.text(st.sampled_from("abcdeé ,.-AB가나다라كتاب١2½ﬁ\u0301\u200d"), max_size=30)
BROKEN = """
from xbench.api import Floor, hookimpl

ALL = ("pair-score", "span", "text-label", "parallel")

def only_korean(rows, dataset):
    if dataset.language != "ko":
        raise ZeroDivisionError("a bug in the floor")
    return [float(index) for index in range(len(rows))]

@hookimpl
def xbench_floors():
    return [
        Floor("only-korean", 1, ALL, only_korean, "Fails elsewhere."),
        Floor("one-short", 1, ALL, lambda rows, dataset: [0.0] * (len(rows) - 1), "Forgets a row."),
        Floor("no-number", 1, ALL, lambda rows, dataset: [float("nan")] * len(rows), "Says nothing."),
    ]
"""


@pytest.fixture
def bench(tmp_path: Path, registry: Registry) -> Bench:
    return Bench(tmp_path, "", registry)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> tuple[Bench, Outcome]:
    """Both floors on all small corpora, in a folder that nothing else writes to."""
    bench = Bench(tmp_path_factory.mktemp("floors"), "", registry)
    return bench, bench.run(models=FLOORS, tasks=("mini",))[0]


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    yield Bench(tmp_path, "", load_registry([tmp_path / "broken.py"]))
    forget_plugin_files()


def named(outcome: Outcome) -> dict[tuple[str, str, str], Any]:
    """Records by floor, evaluation dataset and split."""
    return {
        (one["model"]["name"], one["eval"]["dataset"], one["eval"]["split"]): one for one in outcome.records
    }  # fmt: skip


def planned(registry: Registry, *models: str, tasks: Sequence[str] = ("sts", "mrc"), **request: Any) -> Plan:
    return make_plan(Request(models, tuple(tasks), **request), registry)


# Planning


def test_a_floor_is_one_cell_for_each_dataset_that_it_takes(registry: Registry) -> None:
    plan = planned(registry, "constant", tasks=("sts", "mrc", "sentiment", "alignment"))
    assert plan.stages == plan.left_out == ()
    scored = Counter((cell.task, cell.dataset, cell.split) for cell in plan.cells)
    assert set(scored.values()) == {1}
    assert Counter(cell.task for cell in plan.cells) == {"sts": 4, "mrc": 3, "sentiment": 2, "alignment": 2}
    said = {
        (one.model, one.head, one.curriculum, one.reading, one.transfer, one.seed, one.stage, one.fit, one.limit_train)
        for one in plan.cells
    }
    assert said == {("constant", "constant", "none", "default", "floor", 0, None, None, None)}
    assert {str(cell["recipe"]) for cell in plan.as_json()["cells"]} == {"{}"}
    official = {cell.dataset: cell.metrics for cell in plan.cells if cell.task == "mrc"}
    assert official == {"squad": ("squad",), "korquad": ("korquad",), "squad-es": ("squad", "mlqa")}


@pytest.mark.parametrize(
    "request_",
    [
        {"curricula": ("none",)}, {"curricula": ("stsb:korsts",)}, {"head": "cross-encoder"}, {"seeds": (4, 5)},
        {"overrides": {"epochs": 9}}, {"limit_train": 10},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_of_training_says_nothing_of_floors(registry: Registry, request_: dict[str, Any]) -> None:
    assert planned(registry, *FLOORS, **request_) == planned(registry, *FLOORS)


def test_models_beside_floors_are_planned_as_without_them(registry: Registry) -> None:
    alone, floors = planned(registry, "m"), planned(registry, *FLOORS)
    both = planned(registry, "constant", "m", "lexical-overlap", "constant")
    assert both.stages == alone.stages
    assert set(both.cells) == {*alone.cells, *floors.cells}
    assert len(both.cells) == len(alone.cells) + len(floors.cells)


def test_a_task_that_cannot_be_frozen_still_has_its_floors(registry: Registry) -> None:
    plan = planned(registry, "constant", "m", curricula=("none",))
    assert plan.left_out == ("the task mrc is left out: --train none: every head of it needs training",)
    assert {(cell.task, cell.model) for cell in plan.cells} == {("sts", "constant"), ("sts", "m"), ("mrc", "constant")}


def test_what_a_floor_does_not_take_is_left_out_and_said(registry: Registry) -> None:
    plan = planned(registry, *FLOORS, tasks=("sentiment", "sts"))
    line = "the floor lexical-overlap takes pair-score, span, parallel, and not lmrd (text-label), nsmc (text-label)"
    assert plan.left_out == (f"sentiment: {line}",)
    assert {cell.task for cell in plan.cells if cell.model == "lexical-overlap"} == {"sts"}
    with pytest.raises(UserError) as caught:
        planned(registry, "lexical-overlap", tasks=("sentiment",))
    assert str(caught.value) == f"sentiment: {line}"


def test_requests_that_no_floor_can_meet_are_one_line(registry: Registry) -> None:
    refusals = [
        ({"models": ("constant@2",)}, "--model constant@2: a floor has no revisions; write constant"),
        ({"datasets": ("stbs",)}, "did you mean 'stsb'?"),
        ({"datasets": ("stsb/tset",)}, "the dataset stsb has no split 'tset'"),
        ({"datasets": ("squad/dev",)}, "the metric spearman scores pair-score"),
    ]
    for changes, words_ in refusals:
        with pytest.raises(UserError) as caught:
            make_plan(Request(**{"models": ("constant",), "tasks": ("sts",), **changes}), registry)
        assert words_ in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_name_that_is_a_floors_and_a_models_names_both_owners() -> None:
    registry = own()
    model = Model("constant", ("en",), "none", "none", "none", folder=Path.cwd)
    registry.models.add("constant", model, Plugin("theirs", "their-models 3"))
    ((ours,),) = (registry.floors.owners["constant"],)
    line = f"'constant' is a floor of {ours} and a model of theirs (their-models 3)"
    assert registry.problems() == [line]
    for text in ("constant", "constant@1"):
        with pytest.raises(UserError) as caught:
            planned(registry, text)
        assert str(caught.value) == f"--model {text}: {line}: uninstall or rename one"
    assert planned(registry, "lexical-overlap").cells


def test_two_owners_of_a_floor_are_named() -> None:
    registry = own()
    registry.floors.add("constant", registry.floors.items["constant"], Plugin("theirs", "their-floors 3"))
    with pytest.raises(UserError, match=r"the floor 'constant' has two owners, .* and theirs \(their-floors 3\)"):
        planned(registry, "constant")


# Running


def test_the_small_corpora_are_scored_and_told_like_all_others(ran: tuple[Bench, Outcome]) -> None:
    bench, outcome = ran
    assert outcome.failures == []
    found = named(outcome)
    assert len(found) == 16 + 12  # no labels from spelling
    for record in outcome.records:
        name = record["model"]["name"]
        assert record["model"] == {"name": name, "revision": "", "weights_sha256": "", "parameters": 0}
        assert (record["head"], record["head_version"], record["curriculum"]) == (name, 1, "none")
        assert (record["transfer"], record["reading"], record["seed"], record["fit"]) == ("floor", "default", 0, None)
        assert record["stages"] == record["train"] == []
        assert record["recipe"] == record["diagnostics"] == record["ceilings"] == record["kept"] == {}
        assert record["limits"] == {"train": None, "eval": None}
        assert record["sample"]
        assert record["timing"]["eval_s"] >= 0
        assert bench.root.joinpath("cache", "predictions", f"{record['key']}.parquet").is_file()
    kept = {path.name for path in (bench.root / "cache").iterdir()}
    assert not kept & {"models", "examples", "stages"}
    assert found["constant", "mini-sts-ko", "test"]["scores"] == {"spearman": None, "pearson": None}
    assert found["constant", "mini-mrc-ar", "test"]["scores"] == {"f1": 0.0, "exact_match": 0.0}
    assert found["constant", "mini-sentiment-es", "test"]["scores"]["accuracy"] == 50.0  # as many of both
    none_right = make_cell([found["constant", "mini-mrc-ar", "test"]]).estimates["exact_match"]
    passages = found["constant", "mini-mrc-ar", "test"]["sampling"]["units"]
    assert none_right.low == 0.0
    assert none_right.high == pytest.approx(100 * stats.beta.ppf(0.975, 1, passages))  # Clopper and Pearson's
    for (name, dataset, split), record in found.items():
        if name == "constant" and "parallel" in dataset:
            chance = pytest.approx(100 / record["eval"]["rows"])
            assert [record["scores"][score] for score in ("mean_cosine", "shuffled_cosine")] == [1.0, 1.0], split
            ways = ("p_at_1", "p_at_1_back", "csls_p_at_1", "csls_p_at_1_back")
            assert all(record["scores"][score] == chance for score in ways)
    for language in ("en", "ko", "es", "ar"):
        assert found["lexical-overlap", f"mini-sts-{language}", "test"]["scores"]["spearman"] > 20
    alike = found["lexical-overlap", "mini-parallel-es", "test"]["scores"]
    assert alike["p_at_1"] > 30 > found["lexical-overlap", "mini-parallel-ko", "test"]["scores"]["p_at_1"]


def test_a_second_run_finds_everything_and_a_lost_record_is_made_again(
    ran: tuple[Bench, Outcome], bench: Bench
) -> None:
    shutil.copytree(ran[0].root, bench.root, dirs_exist_ok=True)
    first = ran[1]
    files = {path: path.read_bytes() for path in bench.records()}
    second, heard = bench.run(models=FLOORS, tasks=("mini",))
    assert heard.scored == []
    assert len(heard.found_cells) == len(files) == 28
    assert second.records == first.records
    assert {path: path.read_bytes() for path in bench.records()} == files
    lost, altered = bench.records()[3:5]
    lost.unlink()
    altered.write_text(altered.read_text().replace('"floor"', '"zero-shot"'))
    third, heard = bench.run(models=FLOORS, tasks=("mini",))
    assert len(heard.scored) == 2
    for before, after in zip(first.records, third.records, strict=True):
        for name in ("key", "scores", "predictions_sha256", "transfer"):
            assert before[name] == after[name]


def test_a_floor_and_a_model_share_a_run(bench: Bench, tiny: Any) -> None:
    outcome, _ = bench.run("none", models=("constant", str(tiny("bert"))), tasks=("mini-sts",), limit_eval=5)
    assert outcome.failures == []
    assert Counter(one["transfer"] for one in outcome.records) == {"floor": 4, "frozen": 4}
    assert {one["eval"]["rows"] for one in outcome.records} == {5}
    assert {one["limits"]["eval"] for one in outcome.records} == {5}


def test_a_model_that_is_not_here_takes_no_floor_with_it(bench: Bench) -> None:
    outcome, _ = bench.run("none", models=("./gone", "constant"), tasks=("mini-sts",))
    assert {one["model"]["name"] for one in outcome.records} == {"constant"}
    assert {failure.cell.model for failure in outcome.failures} == {"./gone"}


def keys(registry: Registry, folder: Path, **request: Any) -> list[str]:
    plan = make_plan(Request(("constant",), ("mini-sts",), **request), registry)
    settings = Settings(cache=folder / "cache", out=folder / "out", offline=True)
    return list(prepare_work(plan, registry, settings, Reporter()).cell_keys.values())


def test_a_key_is_what_the_predictions_and_the_scores_depend_on(tmp_path: Path) -> None:
    before = keys(own(), tmp_path)
    assert len(set(before)) == 4
    same: list[dict[str, Any]] = [{"overrides": {"lr": 1.0}}, {"seeds": (7,)}, {"head": "siamese"}, {"limit_eval": 999}]
    for request in same:
        assert keys(own(), tmp_path, **request) == before, request
    assert not set(keys(own(), tmp_path, limit_eval=9)) & set(before)
    changed = own()
    changed.floors.items["constant"] = dataclasses.replace(changed.floors.items["constant"], version=2)
    assert not set(keys(changed, tmp_path)) & set(before)
    changed = own()
    changed.metrics.items["pearson"] = dataclasses.replace(changed.metrics.items["pearson"], version=2)
    assert not set(keys(changed, tmp_path)) & set(before)


def test_a_floor_that_fails_takes_no_other_cell_with_it(broken: Bench) -> None:
    models = ("only-korean", "one-short", "constant", "no-number")
    outcome, heard = broken.run(models=models, tasks=("mini-sts",), datasets=("mini-sts-en", "mini-sts-ko"))
    assert [(one["model"]["name"], one["eval"]["language"]) for one in outcome.records] == [
        ("only-korean", "ko"), ("constant", "en"), ("constant", "ko"),
    ]  # fmt: skip
    reasons = {(one.cell.model, one.cell.dataset): one.reason for one in outcome.failures}
    assert reasons["only-korean", "mini-sts-en"] == "ZeroDivisionError: a bug in the floor"
    assert "the floor one-short gave 111 predictions for 112 rows" in reasons["one-short", "mini-sts-ko"]
    assert "no-number" in {name for name, _ in reasons}
    traces = [trace for _, reason, trace in heard.failures if "a bug in the floor" in reason]
    assert len(traces) == 1
    assert "broken.py" in traces[0]


def test_a_table_calls_a_floors_row_by_its_name(ran: tuple[Bench, Outcome], registry: Registry) -> None:
    bench, outcome = ran
    tables = build_tables(outcome.records, orders(registry))
    assert len(tables) == 4 + 3
    for table in tables:
        assert {title for grid in grids(table) for title, _ in grid.rows} == {table.model}
    build(bench.root / "out", registry)
    page = (bench.root / "out" / "README.md").read_text(encoding="utf-8")
    assert "| constant |" in page
    assert "none (frozen) |" not in page
    assert "head constant" not in page
    assert ", weights" not in page


# Constant


def rows_of(schema: str, count: int, **fields: Sequence[Any]) -> tuple[list[Row], Dataset]:
    return [{"id": str(at), **{name: values[at] for name, values in fields.items()}} for at in range(count)], made_up(
        "made-up", schema=schema
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_no_other_constant_is_right_more_often(labels: list[int]) -> None:
    (said,) = set(constant(*rows_of("text-label", len(labels), label=labels)))
    right = [sum(label == other for label in labels) for other in range(4)]
    assert right[said] == max(right)
    assert said == right.index(max(right))


def test_constant_answers_nothing_and_takes_all_sentences_for_one() -> None:
    assert constant(*rows_of("span", 2)) == ["", ""]
    assert constant(*rows_of("pair-score", 3)) == [1.0, 1.0, 1.0]
    said = constant(*rows_of("parallel", 8))
    assert len(said) == 8
    for one in said:
        chance = dict.fromkeys(("forward", "backward", "csls_forward", "csls_backward"), 0.125)
        assert one == {"cosine": 1.0, "shuffled": 1.0, **chance}


# Overlap


@given(TEXTS, TEXTS)
def test_overlap_is_the_cosine_of_scikit_learns_word_bounded_trigrams(first: str, second: str) -> None:
    plain = [" ".join(word.text for word in words(text)) for text in (first, second)]
    counted = CountVectorizer(analyzer="char_wb", ngram_range=(3, 3), binary=True, lowercase=False)
    expected = 0.0
    if all(plain):
        one, other = counted.fit_transform(plain).toarray().astype(float)
        expected = float(one @ other / math.sqrt((one @ one) * (other @ other)))
    assert overlap(first, second) == pytest.approx(expected)
    assert overlap(first, second) == overlap(second, first)


@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_the_vectors_cosines_are_the_overlaps(texts: list[str]) -> None:
    vectors = trigram_vectors(texts)
    cosines = (vectors @ vectors.T).toarray()
    for at, first in enumerate(texts):
        assert cosines[at].tolist() == pytest.approx([overlap(first, second) for second in texts], abs=1e-6)


def test_overlap_sees_through_case_punctuation_particles_and_articles() -> None:
    assert overlap("A man, walking.", "a MAN walking") == 1.0
    assert overlap("ﬁve １２", "Five 12") == 1.0
    assert overlap("고양이가 잔다", "고양이는 잔다") > 0.5  # 가 and 는 are particles of one word
    assert overlap("الكتاب جديد", "كتاب جديد") > 0.5  # ال is the article
    assert overlap("كِتَابٌ", "كِتَابٌ") == 1.0  # vowel signs do not end a word
    assert len(words("كِتَابٌ")) == 1
    assert overlap("a cat", "고양이") == overlap("...", "...") == overlap("", "") == 0.0


def test_lexical_overlap_finds_translations_by_their_spelling_and_draws_the_rest() -> None:
    english = ["the president of Argentina", "two cats", "the president and nothing else", "", "the same", "the same"]
    spanish = ["el presidente de Argentina", "dos gatos", "xyz", "", "the same", "the same"]
    said = lexical_overlap(*rows_of("parallel", 6, sentence1=english, sentence2=spanish))
    assert said[0]["forward"] == said[0]["backward"] == 1.0
    assert said[0]["cosine"] == pytest.approx(overlap(english[0], spanish[0]))
    assert said[2]["forward"] == 0.0  # another one is nearer
    assert said[3]["forward"] == pytest.approx(1 / 6)  # without a word, all are equally far
    assert said[4]["forward"] == said[5]["backward"] == 0.5  # two that no spelling tells apart


# Answers


def test_the_answer_stands_where_the_questions_words_do() -> None:
    passage = "The old bridge was built by Ahn Kyung-ho in 1937. The town hall was built later, and burnt in 1950."
    assert answer("When was the town hall burnt?", passage) == "in 1937"  # before the first window as good as any
    assert answer("Who was the bridge built by?", passage) == "old"
    assert answer("", passage) == "The"
    assert answer("Zzz yyy?", passage) == "The old"  # nothing is shared: the first window
    assert answer("the old bridge", "The old bridge") == "The old bridge"
    assert answer("Anything?", "...") == answer("Anything?", "") == ""


@given(TEXTS, TEXTS)
def test_the_window_is_the_one_that_a_look_at_all_finds(question: str, passage: str) -> None:
    asked, stand = {word.text for word in words(question)}, words(passage)
    said = answer(question, passage)
    assert said in passage
    if not stand:
        assert said == ""
        return
    counts = Counter(word.text for word in stand)
    size = min(max(1, len(asked)), len(stand))
    windows = [stand[at : at + size] for at in range(len(stand) - size + 1)]
    weight = [
        sum(math.log(1 + 1 / counts[word.text]) for word in window if word.text in asked) for window in windows
    ]  # fmt: skip
    window = windows[next(at for at, one in enumerate(weight) if math.isclose(one, max(weight), abs_tol=1e-9))]
    spans = [window[first:last] for first in range(size) for last in range(first + 1, size + 1)]
    free = [span for span in spans if not any(word.text in asked for word in span)]
    longest = max(free, key=len, default=window)
    assert said == passage[longest[0].start : longest[-1].end]
