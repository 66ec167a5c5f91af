"""Outputs that lie in a file are those that a list would hold, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import TinyRun, tiny_rows
from tests.unit.test_mrc_head import span_rows
from xbench.registry import Registry
from xbench.training.predict import OutputFile, Predictor

pytestmark = pytest.mark.usefixtures("one_thread")
SPANS: dict[str, Any] = {"max_length": 32, "stride": 6, "max_question": 8}
HEADS = {  # head, rows, settings, and the first dimensions of an example's outputs
    "span": (span_rows(30), SPANS, (2,)),
    "siamese": (tiny_rows(40), {}, ()),
    "alignment": (tiny_rows(40), {}, (2, 32)),
}


def both(
    name: str, shape: str, tiny: Callable[..., Path], registry: Registry, folder: Path
) -> tuple[TinyRun, list[Any], OutputFile]:
    """A run of a head, its outputs in memory, and in a file."""
    rows, settings, _ = HEADS[name]
    run = TinyRun(tiny(shape), registry.heads.get(name), [rows], folder, settings)
    predictor = Predictor(run.build(), "fp32", 256, run.whole(), run.pad_id)
    return run, predictor.predict(run.tables[0]), predictor.predict_to_file(run.tables[0], folder / "outputs")


@pytest.mark.parametrize("shape", ["xlm-roberta", "distilbert"])  # without padding, and with it
@pytest.mark.parametrize("name", HEADS)
def test_outputs_come_from_a_file_as_from_a_list(
    name: str, shape: str, tiny: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    run, expected, found = both(name, shape, tiny, registry, tmp_path)
    assert len(found.each) == len(expected) == run.tables[0].count
    lead = HEADS[name][2]
    assert {np.shape(one)[: len(lead)] for one in expected} == {lead}
    for listed in (list(found.each), [found.each[index] for index in range(len(expected))], found.each[:]):
        for one, other in zip(listed, expected, strict=True):
            assert np.shape(one) == np.shape(other)
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert (tmp_path / "outputs").stat().st_size == sum(one.nbytes for one in expected)
    if name == "span":
        assert found.whole is None
        assert len({one.shape for one in expected}) > 5
    else:
        assert found.whole is not None
        np.testing.assert_array_equal(found.whole, np.stack(expected))


def test_a_reading_cannot_spoil_the_outputs_for_the_next(
    tiny: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    for name in ("span", "alignment"):
        found = both(name, "xlm-roberta", tiny, registry, tmp_path)[2]
        with pytest.raises(ValueError, match="read-only"):
            found.each[0][...] = 0


@pytest.mark.parametrize(("name", "trims"), [("span", False), ("alignment", True)])
def test_a_module_that_says_the_wrong_thing_of_its_outputs_is_refused(
    name: str, trims: bool, tiny: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    rows, settings, _ = HEADS[name]
    # Longer than the alignment head's 32 numbers.
    rows = rows if name == "span" else tiny_rows(6, longest=60)
    run = TinyRun(tiny("xlm-roberta"), registry.heads.get(name), [rows], tmp_path, {"max_length": 128, **settings})
    module = run.build()
    module.trims = trims
    predictor = Predictor(module, "fp32", 256, run.whole(), run.pad_id)
    with pytest.raises(TypeError, match="`trims`"):
        predictor.predict_to_file(run.tables[0], tmp_path / "outputs")
