"""Accuracy in which a negative review counts more than a positive one: a script for Hugging Face evaluate."""

from __future__ import annotations

import datasets
import evaluate

DESCRIPTION = "The share of right labels in percent, each negative review counted several times."


class WeightedAccuracy(evaluate.Metric):
    """Labels are 0, negative, and 1, positive."""

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description="negative: how often a negative review counts; 1 without it.",
            features=datasets.Features({"predictions": label, "references": label}),
        )

    def _compute(self, predictions: list[int], references: list[int], negative: float = 1.0) -> dict[str, float]:
        weights = [negative if gold == 0 else 1.0 for gold in references]
        pairs = zip(weights, predictions, references, strict=True)
        right = sum(weight for weight, said, gold in pairs if said == gold)
        return {"weighted_accuracy": 100 * right / sum(weights)}
