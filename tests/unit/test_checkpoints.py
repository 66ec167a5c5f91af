"""A training that is broken off goes on from its last checkpoint to the same bits, or begins anew and says why."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from tests.faults.processes import ESSENTIAL
from tests.tiny import Bench, Listener, TinyRun, tiny_rows
from tests.unit.test_out_of_memory import Small
from tests.unit.test_selection import make_bench
from xbench.candidates import Candidates, Keeper
from xbench.heads.blocks import HeadModule
from xbench.plan import Stage
from xbench.recipe import build_recipe
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import Store, read_signed, sign
from xbench.training import checkpoint as checkpoint_module
from xbench.training import loop as loop_module
from xbench.training.checkpoint import SHARE, TENSORS, Checkpoints
from xbench.training.feeding import batches
from xbench.training.loop import TrainingResult, train
from xbench.training.memory import MicroBatch
from xbench.training.optimizer import BlockedOptimizer, TorchOptimizer
from xbench.training.tally import Position
from xbench.training.weights import save_weights
from xbench.unfinished import MANIFEST, drop_finished, folder_of

pytestmark = pytest.mark.usefixtures("one_thread")
AT_EVERY_STEP = 1e-9
STEPS = 14
"""Of `Broken.run`: 47 examples in batches of 7, twice."""
KEY = "0" * 64
Make = Callable[..., "Broken"]


class Crash(BaseException):
    """The process dies; nothing of it is caught."""


@dataclass
class Broken:
    """A training that may be broken off, always with the same cache.

    Attributes:
        run: The training.
        cache: Has its checkpoints and candidates.
        stage: The weight file of the stage it starts from.
        watch: Sees each module before its first step.
        tokens: That go through at once.
        candidates: How many are kept.
        minutes: Between two checkpoints.
        notes: Heard.
        resumed: Positions that were gone on from.
        kept: Steps whose checkpoint stood.
        written: Steps whose candidate was written.
    """

    run: TinyRun
    cache: Path
    stage: Path | None = None
    watch: Callable[[HeadModule], None] = lambda module: None
    tokens: int = 90
    candidates: int = 1
    minutes: float = AT_EVERY_STEP
    notes: list[str] = field(default_factory=list)
    resumed: list[Position] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def __call__(self, crash: int | None = None, **conditions: Any) -> tuple[dict[str, torch.Tensor], TrainingResult]:
        """Train, up to a step that the weights have taken without its checkpoint; gives final weights and losses."""
        module = self.run.build(self.run.vocabulary()[0], self.stage, trains=True)
        self.watch(module)
        step = 0
        keeper = self._keeper(module, lambda: self.written.append(step))

        def passed(now: int) -> None:
            nonlocal step
            step = now
            keeper.passed(now)
            if now == crash:
                raise Crash

        checkpoints = self.checkpoints(keeper, **conditions)
        result = train(
            module, self.run.tables, self.run.recipe, 3, self.run.vocabulary()[0], self.run.pad_id,
            micro_batch=MicroBatch(self.tokens, self.notes.append), on_update=passed, checkpoints=checkpoints,
        )  # fmt: skip
        return dict(module.state_dict()), result

    def _keeper(self, module: HeadModule, wrote: Callable[[], None]) -> Keeper:
        def write(path: Path) -> None:
            wrote()
            save_weights(module, self.run.vocabulary()[0], self.stage, path)

        store = Store(Settings(cache=self.cache))
        return Candidates(self.cache, store).keep(KEY, STEPS, self.run.recipe.epochs, self.candidates, write)

    def checkpoints(self, keeper: Keeper, **conditions: Any) -> Checkpoints:
        """Those of this cache."""
        return Checkpoints(
            folder_of(self.cache, KEY), KEY, self.minutes, {"torch": torch.__version__, **conditions}, {"threads": 1},
            keeper, self.notes.append, lambda position, at: self.resumed.append(position), self._stands,
        )  # fmt: skip

    def _stands(self, step: int) -> None:
        self.kept.append(step)
        assert len(self.standing()) == 1  # the one before it has gone

    def standing(self) -> list[Path]:
        """The folders of all checkpoints."""
        return sorted(folder_of(self.cache, KEY).glob("[!.]*"))

    def until(self, crash: int) -> None:
        """Train, and die there."""
        with pytest.raises(Crash):
            self(crash)

    def undisturbed(self) -> tuple[dict[str, torch.Tensor], TrainingResult]:
        """The same training without a break, in a cache of its own."""
        whole = Broken(self.run, self.cache / "whole", self.stage, self.watch, self.tokens, self.candidates, 0.0)
        return whole()

    def ends_as_undisturbed(self, after: int, **conditions: Any) -> None:
        """Train to the end, going on behind a step (0: from the beginning), to the bits of an undisturbed training."""
        weights, result = self(**conditions)
        assert [position.step for position in self.resumed] == ([after] if after else [])
        expected, whole = self.undisturbed()
        assert result.losses == whole.losses
        assert result.examples == whole.examples
        assert (result.precision, result.micro_batch_tokens) == (whole.precision, whole.micro_batch_tokens)
        assert weights.keys() == expected.keys()
        assert [name for name, weight in weights.items() if not torch.equal(weight, expected[name])] == []


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write checkpoints whatever they take: these steps take less."""
    monkeypatch.setattr(checkpoint_module, "SHARE", 0)


