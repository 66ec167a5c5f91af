"""Models and secrets in the real program: no pickle is loaded, no code runs unasked, and no token is ever written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.hub_site import TOKEN, HubSite, hub_site

COMMIT = "b" * 40
EVAL = (
    "eval",
    "--tasks",
    "mini-sts",
    "--train",
    "none",
    "--eval",
    "mini-sts-en",
    "--limit-eval",
    "12",
    "--device",
    "cpu",
)
CODE = """
from pathlib import Path
Path({mark!r}).write_text("ran")
from transformers import BertConfig, BertModel
class Config(BertConfig):
    model_type = "own-bert"
class Model(BertModel):
    config_class = Config
"""


@pytest.fixture
def model(program: Program, tiny: Callable[..., Path]) -> Path:
    """A tiny model that may be changed."""
    return Path(shutil.copytree(tiny("bert"), program.folder / "m"))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_a_folder_with_nothing_but_a_pickle_is_one_line_and_is_not_read(program: Program, model: Path) -> None:
    mark = program.folder / "ran"
    (model / "model.safetensors").unlink()
    # A pickle that would write the file: protocol 0, so that the test itself needs no pickle either.
    (model / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(mark) + b"'\ntR.")
    done = program(*EVAL, "--model", str(model))
    assert done.returncode == 2, done.stderr
    assert "pickles are never loaded" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["bert", "own-bert"])
def test_a_models_own_code_runs_by_its_flag_alone(program: Program, model: Path, kind: str) -> None:
    mark = program.folder / "ran"
    (model / "modeling_own.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    auto_map = {"AutoConfig": "modeling_own.Config", "AutoModel": "modeling_own.Model"}
    change(model / "config.json", auto_map=auto_map, model_type=kind)
    home = {"HF_HOME": str(program.folder / "hf")}
    done = program(*EVAL, "--model", str(model), **home)
    assert not mark.exists(), "the code ran unasked"
    assert "Traceback" not in done.stderr
    if kind == "own-bert":  # nothing but the code can say what it is
        assert done.returncode in (1, 2)
        assert "own-bert" in done.stderr or "trust_remote_code" in done.stderr.replace("-", "_")
    done = program(*EVAL, "--model", str(model), "--trust-remote-code", **home)
    assert mark.exists(), done.stderr


# A token


@pytest.fixture
def hub() -> Iterator[HubSite]:
    with hub_site() as served:
        yield served


def test_a_token_is_in_nothing_that_a_run_writes(program: Program, model: Path, hub: HubSite) -> None:
    files = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    hub.publish("org/tiny", COMMIT, files, "model", gated=True, large=("model.safetensors",))
    shutil.rmtree(model)
    environment = {
        "HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.site.address, "HF_HOME": str(program.folder / "hf"),
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_VERBOSITY": "debug", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    name = ("--model", f"org/tiny@{COMMIT}")
    said = []
    for arguments, status in (
        (("prefetch", *EVAL[1:7], *name), 0),
        ((*EVAL, *name, "--track", "tensorboard"), 0),
        (("doctor", *name), None),
        (("eval", *EVAL[1:], "--model", "org/absent"), 2),
    ):
        done = program(*arguments, **environment)
        assert status is None or done.returncode == status, done.stderr
        said += [done.stdout, done.stderr]
    assert any(heard.headers.get("Authorization") == f"Bearer {TOKEN}" for heard in hub.site.heard), "never used"
    assert not any("Authorization" in heard.headers for heard in hub.cdn.heard)
    secret = TOKEN[3:].encode()
    assert not [text for text in said if secret.decode() in text]
    written = [path for path in program.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".json" and "results" in path.parts for path in written)
    assert [path for path in written if secret in path.read_bytes()] == []


def test_a_hub_that_is_reached_without_tls_gets_no_token(program: Program) -> None:
    done = program(
        "prefetch", "--tasks", "mini-sts", "--model", "org/tiny", HF_TOKEN=TOKEN, HF_HUB_OFFLINE="0",
        HF_ENDPOINT="http://hub.invalid", HF_HOME=str(program.folder / "hf"),
    )  # fmt: skip
    assert "http://hub.invalid is not fetched: only https is" in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
