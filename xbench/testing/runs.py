"""Real runs in a test's folders: a head as a stage trains it, and cells as ``xbench eval`` makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..execute import Outcome, execute
from ..heads.blocks import HeadModule
from ..models.encoder import load_tokenizer, table_size
from ..models.resolve import LocalModel, identify
from ..models.vocabulary import Vocabulary, full_vocabulary
from ..plan import Cell, Request, Stage
from ..planner import make_plan
from ..progress import Reporter
from ..recipe import build_recipe
from ..registry import Registry
from ..settings import Settings
from ..training.examples import ExampleTable, build_examples
from ..training.loop import TrainingResult, train
from ..training.predict import Predictor
from ..training.stage import training_vocabulary
from ..training.weights import build_module
from ..types import Head, HeadContext, Row


@dataclass
class HeadRun:
    """A model, a head, rows and a recipe, put together as a stage does it.

    Attributes:
        folder: The model's.
        head: The head.
        rows: One list of rows a dataset of the mixture.
        work: A folder for caches.
        settings: Of the recipe.
        prompts: The model's.
        labels: Of the datasets.
        score_range: Of the datasets.
    """

    folder: Path
    head: Head
    rows: Sequence[Sequence[Row]]
    work: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    score_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        defaults = {"lr": 1e-2, "epochs": 2, "batch_size": 8, "precision": "fp32", "max_length": 32}
        self.recipe = build_recipe({**defaults, **self.settings}, "test", self.head.options)
        self.model: LocalModel = identify("tiny", "", self.folder, self.prompts, Settings(cache=self.work / "cache"))
        self.context = HeadContext(
            self.recipe, self.model.prompts, self.labels, self.score_range, self.model.sentence
        )  # fmt: skip
        self.tokenizer = load_tokenizer(self.model.folder)
        self.pad_id = int(self.tokenizer.pad_token_id)
        self.tables = [self.table(rows) for rows in self.rows]

    def table(self, rows: Sequence[Row]) -> ExampleTable:
        """Tokenise rows into a new table."""
        folder = self.work / "tables" / str(len(list(self.work.glob("tables/*"))))
        return build_examples(folder, rows, self.head, self.tokenizer, self.context)

    def whole(self) -> Vocabulary:
        """The whole embedding table."""
        return full_vocabulary(table_size(self.model.folder))

    def vocabulary(self) -> tuple[Vocabulary, str]:
        """What a stage would hold, and why it is all of it."""
        return training_vocabulary(self.tables, self.recipe, table_size(self.model.folder), self.pad_id)

    def build(
        self, vocabulary: Vocabulary | None = None, stage: Path | None = None, seed: int = 0, trains: bool = False
    ) -> HeadModule:
        """Encoder and head, from the base model or from a stage's file."""
        vocabulary = vocabulary or self.whole()
        return build_module(self.model, self.head, self.context, vocabulary, seed, stage, trains=trains)

    def train(
        self, vocabulary: Vocabulary | None = None, seed: int = 0, stage: Path | None = None,
        watch: Callable[[HeadModule], None] = lambda module: None,
    ) -> tuple[HeadModule, TrainingResult]:  # fmt: skip
        """Build and train; ``watch`` sees the module before the first step."""
        vocabulary = vocabulary or self.whole()
        module = self.build(vocabulary, stage, seed, trains=True)
        watch(module)
        return module, train(module, self.tables, self.recipe, seed, vocabulary, self.pad_id)

    def predict(
        self, module: HeadModule, table: ExampleTable | None = None, budget: int = 0
    ) -> list[npt.NDArray[np.float32]]:
        """Raw outputs, one array an example.

        Args:
            module: Holds the whole embedding table.
            table: The examples; None takes those of the first dataset.
            budget: Tokens that go through at once, at most; 1 is one example at a time, 0 what suits the device.
        """
        predictor = Predictor(module, "fp32", budget, self.whole(), self.pad_id)
        return predictor.predict(self.tables[0] if table is None else table)


@dataclass
class Listener(Reporter):
    """Writes down what it hears."""

    trained: list[str] = field(default_factory=list)
    found_stages: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    found_cells: list[str] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    passes: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)

    def stage_started(self, stage: Stage, examples: int, steps: int) -> None:
        """A stage begins."""
        self.trained.append(stage.curriculum)

    def stage_done(self, stage: Stage, seconds: float, found: bool) -> None:
        """A stage is there."""
        if found:
            self.found_stages.append(stage.curriculum)

    def cell_done(self, cell: Cell, record: Any, found: bool) -> None:
        """A cell is there."""
        (self.found_cells if found else self.scored).append(f"{cell.curriculum} -> {cell.dataset}")

    def pass_step(self, label: str, passed: int, examples: int, share: float) -> None:
        """A pass goes on."""
        self.passes.setdefault(label, []).append((passed, examples, share))

    def failed(self, label: str, reason: str, traceback: str = "") -> None:
        """Something failed."""
        self.failures.append((label, reason, traceback))

    def note(self, text: str) -> None:
        """Something is worth knowing."""
        self.notes.append(text)


@dataclass
class Bench:
    """A folder with a cache and results, where cells are trained and scored for real.

    Attributes:
        root: Gets ``cache`` and ``out``.
        model: What ``--model`` takes, such as a tiny encoder's folder.
        registry: Of the plugins.
        data: The data root.
    """

    root: Path
    model: str
    registry: Registry
    data: Path | None = None

    def run(
        self, *curricula: str, task: str = "pairs", models: tuple[str, ...] = (), strict: bool = False, **request: Any
    ) -> tuple[Outcome, Listener]:
        """Plan and execute.

        Args:
            curricula: The task's own where there are none.
            task: The task's name.
            models: Others than the bench's.
            strict: As `execute` has it.
            request: What else `Request` takes; ``tasks`` for several of them.

        Returns:
            What became of it and what was heard.
        """
        tasks = request.pop("tasks", (task,))
        asked = Request(models or (self.model,), tasks, curricula, **request)
        settings = Settings(
            cache=self.root / "cache", out=self.root / "out", data=self.data, offline=True, device="cpu"
        )  # fmt: skip
        heard = Listener()
        return execute(make_plan(asked, self.registry), self.registry, settings, heard, strict), heard

    def records(self) -> list[Path]:
        """The files of all records."""
        return sorted((self.root / "out").rglob("*.json"))