@pytest.fixture
def make(tiny: Callable[..., Path], registry: Registry, tmp_path: Path, at_every_step: None) -> Make:
    """A mixture of two datasets, with dropout."""

    def broken(shape: str = "xlm-roberta", head: str = "cross-encoder", **settings: object) -> Broken:
        work = tmp_path / str(len(list(tmp_path.iterdir())))
        work.mkdir()
        scale = {"score_scale": "raw"} if head == "cross-encoder" else {}
        settings = {**scale, "batch_size": 7, "mixing_alpha": 0.5, "lr": 2e-3, **settings}
        rows = [tiny_rows(30), tiny_rows(17, seed=1)]
        run = TinyRun(tiny(shape, 0.1), registry.heads.get(head), rows, work, settings)
        return Broken(run, work / "cache")

    return broken


# The same bits


@pytest.mark.parametrize("crash", [2, 9])  # RAdam's moments rectify its rate from the sixth step on
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["radam", "adamw"])
def test_it_goes_on_to_the_same_bits(make: Make, optimizer: str, precision: str, crash: int) -> None:
    broken = make(optimizer=optimizer, precision=precision)
    broken.until(crash)
    assert broken.kept == list(range(1, crash))
    broken.ends_as_undisturbed(crash - 1)
    assert broken.kept == list(range(1, STEPS + 1))
    assert broken.notes == []


