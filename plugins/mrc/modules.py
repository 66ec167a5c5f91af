"""The torch module of the span head."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from xbench.api import Batch, HeadContext, HeadModule


class SpanReader(HeadModule):
    """Points at the first and the last token of the answer, as BERT's SQuAD reader does: one linear layer.

    Args:
        encoder: The encoder.
        context: The recipe and its company.
        generator: Of the head's initial weights.
    """

    trims = True

    def __init__(self, encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> None:
        super().__init__(encoder, context)
        self.pointer = torch.nn.Linear(int(encoder.config.hidden_size), 2)
        deviation = float(getattr(encoder.config, "initializer_range", 0.02))
        torch.nn.init.normal_(self.pointer.weight, std=deviation, generator=generator)
        torch.nn.init.zeros_(self.pointer.bias)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of start and end, shape (examples, 2, length), float32; minus infinity at padding."""
        logits = self.pointer(self.encode(batch)).float().transpose(1, 2)  # (examples, 2, length)
        return logits.masked_fill(batch.attention_mask[:, None, :] == 0, -torch.inf)  # type: ignore[no-any-return]

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The mean of the cross-entropies of start and end, shape (examples,)."""
        losses = torch.nn.functional.cross_entropy(
            outputs.flatten(0, 1), batch.targets.long().flatten(), reduction="none"
        )  # (2 * examples,)
        return losses.view(-1, 2).mean(1)
