"""Tiny random encoders with real tokenizers, as ordinary transformers folders, and small data sets to train them on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

from xbench.execute import Outcome, execute
from xbench.heads.blocks import HeadModule
from xbench.models.encoder import load_tokenizer, table_size
from xbench.models.resolve import LocalModel, identify
from xbench.models.vocabulary import Vocabulary, full_vocabulary
from xbench.plan import Cell, Request, Stage, make_plan
from xbench.progress import Reporter
from xbench.recipe import build_recipe
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.training.examples import ExampleTable, build_examples
from xbench.training.loop import TrainingResult, train
from xbench.training.stage import training_vocabulary
from xbench.training.weights import build_module
from xbench.types import Head, HeadContext, Row

SHAPES = ("bert", "bert-pad-1", "xlm-roberta", "modernbert", "distilbert", "deberta-v2")
SYLLABLES = ("ba", "do", "fe", "gi", "ku", "la", "mo", "ne", "pi", "ru", "sa", "te", "vo", "xi", "zu", "ha")
WORDS = tuple(first + second for first in SYLLABLES for second in SYLLABLES)  # 256
HIDDEN = 32


def _bert_tokenizer(pad_id: int) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    special.insert(pad_id, special.pop(0))
    ids = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=128, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def _xlmr_tokenizer() -> PreTrainedTokenizerFast:
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -6.0 - index / 100) for index, word in enumerate(WORDS)]
    pieces += [(syllable, -9.0 - index / 100) for index, syllable in enumerate(SYLLABLES)] + [("▁", -10.0)]
    tokenizer = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def tiny_config(shape: str, vocabulary: int, dropout: float) -> Any:
    """The configuration of one of `SHAPES`, or of a RoBERTa."""
    common = {
        "vocab_size": vocabulary, "hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48, "max_position_embeddings": 140, "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout, "initializer_range": 0.1,
    }  # fmt: skip
    roberta = {**common, "pad_token_id": 1, "type_vocab_size": 1, "bos_token_id": 0, "eos_token_id": 2}
    own: dict[str, Any] = {
        "roberta": roberta,
        "bert": {**common, "pad_token_id": 0},
        "bert-pad-1": {**common, "pad_token_id": 1},
        "xlm-roberta": roberta,
        "modernbert": {
            **common, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3,
            "global_attn_every_n_layers": 2, "local_attention": 8, "attention_dropout": dropout,
            "mlp_dropout": dropout, "embedding_dropout": dropout,
        },
        "distilbert": {
            "vocab_size": vocabulary, "dim": HIDDEN, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "pad_token_id": 0,
            "max_position_embeddings": 140, "dropout": dropout, "attention_dropout": dropout, "initializer_range": 0.1,
        },
        "deberta-v2": {
            **common, "pad_token_id": 0, "type_vocab_size": 0, "relative_attention": True, "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm", "share_att_key": True,
            "position_biased_input": False, "pooler_hidden_size": HIDDEN,
        },
    }[shape]  # fmt: skip
    return AutoConfig.for_model(shape.removesuffix("-pad-1"), **own)


def fill(model: PreTrainedModel, seed: int) -> None:
    """Give every weight a value that depends on its name, its shape and the seed alone, not on torch's generator."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            drawn = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(weight.shape)
            scale, offset = (
                (0.1, 0.0) if weight.ndim > 1 else (0.05, float("norm" in name.lower() and "bias" not in name))
            )
            weight.copy_(torch.from_numpy(offset + scale * drawn))


def tiny_model(
    folder: Path, shape: str, seed: int = 0, dropout: float = 0.1, masked_lm: bool = False, shard: str = "1GB",
    **changes: object,
) -> Path:  # fmt: skip
    """Write a tiny model and its tokenizer.

    Args:
        folder: Where to.
        shape: One of `SHAPES`, or ``roberta``.
        seed: Of the weights.
        dropout: Every rate of the encoder.
        masked_lm: Save it under its pretraining head, with the prefix that this gives the names.
        shard: The most that one weight file may hold.
        changes: To the configuration.
    """
    has_types = shape in ("bert", "bert-pad-1")
    tokenizer = _xlmr_tokenizer() if shape.endswith("roberta") else _bert_tokenizer(int(shape == "bert-pad-1"))
    if not has_types:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = tiny_config(shape, len(tokenizer), dropout)
    for name, value in changes.items():
        setattr(config, name, value)
    model = (AutoModelForMaskedLM if masked_lm else AutoModel).from_config(config)
    fill(model, seed)
    model.save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_rows(count: int, seed: int = 0, words: Sequence[str] = WORDS[:90], longest: int = 9) -> list[dict[str, Any]]:
    """Rows of ``pair-score`` of many lengths; sentences that share more words have a higher score."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        first = [str(word) for word in generator.choice(words, int(generator.integers(1, longest + 1)))]
        second = [word if generator.random() < 0.5 else str(generator.choice(words)) for word in first]
        second += [str(word) for word in generator.choice(words, int(generator.integers(0, 4)))]
        score = 5 * len(set(first) & set(second)) / len(set(first))
        rows.append({"id": str(index), "sentence1": " ".join(first), "sentence2": " ".join(second), "score": score})
    return rows


@dataclass
class TinyRun:
    """A model, a head, rows and a recipe, put together as a stage does it.

    Attributes:
        folder: The model's.
        head: The head.
        rows: One list of rows a data set of the mixture.
        work: A folder for caches.
        settings: Of the recipe.
        prompts: The model's.
        labels: Of the data sets.
    """

    folder: Path
    head: Head
    rows: Sequence[Sequence[Row]]
    work: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        defaults = {"lr": 1e-2, "epochs": 2, "batch_size": 8, "precision": "fp32", "max_length": 32}
        self.recipe = build_recipe({**defaults, **self.settings}, "test", self.head.options)
        self.model: LocalModel = identify("tiny", "", self.folder, self.prompts, Settings(cache=self.work / "cache"))
        self.context = HeadContext(
            self.recipe, self.model.prompts, self.labels, (0.0, 5.0), self.model.sentence
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
        self.trained.append(stage.curriculum)

    def stage_done(self, stage: Stage, seconds: float, found: bool) -> None:
        if found:
            self.found_stages.append(stage.curriculum)

    def cell_done(self, cell: Cell, record: Any, found: bool) -> None:
        (self.found_cells if found else self.scored).append(f"{cell.curriculum} -> {cell.dataset}")

    def pass_step(self, label: str, passed: int, examples: int, share: float) -> None:
        self.passes.setdefault(label, []).append((passed, examples, share))

    def failed(self, label: str, reason: str, traceback: str = "") -> None:
        self.failures.append((label, reason, traceback))

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Bench:
    """A folder with a plugin, its data, a cache and results."""

    root: Path
    model: str
    registry: Registry

    def run(
        self, *curricula: str, task: str = "pairs", models: tuple[str, ...] = (), strict: bool = False, **request: Any
    ) -> tuple[Outcome, Listener]:
        """Plan and execute; gives what became of it and what was heard."""
        tasks = request.pop("tasks", (task,))
        asked = Request(models or (self.model,), tasks, curricula, **request)
        settings = Settings(cache=self.root / "cache", out=self.root / "out", offline=True, device="cpu")
        heard = Listener()
        return execute(make_plan(asked, self.registry), self.registry, settings, heard, strict), heard

    def records(self) -> list[Path]:
        """The files of all records."""
        return sorted((self.root / "out").rglob("*.json"))
