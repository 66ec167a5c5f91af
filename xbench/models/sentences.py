"""How a model's own files say that a sentence embedding is made: the layout of sentence-transformers, without torch.

A folder of that layout has a ``modules.json``: a transformer (in the folder itself or in one of its own), a pooling of
its token vectors, and layers over the pooled vector. Prompts stand in ``config_sentence_transformers.json``, and what
holds for texts in the transformer's ``sentence_bert_config.json``. A folder without ``modules.json`` is an encoder
alone, and its sentence embedding is the mean of the real tokens' vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .folder import MODULES, module_list, module_path, read_json

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
ACTIVATIONS = frozenset({
    "CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "Mish",
    "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh", "Tanhshrink",
})  # fmt: skip
"""Of ``torch.nn``; nothing else that a file names is ever imported."""
VECTOR = "sentence_embedding"
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
        activation: Of a dense layer: one of `ACTIVATIONS`.
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


def read_layout(folder: Path) -> SentenceLayout | None:
    """Read a model's files.

    Args:
        folder: The model's.

    Returns:
        How its sentence embedding is made; None where that is the mean of the tokens' vectors and nothing else. What
        cannot be read, or is not known here, is its ``problem``: a head that needs no embedding works all the same.
    """
    if not (folder / MODULES).is_file():
        return None
    try:
        layout = _read(folder)
    except UserError as problem:
        return SentenceLayout(folder, problem=str(problem))
    return None if layout == SentenceLayout(folder) else layout


def missing_parts(folder: Path) -> bool:
    """Whether a file of a pooling's or a dense layer's is surely not there, or the list of modules is damaged."""
    if not (folder / MODULES).is_file():
        return False
    try:
        rest = module_list(folder)[1:]
        needs = {"Pooling": ("config.json",), "Dense": ("config.json", LAYER_WEIGHTS), "LayerNorm": (LAYER_WEIGHTS,)}
        return any(
            not (folder / module_path(one) / name).is_file() for one in rest for name in needs.get(_kind(one), ())
        )
    except UserError:
        return True


def _read(folder: Path) -> SentenceLayout:
    """The layout.

    Raises:
        UserError: A file is damaged, or asks for something that is not known here.
    """
    modules = module_list(folder)
    kinds = [_kind(one) for one in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise UserError(
            f"{MODULES} does not begin with a Transformer and a Pooling, but with {' and '.join(kinds[:2])}"
        )
    paths = [module_path(one) for one in modules]
    if not all(paths[1:]):
        raise UserError(f"{MODULES} names no folder for one of {', '.join(kinds[1:])}")
    pooling, include_prompt, width = _pooling(read_json(folder / paths[1] / "config.json"))
    layers = tuple(_layer(folder, kind, path) for kind, path in zip(kinds[2:], paths[2:], strict=True))
    for layer in layers:
        if layer.inputs and width and layer.inputs != width:
            raise UserError(f"{layer.path} takes {layer.inputs} numbers, and gets {width}")
        width = layer.outputs or width
    texts = next((folder / paths[0] / name for name in TEXTS if (folder / paths[0] / name).is_file()), None)
    about = {} if texts is None else read_json(texts)
    task = about.get("transformer_task", "feature-extraction")
    if task != "feature-extraction":
        raise UserError(f"its transformer is for {task!r:.60}")
    settings = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    return SentenceLayout(
        folder, pooling, include_prompt, layers, _prompt(settings), _flag(about, "do_lower_case", False),
        _number(about, "max_seq_length"), _number(settings, "truncate_dim"),
    )  # fmt: skip


def _kind(module: Mapping[str, Any]) -> str:
    """The last part of a module's type where it is the library's own; the whole of another's."""
    name = str(module.get("type", ""))
    return name.rpartition(".")[2] if name.startswith("sentence_transformers.") else name


def _pooling(config: Mapping[str, Any]) -> tuple[tuple[str, ...], bool, int]:
    """The modes, whether the prompt's tokens take part, and the numbers that it gives; 0 where it does not say."""
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for switch, mode in POOLINGS.items() if config.get(switch)] or ["mean"]
    modes = [modes] if not isinstance(modes, list) else modes
    unknown = [mode for mode in modes if mode not in POOLINGS.values()]
    if unknown or not modes:
        raise UserError(f"its pooling {(unknown or [''])[0]!r:.60} is not among {', '.join(POOLINGS.values())}")
    size = _number(config, "embedding_dimension") or _number(config, "word_embedding_dimension") or 0
    return tuple(modes), _flag(config, "include_prompt", True), size * len(modes)


