"""What no prediction could exceed stands under the scores, and is computed once for all that share it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.pages import render_markdown
from tests.plans import forget_plugin_files
from tests.records import record
from tests.tiny import WORDS, Bench, tiny_model
from xbench.cli.tables import rich_tables
from xbench.leaderboard.ceilings import ceiling_text, find_ceilings
from xbench.leaderboard.columns import column_key, order_columns
from xbench.leaderboard.markdown import INTRODUCTION
from xbench.leaderboard.table import Order, Table, build_tables
from xbench.registry import load_registry

SCORES = {"f1": 70.0, "exact_match": 60.0}
NAMES = ("f1", "exact_match")
TASK = {"sts": Order(("stsb", "korsts"), ("stsb", "korsts", "sts17-es"))}


def scored(
    curriculum: str, dataset: str, f1: float | None = None, exact_match: float | None = None, **changes: Any
) -> dict[str, Any]:
    """A record of two scores, and a ceiling of those that are given."""
    ceilings = {name: value for name, value in (("exact_match", exact_match), ("f1", f1)) if value is not None}
    return record(curriculum, dataset, **{"scores": SCORES, "ceilings": ceilings, **changes})


def found(*records: Mapping[str, Any]) -> dict[str, Any]:
    return dict(find_ceilings(records, order_columns(records, (), "test")))


def test_a_columns_ceiling_is_that_of_its_records() -> None:
    records = [
        scored("stsb", "stsb", 99.5, 90.25), scored("korsts", "stsb", 99.5, 90.25), scored("stsb", "korsts", 97.0, 88.0)
    ]  # fmt: skip
    assert found(*records) == {
        "stsb": {"f1": (99.5, 99.5), "exact_match": (90.25, 90.25)},
        "korsts": {"f1": (97.0, 97.0), "exact_match": (88.0, 88.0)},
    }


@given(values=st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=1, max_size=6))
def test_where_settings_differ_it_is_the_lowest_and_the_highest(values: list[float | None]) -> None:
    records = [
        scored("stsb", "stsb", seed=seed, ceilings={"f1": value, "exact_match": None})
        for seed, value in enumerate(values)
    ]
    defined = [value for value in values if value is not None]
    assert found(*records) == ({"stsb": {"f1": (min(defined), max(defined))}} if defined else {})


def test_a_column_of_records_without_one_has_none() -> None:
    old = {name: value for name, value in scored("stsb", "korsts").items() if name != "ceilings"}
    records = [scored("stsb", "stsb", 99.5), scored("stsb", "sts17-es"), old]
    assert found(*records) == {"stsb": {"f1": (99.5, 99.5)}}
    assert found() == {}


def test_other_rows_of_one_dataset_have_a_ceiling_of_their_own() -> None:
    records = [scored("stsb", "stsb", 99.5), scored("korsts", "stsb", 91.0, eval__rows_sha256="0" * 64)]
    columns = order_columns(records, (), "test")
    first, second = (columns[column_key(one)][0] for one in records)
    assert first != second
    assert find_ceilings(records, columns) == {first: {"f1": (99.5, 99.5)}, second: {"f1": (91.0, 91.0)}}


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"exact_match": (88.93, 88.93), "f1": (99.634, 99.634)}, "99.63 (88.93)"),
        ({"f1": (100.0, 100.0), "exact_match": (0.0, 0.0)}, "100.00 (0.00)"),
        ({"f1": (99.0, 99.634), "exact_match": (88.93, 88.93)}, "99.00–99.63 (88.93)"),
        ({"f1": (99.0, 99.634), "exact_match": (80.0, 88.93)}, "99.00–99.63 (80.00–88.93)"),
        ({"f1": (99.631, 99.634)}, "99.63"),  # alike as far as they are printed
        ({"f1": (50.0, 50.0), "other": (1.0, 1.0)}, "50.00"),
        ({"exact_match": (88.93, 88.93)}, "– (88.93)"),  # in its own place
        ({"other": (1.0, 1.0)}, "–"),
        ({}, "–"),
        (None, "–"),
    ],
)
def test_a_ceiling_is_printed_as_scores_are(own: Mapping[str, tuple[float, float]] | None, text: str) -> None:
    assert ceiling_text(own, NAMES) == text


PAPER = [
    scored("stsb", "stsb", 99.5, 90.25), scored("stsb", "korsts", 97.0, 88.0), scored("stsb", "sts17-es"),
    scored("korsts", "stsb", 99.5, 90.25), scored("korsts", "korsts", 96.0, 88.0),
]  # fmt: skip
ROW = "| *ceiling* | 99.50 (90.25) | 96.00–97.00 (88.00) | – |  |  |"


def page(records: list[dict[str, Any]]) -> list[str]:
    """The page's lines behind its introduction, which explains the word."""
    return render_markdown(records, TASK, {}).removeprefix(INTRODUCTION).splitlines()


