"""LoRA adapters (Hu et al., 2022) by peft: put into an encoder, kept in peft's own format, merged into its weights.

An adapter lies in its folder as peft saves one, so that ``peft.PeftModel.from_pretrained(AutoModel..., folder)`` loads
it. peft is imported where it is used: nothing else needs it.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, did_you_mean
from ..keys import text_sha256
from ..recipe import LORA, Recipe
from .folder import ADAPTER

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from .resolve import LocalModel

WEIGHTS, CONFIG = "adapter_model.safetensors", ADAPTER
NAME = "default"
PREFIX = "base_model.model."
"""What peft's files put before the names that weights have in the encoder."""
AUTO, ALL_LINEAR = "auto", "all-linear"
POOLER = "pooler.dense"
"""A linear layer that transformers' encoders have and ours do not: what is named by an end must not take it in."""


def check_peft(recipe: Recipe) -> None:
    """See that adapters can be had where a recipe wants them.

    Args:
        recipe: The recipe.

    Raises:
        UserError: peft is not installed.
    """
    if recipe.tuning == LORA and importlib.util.find_spec("peft") is None:
        raise UserError("recipe.tuning = lora needs peft: pip install 'xbench[lora]'")


def has_adapter(encoder: PreTrainedModel) -> bool:
    """Whether an encoder carries an adapter that is not merged."""
    return bool(getattr(encoder, "peft_config", None))


def add_adapter(encoder: PreTrainedModel, recipe: Recipe, seed: int, model: LocalModel) -> None:
    """Put a new adapter into an encoder, and freeze all else in it.

    A (rank, in) is drawn as peft draws it, uniform by Kaiming's rule, but from a generator of its own; B (out, rank) is
    0, so that the encoder gives what it gave.

    Args:
        encoder: The encoder; changed in place.
        recipe: Rank, scaling, dropout and targets.
        seed: Of the initial weights.
        model: The base model, which the adapter's configuration will name.

    Raises:
        UserError: The recipe's targets are not linear layers of this encoder, or peft is not installed.
    """
    check_peft(recipe)
    import torch
    from peft import LoraConfig, TaskType

    targets = find_targets(encoder, recipe.lora_targets)
    config = LoraConfig(
        r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, lora_dropout=recipe.lora_dropout, target_modules=targets,
        bias="none", task_type=TaskType.FEATURE_EXTRACTION, base_model_name_or_path=model.name.partition("@")[0],
        revision=model.revision or None,
    )  # fmt: skip
    _inject(encoder, config)
    generator = torch.Generator().manual_seed(int(text_sha256(f"adapter {seed}")[:15], 16))
    for _, layer in _layers(encoder):
        torch.nn.init.kaiming_uniform_(layer.lora_A[NAME].weight, a=math.sqrt(5), generator=generator)
        torch.nn.init.zeros_(layer.lora_B[NAME].weight)


def find_targets(encoder: PreTrainedModel, text: str) -> list[str]:
    """The linear layers that a recipe names.

    Args:
        encoder: The encoder.
        text: ``recipe.lora_targets``.

    Returns:
        Ends of names, as they were given, or whole names where an end would also fit a layer that is not here.

    Raises:
        UserError: An end fits no linear layer, or peft has no choice of its own for the architecture.
    """
    import torch

    linear = [name for name, module in encoder.named_modules() if isinstance(module, torch.nn.Linear)]
    if text == ALL_LINEAR:
        return linear
    ends = _own_choice(encoder) if text == AUTO else [end.strip() for end in text.split(",")]
    for end in ends:
        if not any(_ends(name, end) for name in linear):
            known = sorted({name.rpartition(".")[2] for name in linear})
            near = did_you_mean(end, known)
            raise UserError(
                f"recipe.lora_targets: no linear layer's name ends with {end!r}{near}; there are {', '.join(known)}"
            )
    other = [name for name, module in encoder.named_modules() if name not in linear and module is not encoder]
    if any(_ends(name, end) for name in [*other, POOLER] for end in ends):
        return [name for name in linear if any(_ends(name, end) for end in ends)]
    return sorted(set(ends))


def _ends(name: str, end: str) -> bool:
    """The rule of peft for a list of targets."""
    return name == end or name.endswith(f".{end}")


def _own_choice(encoder: PreTrainedModel) -> Sequence[str]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as CHOICES

    kind = encoder.config.model_type
    if kind not in CHOICES:
        raise UserError(
            f"recipe.lora_targets = auto: peft has no choice for {kind}; name layers, or take all of them with "
            "--set recipe.lora_targets=all-linear"
        )
    return list(CHOICES[kind])


def _inject(encoder: PreTrainedModel, config: Any) -> None:
    """Let peft put an adapter in, and leave torch's generator and the configuration's targets as they were."""
    import torch
    from peft import inject_adapter_in_model

    targets = sorted(config.target_modules)
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, encoder, NAME)
    config.target_modules = targets  # peft shortens a long list to what suits this encoder, where there is no pooler


def _layers(encoder: PreTrainedModel) -> list[tuple[str, Any]]:
    """The layers that carry an adapter, with their names."""
    return [(name, module) for name, module in encoder.named_modules() if hasattr(module, "lora_A")]


def save_adapter(encoder: PreTrainedModel, folder: Path) -> None:
    """Write an encoder's adapter in peft's format.

    Args:
        encoder: With an adapter.
        folder: Where to; both files are new in it.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(encoder, adapter_name=NAME, save_embedding_layers=False)
    tensors = {PREFIX + name: weight.detach().cpu().contiguous() for name, weight in state.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config: Any = encoder.peft_config[NAME]
    written = {**config.to_dict(), "inference_mode": True}  # as peft has it: who loads an adapter means to use it
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in written.items()}
    (folder / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True), encoding="utf-8")


def load_adapter(encoder: PreTrainedModel, folder: Path) -> None:
    """Put an adapter from its folder into an encoder, to be trained on or merged.

    Args:
        encoder: The base model's; changed in place.
        folder: What `save_adapter` wrote.

    Raises:
        RuntimeError: It does not fit the encoder.
        UserError: peft is not installed.
    """
    check_peft(Recipe(tuning=LORA))
    from peft import LoraConfig, set_peft_model_state_dict
    from safetensors.torch import load_file

    config = LoraConfig.from_pretrained(str(folder), local_files_only=True)
    config.inference_mode = False
    _inject(encoder, config)
    state = {name.removeprefix(PREFIX): weight for name, weight in load_file(folder / WEIGHTS).items()}
    problems: Any = set_peft_model_state_dict(encoder, state, NAME)
    lacking = [name for name in problems.missing_keys if "lora_" in name]
    if lacking or problems.unexpected_keys:
        raise RuntimeError(f"an adapter does not fit its encoder: {lacking[:3]} {problems.unexpected_keys[:3]}")


def merge_adapter(encoder: PreTrainedModel) -> None:
    """Add an encoder's adapter to its weights, W + (alpha / rank) B A in fp32, and leave no trace of peft.

    Args:
        encoder: Changed in place; all of it may be trained again.
    """
    for name, layer in _layers(encoder):
        layer.merge()
        encoder.set_submodule(name, layer.get_base_layer())
    del encoder.peft_config
    encoder.requires_grad_(True)


def trained_weights(module: torch.nn.Module) -> int:
    """How many numbers training moves."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