def _layer(folder: Path, kind: str, path: str) -> Layer:
    config = read_json(folder / path / "config.json") if (folder / path / "config.json").is_file() else {}
    for name in ("module_input_name", "module_output_name"):
        if config.get(name) not in (None, VECTOR):
            raise UserError(f"{path} works on {config[name]!r:.60}, and not on the sentence's vector")
    if kind == "Normalize":
        return Layer("normalize")
    if kind not in ("Dense", "LayerNorm"):
        raise UserError(f"{MODULES} names {kind or 'no type'!r:.80}, which is not known here")
    if not (folder / path / LAYER_WEIGHTS).is_file():
        raise UserError(
            f"{path} has no {LAYER_WEIGHTS}, and pickles are never loaded (load the model with sentence-transformers "
            "and save it again)"
        )
    if kind == "LayerNorm":
        size = _number(config, "dimension") or 0
        return Layer("layer-norm", path, size, size)
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    module, _, name = str(activation).rpartition(".")
    if not module.startswith("torch.nn") or name not in ACTIVATIONS:
        raise UserError(f"{path} has the activation {activation!r:.80}, which is not known here")
    inputs, outputs = _number(config, "in_features"), _number(config, "out_features")
    if inputs is None or outputs is None:
        raise UserError(f"{path}/config.json says neither in_features nor out_features")
    bias, residual = _flag(config, "bias", True), _flag(config, "use_residual", False)
    return Layer("dense", path, inputs, outputs, name, bias, residual)


def _prompt(settings: Mapping[str, Any]) -> str:
    """The prompt that is put before every sentence unless another is asked for: that of ``default_prompt_name``."""
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts") or {}
    if name is None:
        return ""
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if not isinstance(prompt, str):
        raise UserError(f"{SETTINGS} has no prompt of the name {name!r:.60}, its default_prompt_name")
    return prompt


def _number(values: Mapping[str, Any], name: str) -> int | None:
    """A count, or None where there is none.

    Raises:
        UserError: It is something else.
    """
    value = values.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise UserError(f"{name} = {value!r:.60} is not a whole number above 0")
    return value


def _flag(values: Mapping[str, Any], name: str, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise UserError(f"{name} = {value!r:.60} is neither true nor false")
    return value


def write_layout(folder: Path, layout: SentenceLayout, hidden: int) -> Sequence[Path]:
    """Write the files that say how a sentence embedding is made; the transformer lies in the folder itself.

    Args:
        folder: The model's.
        layout: What they say.
        hidden: The width of the encoder's vectors.

    Returns:
        For each layer with weights the file to write them to.
    """
    from ..files import write_json

    library = "sentence_transformers.models"  # the names that all its versions know
    kinds = {"dense": "Dense", "layer-norm": "LayerNorm", "normalize": "Normalize"}
    names = ["Transformer", "Pooling", *(kinds[layer.kind] for layer in layout.layers)]
    paths = ["", *(f"{place}_{name}" for place, name in enumerate(names[1:], 1))]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"{library}.{name}"}
        for place, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    write_json(folder / MODULES, modules)
    write_json(folder / TEXTS[0], {"max_seq_length": layout.max_length, "do_lower_case": layout.lower})
    prompts = {"sentence": layout.prompt} if layout.prompt else {}
    settings: dict[str, Any] = {
        "prompts": prompts, "default_prompt_name": next(iter(prompts), None), "similarity_fn_name": "cosine",
    }  # fmt: skip
    if layout.width is not None:
        settings["truncate_dim"] = layout.width
    write_json(folder / SETTINGS, settings)
    write_json(folder / paths[1] / "config.json", _pooling_config(layout, hidden))
    weights = []
    for path, layer in zip(paths[2:], layout.layers, strict=True):
        if layer.kind != "normalize":
            weights.append(folder / path / LAYER_WEIGHTS)
        write_json(folder / path / "config.json", _layer_config(layer))
    return weights


def _pooling_config(layout: SentenceLayout, hidden: int) -> dict[str, Any]:
    """By the switches that all versions read, where these can say it: they know no other order than their own."""
    if layout.pooling != tuple(mode for mode in POOLINGS.values() if mode in layout.pooling):
        modes = {"embedding_dimension": hidden, "pooling_mode": list(layout.pooling)}
    else:
        switches = {switch: mode in layout.pooling for switch, mode in POOLINGS.items()}
        modes = {"word_embedding_dimension": hidden, **switches}
    return {**modes, "include_prompt": layout.include_prompt}


def _layer_config(layer: Layer) -> dict[str, Any]:
    if layer.kind == "normalize":
        return {}
    if layer.kind == "layer-norm":
        return {"dimension": layer.inputs}
    module = "linear" if layer.activation == "Identity" else "activation"
    config: dict[str, Any] = {
        "in_features": layer.inputs, "out_features": layer.outputs, "bias": layer.bias,
        "activation_function": f"torch.nn.modules.{module}.{layer.activation}",
    }  # fmt: skip
    return {**config, "use_residual": True} if layer.residual else config
