"""Hyper-parameters: the ones that training knows, and the options that a head adds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .errors import UserError, did_you_mean
from .types import Scalar

CHOICES: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("radam", "adamw"),
    "schedule": ("linear", "constant"),
    "precision": ("auto", "bf16", "fp32"),
    "eval_precision": ("auto", "bf16", "fp32"),
    "vocabulary": ("auto", "full"),
    "selection": ("last", "source-dev", "average", "oracle"),
    "tuning": ("full", "lora"),
}
BOUNDS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "lr": (lambda value: value > 0, "above 0"),
    "warmup": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "epochs": (lambda value: value >= 1, "at least 1"),
    "batch_size": (lambda value: value >= 1, "at least 1"),
    "max_length": (lambda value: value >= 8, "at least 8"),
    "weight_decay": (lambda value: value >= 0, "at least 0"),
    "max_grad_norm": (lambda value: value > 0, "above 0"),
    "mixing_alpha": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "micro_batch_tokens": (lambda value: value >= 0, "at least 0"),
    "checkpoint_minutes": (lambda value: value >= 0, "at least 0"),
    "candidates": (lambda value: value >= 0, "at least 0"),
    "lora_rank": (lambda value: value >= 1, "at least 1"),
    "lora_alpha": (lambda value: value >= 1, "at least 1"),
    "lora_dropout": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
}
EXECUTION_ONLY = frozenset({"vocabulary", "micro_batch_tokens", "checkpoint_minutes"})
"""How the work is done, not what is learned: these never enter a key. (On a GPU dropout is torch's own, and
``micro_batch_tokens`` changes its draws, as another card would.)"""
UNSTATED = frozenset({"checkpoint_minutes"})
"""These leave no trace in a result, to the bit, so that a record says nothing of them."""
EVALUATION_ONLY = frozenset({"eval_precision"})
"""These belong to a cell's key, not to a stage's."""
SELECTION_ONLY = frozenset({"selection", "candidates"})
"""How a checkpoint is chosen. It changes no training, so that one stage serves all protocols; a cell's key and record
have it under ``selection`` and ``selected``, and not in the recipe, where records from before it have nothing."""
LAST, SOURCE_DEV, AVERAGE, ORACLE = CHOICES["selection"]
FULL, LORA = CHOICES["tuning"]
ADAPTER = frozenset({"lora_rank", "lora_alpha", "lora_dropout", "lora_targets"})
"""An adapter's options, which say something where ``tuning`` is ``lora``: see `spoken`."""


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a fine-tuning run.

    Attributes:
        optimizer: ``radam`` or ``adamw``.
        lr: The highest learning rate.
        warmup: The share of all steps in which the rate rises from 0.
        schedule: ``linear`` falls to 0 after the warm-up, ``constant`` stays.
        epochs: Passes over the training mixture.
        batch_size: The effective batch: examples an optimizer step.
        max_length: Tokens of a sequence, special tokens included; the rest is cut.
        weight_decay: Decoupled for ``adamw``, an L2 term for ``radam``. Above 0 the full vocabulary is trained.
        max_grad_norm: The gradient's global norm is cut to this.
        mixing_alpha: A mixture draws from dataset i in proportion to rows_i ** alpha. 1 is uniform over the union of
            the rows (the paper's), 0 takes every dataset equally often.
        precision: Of training. ``auto`` is bf16 autocast where the hardware has it, else fp32.
        eval_precision: Of prediction.
        vocabulary: ``auto`` trains only the embedding rows that the data uses, where that is exact; ``full`` all.
        micro_batch_tokens: How many tokens, padding included, go through the encoder at once, at most; one example at
            least. 0 is what suits the device.
        checkpoint_minutes: How often a training is written down, so that it goes on from there when it is broken off.
            0 is never; where writing takes long, less often.
        selection: How the checkpoint that is scored is chosen: ``last``, ``source-dev``, ``average`` or ``oracle``.
        candidates: How many checkpoints a stage keeps, evenly spaced, the last one among them. 0 is one for ``last``,
            and one an epoch for the other protocols.
        tuning: ``full`` trains all weights, ``lora`` adapters of low rank and the head, with the encoder frozen.
        lora_rank: The adapters' rank.
        lora_alpha: An adapter's output is multiplied with this over its rank.
        lora_dropout: Of what goes into an adapter.
        lora_targets: Which linear layers get one: the ends of their names, with commas between them, such as
            ``query,value``; ``all-linear``; or ``auto``, peft's choice for the architecture.
        options: The head's own.
    """

    optimizer: str = "radam"
    lr: float = 2e-5
    warmup: float = 0.1
    schedule: str = "linear"
    epochs: int = 3
    batch_size: int = 32
    max_length: int = 128
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    mixing_alpha: float = 1.0
    precision: str = "auto"
    eval_precision: str = "fp32"
    vocabulary: str = "auto"
    micro_batch_tokens: int = 0
    checkpoint_minutes: float = 5.0
    selection: str = "last"
    candidates: int = 0
    tuning: str = "full"
    lora_rank: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_targets: str = "auto"
    options: Mapping[str, Scalar] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.values().items())))

    def values(self) -> dict[str, Scalar]:
        """All values by name that say something, the head's options among them."""
        return spoken({**{name: getattr(self, name) for name in KNOWN}, **self.options})

    @property
    def decays_table(self) -> bool:
        """Whether weight decay moves the embedding table, also where no text looks it up: then all of it is needed."""
        return self.weight_decay > 0 and self.tuning == FULL

    def stated(self) -> dict[str, Scalar]:
        """The values as a record states them: how the checkpoint was chosen stands in fields of its own."""
        return {name: value for name, value in self.values().items() if name not in SELECTION_ONLY | UNSTATED}

    @property
    def kept(self) -> int:
        """How many checkpoints a stage keeps, the last one among them."""
        return self.candidates or (1 if self.selection == LAST else self.epochs)

    def training_identity(self, decoding: tuple[str, ...]) -> dict[str, Scalar]:
        """What of the recipe can change the trained weights: a part of a stage's key.

        Args:
            decoding: The head's decoding options; those that are only the head's do not touch training.

        Returns:
            Values by name.
        """
        left_out = EXECUTION_ONLY | EVALUATION_ONLY | SELECTION_ONLY | (set(decoding) & set(self.options))
        return {name: value for name, value in self.values().items() if name not in left_out}

    def decoding_identity(self, decoding: tuple[str, ...]) -> dict[str, Scalar]:
        """What of the recipe can change predictions of given weights: a part of a cell's key."""
        values = self.values()
        return {name: values[name] for name in sorted({*decoding, *EVALUATION_ONLY})}


KNOWN: Mapping[str, Scalar] = {
    item.name: item.default  # type: ignore[misc]  # all but the options have one
    for item in dataclasses.fields(Recipe)
    if item.name != "options"
}
"""What training itself knows, with the defaults, in the order of a recipe's values."""


def spoken(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A recipe's values without those that say nothing: of full fine-tuning neither that it is full, nor of adapters.

    So keys and records of full fine-tuning are those of before there were adapters.
    """
    silent = ADAPTER | {"tuning"} if values.get("tuning", FULL) == FULL else frozenset()
    return {name: value for name, value in values.items() if name not in silent}


def adapter_of(recipe: Recipe) -> dict[str, Scalar]:
    """What a recipe says of adapters; nothing where there are none."""
    return {name: value for name, value in recipe.values().items() if name in ADAPTER | {"tuning"}}


def refuse_idle(settings: Mapping[str, object], recipe: Recipe, where: str) -> None:
    """See that nobody sets what has no effect: an adapter's options where there is no adapter.

    Args:
        settings: Values by name.
        recipe: What they became a part of.
        where: Where they stand, for the message.

    Raises:
        UserError: They do.
    """
    idle = sorted(ADAPTER & settings.keys())
    if recipe.tuning == FULL and idle:
        raise UserError(f"{where}: {', '.join(idle)} would have no effect: tuning is full; set tuning = lora as well")


def build_recipe(
    settings: Mapping[str, object], where: str, options: Mapping[str, Scalar | tuple[Scalar, ...]],
    ignored: frozenset[str] = frozenset(),
) -> Recipe:  # fmt: skip
    """Check settings and make a recipe of them.

    Args:
        settings: Values by name; the rest takes its default.
        where: Where they stand, for the message: ``tasks/sts.toml [recipe]`` or ``--set``.
        options: The head's own keys with their defaults; a tuple lists the choices, the default first.
        ignored: Keys of the task's other heads: known, but not of this recipe.

    Returns:
        The recipe.

    Raises:
        UserError: A key is unknown, or a value has the wrong type or lies out of range.
    """
    # A head may want another default for a key that training knows, such as a longer ``max_length``.
    defaults = {name: value[0] if isinstance(value, tuple) else value for name, value in options.items()}
    choices = {**CHOICES, **{name: value for name, value in options.items() if isinstance(value, tuple)}}
    base = {**KNOWN, **defaults}
    own = {name for name in options if name not in KNOWN}
    chosen: dict[str, Scalar] = dict(base)
    for name, value in settings.items():
        if name in ignored and name not in base:
            continue
        if name not in base:
            hint = did_you_mean(name, {*base, *ignored})
            raise UserError(f"{where}: unknown recipe key {name!r}{hint}")
        chosen[name] = _checked(name, value, base[name], choices, where)
    known = {name: value for name, value in chosen.items() if name not in own}
    return dataclasses.replace(
        Recipe(),
        **known,  # type: ignore[arg-type]  # checked above, name by name
        options={name: chosen[name] for name in options if name in own},
    )


def _checked(
    name: str, value: object, default: Scalar, choices: Mapping[str, tuple[Scalar, ...]], where: str
) -> Scalar:
    """The value in its default's type, or a `UserError` that says what was expected."""
    kind = type(default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UserError(f"{where}: {name} takes {_KINDS[kind]}, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: {name} = {value} must be a finite number")
    if name in choices and value not in choices[name]:
        raise UserError(f"{where}: {name} = {value!r} is not one of {', '.join(map(str, choices[name]))}")
    if name in BOUNDS and isinstance(value, (int, float)):
        holds, words = BOUNDS[name]
        if not holds(value):
            raise UserError(f"{where}: {name} = {value} must be {words}")
    return value


_KINDS: Mapping[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def parse_overrides(settings: tuple[str, ...]) -> dict[str, object]:
    """Read ``--set recipe.KEY=VALUE`` options.

    Args:
        settings: The options' texts.

    Returns:
        Values by recipe key: TOML values where they read as such, else texts.

    Raises:
        UserError: A text is not of that form.
    """
    import tomllib

    overrides: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        scope, dot, key = name.strip().partition(".")
        if not equals or not dot or scope != "recipe":
            raise UserError(f"--set {setting}: write it as --set recipe.KEY=VALUE, such as --set recipe.epochs=1")
        try:
            overrides[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            overrides[key] = text.strip()
    return overrides
