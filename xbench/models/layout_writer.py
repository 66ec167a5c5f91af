"""Writes the files that say how a sentence embedding is made, as every version of sentence-transformers reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import write_json
from .folder import MODULES
from .sentences import LAYER_WEIGHTS, POOLINGS, SETTINGS, TEXTS, Layer, SentenceLayout


def write_layout(folder: Path, layout: SentenceLayout, hidden: int) -> Sequence[Path]:
    """Write the files that say how a sentence embedding is made; the transformer lies in the folder itself.

    Args:
        folder: The model's.
        layout: What they say.
        hidden: The width of the encoder's vectors.

    Returns:
        For each layer with weights the file to write them to.
    """
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
