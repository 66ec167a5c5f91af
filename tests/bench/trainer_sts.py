"""The peer: transformers' Trainer on STSb pairs, in a process of its own. Prints one line of JSON.

``asis`` is what the GLUE example does by default: every row padded to 128 tokens, fp32, the full vocabulary. ``tuned``
pads to the batch's longest row, groups rows by length and runs in bf16.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from xbench.provenance import peak_memory

LENGTH, BATCH = 128, 32


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
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--style", choices=["asis", "tuned"], default="asis")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--skip", type=int, default=3)
    options = parser.parse_args()
    tuned = options.style == "tuned"

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=1, dtype=torch.float32)
    fields = [line.split("\t") for line in options.train.read_text(encoding="utf-8").split("\n") if line]
    padding = {"padding": False} if tuned else {"padding": "max_length"}
    rows = [
        {**tokenizer(one[5], one[6], truncation=True, max_length=LENGTH, **padding), "labels": float(one[4])}
        for one in fields
    ]
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=BATCH, max_steps=options.steps, learning_rate=4e-5,
            bf16=tuned, save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
            **({"train_sampling_strategy": "group_by_length"} if tuned else {}),
        )  # fmt: skip
        optimizer = torch.optim.RAdam(model.parameters(), lr=4e-5)
        constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        Trainer(
            model=model, args=arguments, train_dataset=rows, optimizers=(optimizer, constant),
            data_collator=DataCollatorWithPadding(tokenizer), callbacks=[clock],
        ).train()  # fmt: skip
    timed = len(clock.ends) - options.skip
    print(
        json.dumps(
            {
                "style": options.style,
                "examples_per_s": round(BATCH * timed / (clock.ends[-1] - clock.ends[options.skip - 1]), 2),
                "peak_rss_mb": peak_memory(torch.device("cpu"))["peak_rss_mb"],
            }
        )
    )


if __name__ == "__main__":
    main()
