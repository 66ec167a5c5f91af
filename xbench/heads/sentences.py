"""Sentence embeddings, made as a model's own files say: pooling, then layers over the pooled vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from ..errors import UserError
from ..models.encoder import load_tokenizer
from ..models.folder import encoder_folder
from ..models.sentences import LAYER_WEIGHTS, Layer, SentenceLayout
from ..types import Batch, HeadContext
from .blocks import HeadModule, mean_pool
from .tokens import lower_case

if TYPE_CHECKING:
    from collections.abc import Sequence


LAYERS = "sentence_layers"
"""Under this name a module holds its layers over the pooled vector."""


class SentenceModule(HeadModule):
    """A head on sentence embeddings; `embed` makes them.

    Where the model's files tell of layers over the pooled vector, they are a part of the module and fine-tuned with it.

    Args:
        encoder: The encoder.
        context: The recipe and its company; ``sentence`` says how embeddings are made.

    Raises:
        UserError: It is not known how, or the layers' weights do not fit.
    """

    def __init__(self, encoder: PreTrainedModel, context: HeadContext) -> None:
        super().__init__(encoder, context)
        layout = context.sentence
        self.sentence_layers, self._prompt_tokens = nn.ModuleList(), 0
        if layout is not None:
            layout.check()
            width = len(layout.pooling) * int(encoder.config.hidden_size)
            self.sentence_layers.extend(_layers(layout, width))
            if not layout.include_prompt:
                prompt, limit = context.prompts.get("sentence", ""), layout.longest(context.recipe.max_length)
                self._prompt_tokens = _prompt_tokens(layout, prompt, limit)

    def embed(self, batch: Batch) -> torch.Tensor:
        """Run the encoder, once a pass as `encode`, and make an embedding of each sequence.

        Args:
            batch: Padded sequences.

        Returns:
            (sequences, width), float32.
        """
        layout = self.context.sentence
        if layout is None:
            return mean_pool(self.encode(batch), batch.attention_mask)
        if layout.pooling == ("cls",) and not self._prompt_tokens:
            vectors = self.encode_first(batch).float()  # (sequences, hidden)
        else:
            vectors = pool(self.encode(batch), batch.attention_mask, layout.pooling, self._prompt_tokens)
        for layer in self.sentence_layers:
            vectors = layer(vectors)
        return vectors.float()[:, : layout.width]


def pool(
    hidden: torch.Tensor, attention_mask: torch.Tensor, modes: Sequence[str], prompt_tokens: int = 0
) -> torch.Tensor:
    """One vector a sequence, by the definitions of sentence-transformers.

    Args:
        hidden: (sequences, length, hidden)
        attention_mask: (sequences, length); padding stands at the ends.
        modes: ``mean``, ``mean_sqrt_len_tokens`` (the sum over the square root of the number of tokens),
            ``weightedmean`` (the n-th token counts n times), ``max`` (of each number), ``cls`` (the first token) and
            ``lasttoken``; their vectors stand one behind the other.
        prompt_tokens: How many tokens at the start take no part; they keep their places in the count of
            ``weightedmean``.

    Returns:
        (sequences, modes * hidden), float32; zeros for a sequence of which nothing takes part.
    """
    hidden = hidden.float()
    mask = attention_mask.bool()
    places = torch.arange(mask.shape[1], device=mask.device)  # (length,)
    mask = (mask & (places >= prompt_tokens)).unsqueeze(-1)  # (sequences, length, 1)
    real = hidden.masked_fill(~mask, 0)
    count = mask.sum(1).clamp(min=1)  # (sequences, 1)
    vectors = []
    for mode in modes:
        if mode == "mean":
            vectors.append(real.sum(1) / count)
        elif mode == "mean_sqrt_len_tokens":
            vectors.append(real.sum(1) / count.sqrt())
        elif mode == "weightedmean":
            weights = (places + 1)[None, :, None] * mask  # (sequences, length, 1)
            vectors.append((real * weights).sum(1) / weights.sum(1).clamp(min=1))
        elif mode == "max":
            largest = hidden.masked_fill(~mask, -torch.inf).amax(1)
            vectors.append(torch.where(mask.any(1), largest, 0))
        else:
            last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1, keepdim=True)  # (sequences, 1, 1)
            at = mask.int().argmax(1, keepdim=True) if mode == "cls" else last
            vectors.append(real.gather(1, at.expand(-1, 1, hidden.shape[-1])).squeeze(1))
    return torch.cat(vectors, -1)


class Dense(nn.Module):
    """A linear layer with an activation, and perhaps its input added."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.inputs, layer.outputs, layer.bias)
        self.activation: nn.Module = getattr(nn, layer.activation)()
        self.adds = layer.residual
        if layer.residual and layer.inputs != layer.outputs:
            self.residual = nn.Linear(layer.inputs, layer.outputs, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(sequences, inputs) -> (sequences, outputs)."""
        out: torch.Tensor = self.activation(self.linear(vectors))
        if self.adds:
            out = out + (self.residual(vectors) if hasattr(self, "residual") else vectors)
        return out


class LayerNorm(nn.Module):
    """A layer norm."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(layer.inputs)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(sequences, width) of the same shape."""
        return self.norm(vectors)  # type: ignore[no-any-return]


class Normalize(nn.Module):
    """Brings vectors to length 1."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(sequences, width) of the same shape."""
        return functional.normalize(vectors.float(), dim=-1)


def _layers(layout: SentenceLayout, width: int) -> list[nn.Module]:
    """The layers over the pooled vector, with their weights.

    Raises:
        UserError: They do not fit each other, or their weights do not fit them.
    """
    made: list[nn.Module] = []
    for layer in layout.layers:
        if layer.inputs not in (0, width):
            raise UserError(f"{layout.folder / layer.path} takes {layer.inputs} numbers, and gets {width}")
        width = layer.outputs or width
        module = {"dense": Dense, "layer-norm": LayerNorm}[layer.kind](layer) if layer.path else Normalize()
        if layer.path:
            path = layout.folder / layer.path / LAYER_WEIGHTS
            try:
                module.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
            except RuntimeError:
                raise UserError(f"the weights in {path} do not fit its config.json") from None
        made.append(module)
    return made


def _prompt_tokens(layout: SentenceLayout, prompt: str, limit: int) -> int:
    """How many tokens at a sequence's start are the prompt's; a special token at its end is not."""
    if not prompt:
        return 0
    tokenizer = load_tokenizer(encoder_folder(layout.folder))
    text = lower_case(prompt) if layout.lower else prompt
    ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
    return len(ids) - (ids[-1] in tokenizer.all_special_ids)
