"""Tokenizers and records that several modules of tests ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from tests.tiny import Bench
from tests.windows import BYTES, NAMES, TINY, byte_level
from xbench.models.encoder import load_tokenizer
from xbench.models.resolve import LocalModel
from xbench.registry import Registry


@pytest.fixture(scope="module")
def tokenizers(tiny: Callable[..., Path], e5: LocalModel) -> Callable[[str], PreTrainedTokenizerBase]:
    """Gives each of `NAMES`, made once."""

    @cache
    def get(name: str) -> PreTrainedTokenizerBase:
        if name in BYTES:
            return byte_level(*BYTES[name])
        if name in TINY:
            return load_tokenizer(tiny(name))
        return load_tokenizer(e5.folder)

    return get


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