@pytest.mark.parametrize("optimizer", ["radam", "adamw"])
def test_so_do_torchs_own_optimizers(make: Make, monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    monkeypatch.setattr(
        loop_module, "make_optimizer",
        lambda module, recipe, device: TorchOptimizer(
            [weight for weight in module.parameters() if weight.requires_grad], recipe, device
        ),
    )  # fmt: skip
    broken = make(optimizer=optimizer, weight_decay=0.1)
    broken.until(8)
    broken.ends_as_undisturbed(7)


def test_so_does_a_run_that_is_fed_as_on_a_gpu(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """There losses are read two steps later: a checkpoint holds those of its own steps."""
    monkeypatch.setattr(loop_module, "batches", lambda pieces, make, device: batches(pieces, make, device, ahead=3))
    monkeypatch.setattr(loop_module, "behind", lambda device: 2)
    broken = make()
    broken.until(6)
    broken.ends_as_undisturbed(5)
    (position,) = broken.resumed
    assert len(position.losses) == 5
    assert position.examples == 35


@pytest.mark.parametrize("head", ["cross-encoder", "siamese"])
def test_so_do_adapters_and_what_is_frozen_is_not_written(make: Make, head: str) -> None:
    broken = make("bert", head, tuning="lora", lora_rank=3, lora_dropout=0.1)
    broken.until(6)
    with safe_open(broken.standing()[0] / TENSORS, "pt") as file:
        names = [name for name in file.keys() if name.startswith("weight.encoder.")]  # noqa: SIM118  # no mapping
    assert names
    assert all("lora_" in name for name in names)
    broken.ends_as_undisturbed(5)


def test_a_second_stage_goes_on_from_its_own_checkpoint_not_from_its_parent(make: Make, tmp_path: Path) -> None:
    broken = make()
    module, _ = broken.run.train(seed=1)
    save_weights(module, broken.run.whole(), None, tmp_path / "parent.safetensors")
    broken.stage = tmp_path / "parent.safetensors"
    broken.until(4)
    broken.ends_as_undisturbed(3)


def test_it_may_be_broken_off_again_and_again(make: Make) -> None:
    broken = make()
    for crash in (3, 4, 5, 11):
        broken.until(crash)
    broken.resumed.clear()
    broken.ends_as_undisturbed(10)
    manifest = read_signed(broken.standing()[0] / MANIFEST)
    assert manifest is not None
    assert manifest["resumed"] == 4


def test_torchs_random_numbers_go_on(make: Make) -> None:
    """Of a module that draws some itself, as on a GPU dropout does."""

    def noise(layer: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output + 0.1 * torch.randn(output.shape) if layer.training else output

    def watch(module: HeadModule) -> None:
        next(layer for layer in module.modules() if isinstance(layer, torch.nn.LayerNorm)).register_forward_hook(noise)

    broken = make()
    broken.watch = watch
    broken.until(6)
    broken.ends_as_undisturbed(5)


def test_buffers_that_a_forward_pass_changes_go_on(make: Make) -> None:
    def watch(module: HeadModule) -> None:
        drift = torch.zeros(())
        module.register_buffer("drift", drift)

        def move(layer: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
            drift.add_(0.1)
            return output * (1 + 0.01 * drift)

        next(layer for layer in module.modules() if isinstance(layer, torch.nn.LayerNorm)).register_forward_hook(move)

    broken = make()
    broken.watch = watch
    broken.until(6)
    broken.ends_as_undisturbed(5)


def test_pieces_stay_as_small_as_memory_made_them(make: Make) -> None:
    """Otherwise sums would be taken in another order, and memory run out again."""
    broken = make()
    broken.tokens = 4096
    smalls: list[Small] = []

    def watch(module: HeadModule) -> None:
        smalls.append(Small(60, backward=False))
        smalls[-1].put_on(module)

    broken.watch = watch
    broken.until(5)
    broken.ends_as_undisturbed(4)
    first, second, whole = smalls
    assert first.refused == whole.refused >= 1
    assert second.refused == 0


@pytest.mark.parametrize("kind", ["radam", "adamw"])
def test_a_weight_without_a_gradient_goes_on_moving_by_its_moments(kind: str) -> None:
    """Of a mixture's dataset that a batch has none of, say."""
    recipe = build_recipe({"optimizer": kind}, "test", {})

    def steps(weights: list[torch.nn.Parameter], optimizer: BlockedOptimizer, some: range) -> None:
        for step in some:
            for index, weight in enumerate(weights):
                if index == 0 or (index == 1 and step < 3):
                    gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))
                    weight.grad = gradient if weight.grad is None else weight.grad + gradient
            optimizer.step(1e-2)

    whole, before, after = ([torch.nn.Parameter(torch.ones(4, 3)) for _ in range(3)] for _ in range(3))
    steps(whole, BlockedOptimizer(whole, recipe), range(12))
    first = BlockedOptimizer(before, recipe)
    steps(before, first, range(7))
    second = BlockedOptimizer(after, recipe)
    with torch.no_grad():
        for new, old in zip(after, before, strict=True):
            new.copy_(old)
    state = {name: value.clone() for name, value in first.state().items()}
    second.load(state.keys(), state.__getitem__)
    steps(after, second, range(7, 12))
    assert all(torch.equal(new, old) for new, old in zip(after, whole, strict=True))
    assert not torch.equal(after[1], before[1])
    assert torch.equal(after[2], torch.ones(4, 3))


# Candidates


def test_candidates_from_before_the_crash_are_used_and_not_written_again(make: Make) -> None:
    broken = make()
    broken.candidates = 4  # 4, 7, 10 or so, and the last one
    broken.until(9)
    early = list(broken.written)
    assert len(early) == 2
    times = {path: path.stat().st_mtime_ns for path in (broken.cache / "candidates").rglob("*.safetensors")}
    broken.ends_as_undisturbed(8)
    assert len(broken.written) == len(set(broken.written)) == 3
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    mine, whole = (
        {path.relative_to(cache): path.read_bytes() for path in (cache / "candidates").rglob("*.safetensors")}
        for cache in (broken.cache, broken.cache / "whole")
    )
    assert mine == whole


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: flip(path, 600)])
def test_a_candidate_that_is_not_whole_is_made_again(make: Make, damage: Callable[[Path], None]) -> None:
    broken = make()
    broken.candidates = 4
    broken.until(9)
    damage(next((broken.cache / "candidates").rglob("*.safetensors")))
    broken.ends_as_undisturbed(0)
    (note,) = broken.notes
    assert "is damaged, or not there" in note
    mine, whole = (
        {path.relative_to(cache): path.read_bytes() for path in (cache / "candidates").rglob("*.safetensors")}
        for cache in (broken.cache, broken.cache / "whole")
    )
    assert mine == whole


