"""``stsb``, ``stsb:korsts``, ``stsb+korsts``, ``none``: read, named, and told apart by what they transfer."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xbench.curriculum import Curriculum, curriculum_name, parse_curriculum, transfer
from xbench.errors import UserError

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="+:", exclude_categories=["C", "Z"]), min_size=1)
MIXTURES = st.lists(NAMES.filter(lambda name: name != "none"), min_size=1, max_size=4, unique=True)
STAGES = st.lists(MIXTURES, min_size=1, max_size=4)
LANGUAGES = st.sets(st.sampled_from(["ar", "en", "es", "ko"]))


def written(stages: list[list[str]], space: str = "") -> str:
    return f"{space}:{space}".join(f"{space}+{space}".join(names) for names in stages)


@given(STAGES)
def test_a_curriculum_and_its_name_are_the_same_thing(stages: list[list[str]]) -> None:
    curriculum = parse_curriculum(written(stages))
    assert [sorted(mixture) for mixture in curriculum] == [sorted(names) for names in stages]
    assert parse_curriculum(curriculum_name(curriculum)) == curriculum


@given(STAGES, st.data())
def test_a_mixture_has_one_name_however_it_is_written(stages: list[list[str]], data: st.DataObject) -> None:
    names = sorted({name for mixture in stages for name in mixture})
    order = data.draw(st.permutations(names).map(lambda all_names: all_names[: len(all_names) // 2]))
    shuffled = [data.draw(st.permutations(mixture)) for mixture in stages]
    assert parse_curriculum(written(shuffled, " "), order) == parse_curriculum(written(stages), order)


@given(MIXTURES, st.data())
def test_a_mixture_is_named_in_the_tasks_order(names: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(names))
    assert parse_curriculum("+".join(names), order) == (tuple(order),)


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("korsts+stsb", ("stsb", "korsts"), (("stsb", "korsts"),)),
        ("korsts+stsb", (), (("korsts", "stsb"),)),
        ("zz+korsts+aa+stsb", ("stsb", "korsts"), (("stsb", "korsts", "aa", "zz"),)),
        ("korsts:stsb", ("stsb", "korsts"), (("korsts",), ("stsb",))),
        ("stsb:stsb", ("stsb",), (("stsb",), ("stsb",))),
        (" none ", (), ()),
    ],
)
def test_stages_keep_their_order_and_mixtures_take_the_tasks(
    text: str, order: tuple[str, ...], expected: Curriculum
) -> None:
    assert parse_curriculum(text, order) == expected


def test_the_frozen_encoder_is_none() -> None:
    assert curriculum_name(()) == "none"


@pytest.mark.parametrize(
    "text", ["", " ", ":", "+", "a:", ":a", "a+", "+a", "a::b", "a++b", "none:a", "a:none", "a+none", "a + :b"]
)
def test_a_part_that_is_missing_is_an_error_that_shows_how_to_write_it(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_curriculum(text)
    assert repr(text) in str(caught.value)
    assert "A:B" in str(caught.value)
    assert "A+B" in str(caught.value)


@given(MIXTURES)
def test_a_dataset_is_not_mixed_with_itself(names: list[str]) -> None:
    with pytest.raises(UserError, match="with itself"):
        parse_curriculum(f"other:{'+'.join(names)}+{names[0]}")


@pytest.mark.parametrize(
    ("trained", "evaluated", "kind"),
    [
        ([], ["en"], "frozen"),
        (["en"], ["ko"], "zero-shot"),
        (["en", "ko"], ["es"], "zero-shot"),
        (["ko"], ["ko"], "in-language"),
        (["ko", "ko"], ["ko"], "in-language"),
        (["en", "ko"], ["ko"], "mixed"),
        (["en"], ["es", "en"], "zero-shot"),  # a pair is seen only when both of its languages were
        (["en"], ["en", "en"], "in-language"),
        (["en", "es"], ["es", "en"], "in-language"),
        (["es", "en"], ["es"], "mixed"),
        (["en", "es", "ko"], ["en", "es"], "mixed"),
    ],
)
def test_the_kind_of_transfer(trained: list[str], evaluated: list[str], kind: str) -> None:
    assert transfer(trained, evaluated) == kind
    assert transfer(reversed(trained), reversed(evaluated)) == kind


@given(LANGUAGES, LANGUAGES, LANGUAGES)
def test_more_training_languages_never_make_a_seen_one_zero_shot(
    trained: set[str], more: set[str], evaluated: set[str]
) -> None:
    assume(trained and evaluated)
    if transfer(trained, evaluated) != "zero-shot":
        assert transfer(trained | more, evaluated) != "zero-shot"
    assert (transfer(trained, evaluated) == "in-language") == (trained == evaluated)
