"""A fine-tuned stage on the disk: what is saved is what is loaded, under any vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import WORDS, TinyRun, tiny_rows
from xbench.heads.blocks import HeadModule
from xbench.models.vocabulary import Vocabulary, restricted_vocabulary
from xbench.registry import Registry
from xbench.training.loop import train
from xbench.training.weights import TABLE_IDS, TABLE_ROWS, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")
A, B = WORDS[:60], WORDS[40:110]  # they share twenty words


@pytest.fixture(params=["bert", "xlm-roberta"])
def make(
    request: pytest.FixtureRequest, tiny: Callable[..., Path], registry: Registry, tmp_path: Path
) -> Callable[..., TinyRun]:
    """Puts a run on some words together."""

    def run(words: Sequence[str], seed: int = 0) -> TinyRun:
        folder = tmp_path / f"{words[0]}-{len(words)}-{seed}"
        folder.mkdir()
        rows = [tiny_rows(24, seed, words)]
        return TinyRun(tiny(request.param), registry.heads.get("cross-encoder"), rows, folder)

    return run


def table(module: HeadModule) -> torch.Tensor:
    return module.encoder.get_input_embeddings().weight.detach()


def alike(one: HeadModule, other: HeadModule) -> bool:
    """The same bits throughout."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def saved(run: TinyRun, path: Path, parent: Path | None = None) -> tuple[HeadModule, Vocabulary]:
    """Train a stage and write it."""
    vocabulary, _ = run.vocabulary()
    module, _ = run.train(vocabulary, stage=parent)
    save_weights(module, vocabulary, parent, path)
    return module, vocabulary


def test_a_saved_stage_is_loaded_to_the_bit(make: Callable[..., TinyRun], tmp_path: Path) -> None:
    run = make(A)
    module, vocabulary = saved(run, tmp_path / "a.safetensors")
    assert alike(run.build(vocabulary, tmp_path / "a.safetensors"), module)
    assert alike(run.build(vocabulary, tmp_path / "a.safetensors", seed=9), module)  # nothing is left of the new head
    assert not alike(run.build(vocabulary), module)


def test_a_stage_is_loaded_under_another_vocabulary(make: Callable[..., TinyRun], tmp_path: Path) -> None:
    run = make(A)
    module, vocabulary = saved(run, tmp_path / "a.safetensors")
    base = table(run.build())
    whole = run.build(None, tmp_path / "a.safetensors")
    expected = base.clone()
    expected[vocabulary.ids] = table(module)
    assert torch.equal(table(whole), expected)
    other, _ = make(B).vocabulary()
    assert torch.equal(table(run.build(other, tmp_path / "a.safetensors")), expected[other.ids])
    for name, weight in whole.state_dict().items():
        if weight.shape != expected.shape:
            assert torch.equal(weight, module.state_dict()[name])


def test_a_chain_over_the_disk_is_training_on_in_one_process(make: Callable[..., TinyRun], tmp_path: Path) -> None:
    first, second = make(A), make(B, seed=1)
    module, _ = first.train()
    train(module, second.tables, second.recipe, 0, second.whole(), second.pad_id)  # with the whole table, in place
    saved(first, tmp_path / "a.safetensors")
    saved(second, tmp_path / "b.safetensors", parent=tmp_path / "a.safetensors")
    chained = second.build(None, tmp_path / "b.safetensors").state_dict()
    for name, weight in module.state_dict().items():
        torch.testing.assert_close(chained[name], weight, atol=1e-5, rtol=0)


def test_rows_that_only_the_first_stage_changed_survive_the_second(
    make: Callable[..., TinyRun], tmp_path: Path
) -> None:
    first, second = make(A), make(B, seed=1)
    after_a, vocabulary_a = saved(first, tmp_path / "a.safetensors")
    after_b, vocabulary_b = saved(second, tmp_path / "b.safetensors", parent=tmp_path / "a.safetensors")
    stored = load_file(tmp_path / "b.safetensors")
    ids = stored[TABLE_IDS].numpy()
    assert sorted(ids) == sorted({*vocabulary_a.ids, *vocabulary_b.ids})
    rows = dict(zip(ids.tolist(), stored[TABLE_ROWS], strict=True))
    only_a = np.setdiff1d(vocabulary_a.ids, vocabulary_b.ids)
    assert len(only_a)
    base = table(first.build())
    for id_ in only_a:
        assert torch.equal(rows[id_], table(after_a)[vocabulary_a.place[id_]])
        assert not torch.equal(rows[id_], base[id_])
    for id_ in vocabulary_b.ids:
        assert torch.equal(rows[id_], table(after_b)[vocabulary_b.place[id_]])


def test_a_stage_needs_no_parent_to_be_loaded(make: Callable[..., TinyRun], tmp_path: Path) -> None:
    first, second = make(A), make(B, seed=1)
    saved(first, tmp_path / "a.safetensors")
    saved(second, tmp_path / "b.safetensors", parent=tmp_path / "a.safetensors")
    before = second.build(None, tmp_path / "b.safetensors")
    (tmp_path / "a.safetensors").unlink()
    assert alike(second.build(None, tmp_path / "b.safetensors"), before)


def test_the_second_stage_starts_from_the_first_and_not_from_the_base(
    make: Callable[..., TinyRun], tmp_path: Path
) -> None:
    first, second = make(A), make(B, seed=1)
    saved(first, tmp_path / "a.safetensors")
    vocabulary, _ = second.vocabulary()
    from_base = second.train(vocabulary)[1].losses
    from_a = second.train(vocabulary, stage=tmp_path / "a.safetensors")[1].losses
    assert from_a[0] != pytest.approx(from_base[0], rel=1e-3)


def test_the_file_holds_a_part_of_the_table_only(make: Callable[..., TinyRun], tmp_path: Path) -> None:
    run = make(A)
    _, vocabulary = saved(run, tmp_path / "a.safetensors")
    stored = load_file(tmp_path / "a.safetensors")
    assert stored[TABLE_ROWS].shape[0] == len(vocabulary.ids) < len(vocabulary.place) / 2
    assert len(vocabulary.place) not in {weight.shape[0] for weight in stored.values() if weight.ndim}


def test_a_stage_read_with_no_row_of_its_own_keeps_the_base_table(make: Callable[..., TinyRun], tmp_path: Path) -> None:
    """An evaluation set in a script that training never saw looks up base rows alone."""
    run = make(A)
    _, vocabulary = saved(run, tmp_path / "a.safetensors")
    used = np.ones(len(vocabulary.place), np.bool_)
    used[vocabulary.ids] = False
    other = restricted_vocabulary(used, None)
    module = run.build(dataclasses.replace(other), tmp_path / "a.safetensors")
    assert torch.equal(table(module), table(run.build())[other.ids])


@pytest.mark.parametrize("change", ["lost", "unknown"])
def test_a_stage_of_another_head_is_refused(make: Callable[..., TinyRun], tmp_path: Path, change: str) -> None:
    run, path = make(A), tmp_path / "a.safetensors"
    saved(run, path)
    stored = load_file(path)
    if change == "lost":
        del stored["block.1.weight"]
    else:
        stored["span.weight"] = torch.zeros(2)
    save_file(stored, path)
    with pytest.raises(RuntimeError, match="do not fit its head"):
        run.build(None, path)
