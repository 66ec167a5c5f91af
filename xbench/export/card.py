"""The model card of an exported stage: what it is, how to load it, how it was made, and what it scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..leaderboard.layout import limit_text
from ..leaderboard.markdown import escape
from ..models.hub import COMMIT

if TYPE_CHECKING:
    from .chosen import Record
    from .loaded import Loaded

USAGE = {
    "AutoModelForSequenceClassification": """from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained("path/to/this/folder").eval()
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")""",
    "AutoModelForQuestionAnswering": """from transformers import AutoModelForQuestionAnswering, AutoTokenizer

model = AutoModelForQuestionAnswering.from_pretrained("path/to/this/folder").eval()
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")""",
    "SentenceTransformer": """from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
embeddings = model.encode(["one sentence", "another one"])
model.similarity(embeddings, embeddings)""",
    "AutoModel": """from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("path/to/this/folder").eval()
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")""",
}
PIPELINES = {"AutoModelForQuestionAnswering": "question-answering", "SentenceTransformer": "sentence-similarity"}


def card_data(stage: Loaded, loads: str) -> dict[str, Any]:
    """What the hub reads at the top of a card.

    Args:
        stage: What is exported.
        loads: The class that loads it.

    Returns:
        Fields of huggingface_hub's ``ModelCardData``; results (its ``model-index``) belong here as well.
    """
    languages = {language for split in _trained(stage) for language in split["language"].split("-")}
    sentences = loads == "SentenceTransformer"
    pipeline = PIPELINES.get(loads, "text-classification" if loads.endswith("SequenceClassification") else None)
    hub = stage.model.name if "/" in stage.model.name and COMMIT.fullmatch(stage.model.revision) else None
    return {
        "language": sorted(languages), "library_name": "sentence-transformers" if sentences else "transformers",
        "base_model": hub, "pipeline_tag": pipeline, "tags": ["xbench"],
    }  # fmt: skip


def model_card(stage: Loaded, loads: str, notes: Sequence[str]) -> str:
    """The card as markdown.

    Args:
        stage: What is exported.
        loads: The class that loads it.
        notes: What its head says of inputs and outputs.
    """
    from huggingface_hub import ModelCardData

    chosen, model = stage.chosen, stage.model
    data = ModelCardData(**card_data(stage, loads)).to_yaml()
    what = (
        f"the encoder, without its head {stage.head.name},"
        if loads == "AutoModel"
        else f"with the head {stage.head.name}"
    )
    parts = [
        f"---\n{data}\n---\n",
        f"# {escape(model.name)}, fine-tuned on {escape(chosen.curriculum)}\n",
        f"{escape(model.name)} {what} fine-tuned with xbench. {escape(stage.head.description)}.\n",
        f"```python\n{USAGE.get(loads, f'from transformers import {loads}')}\n```\n",
        *(f"- {note}\n" for note in (_lengths(stage), *notes)),
        "\n## How it was made\n", *_provenance(stage), "\n## What it scores\n", *_scores(chosen.scored),
    ]  # fmt: skip
    return "\n".join(part.rstrip("\n") if part.startswith(("- ", "|")) else part for part in parts) + "\n"


def _lengths(stage: Loaded) -> str:
    return f"Sequences were cut at {stage.context.recipe.max_length} tokens (`truncation=True` does so here as well)."


def _trained(stage: Loaded) -> list[Mapping[str, Any]]:
    """What the stage and those before it were trained on."""
    return [split for split in stage.chosen.record["train"] if split["stage"] <= stage.chosen.depth]


def _provenance(stage: Loaded) -> Iterator[str]:
    record, model, manifest = stage.chosen.record, stage.model, stage.manifest
    revision = f", revision {escape(model.revision)}" if model.revision else ""
    yield f"- Base model: {escape(model.name)}{revision}, weights sha256 `{model.weights_sha256}`"
    for split in _trained(stage):
        limited = "" if record["limits"]["train"] is None else " drawn by seed"
        yield (
            f"- Trained, stage {split['stage'] + 1}: {escape(split['dataset'])} ({escape(split['language'])}), "
            f"{split['rows']:,} rows{limited} of its split {escape(split['split'])} "
            f"(rows sha256 `{split['rows_sha256']}`)"
        )
    recipe = ", ".join(f"{name} = {value}" for name, value in record["recipe"].items())
    yield f"- Recipe: `{recipe.replace('`', '')}`"
    about = manifest["environment"]
    yield (
        f"- Seed {record['seed']}; xbench {escape(str(about['xbench']))}, torch {escape(str(about['torch']))}, "
        f"transformers {escape(str(about['transformers']))}, {escape(str(about['device']))}, "
        f"{escape(str(about['precision']))}"
    )
    yield f"- Stage key `{stage.chosen.key}`"


def _scores(records: Sequence[Record]) -> Iterator[str]:
    """A line a record: the datasets' own licences and readings are in the records."""
    if not records:
        yield "No record tells: it was trained as a step on the way to another stage."
        return
    yield "| task | scored on | language | transfer | reading | scores | rows |"
    yield "|---|---|---|---|---|---|---:|"
    for record in records:
        scores = ", ".join(
            f"{name} {'undefined' if value is None else format(value, '.2f')}"
            for name, value in record["scores"].items()
        )
        evaluated, limits = record["eval"], limit_text(record["limits"])
        cells = (
            record["task"], f"{evaluated['dataset']}/{evaluated['split']}", evaluated["language"], record["transfer"],
            record["reading"], scores,
        )  # fmt: skip
        rows = f"{evaluated['rows']:,}" + (f" ({escape(limits)})" if limits else "")
        yield "| " + " | ".join([*map(escape, map(str, cells)), rows]) + " |"
    keys = ", ".join(f"`{record['key'][:16]}`" for record in records)
    yield "\nIn-language, zero-shot and mixed tell whether the language scored was trained on. Records: " + keys