def test_the_page_has_the_ceiling_as_the_last_row_of_its_table() -> None:
    lines = page(PAPER)
    at = lines.index(ROW)
    assert lines[at - 4].startswith("| Fine-tuned on | English (stsb) | Korean (korsts) | Spanish (sts17-es) |")
    assert lines[at - 1].startswith("| korsts |")
    assert lines[at + 1] == ""


def test_the_page_has_no_such_row_where_no_record_has_a_ceiling() -> None:
    assert not [line for line in page([scored("stsb", "stsb"), scored("korsts", "stsb")]) if "ceiling" in line]
    ours, other = scored("stsb", "stsb", 99.5, 90.25), scored("stsb", "stsb", model__name="labse")
    assert [line for line in page([ours, other]) if "ceiling" in line] == ["| *ceiling* | 99.50 (90.25) |  |  |"]


def test_each_model_has_its_own_ceilings() -> None:
    records = [scored("stsb", "stsb", 99.5, 90.25), scored("stsb", "stsb", 80.0, 70.0, model__name="labse")]
    assert [line for line in page(records) if "ceiling" in line] == [
        "| *ceiling* | 99.50 (90.25) |  |  |", "| *ceiling* | 80.00 (70.00) |  |  |"
    ]  # fmt: skip


def test_the_order_of_the_records_is_no_matter() -> None:
    records = list(PAPER)
    for seed in range(10):
        random.Random(seed).shuffle(records)
        assert ROW in page(records)


def test_a_second_opinions_ceiling_is_not_shown() -> None:
    """A score under its scorer's name stays in the record; so does what goes with it."""
    one = scored(
        "stsb", "stsb", scores={**SCORES, "mlqa:f1": 71.0}, ceilings={"f1": 99.5, "exact_match": 90.25, "mlqa:f1": 99.6}
    )
    assert [line for line in page([one]) if "ceiling" in line] == ["| *ceiling* | 99.50 (90.25) |  |  |"]


def drawn(records: list[dict[str, Any]]) -> list[list[str]]:
    """The cells of what the terminal shows, row by row."""
    (table,) = build_tables(records, TASK)
    console = Console(file=io.StringIO(), width=200)
    console.print(*rich_tables(table))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_the_terminal_shows_the_ceiling_as_the_last_row() -> None:
    rows = drawn(PAPER)
    assert [row[0] for row in rows] == ["stsb", "korsts", "ceiling"]
    assert rows[-1] == ["ceiling", "99.50 (90.25)", "96.00–97.00 (88.00)", "–"]
    assert [row[0] for row in drawn([scored("stsb", "stsb")])] == ["stsb"]


def test_a_line_parts_the_ceiling_from_the_rows() -> None:
    tables: list[Table] = build_tables(PAPER, TASK)
    sections = [row.end_section for row in rich_tables(tables[0])[0].rows]
    assert sections == [False, True, False]


# Running: three cells of a tiny model, and a diagnostic that writes down when it is computed.

