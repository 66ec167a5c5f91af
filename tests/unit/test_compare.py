"""Two models, or two curricula, side by side: tests in pairs, and the rows that they come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.published import save
from tests.records import record, split_of
from tests.tiny import Bench
from xbench.cli.compare_command import command
from xbench.compare import Pair, Sides, choose_sides, disagreements, pairs
from xbench.data.rows import prepare
from xbench.errors import UserError
from xbench.leaderboard.entries import Entry, entries
from xbench.leaderboard.material import gather
from xbench.leaderboard.table import Order, build_tables
from xbench.measures import MetricContext
from xbench.registry import Registry, load_registry
from xbench.sampling import draws_of
from xbench.settings import Settings
from xbench.stats import difference, holm
from xbench.store import Store


def scored(model: str, curriculum: str, score: float | None, dataset: str = "korsts", **changes: Any) -> dict[str, Any]:
    values = {"draws": True, "model__name": model, **changes}
    return record(curriculum, dataset, scores={"spearman": score}, **values)


def flat(*records: dict[str, Any]) -> list[Entry]:
    return entries(build_tables(records, {}), {"sts": Order()})


RECORDS = [
    scored(model, curriculum, base + (10 if curriculum == dataset else 0), dataset)
    for model, base in (("m1", 60.0), ("m2", 59.5))
    for curriculum in ("none", "stsb", "korsts")
    for dataset in ("stsb", "korsts")
]
ENTRIES = flat(*RECORDS)


def test_two_names_are_two_models_or_two_curricula() -> None:
    assert choose_sides("m1", "m2", ENTRIES) == Sides("m1", "m2", "model")
    assert choose_sides("korsts", "none", ENTRIES) == Sides("korsts", "none", "curriculum")


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("m1", "m1", "m1 is compared with itself"),
        ("m1", "stsb", "m1 and stsb are a model and a curriculum: name two models, or two curricula"),
        ("m1", "korst", "no record is of a model or a curriculum 'korst'.*did you mean.*korsts"),
        ("xyzzy", "m1", "no record is of a model or a curriculum 'xyzzy'"),
    ],
)
def test_a_name_that_fits_nothing_is_one_line(first: str, second: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        choose_sides(first, second, ENTRIES)


def test_a_name_may_be_the_whole_ones_beginning_and_a_mixtures_order_is_no_matter() -> None:
    found = flat(
        scored("large", "stsb+korsts", 60.0, model__revision="c23d21b0620b635a"), scored("large-2", "stsb", 59.0),
        *(scored("twin", "stsb", 60.0, model__weights_sha256=digit * 64) for digit in "12"),
    )  # fmt: skip
    assert choose_sides("large", "large-2", found) == Sides("large@c23d21b0620b", "large-2", "model")
    assert choose_sides("korsts+stsb", "stsb", found) == Sides("stsb+korsts", "stsb", "curriculum")
    for name in ("twin", "larg"):  # of two weights, and only a part of a name
        with pytest.raises(UserError, match=f"no record is of a model or a curriculum '{name}'"):
            choose_sides(name, "large-2", found)


def test_several_of_one_side_are_all_shown_and_those_of_equal_settings_meet() -> None:
    """Frozen encoders have no recipe to be compared by, and of a dataset there may be other rows: none is left out."""
    found = flat(*(scored(model, "none", 60.0, recipe={"max_length": most})
                   for model in ("m1", "m2") for most in (128, 256)))  # fmt: skip
    both = pairs(Sides("m1", "m2", "model"), found)
    assert len(both) == 2
    assert all(one.first.row.recipe == one.second.row.recipe for one in both)
    rows = [{**split_of("stsb", "train", 9), "rows_sha256": digit * 64, "stage": 0} for digit in "12"]
    found = flat(*(scored("m1", "stsb", 60.0, train=[part]) for part in rows), scored("m1", "korsts", 59.0))
    assert len(pairs(Sides("stsb", "korsts", "curriculum"), found)) == 2


def test_models_are_paired_where_all_else_is_alike() -> None:
    found = pairs(Sides("m1", "m2", "model"), ENTRIES)
    assert [(one.first.table.model, one.second.table.model) for one in found] == [("m1", "m2")] * 6
    for one in found:
        assert (one.first.row.curriculum, one.first.column) == (one.second.row.curriculum, one.second.column)


def test_curricula_are_paired_within_a_model() -> None:
    found = pairs(Sides("stsb", "korsts", "curriculum"), ENTRIES)
    assert {(one.first.table.model, one.first.column) for one in found} == {
        (model, dataset) for model in ("m1", "m2") for dataset in ("stsb", "korsts")
    }
    assert all(one.first.table.model == one.second.table.model for one in found)
    assert all((one.first.row.curriculum, one.second.row.curriculum) == ("stsb", "korsts") for one in found)


def test_the_difference_is_that_of_stats_and_p_is_holms_over_all_pairs() -> None:
    found = pairs(Sides("m1", "m2", "model"), ENTRIES)
    expected = []
    for one in found:
        sides = [entry.cell.records[0] for entry in (one.first, one.second)]
        draws = [draws_of(side, "spearman") for side in sides]
        scores = [[side["scores"]["spearman"]] for side in sides]
        expected.append(difference(scores[0], [draws[0]], scores[1], [draws[1]], 1379))
    assert [one.difference for one in found] == expected
    assert [one.p for one in found] == holm([gap.p for gap in expected if gap is not None])
    assert all(gap is not None and gap.value == pytest.approx(0.5) for gap in expected)


UNLIKE: dict[str, dict[str, Any]] = {
    "task version": {"task_version": 2}, "limits": {"limits__eval": 20}, "sample": {"sample": True},
    "recipe": {"recipe": {"epochs": 1}}, "head": {"head": "siamese"}, "reading": {"reading": "map"},
    "rows": {"eval__rows_sha256": "0" * 64}, "metric": {"metric_version": {"spearman": 2}},
    "training rows": {"train": [{**split_of("stsb", "train", 9), "rows_sha256": "0" * 64, "stage": 0}]},
    "fit": {"fit": split_of("pairs", "train", 9)},
}  # fmt: skip


@pytest.mark.parametrize("name", UNLIKE)
def test_what_was_run_otherwise_is_no_pair(name: str) -> None:
    unlike = flat(scored("m1", "stsb", 60.0), scored("m2", "stsb", 59.0, **UNLIKE[name]))
    assert pairs(Sides("m1", "m2", "model"), unlike) == []
    alike = flat(scored("m1", "stsb", 60.0, **UNLIKE[name]), scored("m2", "stsb", 59.0, **UNLIKE[name]))
    assert len(pairs(Sides("m1", "m2", "model"), alike)) == 1


def test_without_draws_there_are_scores_and_no_difference() -> None:
    (one,) = pairs(Sides("m1", "m2", "model"), flat(scored("m1", "stsb", 60.0), scored("m2", "stsb", 9.0, draws=False)))
    assert (one.difference, one.p) == (None, None)


def told(out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--out", str(out), "--cache", str(out.parent / "cache"), *arguments])


def test_the_command_prints_both_scores_their_difference_and_its_interval(tmp_path: Path) -> None:
    out = save(tmp_path, RECORDS)
    done = told(out, "m1", "m2", "--train", "korsts", "--json")
    assert done.exit_code == 0, done.output
    found = {one["dataset"]: one for one in json.loads(done.stdout)}
    assert found.keys() == {"stsb", "korsts"}
    assert found["korsts"]["values"] == [70.0, 69.5]
    assert found["korsts"]["difference"]["low"] < 0.5 < found["korsts"]["difference"]["high"]
    text = told(out, "stsb", "korsts", "--model", "m1", "--eval", "korsts").stdout
    assert "stsb against korsts" in text
    assert "-10.00 *" in text


def test_lines_that_differ_in_head_or_settings_say_so(tmp_path: Path) -> None:
    made: list[dict[str, Any]] = [
        {"head": "siamese"},
        {"head": "cross-encoder"},
        {"head": "cross-encoder", "recipe": {"epochs": 1}},
    ]
    records = [scored(model, curriculum, 60.0, **changes) for model in ("m1", "m2") for curriculum in ("stsb", "korsts")
               for changes in made]  # fmt: skip
    out = save(tmp_path, records)
    for arguments in (("m1", "m2", "--train", "stsb"), ("stsb", "korsts", "--model", "m1")):
        text = told(out, *arguments).stdout
        lines = [line for line in text.splitlines() if "(korsts)" in line]
        assert len({line.split("┃")[0].split("│")[2] for line in lines}) == len(lines) == 3, text
        assert "each interval by itself" in " ".join(text.split())
        found = json.loads(told(out, *arguments, "--json").stdout)
        assert sorted(one["head"] for one in found) == [["cross-encoder"] * 2, ["cross-encoder"] * 2, ["siamese"] * 2]
        assert {key for one in found for side in one["records"] for key in side} <= {one["key"] for one in records}


def test_a_floor_was_fine_tuned_on_nothing(tmp_path: Path) -> None:
    floors = [scored(name, "none", 10.0, model__name=name, head=name, transfer="floor", recipe={"max_length": 128})
              for name in ("constant", "overlap")]  # fmt: skip
    out = save(tmp_path, [*floors, scored("m1", "none", 60.0)])
    for other, title in (("m1", "none (frozen)"), ("overlap", "–")):
        for arguments in (("constant", other), (other, "constant")):
            (line,) = (line for line in told(out, *arguments).stdout.splitlines() if "(korsts)" in line)
            assert line.split("│")[2].strip() == title


def test_a_p_that_is_too_small_for_a_number_is_not_nothing(tmp_path: Path) -> None:
    out = save(tmp_path, [scored("m1", "stsb", 99.0), scored("m2", "stsb", -99.0)])
    (found,) = json.loads(told(out, "m1", "m2", "--json").stdout)
    assert found["p_corrected"] == 0
    assert "<1e-300" in told(out, "m1", "m2").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("m1", "m2", "--train", "korst"), "--train: no record is of 'korst'.*did you mean 'korsts'"),
        (("m1", "m2", "--model", "m1"), "--model does not fit: m1 and m2 are each a model"),
        (("stsb", "korsts", "--train", "stsb"), "--train does not fit: stsb and korsts are each a curriculum"),
        (("m1", "m2", "--tasks", "stss"), "no record is of the task 'stss'.*did you mean 'sts'"),
        (("m1", "m2", "--eval", "korst"), "no record is of the evaluation dataset 'korst'.*did you mean 'korsts'"),
    ],
)
def test_an_option_that_fits_nothing_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = told(save(tmp_path, RECORDS), *arguments)
    assert isinstance(done.exception, UserError)
    with pytest.raises(UserError, match=says):
        raise done.exception


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    done = told(tmp_path, "m1", "m2")
    assert "there are no records in" in str(done.exception)
    out = save(tmp_path, [scored("m1", "stsb", 60.0), scored("m2", "korsts", 60.0)])
    assert "m1 and m2 were not scored alike on any dataset" in str(told(out, "m1", "m2").exception)


def test_hostile_names_are_printed_as_they_are(tmp_path: Path) -> None:
    out = save(tmp_path, [scored("[red]a[/]", "stsb", 60.0), scored("[b", "stsb", 59.0)])
    text = told(out, "[red]a[/]", "[b").stdout
    assert "[red]a[/] against [b" in text


# A real run, of floors and of a tiny encoder: rows, predictions and all


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, "", load_registry())
    outcome, _ = bench.run("none", task="mini-mrc", models=("constant", "lexical-overlap"), datasets=("mini-mrc-en",))
    assert [record["status"] for record in outcome.records] == ["done", "done"], outcome
    return bench


def settings(bench: Bench) -> Settings:
    return Settings(cache=bench.root / "cache", out=bench.root / "out", offline=True)


def one_pair(bench: Bench) -> Pair:
    material = gather(bench.root / "out", bench.registry)
    found = entries(material.tables, material.orders)
    models = list(dict.fromkeys(entry.table.model for entry in found))
    (pair,) = pairs(choose_sides(models[0], models[1], found), found)
    return pair


def numbers(entry: Entry, bench: Bench) -> np.ndarray[Any, Any]:
    """(rows,) The score of each row by itself, by the metric's own code."""
    record = entry.cell.records[0]
    dataset = bench.registry.datasets.get(record["eval"]["dataset"])
    schema = bench.registry.schemas.get(dataset.schema)
    rows = list(prepare(dataset, record["eval"]["split"], schema, settings(bench)).open())
    kept = Store(settings(bench)).predictions(record)
    assert kept is not None
    metric = bench.registry.metrics.get(next(iter(record["metric_version"])))
    return np.array([
        metric.compute([said], [schema.reference(row)], MetricContext(dataset, [row]))[entry.table.ranked_by]
        for said, row in zip(kept.predictions, rows, strict=True)
    ])  # fmt: skip


