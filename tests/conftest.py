"""Fixtures that several test files share; what is heavy is imported by the test that needs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.loopback import Site, loopback_site
from xbench.models.resolve import LocalModel, resolve_model
from xbench.registry import Registry, load_registry
from xbench.settings import Settings

ROOT = Path(__file__).parents[1]
# Programs that the tests start elsewhere read it too: from there, a relative one would be another folder.
if os.environ.get("XBENCH_DATA"):
    os.environ["XBENCH_DATA"] = str((ROOT / os.environ["XBENCH_DATA"]).resolve())

# Where a process a core runs the tests, more threads in each, or in programs that they start, wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("xbench", deadline=None, max_examples=50)  # a busy machine is not a failure
hypothesis.settings.load_profile("xbench")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The data sets, as their publishers released them."""
    root = Path(os.environ.get("XBENCH_DATA") or (ROOT / "../shared/data").resolve())
    assert root.is_dir(), f"XBENCH_DATA: {root} is not a folder"
    return root


@pytest.fixture(scope="session")
def registry() -> Registry:
    """What the installed plugins declare."""
    return load_registry()


@pytest.fixture(scope="session")
def encoder_settings(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Iterator[Settings]:
    """One cache for all that ask for the encoder; it takes half a gigabyte there, so nothing is left behind."""
    cache = tmp_path_factory.mktemp("encoders")
    yield Settings(cache=cache, data=data_root, offline=True, device="cpu")
    shutil.rmtree(cache)


@pytest.fixture(scope="session")
def e5(registry: Registry, encoder_settings: Settings) -> LocalModel:
    """The encoder that installs with pip, assembled."""
    return resolve_model("e5-small-q4", registry, encoder_settings)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the folder of a tiny model by its shape and dropout rate; each is written once."""
    from tests.tiny import tiny_model

    root = tmp_path_factory.mktemp("tiny")

    def folder(shape: str, dropout: float = 0.1) -> Path:
        path = root / f"{shape}-{dropout}"
        return path if path.is_dir() else tiny_model(path, shape, dropout=dropout)

    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: for tests that compare bits or stored numbers."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a download would have waited before each new try; here it does not."""
    waited: list[float] = []
    monkeypatch.setattr("xbench.data.patience.sleep", waited.append)
    return waited


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[Site]:
    """A web server on this machine, reached past any proxy; nobody waits between two tries."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with loopback_site() as served:
        yield served
