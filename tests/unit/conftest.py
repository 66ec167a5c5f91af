"""Tokenizers and records that several modules of tests ask for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from tests.tiny import Bench
from tests.windows import BYTES, NAMES, TINY, byte_level
from xbench.models.encoder import load_tokenizer
from xbench.models.resolve import resolve_model
from xbench.registry import Registry, load_registry
from xbench.settings import Settings


@pytest.fixture(scope="module")
def tokenizers(
    tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], PreTrainedTokenizerBase]]:
    """Gives each of `NAMES`, made once."""
    folder = tmp_path_factory.mktemp("e5")

    @cache
    def get(name: str) -> PreTrainedTokenizerBase:
        if name in BYTES:
            return byte_level(*BYTES[name])
        if name in TINY:
            return load_tokenizer(tiny(name))
        model = resolve_model("e5-small-q4", load_registry(), Settings(cache=folder, offline=True))
        return load_tokenizer(model.folder)

    yield get
    shutil.rmtree(folder)  # half a gigabyte of weights


@pytest.fixture(scope="module", params=NAMES)
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: Callable[[str], PreTrainedTokenizerBase]
) -> PreTrainedTokenizerBase:
    return tokenizers(request.param)


@pytest.fixture(scope="session")
def theirs_made(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Bench:
    """Somebody else's small run with its records; never written to."""
    from tests.strangers import run_for_records

    return run_for_records(tmp_path_factory.mktemp("theirs"), registry)
