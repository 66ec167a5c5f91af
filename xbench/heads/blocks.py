"""What heads are made of."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from ..models.packing import can_pack, encode_first, encode_packed
from ..types import Batch, HeadContext


class HeadModule(nn.Module):
    """An encoder with something on it.

    A subclass implements ``forward`` and ``loss``, and sets ``trims`` when the last dimension of its outputs runs over
    tokens: predictions then lose the padding.

    Args:
        encoder: The encoder; its output's ``last_hidden_state`` is used.
        context: The recipe and its company.
    """

    trims = False

    def __init__(self, encoder: PreTrainedModel, context: HeadContext) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = context

    def packs(self) -> bool:
        """Whether the encoder runs without padding, so that only real tokens cost time."""
        return can_pack(self.encoder, self.encoder.device)

    def encode(self, batch: Batch) -> torch.Tensor:
        """Run the encoder, once a pass and on the whole batch: dropout masks go by a sequence's place in it.

        Args:
            batch: Padded sequences.

        Returns:
            (sequences, length, hidden) the last layer's output; whatever it holds at padding is to be masked.
        """
        if self.packs():
            return encode_packed(self.encoder, batch)
        types = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
        output = self.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **types)
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    def encode_first(self, batch: Batch) -> torch.Tensor:
        """Run the encoder as `encode` does, for a head that reads the first token alone: the rest need not be made.

        Args:
            batch: Padded sequences.

        Returns:
            (sequences, hidden) the last layer's output at the first token of each.
        """
        return encode_first(self.encoder, batch) if self.packs() else self.encode(batch)[:, 0]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Raw outputs, first dimension examples."""
        raise NotImplementedError

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """One loss an example, shape (examples,), float32."""
        raise NotImplementedError


def mean_pool(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The mean of the real tokens' vectors: the paper's sentence embedding (its section II.B).

    Args:
        hidden: (sequences, length, hidden)
        attention_mask: (sequences, length)

    Returns:
        (sequences, hidden), float32.
    """
    weights = attention_mask.unsqueeze(-1).to(torch.float32)  # (sequences, length, 1)
    return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1)  # an empty sequence is the zero vector


def cosine_loss(cosines: torch.Tensor, batch: Batch, context: HeadContext) -> torch.Tensor:
    """Squared error against the gold score scaled to 0-1, as Sentence-BERT regresses (Reimers and Gurevych, 2019).

    Args:
        cosines: (examples,) of the pairs' sentence embeddings.
        batch: Its first target is the gold score.
        context: For the range of the scores.

    Returns:
        (examples,)
    """
    offset, factor = context.unit_scale()
    return (cosines - (batch.targets[:, 0] - offset) * factor).square()


def dense_block(encoder: PreTrainedModel, outputs: int, generator: torch.Generator) -> nn.Sequential:
    """The head that transformers puts on XLM-R for sequence classification: dropout, dense, tanh, dropout, linear.

    Args:
        encoder: For its width, dropout and the standard deviation of initial weights.
        outputs: Numbers to predict.
        generator: Of the initial weights; nothing else draws from it.

    Returns:
        (..., hidden) -> (..., outputs)
    """
    config = encoder.config
    hidden = int(config.hidden_size)
    own = getattr(config, "classifier_dropout", None)
    rate = float(getattr(config, "hidden_dropout_prob", 0.0) if own is None else own)
    block = nn.Sequential(
        nn.Dropout(rate), nn.Linear(hidden, hidden), nn.Tanh(), nn.Dropout(rate), nn.Linear(hidden, outputs)
    )
    deviation = float(getattr(config, "initializer_range", 0.02))
    for module in block:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=deviation, generator=generator)
            nn.init.zeros_(module.bias)
    return block
