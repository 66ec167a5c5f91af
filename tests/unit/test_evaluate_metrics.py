"""Metrics of Hugging Face evaluate: scored by evaluate's own rules, drawn by the same, and known by their content."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click.testing
import evaluate
import numpy as np
import pytest

from tests.loopback import Site, loopback_site
from tests.plans import forget_plugin_files
from tests.tiny import Bench, tiny_model
from xbench.cli.score_command import command as score_command
from xbench.errors import UserError
from xbench.measures import Access, Metric, MetricContext
from xbench.registry import Registry, load_registry
from xbench.sampling import sample_scores
from xbench.types import Dataset, Schema

ROWS = 60
TRUSTED = Access(offline=True, trust_remote_code=True)
SCRIPT = """
import datasets
import evaluate
{imports}

class Some(evaluate.Metric):
    def _info(self):
        value = datasets.Value("{kind}")
        features = {{"predictions": value, "references": value{more}}}
        return evaluate.MetricInfo(description="", citation="", inputs_description="", {format}
                                   features=datasets.Features(features))

    def _compute(self, predictions, references{arguments}):
        {body}
"""
F1 = """
        pairs = list(zip(predictions, references))
        right = sum(said == gold == positive for said, gold in pairs)
        either = sum((said == positive) + (gold == positive) for said, gold in pairs)
        return {"f1": 2 * right / either if either else 0.0}"""
SPREAD = """
        import numpy as np
        gap = np.asarray(predictions) - np.asarray(references)
        return {"spread": gap.std(), "by_row": gap, "parts": [0.5, 0.5], "note": "x", "drawn": np.random.rand()}"""


def write(path: Path, body: str, kind: str = "int64", imports: str = "", more: str = "", **others: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    filled = {"arguments": "", "format": "", **others}
    text = SCRIPT.format(body=body.strip(), kind=kind, imports=imports, more=more, **filled)
    path.write_text(text, encoding="utf-8")
    return path


def make(registry: Registry, address: object, access: Access = TRUSTED) -> Metric:
    return registry.metric_sources.get("evaluate").make(str(address), access)


def refused(registry: Registry, address: object, access: Access = TRUSTED) -> str:
    with pytest.raises(UserError) as caught:
        make(registry, address, access)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unscored(metric: Metric, predictions: list[Any], references: list[Any]) -> str:
    with pytest.raises(UserError) as caught:
        metric.compute(predictions, references, about(len(references)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def about(count: int) -> MetricContext:
    dataset = Dataset("d", ("en",), "pair-score", {}, "", "", "", "")
    return MetricContext(dataset, [{"id": str(row)} for row in range(count)])


def labels(seed: int, count: int = ROWS) -> list[int]:
    return [int(label) for label in np.random.default_rng(seed).integers(0, 3, count)]


@pytest.fixture
def f1(tmp_path: Path) -> Path:
    return write(tmp_path / "f1.py", F1, arguments=", positive=1")


@pytest.mark.parametrize("format_", ["", 'format="numpy",'])
def test_scores_and_draws_are_those_that_evaluate_gives_of_the_rows_drawn(
    registry: Registry, tmp_path: Path, format_: str
) -> None:
    path = write(tmp_path / "f1.py", F1, arguments=", positive=1", format=format_)
    metric, theirs = make(registry, f"{path}?positive=2"), evaluate.load(str(path), keep_in_memory=True)
    said, gold = labels(1), labels(2)
    own = theirs.compute(predictions=said, references=gold, positive=2)
    assert metric.compute(said, gold, about(ROWS)) == own
    assert metric.resample is not None
    counts = np.random.default_rng(3).multinomial(ROWS, [1 / ROWS] * ROWS, 20)  # (draws, rows)
    drawn = metric.resample(said, gold, about(ROWS))(counts.astype(np.float64))["f1"]
    for weights, score in zip(counts, drawn, strict=True):
        rows = np.repeat(np.arange(ROWS), weights)
        again = theirs.compute(
            predictions=[said[row] for row in rows], references=[gold[row] for row in rows], positive=2
        )
        assert score == again["f1"]
    assert drawn.std() > 0.01


def test_a_number_a_row_is_a_mean_and_what_is_no_number_is_left_out(registry: Registry, tmp_path: Path) -> None:
    metric = make(registry, write(tmp_path / "spread.py", SPREAD, kind="float32"))
    said, gold = [value / 7 for value in labels(1)], [value / 7 for value in labels(2)]
    before = np.random.get_state()[1]
    scores = metric.compute(said, gold, about(ROWS))
    assert np.array_equal(before, np.random.get_state()[1])  # nobody else's draws are moved
    gaps = np.asarray(said) - np.asarray(gold)
    assert scores == pytest.approx({"spread": gaps.std(), "by_row": gaps.mean(), "drawn": scores["drawn"]}, abs=1e-6)
    assert metric.resample is not None
    counts = np.random.default_rng(3).multinomial(ROWS, [1 / ROWS] * ROWS, 5).astype(np.float64)
    drawn = metric.resample(said, gold, about(ROWS))(counts)
    assert drawn["by_row"] == pytest.approx(counts @ gaps / ROWS, abs=1e-6)
    assert set(drawn["drawn"]) == {scores["drawn"]}  # what a script draws is drawn by one seed


def test_between_whole_draws_a_score_is_linear(registry: Registry, f1: Path) -> None:
    said, gold = labels(1), labels(2)
    resample = make(registry, f1).resample
    assert resample is not None
    sampler, ones = resample(said, gold, about(ROWS)), np.ones((1, ROWS))
    row = next(row for row in range(ROWS) if said[row] == gold[row] == 1)
    more, part = ones.copy(), ones.copy()
    more[0, row], part[0, row] = 2, 1.25
    low, high = sampler(ones)["f1"], sampler(more)["f1"]
    assert high > low
    assert sampler(part)["f1"] == pytest.approx(low + 0.25 * (high - low))


def test_a_version_is_the_content_and_not_the_place(registry: Registry, tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "some.py", F1, imports="from .beside import ONE", arguments=", positive=1")
    (first.parent / "beside.py").write_text("ONE = 1\n", encoding="utf-8")
    (first.parent / "other.py").write_text("", encoding="utf-8")
    whole = tmp_path / "some"
    whole.mkdir()
    for name in ("some.py", "beside.py"):
        (whole / name).write_bytes((first.parent / name).read_bytes())
    here, moved = make(registry, first), make(registry, whole)  # a folder stands for the script of its name
    assert here.version == moved.version
    assert 0 < here.version < 2**31
    assert here.compute([1], [1], about(1)) == {"f1": 1.0}
    versions = {here.version, make(registry, f"{first}?positive=2").version}
    for name in ("some.py", "beside.py"):
        with (first.parent / name).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        versions.add(make(registry, first).version)
    assert len(versions) == 4
    (first.parent / "other.py").write_text("# nobody imports it", encoding="utf-8")
    assert make(registry, first).version in versions


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rouge", "evaluate-rouge"),
        ("f1?average=macro", "evaluate-f1-average-macro"),
        ("f1?pos_label=0&average=binary", "evaluate-f1-average-binary-pos_label-0"),
        ("Some One/My Metric@v1.0", "evaluate-some-one-my-metric-v1.0"),
        ("/x/My_Metric.py", "evaluate-my_metric"),
        ("./größe.py?a=1e5", "evaluate-gr-e-a-100000.0"),
    ],
)
def test_an_addresss_metric_has_a_name_that_fits(registry: Registry, address: str, name: str) -> None:
    assert registry.metric_sources.get("evaluate").metric_name(address) == name


def test_what_cannot_be_loaded_is_said_in_a_line(registry: Registry, tmp_path: Path) -> None:
    assert "there is no such script" in refused(registry, tmp_path / "no.py")
    assert "there is no such script" in refused(registry, tmp_path)
    torn = tmp_path / "torn.py"
    torn.write_text("def (:", encoding="utf-8")
    assert "cannot be read as Python" in refused(registry, torn)
    lost = write(tmp_path / "lost.py", F1, imports="from .absent import x")
    assert "imports absent.py, which is not beside it" in refused(registry, lost)
    web = write(tmp_path / "web.py", F1, imports="from .x import y  # From: https://127.0.0.1/x.py")
    assert "imports code from a web address" in refused(registry, web)
    option = write(tmp_path / "option.py", F1, arguments=", positive=1")
    assert "its _compute takes no option 'positiv'; it takes: positive" in refused(registry, f"{option}?positiv=1")
    anything = write(tmp_path / "anything.py", F1, arguments=", positive=1, **others")
    assert make(registry, f"{anything}?positiv=1").compute([1], [1], about(1)) == {"f1": 1.0}
    missing = write(tmp_path / "missing.py", F1, imports="import no_such_library")
    assert "['no_such_library'] using 'pip install no_such_library'" in unscored(make(registry, missing), [1], [1])
    empty = tmp_path / "empty.py"
    empty.write_text("import evaluate\n", encoding="utf-8")
    assert "empty.py defines no evaluate.Metric" in unscored(make(registry, empty), [1], [1])


def test_what_cannot_be_scored_is_said_in_a_line(registry: Registry, tmp_path: Path, f1: Path) -> None:
    metric = make(registry, f1)
    assert "not predictions such as 'a' with references such as 1" in unscored(metric, ["a"], [1])
    assert "which makes 0 of 0.9 among the predictions" in unscored(metric, [1, 0.9], [1, 1])
    wide = make(registry, write(tmp_path / "wide.py", F1, more=', "sources": value'))
    assert "wants predictions, references, sources, and gets" in unscored(wide, [1], [1])
    nothing = make(registry, write(tmp_path / "nothing.py", 'return {"table": "x", "parts": [1.0, 2.0]}'))
    assert "gives no number, only table (str), parts (list)" in unscored(nothing, [1], [1])
    broken = make(registry, write(tmp_path / "broken.py", "return 1 / 0"))
    with pytest.raises(ZeroDivisionError):  # the author's own bug keeps its traceback
        broken.compute([1], [1], about(1))


def test_a_thousand_draws_enter_a_record(registry: Registry, f1: Path) -> None:
    schema = Schema("s", {"id": "string"}, lambda row: 0)
    metric, said, gold = make(registry, f1), labels(1), labels(2)
    scores = metric.compute(said, gold, about(ROWS))
    sampling = sample_scores([metric], said, gold, about(ROWS), schema, scores)
    assert (sampling["draws"], list(sampling["scores"])) == (1000, ["f1"])


def test_evaluate_is_not_loaded_before_a_score_is_asked_for(f1: Path) -> None:
    code = (
        "import sys\nfrom xbench.registry import load_registry\nfrom xbench.measures import Access\n"
        "source = load_registry().metric_sources.get('evaluate')\nbefore = set(sys.modules)\n"
        f"source.make({str(f1)!r}, Access()).version\n"
        "heavy = {'datasets', 'torch', 'numpy', 'huggingface_hub'} - before | {'evaluate'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


COMMIT = "5" * 40


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub that knows nothing yet, and empty caches."""
    with loopback_site() as site:
        template = site.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", site.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        yield site