def test_what_a_row_gives_to_a_mean_is_its_own_number_less_the_mean(bench: Bench) -> None:
    pair = one_pair(bench)
    first, second = numbers(pair.first, bench), numbers(pair.second, bench)
    expected = (first - first.mean()) - (second - second.mean())  # (rows,)
    found = disagreements(pair, len(expected), bench.registry, settings(bench))
    # All rows but those on which the two do not differ from their means.
    np.testing.assert_allclose(
        [one.points for one in found], sorted(expected[np.abs(expected) > 1e-9], reverse=True), rtol=1e-4, atol=1e-6
    )
    assert np.abs(expected).max() > 1
    few = disagreements(pair, 2, bench.registry, settings(bench))
    assert [one.points for one in few] == pytest.approx(
        [*np.sort(expected)[::-1][:2], *np.sort(expected)[::-1][-2:]], rel=1e-4
    )
    assert {one.row["id"] for one in few} <= {one.row["id"] for one in found}


def test_rows_are_shown_with_their_texts_and_with_both_answers(bench: Bench) -> None:
    names = [one_pair(bench).first.table.model, one_pair(bench).second.table.model]
    done = told(bench.root / "out", *names, "--rows", "1", "--json")
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)
    assert len(one["rows"]) == 2
    for row in one["rows"]:
        assert row["row"]["question"]
        assert row["row"]["context"]
        assert row["first"] != row["second"]
    assert one["rows"][0]["points"] > 0 > one["rows"][1]["points"]
    text = told(bench.root / "out", *names, "--rows", "1").stdout
    assert one["rows"][0]["row"]["id"] in text


