"""How a model's own files say that a sentence embedding is made: the layout of sentence-transformers, without torch.

A folder of that layout has a ``modules.json``: a transformer (in the folder itself or in one of its own), a pooling of
its token vectors, and layers over the pooled vector. Prompts stand in ``config_sentence_transformers.json``, and what
holds for texts in the transformer's ``sentence_bert_config.json``. A folder without ``modules.json`` is an encoder
alone, and its sentence embedding is the mean of the real tokens' vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .folder import MODULES

SETTINGS = "config_sentence_transformers.json"
TEXTS = (
    "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)  # fmt: skip
LAYER_WEIGHTS = "model.safetensors"
POOLINGS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
"""The switches of older files, in the order in which their vectors stand, and the names of newer ones."""
HOW_TO_GO_ON = (
    f"take a head that needs no sentence embeddings, or a copy of the folder without {MODULES}, whose embedding is the "
    "mean of the tokens' vectors"
)


@dataclass(frozen=True)
class Layer:
    """What is done to a pooled vector.

    Attributes:
        kind: ``dense``, ``layer-norm`` or ``normalize``.
        path: Its folder, below the model's.
        inputs: Numbers that it takes; 0 where any will do.
        outputs: Numbers that it gives; 0 for as many as it takes.
        activation: Of a dense layer: a class of ``torch.nn``.
        bias: Whether a dense layer has one.
        residual: Whether a dense layer's input is added to what it gives.
    """

    kind: str
    path: str = ""
    inputs: int = 0
    outputs: int = 0
    activation: str = "Tanh"
    bias: bool = True
    residual: bool = False

    def __str__(self) -> str:
        if self.kind != "dense":
            return {"normalize": "scaled to length 1"}.get(self.kind, self.kind)
        return f"dense {self.inputs} to {self.outputs}, {self.activation}{', residual' * self.residual}"


@dataclass(frozen=True)
class SentenceLayout:
    """How a sentence embedding is made.

    Attributes:
        folder: The model's, below which the layers lie.
        pooling: One or more of `POOLINGS`' names; their vectors stand one behind the other.
        include_prompt: Whether the prompt's tokens are pooled as well.
        layers: Over the pooled vector, in order.
        prompt: Put before each sentence.
        lower: Whether texts are brought to lower case.
        max_length: Tokens of a sentence, special ones included, at most; None where only the recipe sets a limit.
        width: How many numbers of the vector are kept, from its start; None keeps all.
        problem: Why it is not known how the embedding is made; empty where it is.
    """

    folder: Path
    pooling: tuple[str, ...] = ("mean",)
    include_prompt: bool = True
    layers: tuple[Layer, ...] = ()
    prompt: str = ""
    lower: bool = False
    max_length: int | None = None
    width: int | None = None
    problem: str = ""

    def check(self) -> None:
        """See that it is known how the embedding is made.

        Raises:
            UserError: It is not.
        """
        if self.problem:
            raise UserError(f"the sentence embeddings of {self.folder} cannot be made: {self.problem}; {HOW_TO_GO_ON}")

    def content(self) -> dict[str, Any]:
        """What of it changes embeddings, for keys; the layers' weights and the prompt stand elsewhere in them."""
        layers = [
            [one.kind, one.inputs, one.outputs, one.activation, one.bias, one.residual] for one in self.layers
        ]  # fmt: skip
        return {
            "pooling": list(self.pooling), "include_prompt": self.include_prompt, "layers": layers,
            "width": self.width, "problem": self.problem, **self.reading(),
        }  # fmt: skip

    def longest(self, asked: int) -> int:
        """Tokens of a sentence, special ones included, at most.

        Args:
            asked: The recipe's limit.
        """
        return min(asked, self.max_length or asked)

    def reading(self) -> dict[str, Any]:
        """What of it changes tokens; the prompt left out, which all models may have."""
        return {"lower": self.lower, "max_length": self.max_length}

    def __str__(self) -> str:
        if self.problem:
            return f"not known: {self.problem}"
        parts = [" and ".join(self.pooling), *map(str, self.layers)]
        parts += ["without the prompt's tokens"] * (not self.include_prompt and bool(self.prompt))
        parts += ["lower case"] * self.lower
        parts += [f"at most {self.max_length} tokens"] * (self.max_length is not None)
        parts += [f"the first {self.width} numbers"] * (self.width is not None)
        return "; ".join(parts)
