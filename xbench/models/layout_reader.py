"""Reads how a model's own files say that a sentence embedding is made, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from .folder import MODULES, module_list, module_path, read_json
from .sentences import LAYER_WEIGHTS, POOLINGS, SETTINGS, TEXTS, Layer, SentenceLayout

ACTIVATIONS = frozenset({
    "CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "Mish",
    "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh", "Tanhshrink",
})  # fmt: skip
"""Of ``torch.nn``; nothing else that a file names is ever imported."""
VECTOR = "sentence_embedding"
TOKENS = {"method": "forward", "method_output_name": "last_hidden_state"}
"""Where a transformer's vectors of a text's tokens are from."""
PASSED_ON = (
    "model_args", "model_kwargs", "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs",
    "processing_kwargs",
)  # fmt: skip
"""What a file gives to whatever loads or reads: under its older and its newer names."""
NEUTRAL = frozenset({
    "add_pooling_layer", "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "torch_dtype",
    "trust_remote_code", "use_cache", "use_fast", "use_safetensors",
})  # fmt: skip
"""Of that, what changes no embedding beyond rounding, or is not for a file to say."""
NAMED_PROMPTS = ("query", "document")
"""The library has these two always, empty where the files say nothing."""


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
    _check_transformer(about)
    settings = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    return SentenceLayout(
        folder, pooling, include_prompt, layers, _prompt(settings), _flag(about, "do_lower_case", False),
        _number(about, "max_seq_length"), _number(settings, "truncate_dim"),
    )  # fmt: skip


def _check_transformer(about: Mapping[str, Any]) -> None:
    """See that a transformer does nothing else than to make its last layer's vectors of a text's tokens.

    Raises:
        UserError: It does.
    """
    task = about.get("transformer_task", "feature-extraction")
    if task != "feature-extraction":
        raise UserError(f"its transformer is for {task!r:.60}")
    for name in PASSED_ON:
        values = about.get(name) or {}
        others = sorted(values.keys() - NEUTRAL) if isinstance(values, dict) else [values]
        if others:
            raise UserError(f"its transformer has {name} with {others[0]!r:.60}, which is not known here")
    kinds, output = about.get("modality_config", {"text": TOKENS}), about.get("module_output_name")
    if not isinstance(kinds, dict) or kinds.get("text") != TOKENS or output not in (None, "token_embeddings"):
        raise UserError("its transformer gives something else than its last layer's vectors of a text's tokens")


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
    known = {**dict.fromkeys(NAMED_PROMPTS), **prompts} if isinstance(prompts, dict) else {}
    prompt = (known[name] or "") if isinstance(name, str) and name in known else None
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