def test_predictions_that_are_missing_or_altered_say_so(bench: Bench) -> None:
    pair = one_pair(bench)
    path = Store(settings(bench)).predictions_path(pair.second.cell.records[0]["key"])
    other = Store(settings(bench)).predictions_path(pair.first.cell.records[0]["key"])
    path.write_bytes(other.read_bytes())
    says = f"the predictions of {pair.second.table.model} .* are not in the cache"
    with pytest.raises(UserError, match=says):
        disagreements(pair, 1, bench.registry, settings(bench))
    path.unlink()
    with pytest.raises(UserError, match=says):
        disagreements(pair, 1, bench.registry, settings(bench))


def test_a_correlations_influences_add_up_to_nothing_and_point_the_right_way(
    tmp_path: Path, tiny: Callable[..., Path], one_thread: None
) -> None:
    bench = Bench(tmp_path, str(tiny("bert")), load_registry())
    models = (bench.model, "lexical-overlap")
    outcome, _ = bench.run("none", task="mini-sts", models=models, datasets=("mini-sts-en",))
    assert [record["status"] for record in outcome.records] == ["done", "done"]
    pair = one_pair(bench)
    rows = outcome.records[0]["eval"]["rows"]
    found = disagreements(pair, rows, bench.registry, settings(bench))
    points = [one.points for one in found]
    assert points == sorted(points, reverse=True)
    assert points[0] > 0 > points[-1]
    assert sum(points) / rows == pytest.approx(0, abs=0.5)  # a correlation does not change when all rows weigh more
    assert {one.row["id"] for one in found} <= {row["id"] for row in _rows(bench.registry, pair, settings(bench))}


def _rows(registry: Registry, pair: Pair, about: Settings) -> list[Any]:
    evaluated = pair.first.cell.records[0]["eval"]
    dataset = registry.datasets.get(evaluated["dataset"])
    return list(prepare(dataset, evaluated["split"], registry.schemas.get(dataset.schema), about).open())
