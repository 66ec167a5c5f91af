"""A recipe's values are checked one by one, and each enters the keys that it can change."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbench.errors import UserError
from xbench.keys import content_key
from xbench.recipe import (
    ADAPTER,
    CHOICES,
    EXECUTION_ONLY,
    KNOWN,
    Recipe,
    build_recipe,
    parse_overrides,
    refuse_idle,
    spoken,
)

DEFAULTS = Recipe().values()
HEAD_OPTIONS: dict[str, Any] = {"score_scale": ("raw", "unit"), "stride": 128, "dropout": 0.1, "freeze": False}
# For every key of the training loop: a value that differs from its default and is right.
OTHERS: dict[str, Any] = {
    "optimizer": "adamw", "lr": 1e-4, "warmup": 0.0, "schedule": "constant", "epochs": 1, "batch_size": 16,
    "max_length": 64, "weight_decay": 0.01, "max_grad_norm": 5.0, "mixing_alpha": 0.5, "precision": "fp32",
    "eval_precision": "bf16", "vocabulary": "full", "micro_batch_tokens": 4096, "checkpoint_minutes": 1.5,
    "selection": "average", "candidates": 3,
}  # fmt: skip
# The same for an adapter, whose keys say something with tuning = "lora" alone.
ADAPTERS: dict[str, Any] = {"lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.1, "lora_targets": "all-linear"}


def refused(settings: dict[str, object], where: str = "tasks/x.toml [recipe]", **options: Any) -> str:
    """The one line that a wrong setting gets."""
    with pytest.raises(UserError) as caught:
        build_recipe(settings, where, options or HEAD_OPTIONS)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{where}: ")
    return message


def test_the_values_above_cover_every_key() -> None:
    assert set(OTHERS) == set(DEFAULTS)
    assert all(OTHERS[name] != DEFAULTS[name] for name in OTHERS)
    assert {*OTHERS, *ADAPTERS, "tuning"} == set(KNOWN)
    assert set(ADAPTERS) == ADAPTER
    assert all(ADAPTERS[name] != KNOWN[name] for name in ADAPTERS)


@pytest.mark.parametrize("name", OTHERS)
def test_every_key_can_be_set_and_leaves_the_others_alone(name: str) -> None:
    recipe = build_recipe({name: OTHERS[name]}, "x", {})
    assert recipe.values() == {**DEFAULTS, name: OTHERS[name]}


def test_a_heads_options_take_their_defaults_and_the_users_values() -> None:
    recipe = build_recipe({"stride": 64, "epochs": 2}, "x", HEAD_OPTIONS)
    own = {"score_scale": "raw", "stride": 64, "dropout": 0.1, "freeze": False}
    assert recipe.options == own
    assert recipe.values() == {**DEFAULTS, **own, "epochs": 2}


def test_an_option_with_choices_takes_one_of_them() -> None:
    assert build_recipe({"score_scale": "unit"}, "x", HEAD_OPTIONS).options["score_scale"] == "unit"
    assert refused({"score_scale": "unti"}).endswith("score_scale = 'unti' is not one of raw, unit")
    assert "score_scale takes a text" in refused({"score_scale": 1})


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("epoch", "epochs"),
        ("lrr", "lr"),
        ("batchsize", "batch_size"),
        ("score_scal", "score_scale"),
        ("Warmup", "warmup"),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_the_nearest_one(typo: str, meant: str) -> None:
    message = refused({typo: 1})
    assert repr(typo) in message
    assert f"did you mean {meant!r}?" in message


def test_an_unknown_key_that_is_near_nothing_gets_the_list() -> None:
    assert "there are: batch_size, candidates, checkpoint_minutes, dropout, epochs" in refused({"qqqqqqqq": 1})


def test_another_heads_key_is_passed_over_and_a_typo_of_it_is_not() -> None:
    ignored = frozenset({"doc_stride"})
    assert build_recipe({"doc_stride": 1}, "x", {}, ignored) == Recipe()
    with pytest.raises(UserError, match="did you mean 'doc_stride'"):
        build_recipe({"doc_strid": 1}, "x", {}, ignored)


@pytest.mark.parametrize(("name", "default"), {**DEFAULTS, **HEAD_OPTIONS}.items())
def test_a_wrong_type_is_named_with_what_is_expected(name: str, default: object) -> None:
    default = default[0] if isinstance(default, tuple) else default
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[type(default)]
    wrong: list[object] = [["x"], {"a": 1}, None]
    wrong += ["3"] if type(default) is not str else [3, 2.5]
    wrong += [True] if type(default) is not bool else [1, 0, "true"]
    wrong += [2.5] if type(default) in (int, bool) else []
    for value in wrong:
        assert f": {name} takes {words}, not {value!r}" in refused({name: value})


@pytest.mark.parametrize("name", ["lr", "warmup", "weight_decay", "max_grad_norm", "mixing_alpha", "dropout"])
def test_a_whole_number_serves_as_a_number(name: str) -> None:
    value = build_recipe({name: 1}, "x", HEAD_OPTIONS).values()[name]
    assert value == 1.0
    assert type(value) is float  # 1 and 1.0 hash differently: the same recipe must have one key


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_that_there_is_not_gets_the_list(name: str) -> None:
    message = refused({name: "sgd"})
    assert f"{name} = 'sgd'" in message
    assert ", ".join(CHOICES[name]) in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.0), ("lr", -1e-5), ("warmup", -0.1), ("warmup", 1.1), ("epochs", 0), ("epochs", -1),
        ("batch_size", 0), ("max_length", 7), ("weight_decay", -1e-9), ("max_grad_norm", 0), ("mixing_alpha", 1.5),
        ("mixing_alpha", -0.5), ("micro_batch_tokens", -1), ("lora_rank", 0), ("lora_alpha", 0),
        ("lora_dropout", 1.0), ("lora_dropout", -0.1),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named_with_the_range(name: str, value: float) -> None:
    message = refused({name: value})
    assert f": {name} = " in message
    assert message.rpartition("must be ")[2].startswith(("above", "at least", "between"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("warmup", 0), ("warmup", 1), ("epochs", 1), ("batch_size", 1), ("max_length", 8), ("weight_decay", 0),
     ("mixing_alpha", 0), ("mixing_alpha", 1), ("micro_batch_tokens", 0)],
)  # fmt: skip
def test_the_ends_of_a_range_belong_to_it(name: str, value: float) -> None:
    assert build_recipe({name: value}, "x", {}).values()[name] == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400], ids=["nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("name", [name for name, value in {**DEFAULTS, **HEAD_OPTIONS}.items() if type(value) is float])
def test_a_number_that_no_key_can_hold_is_refused_as_the_users_mistake(name: str, value: float) -> None:
    """TOML has ``inf`` and ``nan``; canonical JSON has not."""
    assert f"{name} " in refused({name: value})


@given(st.data())
def test_a_recipe_that_was_accepted_has_a_key(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted({*DEFAULTS, *HEAD_OPTIONS})))
    value = data.draw(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5))
    try:
        recipe = build_recipe({name: value}, "x", HEAD_OPTIONS)
    except UserError:
        return
    assert len(content_key("stage", recipe.values())) == 64
    assert hash(recipe) == hash(build_recipe({name: value}, "x", HEAD_OPTIONS))


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("recipe.epochs=1", "epochs", 1),
        ("recipe.lr=2e-5", "lr", 2e-5),
        (" recipe.lr = 0.5", "lr", 0.5),
        ("recipe.optimizer=adamw", "optimizer", "adamw"),
        ("recipe.optimizer='adamw'", "optimizer", "adamw"),
        ('recipe.optimizer="adamw"', "optimizer", "adamw"),
        ("recipe.optimizer= adamw ", "optimizer", "adamw"),
        ("recipe.freeze=true", "freeze", True),
        ("recipe.freeze=True", "freeze", "True"),  # a text: the type check then says what is expected
        ("recipe.note=a=b", "note", "a=b"),
        ("recipe.epochs=", "epochs", ""),
    ],
)
def test_an_override_is_a_toml_value_or_else_a_text(setting: str, key: str, value: object) -> None:
    assert parse_overrides((setting,)) == {key: value}
    assert type(parse_overrides((setting,))[key]) is type(value)


def test_the_last_override_of_a_key_counts() -> None:
    assert parse_overrides(("recipe.epochs=1", "recipe.lr=1", "recipe.epochs=2")) == {"epochs": 2, "lr": 1}


@pytest.mark.parametrize("setting", ["epochs=1", "recipe.epochs", "recipe", "", "=", "task.epochs=1", "recipe=1"])
def test_an_override_of_another_form_is_shown_how_to_write_it(setting: str) -> None:
    with pytest.raises(UserError, match=r"recipe\.KEY=VALUE"):
        parse_overrides((setting,))


@pytest.mark.parametrize("name", OTHERS)
def test_a_value_enters_the_keys_of_what_it_can_change(name: str) -> None:
    plain, changed = Recipe(), build_recipe({name: OTHERS[name]}, "x", {})
    # max_length shapes training sequences too: a head that names it as a decoding value does not free training of it.
    trains = plain.training_identity(("max_length",)) != changed.training_identity(("max_length",))
    decodes = plain.decoding_identity(("max_length",)) != changed.decoding_identity(("max_length",))
    silent = {"vocabulary", "micro_batch_tokens", "checkpoint_minutes", "eval_precision", "selection", "candidates"}
    assert trains == (name not in silent)
    assert decodes == (name in {"eval_precision", "max_length"})


def test_how_the_work_is_done_is_in_no_identity() -> None:
    recipe = build_recipe({"vocabulary": "full", "micro_batch_tokens": 512}, "x", HEAD_OPTIONS)
    seen = {**recipe.training_identity(("stride",)), **recipe.decoding_identity(("stride",))}
    assert not EXECUTION_ONLY & set(seen)


def test_how_a_checkpoint_is_chosen_is_no_part_of_a_recipe_as_records_state_it() -> None:
    """Records from before there was a choice have nothing of it, and are of the same recipe."""
    recipe = build_recipe({"selection": "oracle", "candidates": 3}, "x", HEAD_OPTIONS)
    assert recipe.stated() == build_recipe({}, "x", HEAD_OPTIONS).stated()
    assert not {"selection", "candidates"} & recipe.stated().keys()
    assert recipe.stated().items() <= recipe.values().items()


def test_how_often_a_training_is_written_down_is_in_no_record() -> None:
    recipe = build_recipe({"checkpoint_minutes": 1}, "x", HEAD_OPTIONS)
    assert recipe.checkpoint_minutes == 1.0
    assert recipe.stated() == build_recipe({}, "x", HEAD_OPTIONS).stated()
    assert "checkpoint_minutes" not in recipe.stated()


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, 1), ({"candidates": 4}, 4), ({"selection": "source-dev", "epochs": 5}, 5),
     ({"selection": "average", "candidates": 2}, 2)],
)  # fmt: skip
def test_a_stage_keeps_one_checkpoint_or_one_an_epoch_or_as_many_as_asked_for(
    settings: dict[str, object], kept: int
) -> None:
    assert build_recipe(settings, "x", {}).kept == kept


def test_a_heads_decoding_options_are_no_part_of_training() -> None:
    decoding = ("stride", "dropout")
    plain = build_recipe({}, "x", HEAD_OPTIONS)
    for name, value in (("stride", 64), ("dropout", 0.3)):
        changed = build_recipe({name: value}, "x", HEAD_OPTIONS)
        assert changed.training_identity(decoding) == plain.training_identity(decoding)
        assert changed.decoding_identity(decoding) != plain.decoding_identity(decoding)
    for name, value in (("score_scale", "unit"), ("freeze", True)):
        changed = build_recipe({name: value}, "x", HEAD_OPTIONS)
        assert changed.training_identity(decoding) != plain.training_identity(decoding)
        assert changed.decoding_identity(decoding) == plain.decoding_identity(decoding)


def test_a_heads_default_for_a_known_key_is_the_value_that_training_reads() -> None:
    """A span head may want longer sequences than 128: one value, wherever it is read."""
    for settings in ({}, {"max_length": 256}):
        recipe = build_recipe(settings, "x", {"max_length": 384})
        assert recipe.max_length == recipe.values()["max_length"] == settings.get("max_length", 384)


def test_a_recipe_is_frozen_and_equal_by_value() -> None:
    one, other = (build_recipe({"epochs": 2}, "x", dict(HEAD_OPTIONS)) for _ in range(2))
    assert one == other
    assert len({one, other}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.lr = 1.0  # type: ignore[misc]


FULL_IDENTITY = {
    "optimizer": "radam", "lr": 2e-05, "warmup": 0.1, "schedule": "linear", "epochs": 3, "batch_size": 32,
    "max_length": 128, "weight_decay": 0.0, "max_grad_norm": 1.0, "mixing_alpha": 1.0, "precision": "auto",
}  # fmt: skip
"""What stage keys held before there were adapters: published records have such keys."""


def test_full_fine_tuning_has_the_keys_and_the_records_of_before_there_were_adapters() -> None:
    values = Recipe().values()
    for recipe in (Recipe(), build_recipe({"tuning": "full"}, "x", {})):
        assert recipe.training_identity(()) == FULL_IDENTITY
        assert recipe.values() == values
        assert not values.keys() & {*ADAPTER, "tuning"}
    assert spoken({**values, "tuning": "full", **ADAPTERS}) == values


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapters_values_are_in_the_keys_of_its_stages(name: str) -> None:
    full, plain = Recipe(), build_recipe({"tuning": "lora"}, "x", {})
    changed = build_recipe({"tuning": "lora", name: ADAPTERS[name]}, "x", {})
    defaults = {"tuning": "lora", **{key: KNOWN[key] for key in ADAPTER}}
    assert plain.training_identity(()) == {**FULL_IDENTITY, **defaults}
    assert changed.training_identity(()) == {**FULL_IDENTITY, **defaults, name: ADAPTERS[name]}
    assert changed.decoding_identity(()) == full.decoding_identity(())


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_has_no_effect_is_refused(name: str) -> None:
    settings = {name: ADAPTERS[name]}
    with pytest.raises(UserError) as caught:
        refuse_idle(settings, build_recipe(settings, "x", {}), "--set")
    assert str(caught.value) == f"--set: {name} would have no effect: tuning is full; set tuning = lora as well"
    refuse_idle(settings, build_recipe({**settings, "tuning": "lora"}, "x", {}), "--set")