def publish(hub: Site, script: Path, revision: str) -> None:
    """Let the hub serve a script as the metric ``some``."""
    space, body = "spaces/evaluate-metric/some", script.read_bytes()
    info = {"id": "evaluate-metric/some", "sha": COMMIT, "siblings": [{"rfilename": "some.py"}]}
    tree = [{"type": "file", "path": "some.py", "size": len(body), "oid": "some"}]
    for asked in (revision, COMMIT):
        hub.serve(f"/api/{space}/revision/{asked}", json.dumps(info).encode(), Content_Type="application/json")
        hub.serve(f"/api/{space}/tree/{asked}", json.dumps(tree).encode(), Content_Type="application/json")
        hub.serve(f"/{space}/resolve/{asked}/some.py", body, ETag='"some"', X_Repo_Commit=COMMIT)


@pytest.mark.parametrize("revision", ["v" + evaluate.__version__, "main"])
def test_a_metric_of_the_hub_runs_where_it_is_trusted_and_is_there(
    hub: Site, registry: Registry, f1: Path, revision: str
) -> None:
    assert "is code from the hub, and runs only with --trust-remote-code" in refused(registry, "some", Access(False))
    assert "not in the hub's cache, and the network is not to be used" in refused(registry, "some")
    assert hub.asked == []
    assert "cannot be had from the hub" in refused(registry, "some", Access(False, True))
    publish(hub, f1, revision)
    fetched = make(registry, "some?positive=2", Access(False, True))
    said, gold = labels(1), labels(2)
    assert fetched.compute(said, gold, about(ROWS)) == make(registry, f"{f1}?positive=2").compute(
        said, gold, about(ROWS)
    )
    asked = len(hub.asked)
    assert make(registry, "some?positive=2").version == fetched.version  # from the cache
    assert len(hub.asked) == asked
    assert "write a name on the hub" in refused(registry, "a/b/c")