PLUGIN = '''
import json
from pathlib import Path
from xbench.api import Dataset, Diagnostic, Packaged, Split, hookimpl

HERE = Path(__file__).parent

def read(paths):
    yield from map(json.loads, paths[0].read_text().splitlines())

def dataset(name, language, rows=""):
    files = {split: HERE / f"{rows or name}-{split}.jsonl" for split in ("train", "test")}
    splits = {split: Split((Packaged((file,), read),)) for split, file in files.items()}
    return Dataset(name, (language,), "span", splits, "CC0", "nobody", "", "")

@hookimpl
def xbench_datasets():
    return [dataset("one", "en"), dataset("two", "ko"), dataset("copy", "ar", "one")]

def note(word, about):
    with (HERE / "calls.txt").open("a") as file:
        file.write(f"{word} {about.dataset.name} {len(about.rows)}\\n")

def highest(about):
    note("ceiling", about)
    return {"f1": 87.5, "exact_match": float("nan")}

def each(about):
    note("each", about)
    return {"rows": len(about.rows)}

@hookimpl
def xbench_diagnostics():
    return [Diagnostic("highest", highest, "A ceiling", version=1, ceiling=True), Diagnostic("each", each, "Not one")]

TASK = """
name = "NAME"
title = "t"
version = 1
train = ["one", "two"]
eval = ["one", "two", "copy"]
heads = ["span"]
metrics = METRICS
curricula = ["one"]
diagnostics = DIAGNOSTICS
[recipe]
epochs = 1
batch_size = 8
max_length = 32
stride = 8
max_question = 6
precision = "fp32"
"""

@hookimpl
def xbench_tasks():
    for name, metrics, diagnostics in (
        ("reading", ["korquad"], ["highest", "each"]), ("again", ["korquad"], ["highest"]),
        ("other", ["squad"], ["highest"]), ("real", ["korquad"], ["tokenizer-ceiling", "truncated-rows"]),
        ("none", ["korquad"], ["truncated-rows"]),
    ):
        text = TASK.replace("NAME", name).replace("METRICS", json.dumps(metrics))
        yield text.replace("DIAGNOSTICS", json.dumps(diagnostics))
'''


def rows(count: int, first: int) -> list[dict[str, Any]]:
    """Words of three syllables, of which the answer is two."""
    found = []
    for index in range(count):
        words = [WORDS[(first + 7 * index + at) % 256] for at in range(12)]
        word = words[4]
        context = " ".join([*words[:4], f"{word}fe", *words[5:]])
        answers = [{"text": word, "start": context.index(f"{word}fe")}]
        found.append({"id": str(index), "context": context, "question": " ".join(words[:3]), "answers": answers})
    return found


@pytest.fixture
def bench(tiny: Callable[..., Path], tmp_path: Path) -> Bench:
    for name, first in (("one", 0), ("two", 100)):
        for split, count in (("train", 8), ("test", 6)):
            lines = [json.dumps(row) + "\n" for row in rows(count, first + len(split))]
            (tmp_path / f"{name}-{split}.jsonl").write_text("".join(lines))
    (tmp_path / "my_task.py").write_text(PLUGIN)
    return Bench(tmp_path, str(tiny("bert")), load_registry([tmp_path / "my_task.py"]))


def calls(bench: Bench, word: str = "ceiling") -> list[str]:
    """What was computed, in order: the dataset and its rows."""
    path = bench.root / "calls.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def cached(bench: Bench) -> list[Path]:
    return sorted((bench.root / "cache" / "ceilings").iterdir())


def test_a_ceiling_is_computed_once_for_all_curricula_and_seeds(bench: Bench) -> None:
    outcome, _ = bench.run("one", "two", task="reading", datasets=("one",), seeds=(0, 1))
    assert outcome.failures == []
    assert calls(bench) == ["one 6"]
    assert calls(bench, "each") == ["one 6"] * 4
    for one in outcome.records:
        assert one["ceilings"] == {"f1": 87.5, "exact_match": None}
        assert one["diagnostics"] == {"highest": one["ceilings"], "each": {"rows": 6}}


def test_a_later_run_and_another_task_find_it_computed(bench: Bench) -> None:
    bench.run("one", task="reading", datasets=("one",))
    for path in bench.records():
        path.unlink()
    again, heard = bench.run("one", task="reading", datasets=("one",))
    assert heard.scored == ["one -> one"]
    other, _ = bench.run("one", task="again", datasets=("one",))
    assert calls(bench) == ["one 6"]
    assert [one["ceilings"] for one in [*again.records, *other.records]] == [{"f1": 87.5, "exact_match": None}] * 2


