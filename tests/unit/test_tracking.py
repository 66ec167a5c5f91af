"""Runs that can be watched: what the tools themselves read back of a real fine-tuning, and what goes wrong quietly."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import Listener, tiny_model
from xbench.errors import UserError
from xbench.execute import Outcome, execute
from xbench.plan import Plan, Request
from xbench.planner import make_plan
from xbench.progress import Reporter, Tee
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import Store
from xbench.trackers import Opener, OpenRun, RunInfo, choose_trackers, wandb_mode
from xbench.tracking import TrackingReporter

TOOLS = ("tensorboard", "wandb", "mlflow")
SERVERS = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "WANDB_MODE", "WANDB_API_KEY")
SETS = ("mini-sts-en", "mini-sts-ko")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """Nobody's servers; and what the tools set is taken back."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in SERVERS:
        os.environ.pop(name, None)


def planned(registry: Registry, model: Path, *curricula: str) -> Plan:
    overrides = {"epochs": 2, "max_length": 32, "batch_size": 8, "lr": 1e-3}
    return make_plan(
        Request((str(model),), ("mini-sts",), curricula, SETS, overrides=overrides, limit_train=24, limit_eval=24),
        registry,
    )


def watched(
    plan: Plan, registry: Registry, root: Path, openers: Mapping[str, Opener], every_s: float = 0.0
) -> tuple[Outcome, Listener, TrackingReporter]:
    settings = Settings(cache=root / "cache", out=root / "out", offline=True, device="cpu")
    heard = Listener()
    tracked = TrackingReporter(openers, plan, Store(settings), heard.note, every_s)
    try:
        outcome = execute(plan, registry, settings, Tee(heard, tracked))
    finally:
        tracked.close()
    assert not heard.failures, heard.failures
    return outcome, heard, tracked


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tracked") / "tiny", "bert")


