"""From a model's name to a folder and an identity that depends on all that the model computes with, and no more."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from tests.loopback import without_network
from tests.tiny import tiny_model
from xbench.errors import UserError
from xbench.models.resolve import LocalModel, identify, resolve_model
from xbench.registry import Plugin, Registry
from xbench.settings import Settings
from xbench.types import Model

PROMPTS = {"sentence": "query: "}
Tiny = Callable[..., Path]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", offline=True)


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    """A tiny model's folder of the test's own."""
    return Path(shutil.copytree(tiny("bert"), tmp_path / "models" / "my-model"))


def declaring(*models: Model) -> Registry:
    registry = Registry()
    for model in models:
        registry.models.add(model.name, model, Plugin("test", "file"))
    return registry


def declared(name: str = "known", **more: object) -> Model:
    return Model(name, ("en",), "none", "none", "none", **more)  # type: ignore[arg-type]


def refusal(text: str, settings: Settings, registry: Registry | None = None) -> str:
    """The one line of a model that must not be found."""
    with pytest.raises(UserError) as caught:
        resolve_model(text, registry or Registry(), settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_local_folder_is_a_model_under_its_own_name(folder: Path, settings: Settings) -> None:
    model = resolve_model(str(folder), Registry(), settings)
    assert (model.name, model.revision, model.folder, dict(model.prompts)) == ("my-model", "", folder, {})
    assert model.weights_sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_a_relative_folder_is_the_same_model(folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = resolve_model(str(folder), Registry(), settings)
    monkeypatch.chdir(folder)
    assert resolve_model(".", Registry(), settings) == absolute


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_parameters_are_the_numbers_in_the_weight_files(tmp_path: Path, settings: Settings, shard: str) -> None:
    folder = tiny_model(tmp_path / "model", "bert", shard=shard)
    files = sorted(folder.glob("*.safetensors"))
    assert (len(files) > 1) == (shard == "20KB")
    wanted = sum(tensor.size for file in files for tensor in load_file(file).values())
    assert resolve_model(str(folder), Registry(), settings).parameters == wanted


def identities(model: LocalModel) -> tuple[str, str, str]:
    return model.identity, model.weights_sha256, model.tokenizer_identity


def test_the_identity_does_not_depend_on_the_folders_place_or_name(folder: Path, settings: Settings) -> None:
    before = identities(resolve_model(str(folder), Registry(), settings))
    elsewhere = folder.rename(folder.parent / "renamed")
    (elsewhere / "README.md").write_text("notes", encoding="utf-8")
    assert identities(resolve_model(str(elsewhere), Registry(), settings)) == before


def set_json(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}), encoding="utf-8")


def nudge(path: Path) -> None:
    """Change the last weight of a file by one bit."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


CHANGES: dict[str, tuple[Callable[[Path], object], tuple[bool, bool, bool]]] = {
    "weights": (lambda folder: nudge(folder / "model.safetensors"), (True, True, False)),
    "configuration": (lambda folder: set_json(folder / "config.json", "layer_norm_eps", 0.1), (True, False, False)),
    "tokenizer": (lambda folder: set_json(folder / "tokenizer_config.json", "do_lower", 1), (True, False, True)),
    "vocabulary": (lambda folder: (folder / "vocab.txt").touch(), (True, False, True)),
}  # fmt: skip


@pytest.mark.parametrize("part", CHANGES)
def test_the_identity_changes_with_every_part(folder: Path, settings: Settings, part: str) -> None:
    change, expected = CHANGES[part]
    before = identities(resolve_model(str(folder), Registry(), settings))
    change(folder)
    after = identities(resolve_model(str(folder), Registry(), settings))
    assert tuple(one != other for one, other in zip(before, after, strict=True)) == expected


def test_the_identity_changes_with_any_shard(tmp_path: Path, settings: Settings) -> None:
    folder = tiny_model(tmp_path / "model", "bert", shard="20KB")
    seen = {resolve_model(str(folder), Registry(), settings).identity}
    shards = sorted(folder.glob("*.safetensors"))
    for shard in shards:
        nudge(shard)
        seen.add(resolve_model(str(folder), Registry(), settings).identity)
    assert len(seen) == len(shards) + 1


def test_the_identity_changes_with_the_prompts(folder: Path, settings: Settings) -> None:
    plain, prompted = (identify("m", "", folder, prompts, settings) for prompts in ({}, PROMPTS))
    assert plain.identity != prompted.identity
    assert plain.tokenizer_identity == prompted.tokenizer_identity
    other = identify("m", "", folder, {"sentence": "passage: "}, settings)
    assert len({plain.identity, prompted.identity, other.identity}) == 3


def test_a_folder_with_pickled_weights_alone_is_refused(folder: Path, settings: Settings) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = refusal(str(folder), settings)
    assert "safetensors" in message
    assert str(folder) in message


