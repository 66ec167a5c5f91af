"""The peer: transformers' Trainer, in a process of its own. Prints one line of JSON.

``asis`` is what transformers' examples do by default: every sequence padded to the full length, fp32, the full
vocabulary. ``tuned`` pads to the batch's longest sequence, groups them by length and runs in bf16.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from xbench.provenance import peak_memory
from xbench.training.device import choose_device

Rows = list[dict[str, Any]]


def pairs(path: Path, tokenizer: Any, pad: bool, count: int) -> Rows:
    """STSb pairs in 128 tokens, as the GLUE example makes them."""
    fields = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    padding = {"padding": "max_length" if pad else False}
    return [
        {**tokenizer(one[5], one[6], truncation=True, max_length=128, **padding), "labels": float(one[4])}
        for one in fields[:count]
    ]


def windows(path: Path, tokenizer: Any, pad: bool, count: int) -> Rows:
    """SQuAD windows of 384 tokens that share 128, as the question answering example makes them."""
    rows: Rows = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                rows += _windows(paragraph["context"], question, tokenizer, pad)
                if len(rows) >= count:
                    return rows[:count]
    return rows


def _windows(context: str, question: Mapping[str, Any], tokenizer: Any, pad: bool) -> Rows:
    encoded = tokenizer(
        question["question"].lstrip(), context, truncation="only_second", max_length=384, stride=128,
        return_overflowing_tokens=True, return_offsets_mapping=True, padding="max_length" if pad else False,
    )  # fmt: skip
    start = question["answers"][0]["answer_start"]
    end = start + len(question["answers"][0]["text"])
    rows = []
    for index, ids in enumerate(encoded["input_ids"]):
        offsets, parts = encoded["offset_mapping"][index], encoded.sequence_ids(index)
        inside = [place for place, part in enumerate(parts) if part == 1]
        first = last = 0
        if offsets[inside[0]][0] <= start and end <= offsets[inside[-1]][1]:
            first = max(place for place in inside if offsets[place][0] <= start)
            last = min(place for place in inside if offsets[place][1] >= end)
        mask = encoded["attention_mask"][index]
        rows.append({"input_ids": ids, "attention_mask": mask, "start_positions": first, "end_positions": last})
    return rows


class Work(NamedTuple):
    """What is fine-tuned, and how."""

    rows: Callable[[Path, Any, bool, int], Rows]
    model: Callable[[str], Any]
    batch: int
    lr: float


WORKS = {
    "sts": Work(
        pairs,
        lambda name: AutoModelForSequenceClassification.from_pretrained(name, num_labels=1, dtype=torch.float32),
        32,
        4e-5,
    ),
    "mrc": Work(
        windows, lambda name: AutoModelForQuestionAnswering.from_pretrained(name, dtype=torch.float32), 48, 2e-5
    ),
}


class StepClock(TrainerCallback):  # type: ignore[misc]
    """Notes when each optimizer step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer."""
        self.ends.append(time.perf_counter())


def main() -> None:
    """Train for some steps and time those after the first few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=WORKS, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--style", choices=["asis", "tuned"], default="asis")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--skip", type=int, default=3)
    options = parser.parse_args()
    work, tuned = WORKS[options.work], options.style == "tuned"

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = work.model(options.model)
    rows = work.rows(options.train, tokenizer, not tuned, 60 * work.batch)
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=work.batch, max_steps=options.steps, learning_rate=work.lr,
            bf16=tuned, use_cpu=not torch.cuda.is_available(), save_strategy="no", logging_strategy="no", report_to=[],
            disable_tqdm=True, **({"train_sampling_strategy": "group_by_length"} if tuned else {}),
        )  # fmt: skip
        optimizer = torch.optim.RAdam(model.parameters(), lr=work.lr)
        constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        Trainer(
            model=model, args=arguments, train_dataset=rows, optimizers=(optimizer, constant),
            data_collator=DataCollatorWithPadding(tokenizer), callbacks=[clock],
        ).train()  # fmt: skip
    timed = len(clock.ends) - options.skip
    print(
        json.dumps(
            {
                "examples_per_s": round(work.batch * timed / (clock.ends[-1] - clock.ends[options.skip - 1]), 3),
                "steps_timed": timed,
                **peak_memory(choose_device("auto")),
            }
        )
    )


if __name__ == "__main__":
    main()
