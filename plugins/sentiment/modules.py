"""The torch module of the classification head."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from xbench.api import Batch, HeadContext, HeadModule, UserError, dense_block


class Classifier(HeadModule):
    """Logits of the labels from the first token.

    Args:
        encoder: The encoder.
        context: Its ``labels`` say how many there are.
        generator: Of the head's initial weights.

    Raises:
        UserError: There are fewer than two labels.
    """

    def __init__(self, encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> None:
        super().__init__(encoder, context)
        if len(context.labels) < 2:
            raise UserError("the head classification needs a dataset that names at least two labels")
        self.block = dense_block(encoder, len(context.labels), generator)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, shape (examples, labels), float32."""
        first = self.encode_first(batch)  # (examples, hidden)
        return self.block(first).float()  # type: ignore[no-any-return]

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy, shape (examples,)."""
        return torch.nn.functional.cross_entropy(outputs, batch.targets[:, 0].long(), reduction="none")
