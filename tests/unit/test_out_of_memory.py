"""Memory runs out: the pieces get smaller, what is learned stays, and the user hears of it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import TinyRun, tiny_rows
from tests.unit.test_mrc_head import WINDOWS, span_rows
from xbench.errors import UserError
from xbench.heads.blocks import HeadModule
from xbench.registry import Registry
from xbench.training.loop import train
from xbench.training.memory import MicroBatch, is_out_of_memory
from xbench.training.predict import Predictor
from xbench.types import Batch

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tiny: Callable[..., Path], registry: Registry, tmp_path: Path) -> TinyRun:
    settings = {"score_scale": "raw", "batch_size": 16}
    return TinyRun(tiny("xlm-roberta", 0.1), registry.heads.get("cross-encoder"), [tiny_rows(40)], tmp_path, settings)


class Small:
    """Stands in for a device that holds so many tokens at once: asks for more memory than any machine has.

    Args:
        tokens: What fits.
        backward: Run out of memory while gradients are computed, half of them already added.
    """

    def __init__(self, tokens: int, backward: bool) -> None:
        self.tokens, self.backward, self.refused = tokens, backward, 0

    def put_on(self, module: HeadModule) -> None:
        """Watch what goes through a module."""

        def limit(encode: Callable[[Batch], torch.Tensor]) -> Callable[[Batch], torch.Tensor]:
            def limited(batch: Batch) -> torch.Tensor:
                hidden = encode(batch)
                if batch.input_ids.numel() > self.tokens:
                    if not self.backward:
                        self.refuse()
                    hidden.register_hook(lambda grad: self.refuse())
                return hidden

            return limited

        module.encode = limit(module.encode)  # type: ignore[method-assign]
        module.encode_first = limit(module.encode_first)  # type: ignore[method-assign]

    def refuse(self) -> None:
        self.refused += 1
        torch.empty(2**60)


def trained(run: TinyRun, small: Small | None, micro_batch: MicroBatch) -> tuple[list[float], dict[str, Any]]:
    """Losses and final weights."""
    module = run.build()
    if small is not None:
        small.put_on(module)
    result = train(module, run.tables, run.recipe, 0, run.whole(), run.pad_id, micro_batch=micro_batch)
    assert result.micro_batch_tokens == micro_batch.tokens
    return result.losses, dict(module.state_dict())


@pytest.mark.parametrize("backward", [False, True])
def test_less_goes_through_at_once_and_the_same_is_learned(run: TinyRun, backward: bool) -> None:
    heard: list[str] = []
    small, micro_batch = Small(60, backward), MicroBatch(4096, heard.append)
    losses, weights = trained(run, small, micro_batch)
    expected, others = trained(run, None, MicroBatch(4096))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)  # dropout is on: its masks belong to the sequences
    for name, weight in others.items():
        if not name.endswith("key.bias"):  # softmax cancels these, so that only rounding moves them
            torch.testing.assert_close(weights[name], weight, atol=2e-4, rtol=1e-3, msg=name)
    assert 1 <= small.refused <= 4  # in the first step alone
    assert micro_batch.tokens <= 60
    assert heard == [
        f"out of memory with 4096 tokens at once: {micro_batch.tokens} from here on; the effective batch and the "
        f"result stay (recipe.micro_batch_tokens={micro_batch.tokens} begins with it)"
    ]


def test_a_later_run_begins_with_what_has_fitted_and_says_nothing_more(run: TinyRun) -> None:
    heard: list[str] = []
    small, micro_batch = Small(60, False), MicroBatch(4096, heard.append)
    trained(run, small, micro_batch)
    before = small.refused
    trained(run, small, micro_batch)
    assert small.refused == before
    smaller = Small(25, False)
    trained(run, smaller, micro_batch)
    assert smaller.refused
    assert len(heard) == 1


@pytest.mark.parametrize("backward", [False, True])
def test_a_single_example_that_does_not_fit_is_the_end(run: TinyRun, backward: bool) -> None:
    with pytest.raises(UserError, match=r"out of memory with a single example of \d+ tokens: use a smaller recipe"):
        trained(run, Small(2, backward), MicroBatch(4096))


@pytest.mark.parametrize("head", ["cross-encoder", "span"])
def test_a_pass_goes_on_with_less_at_once_and_gives_the_same(
    tiny: Callable[..., Path], registry: Registry, tmp_path: Path, head: str
) -> None:
    rows, settings = (span_rows(20), WINDOWS) if head == "span" else (tiny_rows(40), {})
    run = TinyRun(tiny("xlm-roberta", 0.1), registry.heads.get(head), [rows], tmp_path, settings)
    heard: list[str] = []
    passed: list[tuple[int, float]] = []
    module, small = run.build(), Small(60, False)
    expected = Predictor(module, "fp32", 4096, run.whole(), run.pad_id).predict(run.tables[0])
    small.put_on(module)
    predictor = Predictor(
        module, "fp32", 0, run.whole(), run.pad_id, lambda count, share: passed.append((count, share)),
        MicroBatch(4096, heard.append),
    )  # fmt: skip
    outputs = predictor.predict_to_file(run.tables[0], tmp_path / "outputs").each
    assert 1 <= small.refused <= 8
    assert len(heard) == 1
    assert passed[0] == (0, 0.0)
    assert passed[-1] == (run.tables[0].count, 1.0)
    assert [count for count, _ in passed] == sorted(count for count, _ in passed)
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_single_example_that_does_not_fit_ends_a_pass(run: TinyRun) -> None:
    module = run.build()
    Small(2, False).put_on(module)
    with pytest.raises(UserError, match=r"out of memory with a single example of \d+ tokens"):
        Predictor(module, "fp32", 0, run.whole(), run.pad_id).predict(run.tables[0])


def test_another_error_is_not_taken_for_it(run: TinyRun) -> None:
    module = run.build()
    module.register_forward_hook(lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        train(module, run.tables, run.recipe, 0, run.whole(), run.pad_id)


@pytest.mark.parametrize(("error", "expected"), [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
    (RuntimeError("CUDA error: out of memory"), True),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
    (RuntimeError("could not allocate: std::bad_alloc"), True),
    (MemoryError("Unable to allocate 4.00 EiB for an array"), True),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    (ValueError("out of memory"), False),
])  # fmt: skip
def test_how_it_is_known(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_what_torch_says_on_the_cpu_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


LIMITED = """
import json, resource, sys
from pathlib import Path
import torch
from tests.tiny import WORDS, TinyRun, tiny_rows
from xbench.registry import load_registry
from xbench.training.loop import train
from xbench.training.memory import MicroBatch

