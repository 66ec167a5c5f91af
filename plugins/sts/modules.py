"""The torch modules of the two heads."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from xbench.api import Batch, HeadContext, HeadModule, SentenceModule, cosine_loss, dense_block


class CrossEncoder(HeadModule):
    """Regression from the first token of the pair's sequence.

    Args:
        encoder: The encoder.
        context: ``score_scale`` is ``unit`` (gold scores brought to 0-1) or ``raw`` (as they are, as the GLUE
            example regresses).
        generator: Of the head's initial weights.
    """

    def __init__(self, encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> None:
        super().__init__(encoder, context)
        scale = context.recipe.options["score_scale"]
        self.offset, self.factor = context.unit_scale() if scale == "unit" else (0.0, 1.0)
        self.block = dense_block(encoder, 1, generator)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Predicted scores on the scale that was trained, shape (examples,)."""
        first = self.encode_first(batch)  # (examples, hidden)
        return self.block(first).squeeze(-1).float()  # type: ignore[no-any-return]

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Squared error, shape (examples,)."""
        return (outputs - (batch.targets[:, 0] - self.offset) * self.factor).square()


class Siamese(SentenceModule):
    """The cosine of two sentence embeddings; nothing to learn but what makes these (the paper's Fig. 2).

    Training brings the cosine to the gold score scaled to 0-1, by mean squared error (Reimers and Gurevych, 2019).
    """

    def forward(self, batch: Batch) -> torch.Tensor:
        """Cosines, shape (examples,)."""
        first, second = self.embed(batch).chunk(2)  # (examples, width) each
        return torch.nn.functional.cosine_similarity(first, second)

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Squared error against the score scaled to 0-1, shape (examples,)."""
        return cosine_loss(outputs, batch, self.context)