def test_a_folder_without_a_tokenizer_is_refused(folder: Path, settings: Settings) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "tokenizer" in refusal(str(folder), settings)


BROKEN_WEIGHTS = {
    "empty": b"",
    "a few bytes": b"abc",
    "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a header of text": (9).to_bytes(8, "little") + b"not JSON!",
    "a header of other things": (13).to_bytes(8, "little") + b'{"a": [1, 2]}',
}


@pytest.mark.parametrize("kind", BROKEN_WEIGHTS)
def test_a_file_that_is_not_safetensors_is_named(folder: Path, settings: Settings, kind: str) -> None:
    (folder / "model.safetensors").write_bytes(BROKEN_WEIGHTS[kind])
    assert str(folder / "model.safetensors") in refusal(str(folder), settings)


def test_weights_that_are_cut_off_are_named(folder: Path, settings: Settings) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert str(path) in refusal(str(folder), settings)


@pytest.mark.parametrize("text", ["./absent", "/absent/model", "~/absent-model", "a/b/c", "~no-such-user/model"])
def test_a_path_without_a_model_is_refused_as_a_path(settings: Settings, text: str) -> None:
    message = refusal(text, settings)
    assert text in message
    assert "folder" in message


@pytest.mark.parametrize("revision", ["abc", "-1", "1.5", "0x1"])
def test_a_random_encoder_takes_only_a_seed(registry: Registry, settings: Settings, revision: str) -> None:
    message = refusal(f"random-encoder@{revision}", settings, registry)
    assert f"random-encoder@{revision}" in message
    assert list((settings.cache / "models").glob("*")) == []


def test_the_embedded_model_takes_no_revision(registry: Registry, settings: Settings) -> None:
    assert "revision" in refusal("e5-small-q4@abc", settings, registry)
    assert list((settings.cache / "models").glob("*")) == []


HOSTILE = ["../x", "..", ".", "../../../x", "a/b", "a\\b", "a b", "a\0b", "/absolute"]


@pytest.mark.parametrize("name", ["random-encoder", "e5-small-q4"])
@pytest.mark.parametrize("revision", HOSTILE)
def test_a_revision_that_is_a_path_is_refused_and_writes_nothing(
    registry: Registry, settings: Settings, tmp_path: Path, name: str, revision: str
) -> None:
    assert "revision" in refusal(f"{name}@{revision}", settings, registry)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_revision_of_a_model_that_has_none_is_refused(folder: Path, settings: Settings) -> None:
    message = refusal("known@2", settings, declaring(declared(folder=lambda: folder)))
    assert "revision" in message  # a record would claim a revision that nothing came of


def writer(source: Path, calls: list[str | None]) -> Callable[[Path, str | None], None]:
    def write(target: Path, revision: str | None) -> None:
        calls.append(revision)
        shutil.copytree(source, target, dirs_exist_ok=True)

    return write


def test_a_model_that_is_assembled_is_assembled_once_a_revision_and_version(folder: Path, settings: Settings) -> None:
    calls: list[str | None] = []
    registry = declaring(declared(write=writer(folder, calls), prompts=PROMPTS))
    models = [resolve_model(text, registry, settings) for text in ("known", "known", "known@3", "known@3")]
    assert calls == [None, "3"]
    assert [(model.name, model.revision) for model in models] == [("known", "")] * 2 + [("known@3", "3")] * 2
    assert dict(models[0].prompts) == PROMPTS
    resolve_model("known", declaring(declared(write=writer(folder, calls), version=2)), settings)
    assert len(calls) == 3


def test_an_assembly_that_fails_leaves_nothing_behind(folder: Path, settings: Settings) -> None:
    def fail(target: Path, revision: str | None) -> None:
        shutil.copy(folder / "config.json", target)
        raise UserError("no weights today")

    assert "no weights today" in refusal("known", settings, declaring(declared(write=fail)))
    assert list((settings.cache / "models").iterdir()) == []


def test_an_altered_weight_between_two_runs_is_noticed(folder: Path, settings: Settings) -> None:
    before = resolve_model(str(folder), Registry(), settings)
    tensors = load_file(folder / "model.safetensors")
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert resolve_model(str(folder), Registry(), settings).weights_sha256 != before.weights_sha256


def test_offline_connects_nowhere_and_points_to_a_local_folder(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from xbench.errors import UserError
from xbench.models.resolve import resolve_model
from xbench.registry import load_registry
from xbench.settings import Settings
try:
    resolve_model("e5-smal-q4", load_registry(), Settings(Path({str(tmp_path)!r}), offline=True))
except UserError as error:
    report(reason=str(error))
"""
    found = without_network(code, tmp_path)
    assert found["tried"] == []
    assert "did you mean 'e5-small-q4'?" in found["reason"]
    assert "offline" in found["reason"]
    assert "local folder" in found["reason"]
    assert len(found["reason"].splitlines()) == 1
    assert "torch" not in found["modules"]
