"""How heads that are made of the shared building blocks become parts of ordinary model folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..types import Export, Exporting

if TYPE_CHECKING:  # a plugin names these functions when it is loaded: that must not cost torch
    import torch

SENTENCES = "SentenceTransformer"


def linear_export(
    exporting: Exporting, loads: str, layers: Sequence[str], raw: Callable[[Any], torch.Tensor],
    config: Mapping[str, Any] | None = None, notes: tuple[str, ...] = (),
) -> Export:  # fmt: skip
    """Export a head of linear layers onto an auto class whose own head has as many, of the same shapes.

    BERT's classes and DeBERTa's keep the first of two in a pooler, those of RoBERTa's heritage keep both in their
    classifier. What stands between the layers is not looked at here: whoever writes the folder compares what it gives
    with what the head gives.

    Args:
        exporting: The head.
        loads: The auto class.
        layers: The names of the module's linear layers, in the order in which they are run.
        raw: As in `Export`.
        config: As in `Export`.
        notes: As in `Export`.

    Returns:
        The export.

    Raises:
        UserError: transformers has no such class for the encoder, or puts another head on it.
    """
    changes = dict(config or {})
    if hasattr(exporting.config, "pooler_hidden_act"):  # DeBERTa's is GELU as it was published
        changes["pooler_hidden_act"] = "tanh"
    for name, value in changes.items():
        setattr(exporting.config, name, value)
    theirs, kind = own_parameters(loads, exporting.config)
    ours = [
        (f"{layer}.{part}", exporting.weights[f"{layer}.{part}"]) for layer in layers for part in ("weight", "bias")
    ]
    if [shape for _, shape in theirs] != [weight.shape for _, weight in ours]:
        have = ", ".join(f"{name} {tuple(shape)}" for name, shape in theirs) or "nothing"
        raise UserError(f"{kind} has another head than this one: {have}")
    weights = {name: weight for (name, _), (_, weight) in zip(theirs, ours, strict=True)}
    return Export(loads, raw, weights, config=changes, notes=notes)


def own_parameters(loads: str, config: Any) -> tuple[list[tuple[str, torch.Size]], str]:
    """The parameters of an auto class that are not the encoder's, and the name of the class behind it.

    Args:
        loads: The auto class.
        config: The encoder's configuration, with the changes that decide on the head.

    Returns:
        Names and shapes in the model's order.

    Raises:
        UserError: transformers has no such class for the encoder.
    """
    import torch
    import transformers

    kind = model_class(loads, config)
    with torch.device("meta"):
        model = kind(config)
        encoder = transformers.AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    known = {f"{kind.base_model_prefix}.{name}" for name in encoder.state_dict() if not name.startswith("pooler.")}
    return [(name, weight.shape) for name, weight in model.state_dict().items() if name not in known], kind.__name__


def model_class(loads: str, config: Any) -> Any:
    """What an auto class builds for a configuration.

    Raises:
        UserError: transformers has no such class for it.
    """
    import transformers

    auto = getattr(transformers, loads, None)
    found = None if auto is None else auto._model_mapping.get(type(config), None)
    kind = found[0] if isinstance(found, tuple) else found
    if kind is None:
        raise UserError(f"transformers has no {loads} for models of the type {config.model_type}")
    return kind


def sentence_export(exporting: Exporting, raw: Callable[[Any], torch.Tensor], notes: tuple[str, ...] = ()) -> Export:
    """Export a `SentenceModule` with nothing of its own but what makes the embeddings.

    Args:
        exporting: The head.
        raw: From (sequences, width) embeddings to what the module gives; all first sentences stand before all second
            ones.
        notes: As in `Export`.

    Returns:
        The export.

    Raises:
        ValueError: The module has other weights as well, which would be lost.
    """
    from .sentences import LAYERS

    layout = exporting.context.sentence
    layers: list[dict[str, torch.Tensor]] = [{} for _ in (layout.layers if layout else ())]
    for name, weight in exporting.weights.items():
        prefix, _, rest = name.partition(".")
        place, _, own = rest.partition(".")
        if prefix != LAYERS:
            raise ValueError(f"{name} is no part of a sentence embedding")
        layers[int(place)][own] = weight
    return Export(SENTENCES, raw, layers=layers, notes=notes)
