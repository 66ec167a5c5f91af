"""The torch module of the head."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from xbench.api import Batch, HeadContext, HeadModule, dense_block

from .heads import NOTHING


class WordTagger(HeadModule):
    """Logits of the tags for each token.

    Args:
        encoder: The encoder.
        context: Its ``labels`` are the tags.
        generator: Of the head's initial weights.
    """

    trims = True  # the last dimension of the outputs runs over tokens

    def __init__(self, encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> None:
        super().__init__(encoder, context)
        self.block = dense_block(encoder, len(context.labels), generator)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, shape (examples, tags, length), float32; 0 at padding."""
        hidden = self.encode(batch)  # (examples, length, hidden)
        logits = self.block(hidden).float()  # (examples, length, tags)
        padding = batch.attention_mask.unsqueeze(-1) == 0  # (examples, length, 1)
        return logits.masked_fill(padding, 0.0).transpose(1, 2)  # type: ignore[no-any-return]

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The mean cross-entropy of a sentence's words, shape (examples,)."""
        targets = batch.targets[:, : outputs.shape[-1]].long()  # (examples, length)
        losses = torch.nn.functional.cross_entropy(outputs, targets, ignore_index=NOTHING, reduction="none")
        return losses.sum(1) / (targets != NOTHING).sum(1).clamp(min=1)
