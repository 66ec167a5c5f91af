"""``alignment``: sentence embeddings of two languages, read after a map from one to the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from xbench.api import (
    Decoding,
    Export,
    Exporting,
    Fitting,
    Head,
    HeadContext,
    Reading,
    sentence_export,
    sentence_pair_examples,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from .maps import LinearMap

BLOCK = 8192
"""Pairs that are in memory at once while a map is fitted."""
BACK = "-back"
MAPS = {
    "least-squares": "least squares: the normal equations' solution",
    "procrustes": "the nearest orthogonal map",
    "linear-net": "one linear layer, trained by gradient descent",
}
# The maps are plain, as in the paper: no ridge, no centring, no bias. The net stops by itself, long before 500 epochs.
MAP_OPTIONS = {
    "ridge": 0.0, "centred": False, "net_lr": 1e-3, "net_batch": 256, "net_epochs": 500, "net_tolerance": 1e-4,
    "net_patience": 5,
}  # fmt: skip


def alignment_module(encoder: PreTrainedModel, context: HeadContext, generator: torch.Generator) -> torch.nn.Module:
    """Build the torch module."""
    from .modules import Embedder

    return Embedder(encoder, context)


def fit_map(fitting: Fitting, kind: str, back: bool) -> Any:
    """Fit a map on the embeddings of parallel sentences.

    Args:
        fitting: ``outputs`` are (pairs, 2, hidden).
        kind: One of `MAPS`.
        back: From the second language to the first.
    """
    from .maps import FittedMap

    return FittedMap(_fit(fitting, kind, back), fitting.dataset.languages, back)


def _fit(fitting: Fitting, kind: str, back: bool) -> LinearMap:
    from .maps import blocks, least_squares, procrustes

    options = fitting.context.recipe.options
    pairs = blocks(fitting.outputs, BLOCK, back)
    if kind == "least-squares":
        return least_squares(pairs, float(options["ridge"]), bool(options["centred"]))
    if kind == "procrustes":
        return procrustes(pairs, bool(options["centred"]))
    from .net import NetRecipe, linear_net

    recipe = NetRecipe(
        float(options["net_lr"]), int(options["net_batch"]), int(options["net_epochs"]),
        float(options["net_tolerance"]), int(options["net_patience"]), bool(options["centred"]),
    )  # fmt: skip
    return linear_net(fitting.outputs, back, recipe, fitting.seed)


def decode_pairs(decoding: Decoding) -> list[Any]:
    """What is said of each pair after the map."""
    from .decode import decode

    return decode(decoding)


def export_embedder(exporting: Exporting) -> Export:
    """``SentenceTransformer``; the maps are fitted anew for each run, and are no part of the stage."""
    import torch

    notes = ("These are the embeddings before any map between languages.",)
    return sentence_export(exporting, lambda vectors: torch.stack(vectors.chunk(2), 1), notes)


HEADS = [
    Head(
        name="alignment",
        version=2,
        schemas=("pair-score", "parallel"),
        description="Sentence embeddings of two languages, compared after a linear map (section II.C)",
        examples=sentence_pair_examples,
        module=alignment_module,
        decode=decode_pairs,
        needs_training=False,
        export=export_embedder,
        options=MAP_OPTIONS,
        decoding=("max_length", *MAP_OPTIONS),
        readings=(
            Reading("identity", None, "no map"),
            *(
                Reading(f"{kind}{BACK * back}", partial(fit_map, kind=kind, back=back), text + ", backwards" * back)
                for back in (False, True)
                for kind, text in MAPS.items()
            ),
        ),
    ),
]  # fmt: skip