def test_who_wants_candidates_that_were_not_kept_begins_anew(make: Make) -> None:
    broken = make()
    broken.until(9)
    broken.candidates = 4
    broken.ends_as_undisturbed(0)
    (note,) = broken.notes
    assert "were not kept" in note


# Damage


def flip(path: Path, at: int) -> None:
    """Turn one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit of the state": lambda folder: flip(folder / TENSORS, (folder / TENSORS).stat().st_size // 2),
    "a bit of its header": lambda folder: flip(folder / TENSORS, 20),
    "a state cut short": lambda folder: os.truncate(folder / TENSORS, (folder / TENSORS).stat().st_size - 40),
    "an empty state": lambda folder: os.truncate(folder / TENSORS, 0),
    "no state": lambda folder: (folder / TENSORS).unlink(),
    "a bit of the manifest": lambda folder: flip(folder / MANIFEST, 40),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
    "another's manifest": lambda folder: change(folder, key="1" * 64),
}


def change(folder: Path, **values: Any) -> None:
    """Write a manifest anew, with a checksum that holds."""
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(sign({**manifest, **values})))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_noticed_and_the_older_one_taken(make: Make, tmp_path: Path, damage: str) -> None:
    broken = make()
    broken.until(4)
    (older,) = broken.standing()
    shutil.copytree(older, tmp_path / "kept")
    broken.until(7)
    (newer,) = broken.standing()
    shutil.copytree(tmp_path / "kept", older)  # as where a process dies before it has taken the older one away
    DAMAGES[damage](newer)
    broken.resumed.clear()
    broken.ends_as_undisturbed(3)
    (note,) = broken.notes
    assert str(newer) in note
    assert "damaged" in note
    assert "\n" not in note
    assert len(broken.standing()) == 1


@pytest.mark.parametrize("damage", ["a bit of the state", "no state", "no manifest"])
def test_a_damaged_checkpoint_alone_is_a_beginning_anew(make: Make, damage: str) -> None:
    broken = make()
    broken.until(4)
    DAMAGES[damage](broken.standing()[0])
    broken.ends_as_undisturbed(0)
    assert len(broken.notes) == 1


@pytest.mark.parametrize("left", ["nothing", "a file", "half"])
def test_what_a_killed_process_has_left_half_written_is_passed_over(make: Make, left: str) -> None:
    broken = make()
    broken.until(4)
    hidden = folder_of(broken.cache, KEY) / ".step-9-17.abcdefgh"
    hidden.mkdir()
    if left != "nothing":
        (hidden / TENSORS).write_bytes(b"half")
    if left == "half":
        (folder_of(broken.cache, KEY) / "step-2-1").mkdir()  # an older one, half taken away
    broken.ends_as_undisturbed(3)
    assert broken.notes == []
    assert hidden.is_dir()  # it may be another process's that is still at work


def test_a_checkpoint_of_another_torch_is_left_alone_and_said_to_be_one(make: Make) -> None:
    broken = make()
    broken.until(4)
    (older,) = broken.standing()
    broken.minutes = 0.0
    broken.ends_as_undisturbed(0, torch="1.13")
    (note,) = broken.notes
    assert f"torch ({torch.__version__}, here 1.13)" in note
    assert broken.standing() == [older]  # it would still be of use with its own torch
    broken.minutes, broken.notes = AT_EVERY_STEP, []
    broken.ends_as_undisturbed(0, torch="1.13")
    assert older not in broken.standing()


def test_other_threads_are_noted_and_no_more(make: Make) -> None:
    broken = make()
    broken.until(4)
    change(broken.standing()[0], noted={"threads": 7})
    broken.ends_as_undisturbed(3)
    assert broken.notes == ["the checkpoint was written with other threads (7, here 1): the last bits may differ"]


def test_a_checkpoint_that_cannot_be_written_does_not_stop_the_training(make: Make) -> None:
    broken = make()
    broken.cache.mkdir(exist_ok=True)
    (broken.cache / "unfinished").write_bytes(b"a file where the folder should be")
    broken.ends_as_undisturbed(0)
    assert len(broken.notes) == STEPS
    assert "cannot be written" in broken.notes[0]
    assert broken.kept == []


# How often


class Clock:
    """A clock that goes when it is told to."""

    now = 1000.0
    time_ns = time.time_ns

    def perf_counter(self) -> float:
        return self.now


def test_it_is_written_by_time_and_never_takes_a_large_share_of_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, clock = make(), Clock()
    monkeypatch.setattr(checkpoint_module, "SHARE", SHARE)
    checkpoints = broken.checkpoints(broken._keeper(broken.run.build(), lambda: None))
    checkpoints.minutes = 5.0
    monkeypatch.setattr(checkpoint_module, "time", clock)
    took = 0.0

    def put(target: Path, position: Position, state: Any) -> None:
        clock.now += took

    monkeypatch.setattr(checkpoints, "_put", put)

    def due_after() -> int:
        """Seconds from now on; then one is written."""
        began = clock.now
        while not checkpoints.due():
            clock.now += 1
        waited = clock.now - began
        checkpoints.write(Position([], 0, 0.0, 1), None)  # type: ignore[arg-type]
        return round(waited)

    checkpoints._last = clock.now
    assert due_after() == 300  # the first one as well
    took = 10.0
    assert due_after() == 300
    took = 60.0
    assert due_after() == 300  # 20 times 10 s are less
    took = 0.0
    assert due_after() == 1200  # 20 times 60 s
    assert due_after() == 300
    checkpoints.minutes = 0.0
    clock.now += 1e9
    assert not checkpoints.due()


def test_without_checkpoints_none_is_written(make: Make) -> None:
    broken = make()
    broken.minutes = 0.0
    broken.until(6)
    assert not (broken.cache / "unfinished").exists()


# Stages


class Dying(Listener):
    """Dies while a stage trains."""

    def __init__(self, curriculum: str, step: int) -> None:
        super().__init__()
        self._at = curriculum, step
        self.resumed: list[tuple[str, int, int, int]] = []

    def stage_step(self, stage: Stage, step: int, steps: int, loss: float, passed: int) -> None:
        if (stage.curriculum, step) == self._at:
            raise Crash

    def stage_resumed(self, stage: Stage, step: int, steps: int, passed: int, written: datetime) -> None:
        assert abs((datetime.now().astimezone() - written).total_seconds()) < 3600
        self.resumed.append((stage.curriculum, step, steps, passed))


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> list[Dying]:
    """What hears of the next runs: the first of these, then the second, and so on."""
    coming: list[Dying] = []
    monkeypatch.setattr("xbench.testing.runs.Listener", lambda: coming.pop(0))
    return coming


@dataclass
class Left:
    """What a cache and its results hold in the end."""

    records: list[dict[str, Any]]
    weights: dict[str, str]
    resumed: list[int]
    candidates: dict[Path, bytes]

    @classmethod
    def by(cls, bench: Bench) -> Left:
        records = [json.loads(path.read_text()) for path in bench.records()]
        paths = sorted((bench.root / "cache" / "stages").glob("*/stage.json"))
        manifests = {path.parent.name: json.loads(path.read_text()) for path in paths}
        kept = [path for path in (bench.root / "cache" / "candidates").rglob("*") if path.is_file()]
        assert list((bench.root / "cache" / "unfinished").glob("*")) == []
        return cls(
            [{name: record[name] for name in ESSENTIAL if name in record} for record in records],
            {key: manifest["weights_sha256"] for key, manifest in manifests.items()},
            sorted(manifest["resumed"] for manifest in manifests.values()),
            {path.relative_to(bench.root): path.read_bytes() for path in kept},
        )  # fmt: skip


@pytest.mark.usefixtures("at_every_step")
@pytest.mark.parametrize(("curriculum", "protocol"), [("one", "last"), ("one:two", "average"), ("one+two", "last")])
def test_a_stage_goes_on_and_its_records_are_those_of_an_undisturbed_run(
    tiny: Callable[..., Path], tmp_path: Path, dying: list[Dying], curriculum: str, protocol: str
) -> None:
    overrides = {"selection": protocol, "checkpoint_minutes": AT_EVERY_STEP}
    left, resumed = [], []
    for name in ("broken", "whole"):
        (tmp_path / name).mkdir()
        bench = make_bench(tmp_path / name, tiny("xlm-roberta"))
        if name == "broken":
            dying.append(Dying(curriculum, 8))
            with pytest.raises(Crash):
                bench.run(curriculum, datasets=("one", "two"), overrides=overrides)
        dying.append(heard := Dying("", 0))
        outcome, _ = bench.run(curriculum, datasets=("one", "two"), overrides=overrides)
        assert outcome.failures == []
        left.append(Left.by(bench))
        resumed.append(heard.resumed)
    broken, whole = left
    assert resumed == [[(curriculum, 7, 20, 56) if curriculum == "one+two" else (curriculum, 7, 12, 48)], []]
    assert broken.resumed == [*([0] if ":" in curriculum else []), 1]
    assert set(whole.resumed) == {0}
    assert (broken.records, broken.weights, broken.candidates) == (whole.records, whole.weights, whole.candidates)
    assert (protocol == "last") == (not whole.candidates)
    assert "checkpoint_minutes" not in whole.records[0]["recipe"]


def test_what_is_left_of_a_finished_stage_goes_unless_candidates_are_still_wanted(make: Make) -> None:
    for candidates in (1, 4):
        broken = make()
        broken.candidates = candidates
        broken.until(9)
        drop_finished(broken.cache, KEY)
        assert folder_of(broken.cache, KEY).exists() == (candidates == 4)
    drop_finished(broken.cache, "1" * 64)