def test_what_the_tools_read_back_is_what_was_trained_and_scored(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    secrets = {"HF_TOKEN": "hf_" + "s" * 34, "WANDB_API_KEY": "w" * 40, "MLFLOW_TRACKING_PASSWORD": "m" * 20}
    os.environ.update(secrets)
    plan = planned(registry, tiny_folder, "mini-sts-en", "none")
    losses: list[float] = []

    class Steps(Reporter):
        def stage_step(self, stage: Any, step: int, steps: int, loss: float, passed: int) -> None:
            losses.append(loss)

    openers = choose_trackers(TOOLS, tmp_path / "runs", offline=True)
    settings = Settings(cache=tmp_path / "cache", out=tmp_path / "out", offline=True, device="cpu")
    heard = Listener()
    tracked = TrackingReporter(openers, plan, Store(settings), heard.note, every_s=0.0)
    outcome = execute(plan, registry, settings, Tee(heard, Steps(), tracked))
    tracked.close()
    assert heard.notes == []
    assert len(losses) == 6
    trained = [record for record in outcome.records if record["train"]]
    scores = {
        f"mini-sts/{record['eval']['dataset']}/test/{name}": value
        for record in trained
        for name, value in record["scores"].items()
    }
    frozen, stage = tracked.written
    assert frozen == "tiny--siamese--none"
    key = trained[0]["stages"][0]
    assert stage == f"tiny--siamese--mini-sts-en--seed-0--{key[:8]}"
    _tensorboard_has(tmp_path / "runs" / "tensorboard" / stage, losses, scores, key)
    _mlflow_has(tmp_path / "runs" / "mlflow", stage, losses, scores, key)
    _wandb_has(tmp_path / "runs" / "wandb", losses, scores, key)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    written = [path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not [name for name, secret in secrets.items() if any(secret.encode() in one for one in written)]


def _tensorboard_has(folder: Path, losses: list[float], scores: Mapping[str, float], key: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert not [path for path in folder.iterdir() if path.is_dir()]  # which would look like runs of their own
    read = EventAccumulator(str(folder))
    read.Reload()
    points = read.Scalars("train/loss")
    assert [point.step for point in points] == [1, 2, 3, 4, 5, 6]
    assert [point.value for point in points] == pytest.approx(losses)
    rates = [point.value for point in read.Scalars("train/learning_rate")]
    assert max(rates) <= 1e-3 * 1.001
    assert rates[-1] == pytest.approx(1e-3 / 6, rel=0.2)  # falls to 0 behind the last step
    for name, value in scores.items():
        (point, *_) = read.Scalars(name)
        assert (point.step, point.value) == (6, pytest.approx(value, rel=1e-6))
    assert key in read.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "_hparams_/session_start_info" in read.summary_metadata


def _mlflow_has(folder: Path, run: str, losses: list[float], scores: Mapping[str, float], key: str) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(folder.as_uri())
    experiment = client.get_experiment_by_name("xbench")
    assert experiment is not None
    runs = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert len(runs) == 2
    one = runs[run]
    assert one.info.status == "FINISHED"
    assert one.data.params["key"] == key
    assert one.data.params["recipe.lr"] == "0.001"
    assert {name: one.data.metrics[name] for name in scores} == pytest.approx(dict(scores))
    assert [point.value for point in client.get_metric_history(one.info.run_id, "train/loss")] == pytest.approx(losses)


def _records(log: bytes) -> Iterator[bytes]:
    """The records of a W&B file: LevelDB's log format (blocks of 32 KiB, records in parts) behind seven bytes."""
    assert log.startswith(b":W&B")
    place, whole = 7, b""
    while place + 7 <= len(log):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768  # too little room for a header: padding
            continue
        _, length, kind = struct.unpack("<IHB", log[place : place + 7])
        whole += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            yield whole
            whole = b""


def _wandb_has(folder: Path, losses: list[float], scores: Mapping[str, float], key: str) -> None:
    from wandb.proto import wandb_internal_pb2

    files = sorted(folder.glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    rows: list[dict[str, Any]] = []
    configs = ""
    for file in files:
        for data in _records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            configs += str(record.config) + str(record.run.config)
            if record.HasField("history"):
                items = record.history.item
                rows.append({one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items})
    assert [row["train/loss"] for row in rows if "train/loss" in row] == pytest.approx(losses)
    last = {name: value for row in rows for name, value in row.items()}
    assert {name: last[name] for name in scores} == pytest.approx(dict(scores))
    assert key in configs


def test_scores_and_keys_are_the_same_with_and_without_tracking(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    plan = planned(registry, tiny_folder, "mini-sts-en")
    openers = choose_trackers(("tensorboard",), tmp_path / "runs", offline=True)
    with_it, _, _ = watched(plan, registry, tmp_path / "a", openers)
    without, _, tracked = watched(plan, registry, tmp_path / "b", {})
    parts = ("key", "scores", "predictions_sha256", "stages")
    assert [[record[part] for part in parts] for record in with_it.records] == [
        [record[part] for part in parts] for record in without.records
    ]
    assert tracked.written == ["tiny--siamese--mini-sts-en--seed-0--" + without.records[0]["stages"][0][:8]]


def test_a_stage_that_is_there_gets_its_scores_at_its_last_step_and_what_is_finished_is_not_written_again(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan = planned(registry, tiny_folder, "mini-sts-en")
    watched(plan, registry, tmp_path, {})
    openers = choose_trackers(("tensorboard",), tmp_path / "runs", offline=True)
    *_, nothing = watched(plan, registry, tmp_path, openers)
    assert nothing.written == []
    assert not (tmp_path / "runs").exists()
    next((tmp_path / "out").rglob("*.json")).unlink()
    _, heard, again = watched(plan, registry, tmp_path, openers)
    assert (heard.trained, len(heard.scored), len(again.written)) == ([], 1, 1)
    read = EventAccumulator(str(tmp_path / "runs" / "tensorboard" / again.written[0]))
    read.Reload()
    (dataset,) = {name.split("/")[1] for name in read.Tags()["scalars"]}
    assert read.Scalars(f"mini-sts/{dataset}/test/spearman")[0].step == 6


def test_scores_of_two_checkpoints_of_one_stage_stay_apart(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    from dataclasses import replace

    logged: list[str] = []

    class Kept(OpenRun):
        def __init__(self) -> None:
            pass

        def log(self, values: Mapping[str, float], step: int) -> None:
            logged.extend(values)

        def finish(self, scores: Mapping[str, float]) -> None:
            pass

    plan = planned(registry, tiny_folder, "mini-sts-en")
    store = Store(Settings(cache=tmp_path))
    tracked = TrackingReporter({"kept": lambda run: Kept()}, plan, store, print)
    for selection in ("last", "source-dev"):
        cell = replace(plan.cells[0], recipe=replace(plan.cells[0].recipe, selection=selection))
        tracked.cell_done(cell, {"scores": {"spearman": 1.0, "pearson": None}}, found=False)
    assert logged == ["mini-sts/mini-sts-en/test/spearman", "mini-sts/mini-sts-en/test/source-dev/spearman"]


def test_stages_that_train_side_by_side_are_written_one_after_the_other(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    written: list[str] = []

    class Kept(OpenRun):
        def __init__(self, name: str) -> None:
            self.name = name

        def log(self, values: Mapping[str, float], step: int) -> None:
            written.append(f"{self.name} {step} {values.get('train/loss', 'scores')}")

        def finish(self, scores: Mapping[str, float]) -> None:
            written.append(f"{self.name} ends with {len(scores)}")

    plan = planned(registry, tiny_folder, "mini-sts-en", "mini-sts-ko", "none")
    one, two = plan.stages
    of = {stage: [cell for cell in plan.cells if cell.stage == stage] for stage in (one.id, two.id, None)}
    openers = {"kept": lambda run: Kept(str(run.config["curriculum"]))}
    tracked = TrackingReporter(openers, plan, Store(Settings(cache=tmp_path)), print, every_s=0.0)
    tracked.stage_started(one, 48, 2)
    tracked.stage_started(two, 48, 2)
    for step in (1, 2):
        tracked.stage_step(one, step, 2, 0.1 * step, 24 * step)
        tracked.stage_step(two, step, 2, 0.2 * step, 24 * step)
    for cell in (*of[two.id], *of[None], *of[one.id]):
        tracked.cell_done(cell, {"scores": {"spearman": 1.0}}, found=False)
    tracked.turn_done(two, of[two.id])
    tracked.turn_done(one, of[one.id])
    tracked.close()
    assert written == [
        "mini-sts-en 1 0.1", "mini-sts-en 2 0.2", *["mini-sts-en 2 scores"] * 2, "mini-sts-en ends with 2",
        "mini-sts-ko 1 0.2", "mini-sts-ko 2 0.4", *["mini-sts-ko 2 scores"] * 2, "mini-sts-ko ends with 2",
        *["none 0 scores"] * 2, "none ends with 2",
    ]  # fmt: skip


def test_points_far_apart_are_the_mean_of_the_steps_between(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    logged: list[tuple[int, float]] = []
    losses: list[float] = []

    class Kept(OpenRun):
        def __init__(self) -> None:
            pass

        def log(self, values: Mapping[str, float], step: int) -> None:
            logged.extend((step, value) for name, value in values.items() if name == "train/loss")

        def finish(self, scores: Mapping[str, float]) -> None:
            pass

    plan = planned(registry, tiny_folder, "mini-sts-en")
    settings = Settings(cache=tmp_path / "cache", out=tmp_path / "out", offline=True, device="cpu")
    tracked = TrackingReporter({"kept": lambda run: Kept()}, plan, Store(settings), print, every_s=1e9)
    tracked_step = tracked.stage_step

    def step(stage: Any, number: int, steps: int, loss: float, passed: int) -> None:
        losses.append(loss)
        tracked_step(stage, number, steps, loss, passed)

    tracked.stage_step = step  # type: ignore[method-assign]
    execute(plan, registry, settings, tracked)
    assert [number for number, _ in logged] == [1, 6]
    assert [loss for _, loss in logged] == pytest.approx([losses[0], sum(losses[1:]) / 5])


@pytest.mark.parametrize("where", ["opening", "logging", "finishing", "leaving"])
def test_a_tool_that_fails_is_named_once_and_the_run_goes_on(
    tmp_path: Path, registry: Registry, tiny_folder: Path, where: str
) -> None:
    class Failing(OpenRun):
        def __init__(self) -> None:
            pass

        def log(self, values: Mapping[str, float], step: int) -> None:
            if where == "logging":
                raise OSError("the disk\nis full")

        def finish(self, scores: Mapping[str, float]) -> None:
            if where == "finishing":
                raise RuntimeError("no answer")

    def begin(run: RunInfo) -> OpenRun:
        if where == "opening":
            raise ConnectionError("no server")
        if where == "leaving":
            sys.exit(1)
        return Failing()

    good = choose_trackers(("tensorboard",), tmp_path / "runs", offline=True)
    plan = planned(registry, tiny_folder, "mini-sts-en", "none")
    outcome, heard, _ = watched(plan, registry, tmp_path, {"bad": begin, **good})
    assert len(outcome.records) == 4
    (note,) = heard.notes
    assert note.startswith("tracking with bad ends here, the run goes on: ")
    assert "\n" not in note
    assert len(list((tmp_path / "runs" / "tensorboard").iterdir())) == 2


def test_a_folder_that_cannot_be_written_ends_tracking_and_nothing_else(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "tensorboard").write_text("a file")
    openers = choose_trackers(("tensorboard",), tmp_path / "runs", offline=True)
    outcome, heard, _ = watched(planned(registry, tiny_folder, "none"), registry, tmp_path, openers)
    assert len(outcome.records) == 2
    assert heard.notes[0].startswith("tracking with tensorboard ends here, the run goes on: FileExistsError")


def test_a_launchers_variables_start_no_distributed_run(tmp_path: Path) -> None:
    for name, value in {"WORLD_SIZE": "8", "RANK": "3", "LOCAL_RANK": "3", "MASTER_ADDR": "10.0.0.1"}.items():
        os.environ[name] = value
    from accelerate.state import PartialState

    PartialState._reset_state()
    run = choose_trackers(("tensorboard",), tmp_path, offline=True)["tensorboard"](RunInfo("one", {"a": 1}))
    run.log({"x": 1.0}, 1)
    run.finish({})
    assert list((tmp_path / "tensorboard" / "one").iterdir())
    assert os.environ["WORLD_SIZE"] == "8"
    PartialState._reset_state()


@pytest.mark.parametrize(
    ("names", "environment", "offline", "says"),
    [
        (("tensorbord",), {}, False, "--track: unknown tracker 'tensorbord' (did you mean 'tensorboard'?)"),
        (("mlflow",), {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, True, "MLFLOW_TRACKING_URI names a server, and"),
        (("wandb",), {"WANDB_MODE": "online", "NETRC": "/nowhere"}, False, "needs a login: run wandb login"),
    ],
)
def test_what_cannot_be_used_is_said_before_any_work(
    tmp_path: Path, names: tuple[str, ...], environment: dict[str, str], offline: bool, says: str
) -> None:
    os.environ.update(environment)
    with pytest.raises(UserError, match=r"^[^\n]+$") as caught:
        choose_trackers(names, tmp_path, offline)
    assert says in str(caught.value)


def test_a_tool_that_is_not_installed_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else real(name))
    with pytest.raises(UserError, match=r"--track mlflow needs mlflow: pip install 'xbench\[track\]'"):
        choose_trackers(("tensorboard", "mlflow"), tmp_path, offline=False)


@pytest.mark.parametrize(
    ("asked", "offline", "mode"),
    [("", False, "offline"), ("online", False, "online"), ("online", True, "offline"), ("disabled", True, "disabled")],
)
def test_weights_and_biases_stay_offline_unless_the_environment_says_otherwise(
    asked: str, offline: bool, mode: str
) -> None:
    os.environ["WANDB_MODE"] = asked
    assert wandb_mode(offline) == mode


def test_a_mlflow_server_that_is_not_there_does_not_hold_up_the_run(
    tmp_path: Path, registry: Registry, tiny_folder: Path
) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody listens: the connection is refused
    openers = choose_trackers(("mlflow",), tmp_path / "runs", offline=False)
    outcome, heard, _ = watched(planned(registry, tiny_folder, "none"), registry, tmp_path, openers)
    assert len(outcome.records) == 2
    assert [note[:34] for note in heard.notes] == ["tracking with mlflow ends here, th"]


def test_a_tee_passes_everything_on(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    class Named(Reporter):
        def __init__(self, name: str) -> None:
            self.name = name

        def __getattribute__(self, call: str) -> Any:
            if call.startswith("_") or call == "name":
                return object.__getattribute__(self, call)
            return lambda *values, **named: heard.append((self.name, call))

    calls = [name for name in dir(Reporter) if not name.startswith("_")]
    tee = Tee(Named("a"), Named("b"))
    for call in calls:
        getattr(tee, call)()
    assert heard == [(name, call) for call in calls for name in ("a", "b")]
    assert {"stage_step", "note"} <= set(calls)