def test_a_script_that_evaluate_has_fetched_is_good_offline(
    hub: Site, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "modules" / "evaluate_modules" / "metrics" / "evaluate-metric--some" / "0a"
    script = write(folder / "some.py", F1)
    assert make(registry, "some").version == make(registry, script).version
    assert "not in the hub's cache" in refused(registry, "some@v1")  # whose revision nobody knows
    assert hub.asked == []


PLUGIN = """
from pathlib import Path
from xbench.api import hookimpl

@hookimpl
def xbench_tasks():
    return [Path(__file__).parent / "task.toml"]
"""
TASK = """
name = "scripted"
title = "T"
version = 1
train = ["mini-sentiment-en"]
eval = ["mini-sentiment-en"]
heads = ["classification"]
metrics = ["evaluate:./f1.py?positive=1", "accuracy"]
curricula = ["mini-sentiment-en"]
recipe = { epochs = 1, max_length = 16 }
"""


def test_a_changed_script_is_scored_again_and_shares_no_key(tmp_path: Path, f1: Path) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "task.toml").write_text(TASK, encoding="utf-8")
    model = str(tiny_model(tmp_path / "tiny", "bert"))

    def run() -> tuple[Any, list[str]]:
        bench = Bench(tmp_path, model, load_registry([tmp_path / "plugin.py"]))
        outcome, heard = bench.run("mini-sentiment-en", task="scripted", limit_train=16, limit_eval=30)
        assert not heard.failures, heard.failures
        return outcome.records[0], heard.scored

    first, scored = run()
    assert len(scored) == 1
    assert list(first["scores"]) == ["f1", "accuracy"]
    assert set(first["sampling"]["scores"]) == {"f1", "accuracy"}
    assert list(first["metric_version"]) == ["evaluate-f1-positive-1", "accuracy"]
    again, scored = run()
    assert (again["key"], scored) == (first["key"], [])
    f1.write_text(f1.read_text(encoding="utf-8").replace("2 * right", "1 * right"), encoding="utf-8")
    changed, scored = run()
    assert len(scored) == 1
    assert changed["key"] != first["key"]
    assert changed["stages"] == first["stages"]
    assert changed["scores"]["f1"] == pytest.approx(first["scores"]["f1"] / 2)
    forget_plugin_files()


def test_predictions_from_elsewhere_are_scored_by_a_script(tmp_path: Path, f1: Path, registry: Registry) -> None:
    rows = json.loads((Path(__file__).parents[2] / "plugins/sentiment/mini/test.json").read_text(encoding="utf-8"))
    said = {row["id"]: 1 for row in rows}
    (tmp_path / "said.json").write_text(json.dumps(said), encoding="utf-8")
    options = ["--metric", f"evaluate:{f1},accuracy", "--cache", str(tmp_path / "cache"), "--offline", "--json"]
    done = click.testing.CliRunner().invoke(
        score_command, ["mini-sentiment-en", str(tmp_path / "said.json"), *options], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    share = values["accuracy"] / 100
    assert values["f1"] == pytest.approx(2 * share / (1 + share))