model, work, limit, tokens = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
settings = {"score_scale": "raw", "batch_size": 2048, "epochs": 1, "max_length": 120}
head = load_registry().heads.get("cross-encoder")
run = TinyRun(model, head, [tiny_rows(3072, longest=50)], work, settings)
module = run.build()
heard = []
micro_batch = MicroBatch(tokens, heard.append)
# What a process holds besides, such as heaps of autograd's threads, is there before the limit.
train(run.build(), TinyRun(model, head, [tiny_rows(64)], work / "warm", settings).tables, run.recipe, 0, run.whole(), 1)
if limit:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + limit, -1))
result = train(module, run.tables, run.recipe, 0, run.whole(), run.pad_id, micro_batch=micro_batch)
print(json.dumps({"losses": result.losses, "tokens": micro_batch.tokens, "heard": heard}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone holds a process to an address space")
def test_a_process_that_may_not_have_more_memory_goes_on(tiny: Callable[..., Path], tmp_path: Path) -> None:
    def process(name: str, limit: int, tokens: int) -> dict[str, Any]:
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", LIMITED, str(tiny("xlm-roberta", 0.1)), str(tmp_path / name)]
        done = subprocess.run(
            [*command, str(limit), str(tokens)], cwd=ROOT, capture_output=True, text=True, check=False,
            # An address space counts what malloc keeps free, too; large pieces by mmap go back when they are freed.
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(128 * 1024)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    free = process("free", 0, 8192)
    limited = process("limited", 200 * 2**20, 2**20)
    assert free["heard"] == []
    assert len(limited["heard"]) == 1
    assert 256 < limited["tokens"] < 2**17
    np.testing.assert_allclose(limited["losses"], free["losses"], rtol=1e-4)
