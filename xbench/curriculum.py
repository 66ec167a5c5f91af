"""What a model is fine-tuned on: ``stsb``, ``stsb:korsts`` (then), ``stsb+korsts`` (mixed), ``none`` (frozen)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeAlias

from .errors import UserError

Curriculum: TypeAlias = tuple[tuple[str, ...], ...]
"""One mixture of dataset names a stage, in order; empty for a frozen encoder."""

FROZEN = "none"
FLOOR = "floor"
"""The transfer of a cell that no encoder serves."""


def parse_curriculum(text: str, order: Collection[str] = ()) -> Curriculum:
    """Read a curriculum.

    Args:
        text: Such as ``stsb:korsts+klue``.
        order: The task's training datasets: a mixture is named in their order, so that ``a+b`` and ``b+a`` are one.

    Returns:
        The mixtures, stage by stage.

    Raises:
        UserError: A part is empty or repeated within a mixture.
    """
    if text.strip() == FROZEN:
        return ()
    rank = {name: index for index, name in enumerate(order)}
    stages = []
    for part in text.split(":"):
        names = [name.strip() for name in part.split("+")]
        if not all(names) or FROZEN in names:
            raise UserError(f"curriculum {text!r:.200}: write DATASET, A:B (A, then B), A+B (mixed) or none")
        if len(set(names)) < len(names):
            raise UserError(f"curriculum {text!r} mixes a dataset with itself")
        stages.append(tuple(sorted(names, key=lambda name: (rank.get(name, len(rank)), name))))
    return tuple(stages)


def curriculum_name(curriculum: Curriculum) -> str:
    """The text of a curriculum; the other way round from `parse_curriculum`."""
    return ":".join("+".join(mixture) for mixture in curriculum) or FROZEN


def transfer(train_languages: Iterable[str], eval_languages: Iterable[str]) -> str:
    """Tell what kind of transfer a cell measures.

    A language pair counts as seen in training only when both of its languages were.

    Args:
        train_languages: Of all datasets in all stages of the curriculum.
        eval_languages: Of the evaluation dataset.

    Returns:
        ``frozen``, ``zero-shot``, ``in-language`` or ``mixed``.
    """
    trained, evaluated = set(train_languages), set(eval_languages)
    if not trained:
        return "frozen"
    if not evaluated <= trained:
        return "zero-shot"
    return "in-language" if trained == evaluated else "mixed"
