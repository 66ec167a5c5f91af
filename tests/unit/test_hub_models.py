"""Models in the hub's cache, and one line when the hub does not serve."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import tiny_model
from xbench.errors import UserError
from xbench.models.resolve import resolve_model
from xbench.registry import Plugin, Registry
from xbench.settings import Settings
from xbench.types import Model

FIRST, SECOND = "1" * 40, "2" * 40
PROMPTS = {"sentence": "query: "}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, while the hub itself is a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def repository(hub: Path, tiny: Callable[..., Path]) -> Path:
    """``org/tiny`` with two commits, laid out as the hub's client does it: links to blobs, and names of commits."""
    folder = hub / "models--org--tiny"
    sources = {FIRST: tiny("bert"), SECOND: tiny_model(hub.parent / "second", "bert", seed=1)}
    for commit, source in sources.items():
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "blobs").mkdir(exist_ok=True)
        for file in source.iterdir():
            shutil.copy(file, folder / "blobs" / f"{commit}-{file.name}")
            (folder / "snapshots" / commit / file.name).symlink_to(f"../../blobs/{commit}-{file.name}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(SECOND, encoding="utf-8")
    (folder / "refs" / "v1").write_text(FIRST, encoding="utf-8")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", offline=True)


@pytest.fixture
def named() -> Registry:
    """A plugin's short name for the first commit of ``org/tiny``, with prompts."""
    model = Model("short", ("en",), "none", "none", "none", hub=("org/tiny", FIRST), prompts=PROMPTS)
    registry = Registry()
    registry.models.add(model.name, model, Plugin("test", "file"))
    return registry


CACHED = {"org/tiny": SECOND, "org/tiny@main": SECOND, "org/tiny@v1": FIRST, f"org/tiny@{FIRST}": FIRST}


@pytest.mark.parametrize("text", CACHED)
def test_a_cached_model_is_found_offline_under_its_commit(repository: Path, settings: Settings, text: str) -> None:
    commit = CACHED[text]
    model = resolve_model(text, Registry(), settings)
    assert (model.name, model.revision) == ("org/tiny", commit)
    assert model.folder == repository / "snapshots" / commit
    local = resolve_model(str(model.folder), Registry(), settings)
    assert (model.identity, model.parameters) == (local.identity, local.parameters)


def test_a_declared_model_is_its_pinned_commit_unless_asked_otherwise(
    repository: Path, settings: Settings, named: Registry
) -> None:
    pinned, other = (resolve_model(text, named, settings) for text in ("short", "short@main"))
    assert (pinned.name, pinned.revision, other.revision) == ("short", FIRST, SECOND)
    assert pinned.weights_sha256 != other.weights_sha256
    assert dict(pinned.prompts) == PROMPTS


def test_a_hub_id_gets_the_prompts_that_a_plugin_declares_for_it(
    repository: Path, settings: Settings, named: Registry
) -> None:
    short, known = (resolve_model(text, named, settings) for text in ("short", f"org/tiny@{FIRST}"))
    unknown = resolve_model(f"org/tiny@{FIRST}", Registry(), settings)
    assert known.identity == short.identity != unknown.identity


def refusal(text: str, settings: Settings, registry: Registry) -> str:
    with pytest.raises(UserError) as caught:
        resolve_model(text, registry, settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_that_does_not_serve_points_to_a_local_folder(
    hub: Path, tmp_path: Path, named: Registry, offline: bool
) -> None:
    message = refusal("org/absent", Settings(cache=tmp_path / "cache", offline=offline), named)
    assert "org/absent" in message
    assert "--model path/to/folder" in message
    assert ("offline" if offline else "cannot be reached") in message
    assert "did you mean" not in message
    assert "did you mean 'short'?" in refusal("shor", Settings(cache=tmp_path / "cache", offline=offline), named)


@pytest.mark.parametrize("text", ["no such model", "org/bad name", "-dash", "x" * 300, "org/two..dots", "", "org/"])
def test_a_text_that_is_no_models_name_is_not_blamed_on_the_network(
    hub: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refusal(text, Settings(cache=tmp_path / "cache"), Registry())
    assert "cannot be reached" not in message


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer*"])
def test_a_repository_without_a_needed_file_is_refused_in_one_line(
    repository: Path, settings: Settings, missing: str
) -> None:
    for path in (repository / "snapshots" / SECOND).glob(missing):
        path.unlink()
    assert missing.rstrip("*").rpartition(".")[2] in refusal("org/tiny", settings, Registry())
