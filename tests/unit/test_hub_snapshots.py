"""A model at a pinned commit: whole in the hub's cache, nobody is asked; in any doubt, the hub is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.loopback import Site, loopback_site
from tests.tiny import tiny_model
from xbench.errors import UserError
from xbench.models.hub import is_whole
from xbench.models.resolve import LocalModel, resolve_model
from xbench.registry import Registry
from xbench.settings import Settings

COMMIT = "3" * 40
MODEL = f"org/tiny@{COMMIT}"
AUTO_MAP = {
    "AutoConfig": "configuration_own.Config",
    "AutoModel": "modeling_own.Model",
    "AutoTokenizer": ["x.Slow", None],
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub that knows nothing yet, and an empty cache."""
    with loopback_site() as site:
        template = site.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", site.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        yield site


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model in three shards, with an index."""
    folder = tiny_model(tmp_path / "source", "bert", shard="30KB")
    assert len(list(folder.glob("*.safetensors"))) >= 3
    return folder


@pytest.fixture
def snapshot(tmp_path: Path, source: Path) -> Path:
    """``org/tiny`` at a commit, whole in the cache as older clients leave it: without a listing of its files."""
    folder = tmp_path / "hub" / "models--org--tiny"
    (folder / "blobs").mkdir(parents=True)
    return Path(shutil.copytree(source, folder / "snapshots" / COMMIT))


def publish(hub: Site, source: Path, name: str = "org/tiny") -> None:
    """Let the hub serve a folder as a repository with one commit."""
    files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    tree = [{"type": "file", "path": file, "size": len(body), "oid": file} for file, body in files.items()]
    listing = f"/api/models/{name}/tree/{COMMIT}"
    hub.serve(listing, json.dumps(tree).encode(), Content_Type="application/json")
    for file, body in files.items():
        hub.serve(f"/{name}/resolve/{COMMIT}/{file}", body, ETag=f'"{len(body)}-{file}"', X_Repo_Commit=COMMIT)


def resolve(folder: Path, text: str = MODEL, **settings: bool) -> LocalModel:
    return resolve_model(text, Registry(), Settings(cache=folder / "cache", **settings))  # type: ignore[arg-type]


def asked(hub: Site) -> list[str]:
    """The names of the files that were asked for; ``tree`` is a question which files there are."""
    return [path.rsplit("/", 1)[-1] if "/resolve/" in path else "tree" for path in hub.asked if "/org/" in path]


def test_a_whole_snapshot_is_used_without_a_question(hub: Site, snapshot: Path, tmp_path: Path) -> None:
    model = resolve(tmp_path)
    assert (model.folder, model.revision) == (snapshot, COMMIT)
    assert hub.asked == []


def unlink(name: str) -> Callable[[Path], object]:
    return lambda folder: [path.unlink() for path in sorted(folder.glob(name))[-1:]]


def set_json(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}), encoding="utf-8")


def dangle(folder: Path) -> None:
    path = folder / "config.json"
    path.unlink()
    path.symlink_to("../../blobs/absent")


GAPS: dict[str, Callable[[Path], object]] = {
    "configuration": unlink("config.json"),
    "a link to nothing": dangle,
    "one shard": unlink("*.safetensors"),
    "index": unlink("*.index.json"),
    "tokenizer": unlink("tokenizer.json"),
    "tokenizer's settings": unlink("tokenizer_config.json"),
    "a blob on its way": lambda folder: (folder.parents[1] / "blobs" / "e1.f.incomplete").touch(),
}  # fmt: skip


@pytest.mark.parametrize("gap", GAPS)
def test_a_snapshot_with_a_gap_is_completed_from_the_hub(
    hub: Site, snapshot: Path, source: Path, tmp_path: Path, gap: str
) -> None:
    whole = resolve(tmp_path, str(source))
    GAPS[gap](snapshot)
    if "index" in gap or gap == "a link to nothing":
        (snapshot / {"a link to nothing": "config.json"}.get(gap, "model.safetensors.index.json")).unlink(
            missing_ok=True
        )
    publish(hub, source)
    model = resolve(tmp_path)
    assert "tree" in asked(hub)
    assert (model.identity, model.parameters, model.folder) == (whole.identity, whole.parameters, snapshot)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one shard is missing": unlink("*.safetensors"),
    "torn index": lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map"'),
    "empty index": lambda folder: (folder / "model.safetensors.index.json").write_text("{}"),
    "torn configuration": lambda folder: (folder / "config.json").write_text('{"model_type"'),
    "torn tokenizer": lambda folder: (folder / "tokenizer_config.json").write_bytes(b"\xff\xfe"),
    "index of another kind": lambda folder: (folder / "model.safetensors.index.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_that_the_hub_does_not_mend_is_one_line(
    hub: Site, snapshot: Path, tmp_path: Path, damage: str
) -> None:
    DAMAGES[damage](snapshot)
    with pytest.raises(UserError) as caught:
        resolve(tmp_path, offline=True)
    assert str(snapshot) in str(caught.value)
    assert "again" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert hub.asked == []


def test_a_single_weight_file_needs_no_index(tiny: Callable[..., Path], hub: Site, snapshot: Path) -> None:
    shutil.rmtree(snapshot)
    shutil.copytree(tiny("bert"), snapshot)
    assert is_whole(snapshot, code=False)


@pytest.fixture
def branch(snapshot: Path) -> Path:
    """The main branch of ``org/tiny``, as it was when it was fetched."""
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return snapshot


def test_a_branch_is_asked_for_since_it_may_have_moved(hub: Site, branch: Path, source: Path, tmp_path: Path) -> None:
    publish(hub, source)
    about = json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": []}).encode()
    hub.serve("/api/models/org/tiny/revision/main", about, Content_Type="application/json")
    assert resolve(tmp_path, "org/tiny").revision == COMMIT
    assert any("/revision/main" in path for path in hub.asked)


def test_a_branch_of_a_hub_that_does_not_tell_is_not_taken_unsaid_and_its_commit_is_named(
    hub: Site, branch: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"its commit {COMMIT} is here: --model org/tiny@{COMMIT}, or --offline"):
        resolve(tmp_path, "org/tiny")
    assert resolve(tmp_path, "org/tiny", offline=True).folder == resolve(tmp_path, MODEL).folder == branch


@pytest.fixture
def with_code(source: Path) -> Path:
    """A model that brings its own code, and things that nobody needs."""
    set_json(source / "config.json", "auto_map", AUTO_MAP)
    for name in ("configuration_own.py", "modeling_own.py", "helper.py", "x.py"):
        (source / name).write_text(f"# {name}\n", encoding="utf-8")
    for name in ("pytorch_model.bin", "README.md", "model.onnx"):
        (source / name).write_bytes(b"large")
    return source


def test_code_is_fetched_only_when_it_may_run_and_pickles_never(hub: Site, with_code: Path, tmp_path: Path) -> None:
    publish(hub, with_code)
    plain = resolve(tmp_path)
    assert not [name for name in asked(hub) if name.endswith((".py", ".bin", ".md", ".onnx"))]
    assert not list(plain.folder.rglob("*.py"))
    trusted = resolve(tmp_path, trust_remote_code=True)
    code = {"configuration_own.py", "modeling_own.py", "helper.py", "x.py"}
    assert {path.name for path in trusted.folder.rglob("*.py")} == code
    assert not [name for name in asked(hub) if name.endswith((".bin", ".md", ".onnx"))]
    hub.asked.clear()
    assert resolve(tmp_path, trust_remote_code=True) == trusted
    assert resolve(tmp_path) == plain
    assert hub.asked == []


@pytest.mark.parametrize("missing", ["configuration_own.py", "modeling_own.py", "x.py"])
def test_a_snapshot_without_its_code_is_not_whole_when_the_code_shall_run(
    with_code: Path, snapshot: Path, missing: str
) -> None:
    shutil.rmtree(snapshot)
    shutil.copytree(with_code, snapshot)
    assert is_whole(snapshot, code=True)
    (snapshot / missing).unlink()
    assert not is_whole(snapshot, code=True)
    assert is_whole(snapshot, code=False)


def test_code_that_runs_is_part_of_what_the_model_is(with_code: Path, tmp_path: Path) -> None:
    plain, trusted = (resolve(tmp_path, str(with_code), trust_remote_code=trust) for trust in (False, True))
    (with_code / "helper.py").write_text("other = True\n", encoding="utf-8")
    assert resolve(tmp_path, str(with_code)) == plain
    assert (
        len({plain.identity, trusted.identity, resolve(tmp_path, str(with_code), trust_remote_code=True).identity}) == 3
    )


def test_code_of_another_repository_is_no_code_that_is_here(with_code: Path, tmp_path: Path) -> None:
    set_json(with_code / "config.json", "auto_map", {"AutoModel": "org/other--modeling_own.Model"})
    assert resolve(tmp_path, str(with_code), offline=True) == resolve(tmp_path, str(with_code))  # it does not run
    assert resolve(tmp_path, str(with_code), trust_remote_code=True).parameters
    with pytest.raises(UserError, match="its code lies in another repository, org/other, for which the hub would be"):
        resolve(tmp_path, str(with_code), trust_remote_code=True, offline=True)


def test_python_files_beside_a_model_that_names_none_do_not_matter(source: Path, tmp_path: Path) -> None:
    before = resolve(tmp_path, str(source), trust_remote_code=True)
    (source / "notes.py").touch()
    assert resolve(tmp_path, str(source), trust_remote_code=True) == before
