"""The torch module of the alignment head."""

from __future__ import annotations

import torch

from xbench.api import Batch, SentenceModule, UserError, cosine_loss


class Embedder(SentenceModule):
    """The embeddings of both sentences; nothing to learn but what makes these (the paper's Fig. 2).

    Training brings their cosine to the gold score scaled to 0-1, by mean squared error (Reimers and Gurevych, 2019).
    """

    def forward(self, batch: Batch) -> torch.Tensor:
        """Embeddings, shape (examples, 2, width)."""
        return torch.stack(self.embed(batch).chunk(2), 1)  # (examples, 2, width)

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Squared error against the score scaled to 0-1, shape (examples,).

        Raises:
            UserError: The rows have no scores.
        """
        if self.context.score_range is None:
            raise UserError("the head alignment is fine-tuned on scored pairs; parallel ones are for fitting maps")
        cosines = torch.nn.functional.cosine_similarity(outputs[:, 0], outputs[:, 1])
        return cosine_loss(cosines, batch, self.context)