def test_what_it_depends_on_is_told_apart(bench: Bench) -> None:
    bench.run("one", task="reading")
    assert calls(bench) == ["one 6", "two 6", "copy 6"]  # the same rows in another language may score otherwise
    bench.run("one", task="reading", datasets=("one",), limit_eval=4)
    assert calls(bench)[3:] == ["one 4"]
    bench.run("one", task="reading", datasets=("one",), overrides={"max_length": 24})
    assert calls(bench)[4:] == ["one 6"]
    bench.run("one", task="other", datasets=("one",))  # another metric
    assert calls(bench)[5:] == ["one 6"]
    assert len(cached(bench)) == 6


def test_another_version_of_the_diagnostic_is_another_ceiling(bench: Bench) -> None:
    bench.run("one", task="reading", datasets=("one",))
    plugin = bench.root / "my_task.py"
    plugin.write_text(PLUGIN.replace("version=1", "version=2").replace("87.5", "75.0"))
    forget_plugin_files()
    changed = Bench(bench.root, bench.model, load_registry([plugin]))
    outcome, _ = changed.run("one", task="reading", datasets=("one",))
    assert calls(bench) == ["one 6"] * 2
    assert [one["ceilings"]["f1"] for one in outcome.records] == [75.0]


def test_models_of_one_tokenizer_share_it_and_two_tokenizers_do_not(
    bench: Bench, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    twin = tiny_model(tmp_path / "twin", "bert", seed=1)
    outcome, _ = bench.run("one", task="reading", models=(bench.model, str(twin)), datasets=("one",))
    first, second = outcome.records
    assert first["model"]["weights_sha256"] != second["model"]["weights_sha256"]
    assert calls(bench) == ["one 6"]
    bench.run("one", task="reading", models=(str(tiny("xlm-roberta")),), datasets=("one",))
    assert calls(bench) == ["one 6"] * 2


def test_each_tokenizer_has_the_ceiling_of_its_own_tokens(bench: Bench, tiny: Callable[..., Path]) -> None:
    """Whole words as tokens give 4 of 6 characters and all 4; with ``fe`` a token of its own, nothing is lost."""
    models = (bench.model, str(tiny("xlm-roberta")))
    outcome, _ = bench.run("one", task="real", models=models, datasets=("one",))
    words, pieces = outcome.records
    assert words["ceilings"] == {"f1": pytest.approx(80.0), "exact_match": 0.0}
    assert pieces["ceilings"] == {"f1": 100.0, "exact_match": 100.0}
    assert [one["diagnostics"]["tokenizer-ceiling"] for one in (words, pieces)] == [
        words["ceilings"], pieces["ceilings"]
    ]  # fmt: skip
    assert words["diagnostics"]["truncated-rows"] == {"rows": 0, "share": 0.0}
    for one in outcome.records:
        assert all(one["scores"][name] <= one["ceilings"][name] for name in NAMES)
    lines = [line for line in page(outcome.records) if "*ceiling* |" in line]
    assert sorted(lines) == ["| *ceiling* | 100.00 (100.00) |  |  |", "| *ceiling* | 80.00 (0.00) |  |  |"]


def test_a_diagnostic_that_is_no_ceiling_gives_none(bench: Bench) -> None:
    outcome, _ = bench.run("one", task="none", datasets=("one",))
    assert [one["ceilings"] for one in outcome.records] == [{}]
    assert not (bench.root / "cache" / "ceilings").exists()


DAMAGE = {
    "gone": None,
    "empty": b"",
    "cut off": b'{\n  "f1": 87.5',
    "zeros": bytes(40),
    "not text": b"\xff\xfe{}",
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "without a checksum": b'{"f1": 87.5, "exact_match": null}',
    "another number": b"77.5",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_computed_again(bench: Bench, kind: str) -> None:
    bench.run("one", task="reading", datasets=("one",))
    (path,) = cached(bench)
    whole, damage = path.read_bytes(), DAMAGE[kind]
    path.unlink()
    if damage is not None:
        path.write_bytes(whole.replace(b"87.5", damage) if kind == "another number" else damage)
    outcome, heard = bench.run("two", task="reading", datasets=("one",))
    assert heard.failures == []
    assert [one["ceilings"] for one in outcome.records] == [{"f1": 87.5, "exact_match": None}]
    assert calls(bench) == ["one 6"] * 2
    assert path.read_bytes() == whole
